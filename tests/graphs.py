"""What stands in a graph of TensorFlow: that of a training step, or a saved one."""


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


def traits(version):
    """What ties the functions of a SavedModel to a kind of machine.

    Args:
        version: The folder of the SavedModel.

    Returns:
        A set of `"XLA"` and `"cuDNN"`.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((version / "saved_model.pb").read_bytes())
    found = set()
    for graph in saved.meta_graphs:
        functions = graph.graph_def.library.function
        nodes = [node for function in functions for node in function.node_def]
        for item in [*functions, *nodes, *graph.graph_def.node]:
            if item.attr["_XlaMustCompile"].b:
                found.add("XLA")
            if "cudnn" in getattr(item, "op", "").lower():
                found.add("cuDNN")
    return found
