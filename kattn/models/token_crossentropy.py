"""The loss of a model that writes: how unlikely it held each token to be."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kattn")
class TokenCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits, the mean over all tokens that count.

    Padding, which the sample weights leave out, changes nothing: Keras's own losses
    divide by the number of all positions.

    Args:
        label_smoothing: How much of the probability that is asked for goes to all
            tokens alike, so that no other one need be driven to 0.
        **kwargs: `name`, `reduction` and `dtype`, as for every Keras loss.

    Example:
        >>> loss = kattn.models.TokenCrossentropy()
        >>> logits = np.zeros((1, 3, 4), "float32")
        >>> value = loss([[1, 2, 0]], logits, sample_weight=[[1, 1, 0]])
        >>> round(float(value), 4)  # the logarithm of 4
        1.3863

    Reference:
        Label smoothing: Szegedy et al. 2016, arXiv:1512.00567, section 7.
    """

    def __init__(
        self,
        label_smoothing=0.0,
        name="token_crossentropy",
        reduction="mean_with_sample_weight",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if not 0 <= label_smoothing < 1:
            raise ValueError(
                "label_smoothing is at least 0 and less than 1. "
                f"Received: label_smoothing={label_smoothing!r}"
            )
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """The loss of each token, `(B, T)`, of logits `(B, T, V)`."""
        log_p = ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1)
        y_true = ops.expand_dims(ops.cast(y_true, "int32"), -1)
        losses = -ops.take_along_axis(log_p, y_true, axis=-1)[..., 0]
        if not self.label_smoothing:
            return losses
        share = self.label_smoothing
        return (1 - share) * losses - share * ops.mean(log_p, axis=-1)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
