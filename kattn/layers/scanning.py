"""A recurrence over columns that keeps no more of its steps than is asked for."""

import keras
from keras import ops


def scan(step, start, columns, kept):
    """Run a step over columns, much as `keras.ops.scan` does.

    On TensorFlow that one keeps all that a step hands on, in lists of tensors, and
    fills lists with zeros for the slopes of what nobody reads.

    Args:
        step: A function of what the step before gave, a list of tensors, and of a
            column. It gives such a list, of the same shapes and dtypes, and makes
            nothing of the first `kept` that it is given.
        start: What the first step is given.
        columns: Tensor `(T, B, ...)`.
        kept: How many of what each step gives are returned, the first ones.

    Returns:
        The rest of what the last step gave, and the kept ones of all steps, each
        `(T, B, ...)`.
    """
    if keras.backend.backend() != "tensorflow":
        end, history = ops.scan(lambda *given: (step(*given),) * 2, start, columns)
        return end[kept:], history[:kept]
    import tensorflow as tf  # the backend, and so installed

    start = [tf.convert_to_tensor(x) for x in start]
    length = tf.shape(columns)[0]
    shape = columns.shape[1:]
    column = tf.TensorArray(columns.dtype, length, element_shape=shape)
    column = column.unstack(columns)
    arrays = [
        tf.TensorArray(x.dtype, length, element_shape=x.shape) for x in start[:kept]
    ]

    def body(t, states, arrays):
        after = step([*start[:kept], *states], column.read(t))
        pairs = zip(after, start, strict=True)
        after = [tf.ensure_shape(x, like.shape) for x, like in pairs]
        arrays = [x.write(t, new) for x, new in zip(arrays, after, strict=False)]
        return t + 1, after[kept:], arrays

    _, end, arrays = tf.while_loop(
        lambda t, *_: t < length, body, (0, start[kept:], arrays)
    )
    return end, [array.stack() for array in arrays]
