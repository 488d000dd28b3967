"""Tracing a model into a graph that every machine can run."""

import contextlib

import keras

from kattn.attend import compiling
from kattn.text.libraries import tensorflow


@contextlib.contextmanager
def portable(model, compiled=False):
    """Within this context a model is traced without what ties it to this machine.

    That is XLA, which TensorFlow Serving refuses on GPUs (`kattn.attend.compiling`),
    and cuDNN's recurrent kernels, which Keras takes where it sees a GPU and which no
    machine without one can run.

    Args:
        model: A `keras.Model`.
        compiled: Whether attention is for XLA all the same, wherever it can be.
    """
    recurrent = []
    if keras.backend.backend() == "tensorflow":
        layers = tensorflow().train.TrackableView(model).descendants()
        recurrent = [layer for layer in layers if hasattr(layer, "use_cudnn")]
    before = [layer.use_cudnn for layer in recurrent]
    try:
        for layer in recurrent:
            layer.use_cudnn = False
        with compiling("always" if compiled else "never"):
            yield
    finally:
        for layer, use_cudnn in zip(recurrent, before, strict=True):
            layer.use_cudnn = use_cudnn
