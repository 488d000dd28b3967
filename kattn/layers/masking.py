"""What every layer does with masks: check them, and gather them."""

import functools

import keras
from keras import ops

from kattn.shapes import check_truth


class _ImplicitMask(keras.layers.Layer):
    """Returns the mask Keras carries along with a tensor; Keras fills it in."""

    def __init__(self):
        # A name of our own: Keras's would begin with an underscore, as the class does,
        # and that is no name of a scope where no other layer is around.
        super().__init__(dtype="float32", autocast=False, name="implicit_mask")
        self.supports_masking = True

    def call(self, inputs, mask=None):
        return mask

    def compute_mask(self, inputs, previous_mask):
        return None


def merged(tensor, explicit, name="mask"):
    """The explicit mask of a tensor AND the one Keras carries along with it.

    Args:
        tensor: Tensor `(..., T, D)`.
        explicit: Boolean mask `(..., T)`, or `None`.
        name: What the mask is called in an error message.

    Returns:
        Boolean mask `(..., T)`, or `None` where neither is given.

    Raises:
        ValueError: If the explicit mask has another shape.
    """
    check_mask(tensor, explicit, name)
    masks = [m for m in (explicit, _ImplicitMask()(tensor)) if m is not None]
    masks = [ops.cast(mask, "bool") for mask in masks]
    return functools.reduce(ops.logical_and, masks) if masks else None


def check_mask(tensor, mask, name="mask"):
    """Raise where a mask does not have one entry for each position.

    Args:
        tensor: Tensor `(..., T, D)`, real or symbolic.
        mask: Mask `(..., T)`, or `None`.
        name: What the mask is called in the error message.

    Raises:
        ValueError: If the shapes differ, as far as they are known.
        TypeError: If the mask is neither of booleans nor of integers.
    """
    check_truth(mask, name)
    if mask is None:
        return
    expected, received = tuple(tensor.shape[:-1]), tuple(mask.shape)
    pairs = zip(expected, received, strict=False)
    if len(expected) != len(received) or any(
        None not in pair and pair[0] != pair[1] for pair in pairs
    ):
        raise ValueError(
            f"{name} has one entry for each position, shape {expected}. "
            f"Received: shape {received}"
        )
