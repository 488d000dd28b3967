"""A bidirectional recurrence as a served graph has it: live steps, a few at a turn.

Keras's loop takes every step of the longest text for every text, and one step a turn.
In a graph that runs operation by operation a turn costs about what a sentence's step
does. Here texts are sorted by length, so that those still live are the first rows, and
a turn is a few steps over them; the last of these may lie past a text's end, and what
they give is dropped.

It is for reading alone. Training has `kattn.models.packed_recurrence`.
"""

import contextlib
import contextvars
import dataclasses

import keras

from kattn.devices import in_xla, on_cpu
from kattn.text.libraries import tensorflow

_DECIDED = contextvars.ContextVar("kattn_live_steps", default=None)
_STEPS = 4  # at a turn


@contextlib.contextmanager
def decided(alone):
    """Within this context TensorFlow's recurrences read live steps alone, or do not.

    Args:
        alone: Whether they do; `None` where the device decides, which is to be a CPU.
    """
    token = _DECIDED.set(alone)
    try:
        yield
    finally:
        _DECIDED.reset(token)


def alone():
    """Whether recurrences that are not trained read live steps alone here.

    XLA wants to know how many texts are live, and a GPU has cuDNN.
    """
    if keras.backend.backend() != "tensorflow" or in_xla():
        return False
    return on_cpu() if _DECIDED.get() is None else _DECIDED.get()


def read(inputs, mask, forward, backward):
    """What a bidirectional LSTM or GRU gives.

    A text with gaps is read as one without.

    Args:
        inputs: Tensor `(N, T, D)`.
        mask: Booleans `(N, T)`.
        forward: The `keras.layers.LSTMCell` or `GRUCell` that reads in order, with the
            biases, the reset and the activations Keras gives it.
        backward: The one that reads from the end.

    Returns:
        The states `(N, T, 2 * units)`, zeros at padding.
    """
    turns = _Turns.of(mask)
    step = _gru if isinstance(forward, keras.layers.GRUCell) else _lstm
    states = []
    for cell, columns in ((forward, turns.columns), (backward, turns.turned)):
        places = tensorflow().stack([turns.rows, columns], axis=1)
        states.append(_padded(_read(inputs, places, turns, cell, step), places, turns))
    return tensorflow().concat(states, axis=-1)


@dataclasses.dataclass(frozen=True)
class _Turns:
    """The M positions in their order: turn after turn, step after step, row after row.

    Args:
        mask: Booleans `(N, T)`.
        counts: How many texts are live in a turn, integers `(K,)`.
        rows: The text of each position, integers `(M,)`.
        columns: Where it stands in its text, integers `(M,)`.
        turned: Where that stands which is as far from the end.
        live: Whether it is within its text, booleans `(M,)`.
    """

    mask: object
    counts: object
    rows: object
    columns: object
    turned: object
    live: object

    @classmethod
    def of(cls, mask):
        """Those of a mask."""
        tf = tensorflow()
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)  # (N,)
        rows = tf.argsort(lengths, direction="DESCENDING", stable=True)  # (N,)
        lengths = tf.gather(lengths, rows)
        columns = tf.argsort(tf.cast(~tf.gather(mask, rows), tf.int32), stable=True)
        longest = tf.maximum(tf.reduce_max(lengths), 1)  # or there is no text
        starts = tf.range(0, longest, _STEPS)  # (K,)
        live = starts[:, None] < lengths  # (K, N)
        steps = tf.tile(live[:, None], [1, _STEPS, 1])  # (K, steps, N)
        turn, step, row = tf.unstack(tf.cast(tf.where(steps), tf.int32), axis=1)
        step += _STEPS * turn  # (M,)
        length = tf.gather(lengths, row)
        within = step < length
        # Past the end, any place of the text will do.
        step = tf.where(within, step, 0)

        def column(step):
            return tf.gather_nd(columns, tf.stack([row, step], axis=1))

        return cls(
            mask,
            tf.reduce_sum(tf.cast(live, tf.int32), axis=1),
            tf.gather(rows, row),
            column(step),
            column(length - 1 - step),
            within,
        )


def _padded(states, places, turns):
    """`(M, U)` as `(N, T, U)`."""
    tf = tensorflow()
    states = tf.where(turns.live[:, None], states, 0)
    shape = tf.concat([tf.shape(turns.mask), tf.shape(states)[1:]], axis=0)
    padded = tf.scatter_nd(places, states, shape)  # what stands twice is added
    return tf.ensure_shape(padded, (*turns.mask.shape, *states.shape[1:]))


def _read(inputs, places, turns, cell, step):
    """The states of one direction, `(M, U)`."""
    tf = tensorflow()
    weights = (cell.kernel, cell.recurrent_kernel, cell.bias)
    kernel, recurrent, bias = (
        tf.cast(tf.convert_to_tensor(weight), inputs.dtype) for weight in weights
    )
    units, counts = cell.units, turns.counts
    starts = tf.cumsum(_STEPS * counts, exclusive=True)  # (K,)
    first, after = step(recurrent, bias, units)
    projected = tf.gather_nd(inputs, places) @ kernel + first  # (M, G U)
    carried = 2 if step is _lstm else 1

    def turn(k, array, *state):
        n = counts[k]
        x = projected[starts[k] : starts[k] + _STEPS * n]
        x = tf.reshape(x, (_STEPS, n, projected.shape[1]))
        state = [part[:n] for part in state]  # (n, U): who has ended was last
        made = []
        for now in tf.unstack(x):
            state = after(now, *state)
            made.append(state[0])
        return k + 1, array.write(k, tf.concat(made, axis=0)), *state

    count = tf.shape(counts)[0]
    rows = tf.TensorShape((None, units))
    array = tf.TensorArray(inputs.dtype, count, infer_shape=False, element_shape=rows)
    none = tf.zeros((tf.shape(inputs)[0], units), inputs.dtype)
    _, array, *_ = tf.while_loop(
        lambda k, *_: k < count,
        turn,
        (0, array, *[none] * carried),
        (tf.TensorShape(()), tf.TensorShape(None), *[rows] * carried),
    )
    return tf.ensure_shape(array.concat(), (None, units))


def _gru(recurrent, bias, units):
    """What its inputs get, and a step: see `packed_gru`."""
    tf = tensorflow()
    first = bias[0] + tf.pad(bias[1, : 2 * units], [[0, units]])
    own = tf.identity(bias[1, 2 * units :])

    def after(x, h):
        x, x_c = tf.split(x, [2 * units, units], axis=1)
        m, m_c = tf.split(h @ recurrent, [2 * units, units], axis=1)
        z, r = tf.split(tf.sigmoid(x + m), 2, axis=1)
        c = tf.tanh(x_c + r * (m_c + own))
        return [c + z * (h - c)]

    return first, after


def _lstm(recurrent, bias, units):
    """What its inputs get, and a step: `c = f * c + i * tanh(.)`, `h = o * tanh(c)`."""
    tf = tensorflow()

    def after(x, h, c):
        i, f, new, o = tf.split(x + h @ recurrent, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(new)
        return [tf.sigmoid(o) * tf.tanh(c), c]

    return bias, after
