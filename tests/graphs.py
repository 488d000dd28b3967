"""What stands in the graph of a training step: TensorFlow's."""


def training_step(layer, length, width=8, **options):
    """The slope by a text `(1, T, width)` of what a layer reads from it.

    Args:
        layer: A built layer that takes query and value.
        length: T, or `None` for a text of any length.
        width: Of the text's vectors.
        **options: As for `tf.function`.

    Returns:
        A concrete function.
    """
    import tensorflow as tf

    @tf.function(**options)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x, x)))
        return tape.gradient(loss, x)

    return step.get_concrete_function(tf.TensorSpec((1, length, width)))


def largest(function):
    """How many numbers the largest tensor of known size has, loops included."""
    return max(
        tensor.shape.num_elements() or 0
        for part in (function.graph, *function.graph._functions.values())
        for operation in getattr(part, "graph", part).get_operations()
        for tensor in operation.outputs
        if tensor.shape.rank is not None
    )
