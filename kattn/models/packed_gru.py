"""A bidirectional GRU over live steps alone: no work on padding.

A product of large matrices projects all inputs; from step to step goes only what
depends on the step before, and what a loop touches stays in the processor's cache.

It trains in TensorFlow's graphs, where the number of texts that are live at a step may
be what it is. XLA wants to know it, and a SavedModel holds no loop with a gradient of
its own.
"""

from kattn.text.libraries import tensorflow


def read(tokens, live, forward, backward):
    """What a bidirectional GRU gives at the live positions.

    A text with gaps is read as one without.

    Args:
        tokens: Tensor `(M, D)`.
        live: The `kattn.models.packed.Live` whose positions they are of.
        forward: The `keras.layers.GRUCell` that reads in order, with a bias,
            `reset_after` and the activations Keras gives it.
        backward: The one that reads from the end.

    Returns:
        The states `(M, 2 * units)`.
    """
    tf = tensorflow()
    cells = forward, backward
    kernel = tf.concat([_tensor(cell.kernel, tokens) for cell in cells], axis=1)
    biases = [_tensor(cell.bias, tokens) for cell in cells]
    both = 2 * forward.units  # z and r
    # What a step adds to z and r, the inputs bring along; r goes over what c gets.
    brought = [bias[0] + tf.pad(bias[1, :both], [[0, both // 2]]) for bias in biases]
    projected = tokens @ kernel + tf.concat(brought, axis=0)
    projected = tf.split(projected, 2, axis=1)  # (M, 3 U) each
    projected[1] = _turned(projected[1], live.turned)
    states = [
        _steps(made, _tensor(cell.recurrent_kernel, tokens), bias[1, both:], live)
        for made, cell, bias in zip(projected, cells, biases, strict=True)
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


def _steps(projected, kernel, bias, live):
    """The state at every live step, `(M, U)`.

    With `[m_z, m_r, m_c] = h_{t-1} U` and the projected inputs x,
    `z = s(x_z + m_z)`, `r = s(x_r + m_r)`, `c = tanh(x_c + r * (m_c + b))` and
    `h_t = z * h_{t-1} + (1 - z) * c`.

    Args:
        projected: Tensor `(M, 3 U)`, what is made of the inputs.
        kernel: The recurrent kernel, `(U, 3 U)`.
        bias: The b of c, `(U,)`.
        live: A `Live`.
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
    def run(projected, kernel, bias):
        first = tf.zeros((counts[0], units), projected.dtype)

        def forth(t, h, states, *gates):
            n = counts[t]
            h = h[:n]  # (n, U): who has ended was last
            x = projected[starts[t] : starts[t] + n]  # (n, 3 U)
            x, x_c = tf.split(x, [2 * units, units], axis=1)
            m, m_c = tf.split(h @ kernel, [2 * units, units], axis=1)
            m_c += bias
            z, r = tf.split(tf.sigmoid(x + m), 2, axis=1)
            c = tf.tanh(x_c + r * m_c)
            h = c + z * (h - c)
            made = zip((states, *gates), (h, z, r, c, m_c), strict=True)
            return (t + 1, h, *(array.write(t, x) for array, x in made))

        _, _, states, *gates = tf.while_loop(
            lambda t, *_: t < length,
            forth,
            (0, first, *(array() for _ in range(5))),
            (tf.TensorShape(()), any_rows, *[anything] * 5),
        )

        def gradient(slopes):
            turned = tf.transpose(kernel)

            def back(t, later, of_kernel, of_bias, of_inputs):
                n = counts[t]
                h = tf.cond(t > 0, lambda: states.read(t - 1), lambda: first)
                h = tf.ensure_shape(h, any_rows)[:n]
                z, r, c, m_c = (tf.ensure_shape(g.read(t), any_rows) for g in gates)
                slope = slopes[starts[t] : starts[t] + n]  # (n, U)
                # Who ends here has no later slope.
                ends = tf.zeros((n - tf.shape(later)[0], units), later.dtype)
                slope += tf.concat([later, ends], axis=0)
                kept = slope * z
                of_c = tf.raw_ops.TanhGrad(y=c, dy=slope - kept)
                of_z = tf.raw_ops.SigmoidGrad(y=z, dy=slope * (h - c))
                of_r = tf.raw_ops.SigmoidGrad(y=r, dy=of_c * m_c)
                of_m_c = of_c * r
                of_m = tf.concat([of_z, of_r, of_m_c], axis=1)  # (n, 3 U)
                return (
                    t - 1,
                    kept + of_m @ turned,
                    of_kernel + tf.matmul(h, of_m, transpose_a=True),
                    of_bias + tf.reduce_sum(of_m_c, axis=0),
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
            return of_inputs, of_kernel, of_bias

        return tf.ensure_shape(states.concat(), (None, units)), gradient

    return run(projected, kernel, bias)
