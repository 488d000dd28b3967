"""A loop over the rows of a batch, some of which end long before others.

On a CPU a step takes about as long as it has rows. So those that have ended are set
aside, once they are a quarter, and the loop goes on with the others.
"""

import keras
from keras import ops

from kattn.devices import in_xla, on_cpu
from kattn.text.libraries import tensorflow

_ENDED = 0.25  # of the rows, at which it pays to drop them


def each_row(going_on, advance, rows, steps):
    """Have all rows advance until none of them goes on.

    Args:
        going_on: A function of rows to booleans `(N,)`.
        advance: A function of the number of the step and of rows, to rows. No row
            depends on another, nor changes what was found after it has ended.
        rows: A list of structures of tensors `(N, ...)`. The first is what is found.
        steps: The most steps that are taken.

    Returns:
        The rows, or of those that were dropped what was found, in its place.
    """
    start = ops.convert_to_tensor(0, "int32")
    if not on_cpu() or in_xla():
        _, rows = ops.while_loop(
            lambda at, rows: ops.any(going_on(rows)),
            lambda at, rows: (at + 1, advance(at, rows)),
            (start, rows),
            maximum_iterations=steps,
        )
        return rows[0]
    return _dropping(going_on, advance, rows, start)


def _dropping(going_on, advance, rows, start):
    tf = tensorflow()
    rows = keras.tree.map_structure(tf.convert_to_tensor, rows)
    free = keras.tree.map_structure(
        lambda x: tf.TensorShape((None, *x.shape[1:])), rows
    )

    def some(at, rows, places, found):
        count = tf.cast(tf.shape(places)[0], tf.float32)

        def many(at, rows):
            going = tf.reduce_sum(tf.cast(going_on(rows), tf.float32))
            return (going > 0) & (going >= (1 - _ENDED) * count)

        def further(at, rows):
            return at + 1, _alike(advance(at, rows), free)

        at, rows = tf.while_loop(many, further, (at, rows), (start.shape, free))
        found = keras.tree.map_structure(
            lambda whole, part: tf.tensor_scatter_nd_update(whole, places, part),
            found,
            rows[0],
        )
        left = tf.where(going_on(rows))[:, 0]
        rows = keras.tree.map_structure(lambda x: tf.gather(x, left), rows)
        return at, _alike(rows, free), tf.gather(places, left), found

    count = tf.shape(keras.tree.flatten(rows)[0])[0]
    places = tf.range(count)[:, None]
    kept = keras.tree.map_structure(lambda x: x.shape, rows[0])
    *_, found = tf.while_loop(
        lambda at, rows, places, found: tf.shape(places)[0] > 0,
        some,
        (start, rows, places, rows[0]),
        (start.shape, free, tf.TensorShape((None, 1)), kept),
    )
    return found


def _alike(rows, shapes):
    """Rows with what is known of their shapes, which a loop may have forgotten."""
    return keras.tree.map_structure(
        lambda x, shape: tensorflow().ensure_shape(x, shape), rows, shapes
    )
