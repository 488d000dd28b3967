"""The opinion of a network and of what stands beside it, trained apart."""

import keras


@keras.saving.register_keras_serializable(package="kattn")
class MeanOpinion(keras.layers.Layer):
    """`(x + y) / 2` of logits: the geometric mean of two models' probabilities.

    In training it is `x` alone, so that x learns as if there were no y.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        logits: Those that learn, `(B, C)`.
        others: Those that do not, of the same shape.
        training: Whether this is training.

    Returns:
        Logits `(B, C)`.

    Example:
        >>> MeanOpinion()(np.ones((1, 2)), 3 * np.ones((1, 2))).numpy().tolist()
        [[2.0, 2.0]]
    """

    def call(self, logits, others, training=None):
        """Take the mean; see the class."""
        return logits if training else (logits + others) / 2

    def compute_mask(self, inputs, previous_mask):
        """None: there are no positions."""
        return None

    def compute_output_spec(self, logits, others, training=None):
        """What `call` returns."""
        return keras.KerasTensor(logits.shape, dtype=self.compute_dtype)
