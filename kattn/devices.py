"""What TensorFlow runs on, and how."""

import functools

import keras


@functools.cache
def has_gpu():
    """Whether TensorFlow sees one."""
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def on_cpu():
    """Whether this is TensorFlow on a CPU, whose graphs run operation by operation."""
    return keras.backend.backend() == "tensorflow" and not has_gpu()


def in_xla():
    """Whether what is being traced is for XLA, which cannot derive a choice of size.

    It knows all sizes when it compiles, but they may not be known yet.
    """
    if keras.backend.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.__internal__.get_enclosing_xla_context() is not None
