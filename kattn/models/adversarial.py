"""Adversarial training: word vectors moved to where a text is misread.

Miyato, Dai, Goodfellow: Adversarial Training Methods for Semi-Supervised Text
Classification. ICLR 2017.
"""

import contextlib

import keras
from keras import ops

from kattn.text.libraries import tensorflow


class Adversarial:
    """The part of a classifier that makes a step of training harder than its texts.

    With `compile(adversarial=e)` the loss is `L(x) + L(x + r)`, where the word vectors
    x of a text, all of them taken as one long vector, are moved by

        r = e |x| g / |g|,   g = dL / dx

    and r is taken as it is: no slope goes through it. Miyato et al. hold the length of
    word vectors still by normalising them; here the move grows with them, which leaves
    no gain in growing. Both texts of a pair are moved as one. `kattn.models.
    TextClassifier` is the rest.

    Reference:
        Miyato et al. 2017, arXiv:1605.07725, equations 1, 2, 5 and 6.
    """

    _adversarial = 0.0

    @property
    def adversarial(self):
        """How far texts are moved, as a fraction of their length; 0 for not at all."""
        return self._adversarial

    @adversarial.setter
    def adversarial(self, fraction):
        if not 0 <= fraction < 1:
            raise ValueError(
                "`adversarial` is a fraction of the length of a text's word vectors, "
                f"from 0 to less than 1. Received: {fraction!r}"
            )
        if fraction and keras.backend.backend() not in _STEPS:
            raise ValueError(
                "Adversarial training needs one of the backends "
                f"{', '.join(_STEPS)}. Received: {keras.backend.backend()}"
            )
        self._adversarial = float(fraction)

    def train_step(self, *args):
        """A step of training, as Keras does it, or against what would mislead it."""
        if not self.adversarial:
            return super().train_step(*args)
        return _STEPS[keras.backend.backend()](self, *args)

    def get_compile_config(self):
        """What `compile` was given, for a model that is saved and trained further."""
        config = super().get_compile_config()
        return config and {**config, "adversarial": self.adversarial}

    def _loss_of(self, x, y, sample_weight):
        """The loss in training, and the prediction."""
        said = self(x, training=True)
        loss = self.compute_loss(x, y, said, sample_weight, training=True)
        return loss, said

    def _judge(self, loss, y, said, sample_weight):
        """Update the metrics, and give them by name."""
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=ops.shape(said)[0])
            else:
                metric.update_state(y, said, sample_weight=sample_weight)
        return self.get_metrics_result()


@contextlib.contextmanager
def moved(embedding, steps=None, watch=None):
    """Within this context an embedding's vectors are listed, and moved.

    Args:
        embedding: A `keras.layers.Embedding`.
        steps: What is added at each call, in their order; nothing if `None`.
        watch: Function that is shown the vectors of each call.

    Yields:
        A list that gets `(ids, vectors)` of each call.
    """
    given = []

    def call(ids):
        words = type(embedding).call(embedding, ids)
        if steps is not None:
            words = words + ops.cast(steps[len(given)], words.dtype)
        if watch is not None:
            watch(words)
        given.append((ids, words))
        return words

    embedding.call = call  # instead of the class's
    try:
        yield given
    finally:
        del embedding.call


def against(given, slopes, fraction):
    """The moves r of word vectors x, `e |x| g / |g|`; zeros at padding.

    Args:
        given: `(ids, vectors)` of each call of the embedding, the vectors
            `(B, ..., D)`.
        slopes: The loss's slope for each of the vectors.
        fraction: e.

    Returns:
        A list of float32 tensors, of the shapes of the vectors.

    Example:
        >>> ids, x = np.array([[7, 0]]), np.array([[[3.0, 4.0], [9.0, 9.0]]])
        >>> slope = np.array([[[0.0, 2.0], [0.0, 0.0]]])
        >>> np.asarray(against([(ids, x)], [slope], 0.1)[0]).tolist()
        [[[0.0, 0.5], [0.0, 0.0]]]
    """
    live = [ops.cast(ops.expand_dims(ids != 0, -1), "float32") for ids, _ in given]
    words = [
        ops.cast(x, "float32") * mask for (_, x), mask in zip(given, live, strict=True)
    ]
    slopes = [
        ops.cast(g, "float32") * mask for g, mask in zip(slopes, live, strict=True)
    ]
    steep = _length(slopes)  # (B,)
    scale = fraction * _length(words) / ops.where(steep > 0, steep, 1)
    return [
        ops.stop_gradient(g * ops.reshape(scale, (-1,) + (1,) * (len(g.shape) - 1)))
        for g in slopes
    ]


def _length(parts):
    """The length of each example's parts, as of one vector, `(B,)`."""
    return ops.sqrt(
        sum(ops.sum(ops.square(x), axis=tuple(range(1, len(x.shape)))) for x in parts)
    )


def _tensorflow_step(model, data):
    tf = tensorflow()
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    weights = model.trainable_variables

    def learned(steps=None):
        with tf.GradientTape() as tape:
            with moved(model.backbone.token_embedding, steps, tape.watch) as given:
                loss, said = model._loss_of(x, y, sample_weight)
            scaled = model.optimizer.scale_loss(loss)
        words = [words for _, words in given]
        return loss, said, given, tape.gradient(scaled, (weights, words))

    loss, said, given, (gradients, slopes) = learned()
    steps = against(given, slopes, model.adversarial)
    *_, (others, _) = learned(steps)
    gradients = map(_sum, gradients, others)
    model.optimizer.apply_gradients(zip(gradients, weights, strict=True))
    return model._judge(loss, y, said, sample_weight)


def _sum(gradient, other):
    """Of two gradients; those of a table are the rows that were read."""
    tf = tensorflow()
    if not isinstance(gradient, tf.IndexedSlices):
        return None if gradient is None else gradient + other
    rows = ((gradient.values, other.values), (gradient.indices, other.indices))
    values, indices = (tf.concat(part, axis=0) for part in rows)
    return tf.IndexedSlices(values, indices, gradient.dense_shape)


def _jax_step(model, state, data):
    import jax

    weights, others, of_optimizer, of_metrics = state
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)

    def loss_of(weights, steps, others):
        with moved(model.backbone.token_embedding, steps) as given:
            loss, updates = model.compute_loss_and_updates(
                weights,
                others,
                of_metrics,
                x,
                y,
                sample_weight,
                training=True,
                optimizer_variables=of_optimizer,
            )
        return loss, (updates, given)

    _, (_, shapes) = jax.eval_shape(loss_of, weights, None, others)
    still = [ops.zeros(words.shape) for _, words in shapes]
    learned = jax.grad(loss_of, argnums=(0, 1), has_aux=True)
    (gradients, slopes), (updates, given) = learned(weights, still, others)
    loss, said, others, of_metrics = updates
    steps = against(given, slopes, model.adversarial)
    (more, _), ((_, _, others, _), _) = learned(weights, steps, others)
    weights, of_optimizer = model.optimizer.stateless_apply(
        of_optimizer, [a + b for a, b in zip(gradients, more, strict=True)], weights
    )
    mapping = zip(model.metrics_variables, of_metrics, strict=True)
    with keras.StatelessScope(state_mapping=list(mapping)) as scope:
        logs = model._judge(loss, y, said, sample_weight)
        of_metrics = [scope.get_current_value(v) for v in model.metrics_variables]
    return logs, (weights, others, of_optimizer, of_metrics)


_STEPS = {"tensorflow": _tensorflow_step, "jax": _jax_step}
