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
    """The states of both directions of a recurrence.

    A text with gaps is read as one without.

    Args:
        inputs: Tensor `(N, T, D)`.
        mask: Booleans `(N, T)`.
        forward: The `keras.layers.LSTMCell` or `GRUCell` that reads in order, with the
            biases, the reset and the activations Keras gives it.
        backward: The one that reads from the end.

    Returns:
        The states of either, `(N, T, units)`, zeros at padding, whatever stands there.
    """
    turns = _Turns.of(mask)
    step = _gru if isinstance(forward, keras.layers.GRUCell) else _lstm
    return tuple(
        _read(inputs, slots, turns, cell, step)
        for slots, cell in zip(turns.slots, (forward, backward), strict=True)
    )


@dataclasses.dataclass(frozen=True)
class _Turns:
    """How M slots are read: step after step, and at each the longest text first.

    All steps of a turn have the texts that are live at its first one, so that a text's
    last turn may have slots past its end.

    Args:
        counts: How many texts each of K turns reads, integers `(K,)`.
        starts: Where each begins, integers `(K,)`.
        total: M.
        slots: The slot of each position, integers `(N, T)`, M for padding: where texts
            are read in order, and where they are read from the end.
        live: A position that is live, as a number in `(N * T,)`.
    """

    counts: object
    starts: object
    total: object
    slots: tuple
    live: object

    @classmethod
    def of(cls, mask):
        """Those of a mask."""
        tf = tensorflow()
        ones = tf.cast(mask, tf.int32)  # (N, T)
        lengths = tf.reduce_sum(ones, axis=1, keepdims=True)  # (N, 1)
        order = tf.argsort(lengths[:, 0], direction="DESCENDING", stable=True)  # (N,)
        rank = tf.math.invert_permutation(order)[:, None]  # (N, 1)
        whole = lengths + -lengths % _STEPS  # to the end of the last turn
        longest = tf.maximum(tf.reduce_max(whole), _STEPS)  # or there is no text
        live = tf.cast(tf.range(longest) < whole, tf.int32)  # (N, L)
        counts = tf.reduce_sum(live, axis=0)  # (L,)
        starts = tf.cumsum(counts, exclusive=True)  # (L,)
        total = tf.reduce_sum(counts)
        step = tf.cumsum(ones, axis=1) - 1  # (N, T), -1 where none was live yet
        steps = tf.stack([tf.maximum(step, 0), lengths - 1 - step])  # (2, N, T)
        slots = tf.where(mask, tf.gather(starts, steps) + rank, total)
        places = tf.reshape(tf.range(tf.size(mask)), tf.shape(mask))
        somewhere = tf.reduce_max(tf.where(mask, places, 0))
        counts, starts = counts[::_STEPS], starts[::_STEPS]
        return cls(counts, starts, total, tuple(tf.unstack(slots)), somewhere)

    def positions(self, slots):
        """Which position stands in each slot, integers `(M,)`, numbers in `(N * T,)`.

        Past the end of a text it is some live one: what it gives is dropped.
        """
        tf = tensorflow()
        slots = tf.reshape(slots, (-1, 1))
        anywhere = tf.fill((self.total + 1,), self.live)
        positions = tf.range(tf.shape(slots)[0])
        return tf.tensor_scatter_nd_update(anywhere, slots, positions)[:-1]


def _read(inputs, slots, turns, cell, step):
    """The states of one direction, `(N, T, units)`."""
    tf = tensorflow()
    weights = (cell.kernel, cell.recurrent_kernel, cell.bias)
    kernel, recurrent, bias = (
        tf.cast(tf.convert_to_tensor(weight), inputs.dtype) for weight in weights
    )
    units, counts = cell.units, turns.counts
    first, sizes, after = step(recurrent, bias, units)
    inputs = tf.reshape(inputs, (-1, kernel.shape[0]))  # (N * T, D)
    projected = tf.gather(inputs, turns.positions(slots)) @ kernel + first  # (M, G U)
    carried = 2 if step is _lstm else 1

    def turn(k, array, *state):
        x = tf.reshape(given.read(k), (_STEPS, -1, projected.shape[1]))  # (4, n, G U)
        n = tf.shape(x)[1]
        size = tf.stack([n, units])
        state = [tf.slice(part, (0, 0), size) for part in state]  # who ended was last
        made = []
        parts = (tf.unstack(part) for part in tf.split(x, sizes, axis=-1))
        for now in zip(*parts, strict=True):
            state = after(now, *state)
            made.append(state[0])
        return k + 1, array.write(k, tf.concat(made, axis=0)), *state

    count = tf.shape(counts)[0]
    rows = tf.TensorShape((None, units))
    given = tf.TensorArray(
        inputs.dtype, count, infer_shape=False, element_shape=(None, projected.shape[1])
    ).split(projected, _STEPS * counts)
    array = tf.TensorArray(
        inputs.dtype, count + 1, infer_shape=False, element_shape=rows
    )
    none = tf.zeros((tf.shape(slots)[0], units), inputs.dtype)
    _, array, *_ = tf.while_loop(
        lambda k, *_: k < count,
        turn,
        (0, array, *[none] * carried),
        (tf.TensorShape(()), tf.TensorShape(None), *[rows] * carried),
    )
    # What padding has comes after all turns.
    array = array.write(count, tf.zeros((1, units), inputs.dtype))
    states = tf.gather(array.concat(), slots)
    return tf.ensure_shape(states, (*slots.shape, units))


def _gru(recurrent, bias, units):
    """What its inputs get, and a step: see `packed_gru`."""
    tf = tensorflow()
    first = bias[0] + tf.pad(bias[1, : 2 * units], [[0, units]])
    own = tf.identity(bias[1, 2 * units :])
    sizes = 2 * units, units

    def after(x, h):
        x, x_c = x
        m, m_c = tf.split(h @ recurrent, sizes, axis=1)
        z, r = tf.split(tf.sigmoid(x + m), 2, axis=1)
        c = tf.tanh(x_c + r * (m_c + own))
        return [c + z * (h - c)]

    return first, sizes, after


def _lstm(recurrent, bias, units):
    """What its inputs get, and a step: `c = f * c + i * tanh(.)`, `h = o * tanh(c)`."""
    tf = tensorflow()

    def after(x, h, c):
        (x,) = x
        i, f, new, o = tf.split(x + h @ recurrent, 4, axis=1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(new)
        return [tf.sigmoid(o) * tf.tanh(c), c]

    return bias, (4 * units,), after
