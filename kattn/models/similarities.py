"""How similar two vectors are, in two numbers."""

import keras
from keras import ops

from kattn import scores


@keras.saving.register_keras_serializable(package="kattn")
class Similarities(keras.layers.Layer):
    """The cosine of two vectors, and `1 / (1 + |x - y|)`.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        vectors: Tensor `(2 B, D)`, the one vectors and then the others.

    Returns:
        `(B, 2)`. The cosine with a vector of zeros is 0.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [
            scores.Cosine(dtype=self.dtype_policy),
            scores.Proximity(dtype=self.dtype_policy),
        ]

    def build(self, vectors_shape):
        """Check the widths."""
        for part in self.parts:
            part.build(vectors_shape, vectors_shape)

    def call(self, vectors):
        """Compare; see the class."""
        pair = ops.split(ops.expand_dims(vectors, 1), 2)  # (B, 1, D) each
        found = [part(*pair)[:, 0] for part in self.parts]  # (B, 1)
        return ops.cast(ops.concatenate(found, axis=-1), self.compute_dtype)

    def compute_output_spec(self, vectors):
        """What `call` returns."""
        batch = None if vectors.shape[0] is None else vectors.shape[0] // 2
        return keras.KerasTensor((batch, 2), dtype=self.compute_dtype)
