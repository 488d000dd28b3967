"""An LSTM's step and its slopes, for `kattn.models.packed_recurrence`.

With the projected inputs x and `m = h_{t-1} U`, `[i, f, g, o] = x + m`,
`c_t = s(f) * c_{t-1} + s(i) * tanh(g)` and `h_t = s(o) * tanh(c_t)`.
"""

from kattn.text.libraries import tensorflow

STATES = 2  # h and c
KEPT = 5  # for the way back: s(i), s(f), tanh(g), s(o), tanh(c_t)


def biases(bias):
    """Of a cell's bias `(4 U,)` what the inputs bring along: all of it."""
    return bias, None


def forth(x, m, states):
    """The new states, and what is kept, of x and m `(n, 4 U)`."""
    tf = tensorflow()
    _, c = states
    i, f, g, o = tf.split(x + m, 4, axis=1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    c = f * c + i * g
    shown = tf.tanh(c)
    return [o * shown, c], (i, f, g, o, shown)


def back(slopes, before, kept):
    """The slopes of x, of m, and of the states before but for what comes by m."""
    tf = tensorflow()
    (of_h, of_c), (_, c), (i, f, g, o, shown) = slopes, before, kept
    of_c += tf.raw_ops.TanhGrad(y=shown, dy=of_h * o)
    of_x = tf.concat(
        [
            tf.raw_ops.SigmoidGrad(y=i, dy=of_c * g),
            tf.raw_ops.SigmoidGrad(y=f, dy=of_c * c),
            tf.raw_ops.TanhGrad(y=g, dy=of_c * i),
            tf.raw_ops.SigmoidGrad(y=o, dy=of_h * shown),
        ],
        axis=1,
    )
    # Nothing of h is handed on but by m.
    return of_x, of_x, [tf.zeros_like(of_h), of_c * f]
