"""Dropout that leaves equal words of two texts equal."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kattn")
class PairDropout(keras.layers.Layer):
    """Drops whole features, the same at every position of both texts.

    Dropped entry by entry, no two words would be equal in training, and how well words
    match is what models of pairs go by.

    Args:
        rate: Fraction of the features dropped.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        left: Tensor `(B, T0, D)`.
        right: Tensor `(B, T1, D)`.
        training: Whether to drop anything.

    Returns:
        Both tensors.
    """

    def __init__(self, rate, **kwargs):
        super().__init__(**kwargs)
        self.rate = rate
        self.dropout = keras.layers.Dropout(rate, dtype=self.dtype_policy)

    def build(self, left_shape, right_shape):
        """Nothing to build."""

    def call(self, left, right, training=None):
        """Drop; see the class."""
        if not self.rate:
            return left, right
        keep = self.dropout(ops.ones_like(left[:, :1]), training=training)  # (B, 1, D)
        return left * keep, right * keep

    def compute_mask(self, left, previous_mask):
        """None: who reads the texts is told their masks."""
        return None

    def compute_output_spec(self, left, right, training=None):
        """What `call` returns."""
        return tuple(
            keras.KerasTensor(x.shape, dtype=self.compute_dtype) for x in (left, right)
        )

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "rate": self.rate}
