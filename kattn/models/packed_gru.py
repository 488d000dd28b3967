"""A bidirectional GRU over live steps alone: no work on padding.

Texts are sorted by length, so that at step t the live ones are the first n_t rows, and
what all of them have at a step lies side by side. A product of large matrices projects
all inputs; from step to step goes only what depends on the step before, and what a loop
touches stays in the processor's cache.

It trains in TensorFlow's graphs, where n_t may be what it is. XLA wants to know it, and
a SavedModel holds no loop with a gradient of its own.
"""

import dataclasses

import keras

from kattn.attend import has_gpu
from kattn.text.libraries import tensorflow


def serves():
    """Whether it is the faster one here: on TensorFlow and a CPU; a GPU has cuDNN's."""
    return keras.backend.backend() == "tensorflow" and not has_gpu()


def read(inputs, mask, forward, backward):
    """What a bidirectional GRU gives at the live positions, and zeros elsewhere.

    A text with gaps is read as one without.

    Args:
        inputs: Tensor `(N, T, D)`.
        mask: Boolean `(N, T)`, with a live position somewhere.
        forward: The `keras.layers.GRUCell` that reads in order, with a bias,
            `reset_after` and the activations Keras gives it.
        backward: The one that reads from the end.

    Returns:
        The states `(N, T, 2 * units)`.
    """
    tf = tensorflow()
    order = _Order.of(mask)
    tokens = tf.gather_nd(inputs, order.places)  # (M, D)
    turned = tf.gather(order.places, order.turned)
    shape = tf.concat([tf.shape(mask), [forward.units]], axis=0)
    cells = forward, backward
    kernel = tf.concat([_tensor(cell.kernel, tokens) for cell in cells], axis=1)
    biases = [_tensor(cell.bias, tokens) for cell in cells]
    projected = tokens @ kernel + tf.concat([bias[0] for bias in biases], axis=0)
    directions = []
    for cell, bias, made, rows, places in zip(
        cells,
        biases,
        tf.split(projected, 2, axis=1),  # (M, 3 U)
        (tf.range(tf.shape(tokens)[0]), order.turned),
        (order.places, turned),
        strict=True,
    ):
        recurrent = _tensor(cell.recurrent_kernel, tokens)
        states = _steps(made, recurrent, bias[1], rows, order)  # (M, U)
        directions.append(tf.scatter_nd(places, states, shape))
    states = tf.concat(directions, axis=2)
    return tf.ensure_shape(states, (*inputs.shape[:2], 2 * forward.units))


def _tensor(weight, like):
    tf = tensorflow()
    return tf.cast(tf.convert_to_tensor(weight), like.dtype)


@dataclasses.dataclass(frozen=True)
class _Order:
    """The M live positions, step after step, and at each the longest text first.

    Args:
        places: Row and column of each, integers `(M, 2)`.
        turned: For each, that which is as far from its text's end, integers `(M,)`.
        starts: Where each of the L steps begins, integers `(L,)`.
        counts: How many texts are live there, integers `(L,)`.
    """

    places: object
    turned: object
    starts: object
    counts: object

    @classmethod
    def of(cls, mask):
        """The order of what a mask `(N, T)` shows."""
        tf = tensorflow()
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)  # (N,)
        rows = tf.argsort(lengths, direction="DESCENDING", stable=True)  # (N,)
        lengths = tf.gather(lengths, rows)
        columns = tf.argsort(tf.cast(~tf.gather(mask, rows), tf.int32), stable=True)
        live = tf.range(tf.reduce_max(lengths))[:, None] < lengths  # (L, N)
        counts = tf.reduce_sum(tf.cast(live, tf.int32), axis=1)  # (L,)
        starts = tf.cumsum(counts, exclusive=True)  # (L,)
        step, row = tf.unstack(tf.cast(tf.where(live), tf.int32), axis=1)  # (M,)
        column = tf.gather_nd(columns, tf.stack([row, step], axis=1))
        turned = tf.gather(starts, tf.gather(lengths, row) - 1 - step) + row
        places = tf.stack([tf.gather(rows, row), column], axis=1)
        return cls(places, turned, starts, counts)


