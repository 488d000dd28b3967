"""Windows of so many positions, one after the other."""

from keras import ops


def shifted(x, size):
    """The first entry of every window, the second, up to the last.

    Args:
        x: Tensor `(B, T, ...)`.
        size: Positions of a window.

    Returns:
        As many tensors `(B, T - size + 1, ...)`.
    """
    batch, length, *others = ops.shape(x)
    if length is None:  # symbolic
        return [x[:, k : k + 1 - size or None] for k in range(size)]
    shape = (batch, length - size + 1, *others)
    # Not by index, of which TensorFlow's slope takes ten times as long.
    return [ops.slice(x, (0, k, *(0 for _ in others)), shape) for k in range(size)]
