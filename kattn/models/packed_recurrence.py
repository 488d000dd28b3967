"""A recurrence in both directions over live steps alone: no work on padding.

A product of large matrices projects all inputs, and another makes the slopes of the
recurrent kernel; from step to step goes only what depends on the step before, and what
a loop touches stays in the processor's cache.

It trains in TensorFlow's graphs, where the number of texts that are live at a step may
be what it is. XLA wants to know it, and a SavedModel holds no loop with a gradient of
its own.
"""

import keras

from kattn.models import packed_gru, packed_lstm
from kattn.text.libraries import tensorflow


def read(tokens, live, forward, backward):
    """What a bidirectional GRU or LSTM gives at the live positions.

    A text with gaps is read as one without.

    Args:
        tokens: Tensor `(M, D)`.
        live: The `kattn.models.packed.Live` whose positions they are of.
        forward: The `keras.layers.GRUCell` or `LSTMCell` that reads in order, with a
            bias, the reset and the activations Keras gives it.
        backward: The one that reads from the end.

    Returns:
        The states `(M, 2 * units)`.
    """
    tf = tensorflow()
    cells = forward, backward
    step = packed_gru if isinstance(forward, keras.layers.GRUCell) else packed_lstm
    kernel = tf.concat([_tensor(cell.kernel, tokens) for cell in cells], axis=1)
    biases = [step.biases(_tensor(cell.bias, tokens)) for cell in cells]
    projected = tokens @ kernel + tf.concat([brought for brought, _ in biases], axis=0)
    projected = tf.split(projected, 2, axis=1)  # (M, G U) each
    projected[1] = _turned(projected[1], live.turned)
    states = [
        _steps(step, made, _tensor(cell.recurrent_kernel, tokens), own, live)
        for made, cell, (_, own) in zip(projected, cells, biases, strict=True)
    ]
    return tf.concat([states[0], _turned(states[1], live.turned)], axis=1)


def _turned(x, turned):
    """`(M, D)`, each text from its end; to turn is to turn back."""
    tf = tensorflow()

    @tf.custom_gradient
    def run(x):
        # The derived way back would add rows to zeros one by one.
        return tf.gather(x, turned), lambda slope: tf.gather(slope, turned)

    return run(x)


def _tensor(weight, like):
    tf = tensorflow()
    return tf.cast(tf.convert_to_tensor(weight), like.dtype)


def _steps(step, projected, kernel, bias, live):
    """The state h at every live step, `(M, U)`.

    Args:
        step: The module of the cell: what it does with the projected inputs and the
            product `h_{t-1} U`, forth and back.
        projected: Tensor `(M, G U)`, what is made of the inputs.
        kernel: The recurrent kernel, `(U, G U)`.
        bias: What the cell adds to a part of the product, `(U,)`, or `None`.
        live: A `kattn.models.packed.Live`.
    """
    tf = tensorflow()
    units = kernel.shape[0]
    starts, counts = live.starts, live.counts
    length = tf.shape(counts)[0]  # L
    anything, any_rows = tf.TensorShape(None), tf.TensorShape((None, units))

    def array():
        return tf.TensorArray(
            projected.dtype, length, infer_shape=False, clear_after_read=False
        )

    @tf.custom_gradient
    def run(projected, kernel, *bias):
        first = tf.zeros((counts[0], units), projected.dtype)

        def forth(t, carried, states, kept):
            n = counts[t]
            carried = [x[:n] for x in carried]  # (n, U): who has ended was last
            x = projected[starts[t] : starts[t] + n]  # (n, G U)
            carried, made = step.forth(x, carried[0] @ kernel, carried, *bias)
            states = [a.write(t, x) for a, x in zip(states, carried, strict=True)]
            kept = [a.write(t, x) for a, x in zip(kept, made, strict=True)]
            return t + 1, carried, states, kept

        _, _, states, kept = tf.while_loop(
            lambda t, *_: t < length,
            forth,
            (
                0,
                [first] * step.STATES,
                [array() for _ in range(step.STATES)],
                [array() for _ in range(step.KEPT)],
            ),
            (
                tf.TensorShape(()),
                [any_rows] * step.STATES,
                [anything] * step.STATES,
                [anything] * step.KEPT,
            ),
        )

        def gradient(slopes):
            turned = tf.transpose(kernel)

            def back(t, later, of_inputs, of_products):
                n = counts[t]
                slope = slopes[starts[t] : starts[t] + n]  # (n, U)
                # Who ends here has no later slope.
                ends = tf.zeros((n - tf.shape(later[0])[0], units), slopes.dtype)
                later = [tf.concat([x, ends], axis=0) for x in later]
                before = [array.read(tf.maximum(t - 1, 0)) for array in states]
                before = [tf.ensure_shape(x, any_rows)[:n] for x in before]
                begun = tf.cast(t > 0, slopes.dtype)
                before = [begun * x for x in before]
                made = [tf.ensure_shape(array.read(t), any_rows) for array in kept]
                later[0] += slope
                of_x, of_m, later = step.back(later, before, made)
                later[0] += of_m @ turned
                return (
                    t - 1,
                    later,
                    of_inputs.write(t, of_x),
                    of_products.write(t, of_m),
                )

            none = tf.zeros((0, units), slopes.dtype)
            *_, of_inputs, of_products = tf.while_loop(
                lambda t, *_: t >= 0,
                back,
                (length - 1, [none] * step.STATES, array(), array()),
                (tf.TensorShape(()), [any_rows] * step.STATES, anything, anything),
            )
            width = (None, projected.shape[1])
            of_inputs = tf.ensure_shape(of_inputs.concat(), width)
            of_products = tf.ensure_shape(of_products.concat(), width)
            # At the first step the product is that of zeros.
            before = tf.gather(states[0].concat(), live.before)
            of_kernel = tf.matmul(before, of_products[counts[0] :], transpose_a=True)
            of_bias = [
                tf.reduce_sum(of_products[:, -units:], axis=0) for _ in bias
            ]  # of the last part, where there is one
            return of_inputs, of_kernel, *of_bias

        return tf.ensure_shape(states[0].concat(), (None, units)), gradient

    return run(projected, kernel, *([] if bias is None else [bias]))
