"""Layers traced by other functions than their own, where a format lacks those."""

import contextlib

from kattn.text.libraries import tensorflow


@contextlib.contextmanager
def replaced(model, parts):
    """Within this context some methods of a model's layers are other functions.

    Args:
        model: A `keras.Model`.
        parts: A dictionary of classes of layers, or tuples of them, to a method's name
            and a function of the layer that gives what stands for it.
    """
    layers = list(tensorflow().train.TrackableView(model).descendants())
    found = [
        (layer, name, make)
        for kinds, (name, make) in parts.items()
        for layer in layers
        if isinstance(layer, kinds)
    ]
    try:
        for layer, name, make in found:
            setattr(layer, name, make(layer))  # instead of the class's
        yield
    finally:
        for layer, name, _ in found:
            vars(layer).pop(name, None)
