"""The loss that tells hard attention how it did."""

import keras
from keras import ops

from kattn.normalizers import Hard

_MEMORY = 0.9


@keras.saving.register_keras_serializable(package="kattn")
class Reinforce(keras.losses.Loss):
    """A loss that also trains `kattn.normalizers.Hard(estimator="reinforce")`.

    Its value is the given loss, example by example. Its gradient has two terms more for
    each hard attention in the model: `(loss - baseline) * gradient of log p(sample)`,
    the baseline being the moving average of the loss with memory 0.9, and less
    `entropy_bonus * gradient of the entropy`.

    Args:
        loss: A Keras loss or its name, as for `model.compile`, whose value is one
            number for each example.
        model: The model to be compiled, which holds the hard attention; a kattn model
            or one of the user's, functional or not.
        **kwargs: `name`, `reduction` and `dtype`, as for every Keras loss.

    Raises:
        ValueError: If nothing in the model is trained in this way.

    Example:
        >>> text = keras.Input((5, 8))
        >>> hard = kattn.normalizers.Hard("reinforce", seed=0)
        >>> context = kattn.layers.Attention(normalizer=hard)(text, text)
        >>> model = keras.Model(text, keras.layers.Dense(2)(context[:, 0]))
        >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        >>> model.compile("adam", kattn.losses.Reinforce(loss, model))
        >>> history = model.fit(np.ones((4, 5, 8)), np.zeros(4), verbose=0)

    Saved with a model and loaded, it is the given loss alone, since a file cannot hold
    the model it belongs to; to go on training, compile again.

    Reference:
        Williams 1992; Xu et al. 2015, arXiv:1502.03044, section 4.1.
    """

    def __init__(self, loss, model, **kwargs):
        loss = keras.losses.get(loss)
        kwargs.setdefault("name", "reinforce")
        kwargs.setdefault(
            "reduction", getattr(loss, "reduction", "sum_over_batch_size")
        )
        super().__init__(**kwargs)
        self.loss = loss
        layers = model._flatten_layers() if isinstance(model, keras.Layer) else ()
        self.hard = [
            layer
            for layer in layers
            if isinstance(layer, Hard) and layer.estimator == "reinforce"
        ]
        if not self.hard:
            raise ValueError(
                "Reinforce trains a model that holds "
                "kattn.normalizers.Hard(estimator='reinforce'). "
                f"Received: model={model!r}"
            )
        for hard in self.hard:
            hard.watched = True

    def call(self, y_true, y_pred):
        """The loss of each example."""
        function = getattr(self.loss, "call", self.loss)
        losses = function(y_true, y_pred)  # (B,)
        for hard in self.hard:
            sampled, hard.sampled = hard.sampled, []
            if sampled:  # in training
                losses = losses + _lesson(hard, losses, sampled)
        return losses

    def get_config(self):
        """The loss within; the model has a config of its own."""
        return {
            **super().get_config(),
            "loss": keras.saving.serialize_keras_object(self.loss),
        }

    @classmethod
    def from_config(cls, config):
        """The loss within."""
        return keras.saving.deserialize_keras_object(config["loss"])


def _lesson(hard, losses, sampled):
    """Zeros `(B,)` whose gradient teaches the energies."""
    losses = ops.stop_gradient(ops.cast(losses, "float32"))
    if len(losses.shape) != 1:
        raise ValueError(
            "Reinforce needs a loss with one number for each example, shape (batch,). "
            f"Received: shape {tuple(losses.shape)}"
        )
    hard.losses_seen.assign_add(1.0)
    average = _MEMORY * hard.loss_average + (1 - _MEMORY) * ops.mean(losses)
    hard.loss_average.assign(average)
    # The average started at 0: what is missing is made up for.
    baseline = average / (1 - ops.power(_MEMORY, hard.losses_seen))
    lesson = 0.0
    for terms in sampled:
        # A hierarchy reads the sentences of an example one by one: `(B * S,)`.
        terms = (ops.reshape(x, (ops.shape(losses)[0], -1)) for x in terms)
        log_p, entropy = (ops.sum(ops.cast(x, "float32"), axis=-1) for x in terms)
        gain = (losses - baseline) * log_p - hard.entropy_bonus * entropy
        lesson = lesson + gain - ops.stop_gradient(gain)
    return lesson
