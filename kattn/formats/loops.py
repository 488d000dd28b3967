"""Recurrences as loops that write into a tensor: LiteRT has no lists of tensors.

Lengths are free there as well, as long as no tensor of a loop changes its shape.
"""

from kattn.text.libraries import tensorflow


def call_of(layer):
    """What is the `call` of a `keras.layers.LSTM` or `GRU`."""
    tf = tensorflow()

    def call(sequences, initial_state=None, mask=None, training=None):
        columns = tf.transpose(sequences, (1, 0, 2))  # (T, B, D)
        live = tf.ones_like(columns[..., :1], tf.bool)  # (T, B, 1)
        if mask is not None:
            live = tf.expand_dims(tf.transpose(mask), -1)
        if layer.go_backwards:
            columns, live = (tf.reverse(x, [0]) for x in (columns, live))

        def step(states, column):
            column, live = column
            _, after = layer.cell(column, list(states), training=False)
            pairs = zip(after, states, strict=True)
            return [tf.where(live, new, old) for new, old in pairs]

        start = initial_state
        if start is None:
            start = layer.cell.get_initial_state(tf.shape(columns)[1])
        end, left = _loop(step, start, (columns, live))
        outputs = tf.where(live, left[0], 0)
        outputs = tf.transpose(outputs, (1, 0, 2))  # (B, T, U)
        result = outputs if layer.return_sequences else end[0]
        return [result, *end] if layer.return_state else result

    return call


def scan(step, start, columns, kept):
    """As `kattn.layers.scanning.scan`."""
    start = [tensorflow().convert_to_tensor(x) for x in start]
    end, left = _loop(lambda states, at: step(states, at[0]), start, (columns,))
    return end[kept:], left[:kept]


def _loop(step, start, columns):
    """The last states, and those after each step, `(T, B, ...)`.

    Args:
        step: A function of the states and of a column's tensors to new states.
        start: The first states, tensors `(B, ...)`.
        columns: Tensors `(T, B, ...)`.
    """
    tf = tensorflow()
    length = tf.shape(columns[0])[0]
    room = [tf.zeros(tf.concat([[length], tf.shape(x)], 0), x.dtype) for x in start]

    def body(t, states, left):
        after = step(list(states), [tf.gather(x, t) for x in columns])
        pairs = zip(after, start, strict=True)
        after = [tf.ensure_shape(x, like.shape) for x, like in pairs]
        written = zip(left, after, strict=True)
        left = [tf.tensor_scatter_nd_update(x, [[t]], new[None]) for x, new in written]
        return t + 1, after, left

    _, end, left = tf.while_loop(lambda t, *_: t < length, body, (0, list(start), room))
    return end, left
