"""Pooling without attention, that padding cannot reach."""

import keras
from keras import ops

from kattn.attend import cleared
from kattn.names import unknown


@keras.saving.register_keras_serializable(package="kattn")
class LivePooling(keras.layers.Layer):
    """The mean or the maximum over the live positions.

    Args:
        reduction: `"mean"` or `"max"`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        mask: Boolean `(B, T)`.

    Returns:
        `(B, D)`, zeros for a text without a live position.
    """

    def __init__(self, reduction, **kwargs):
        super().__init__(**kwargs)
        if reduction not in ("mean", "max"):
            raise unknown("reduction", reduction, ("mean", "max"))
        self.reduction = reduction

    def call(self, inputs, mask):
        """Pool; see the class."""
        live = ops.any(mask, axis=-1, keepdims=True)  # (B, 1)
        if self.reduction == "mean":
            count = ops.sum(ops.cast(mask, "float32"), axis=-1, keepdims=True)
            summed = ops.sum(ops.cast(cleared(inputs, mask), "float32"), axis=1)
            pooled = summed / ops.maximum(count, 1)  # (B, D)
        else:
            lowest = ops.full_like(inputs, float("-inf"))
            pooled = ops.where(ops.expand_dims(mask, -1), inputs, lowest)
            pooled = ops.max(pooled, axis=1)  # (B, D)
        return ops.cast(ops.where(live, pooled, 0), self.compute_dtype)

    def compute_mask(self, inputs, previous_mask):
        """None: the positions are gone."""
        return None

    def compute_output_spec(self, inputs, mask):
        """What `call` returns."""
        shape = (inputs.shape[0], inputs.shape[2])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "reduction": self.reduction}
