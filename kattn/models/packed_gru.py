"""A GRU's step and its slopes, for `kattn.models.packed_recurrence`.

With the projected inputs x and `[m_z, m_r, m_c] = h_{t-1} U`, `z = s(x_z + m_z)`,
`r = s(x_r + m_r)`, `c = tanh(x_c + r * (m_c + b))` and `h_t = z * h_{t-1} + (1 - z) c`.
"""

from kattn.text.libraries import tensorflow

STATES = 1  # h
KEPT = 4  # for the way back: z, r, c, m_c + b


def biases(bias):
    """Of a cell's bias `(2, 3 U)` what the inputs bring along, and b.

    What a step adds to z and r, the inputs bring along; r goes over what c gets.
    """
    tf = tensorflow()
    units = bias.shape[1] // 3
    return bias[0] + tf.pad(bias[1, : 2 * units], [[0, units]]), bias[1, 2 * units :]


def forth(x, m, states, bias):
    """The new states, and what is kept, of x and m `(n, 3 U)`."""
    tf = tensorflow()
    (h,) = states
    units = h.shape[1]
    x, x_c = tf.split(x, [2 * units, units], axis=1)
    m, m_c = tf.split(m, [2 * units, units], axis=1)
    m_c += bias
    z, r = tf.split(tf.sigmoid(x + m), 2, axis=1)
    c = tf.tanh(x_c + r * m_c)
    return [c + z * (h - c)], (z, r, c, m_c)


def back(slopes, before, kept):
    """The slopes of x, of m, and of the states before but for what comes by m."""
    tf = tensorflow()
    (slope,), (h,), (z, r, c, m_c) = slopes, before, kept
    passed = slope * z
    of_c = tf.raw_ops.TanhGrad(y=c, dy=slope - passed)
    of_z = tf.raw_ops.SigmoidGrad(y=z, dy=slope * (h - c))
    of_r = tf.raw_ops.SigmoidGrad(y=r, dy=of_c * m_c)
    of_x = tf.concat([of_z, of_r, of_c], axis=1)
    of_m = tf.concat([of_z, of_r, of_c * r], axis=1)
    return of_x, of_m, [passed]