def _steps(projected, kernel, bias, rows, order):
    """The state at every live step, `(M, U)`.

    With `[m_z, m_r, m_c] = h_{t-1} U + b` and the projected inputs x,
    `z = s(x_z + m_z)`, `r = s(x_r + m_r)`, `c = tanh(x_c + r * m_c)` and
    `h_t = z * h_{t-1} + (1 - z) * c`.

    Args:
        projected: Tensor `(M, 3 U)`, what is made of the inputs.
        kernel: The recurrent kernel, `(U, 3 U)`.
        bias: Its bias, `(3 U,)`.
        rows: Which input each step reads, integers `(M,)`; to turn is to turn back.
        order: An `_Order`.
    """
    tf = tensorflow()
    units = kernel.shape[0]
    starts, counts = order.starts, order.counts
    length = tf.shape(counts)[0]  # L
    anything, any_rows = tf.TensorShape(None), tf.TensorShape((None, units))

    def array():
        return tf.TensorArray(
            projected.dtype, length, infer_shape=False, clear_after_read=False
        )

    @tf.custom_gradient
    def run(projected, kernel, bias):
        first = tf.zeros((counts[0], units), projected.dtype)

        def forth(t, h, states, gates):
            n = counts[t]
            h = h[:n]  # (n, U): who has ended was last
            x = tf.gather(projected, rows[starts[t] : starts[t] + n])  # (n, 3 U)
            x, x_c = tf.split(x, [2 * units, units], axis=1)
            m, m_c = tf.split(h @ kernel + bias, [2 * units, units], axis=1)
            both = tf.sigmoid(x + m)
            z, r = tf.split(both, 2, axis=1)
            c = tf.tanh(x_c + r * m_c)
            h = c + z * (h - c)
            gates = gates.write(t, tf.concat([both, c, m_c], axis=1))
            return t + 1, h, states.write(t, h), gates

        _, _, states, gates = tf.while_loop(
            lambda t, *_: t < length,
            forth,
            (0, first, array(), array()),
            (tf.TensorShape(()), any_rows, anything, anything),
        )

        def gradient(slopes):
            turned = tf.transpose(kernel)

            def back(t, later, of_kernel, of_bias, of_inputs):
                n = counts[t]
                h = tf.cond(t > 0, lambda: states.read(t - 1), lambda: first)
                h = tf.ensure_shape(h, any_rows)[:n]
                gate = tf.ensure_shape(gates.read(t), (None, 4 * units))
                z, r, c, m = tf.split(gate, 4, axis=1)
                slope = slopes[starts[t] : starts[t] + n]  # (n, U)
                # Who ends here has no later slope.
                ends = tf.zeros((n - tf.shape(later)[0], units), later.dtype)
                slope += tf.concat([later, ends], axis=0)
                kept = slope * z
                of_c = (slope - kept) * (1 - c * c)
                of_z = (h - c) * kept * (1 - z)
                of_r = of_c * m * r * (1 - r)
                of_m = tf.concat([of_z, of_r, of_c * r], axis=1)  # (n, 3 U)
                return (
                    t - 1,
                    kept + of_m @ turned,
                    of_kernel + tf.matmul(h, of_m, transpose_a=True),
                    of_bias + tf.reduce_sum(of_m, axis=0),
                    of_inputs.write(t, tf.concat([of_z, of_r, of_c], axis=1)),
                )

            none = tf.zeros((0, units), slopes.dtype)
            sums = tf.zeros_like(kernel), tf.zeros_like(bias)
            *_, of_kernel, of_bias, of_inputs = tf.while_loop(
                lambda t, *_: t >= 0,
                back,
                (length - 1, none, *sums, array()),
                (tf.TensorShape(()), any_rows, kernel.shape, bias.shape, anything),
            )
            of_inputs = tf.ensure_shape(of_inputs.concat(), (None, 3 * units))
            return tf.gather(of_inputs, rows), of_kernel, of_bias

        return tf.ensure_shape(states.concat(), (None, units)), gradient

    return run(projected, kernel, bias)
