"""Hard attention: one key is read, and nothing else."""

import keras
from keras import ops

from kattn.names import unknown
from kattn.normalizers.normalizer import Normalizer
from kattn.normalizers.softmax import shares

_ESTIMATORS = ("straight_through", "gumbel", "reinforce")
_NOWHERE = -float("inf")


@keras.saving.register_keras_serializable(package="kattn")
class Hard(keras.layers.Layer, Normalizer):
    """One key gets weight 1: in inference the key of the largest energy.

    The choice has no gradient. In training, one of three estimators stands in:

    - `"straight_through"`: the same key; the gradient is softmax's.
    - `"gumbel"`: with noise `g = -log(-log u)` of each key, the key of the largest
      `e + g`, which is a sample of softmax; the gradient is that of
      `softmax((e + g) / temperature)`.
    - `"reinforce"`: a sample of softmax; energies learn from the loss of each example,
      `(loss - baseline) * gradient of log p(sample)`, the baseline being a moving
      average of the loss, and from a bonus on the entropy. Examples drawn with
      `soft_probability` are read softly instead, which lowers the variance. As the loss
      must be known, compile the model with `loss=kattn.losses.Reinforce(loss, model)`.

    A query that may see nothing gets zeros.

    Args:
        estimator: One of the three names.
        temperature: Of `"gumbel"`: a number, or an annealing schedule, which is a
            `keras.optimizers.schedules.LearningRateSchedule` over calls in training.
        soft_probability: Of `"reinforce"`: the share of examples that are read softly.
        entropy_bonus: Of `"reinforce"`: how much entropy is worth, in units of loss.
        seed: Seed of the noise.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Example:
        >>> hard = kattn.normalizers.Hard()
        >>> np.asarray(hard(np.array([[0.0, 1.0, 7.0]], "float32")))
        array([[0., 0., 1.]], dtype=float32)

    Reference:
        Xu et al. 2015, arXiv:1502.03044, section 4.1; Bengio et al. 2013,
        arXiv:1308.3432; Jang et al. 2017, arXiv:1611.01144.
    """

    def __init__(
        self,
        estimator="straight_through",
        temperature=1.0,
        soft_probability=0.5,
        entropy_bonus=0.002,
        seed=None,
        **kwargs,
    ):
        # Energies come in float32 or wider, and stay so.
        super().__init__(autocast=False, **kwargs)
        if estimator not in _ESTIMATORS:
            raise unknown("estimator", estimator, _ESTIMATORS)
        if isinstance(temperature, dict):
            temperature = keras.optimizers.schedules.deserialize(temperature)
        scheduled = isinstance(
            temperature, keras.optimizers.schedules.LearningRateSchedule
        )
        if not scheduled and not temperature > 0:
            raise ValueError(
                "temperature is a positive number or a schedule of them. "
                f"Received: temperature={temperature!r}"
            )
        if not 0 <= soft_probability <= 1:
            raise ValueError(
                "soft_probability is between 0 and 1. "
                f"Received: soft_probability={soft_probability!r}"
            )
        self.estimator = estimator
        self.temperature = temperature
        self.soft_probability = soft_probability
        self.entropy_bonus = entropy_bonus
        self.seed = seed
        #: Whether a `kattn.losses.Reinforce` sees what is sampled here.
        self.watched = False
        #: `(log p(sample), entropy)`, `(B,)` each, of the calls since it last looked.
        self.sampled = []
        if estimator != "straight_through":
            self.seed_generator = keras.random.SeedGenerator(seed)
        # Counters in float32 whatever the policy: bfloat16 counts to 256.
        count = {"initializer": "zeros", "trainable": False, "dtype": "float32"}
        if scheduled:
            self.calls = self.add_weight(shape=(), name="calls", **count)
        if estimator == "reinforce":
            self.losses_seen = self.add_weight(shape=(), name="losses_seen", **count)
            self.loss_average = self.add_weight(shape=(), name="loss_average", **count)
        self.built = True

    def draw(self, shape, training):
        """Noise for each energy in training, and what goes with it."""
        if not training or self.estimator == "straight_through":
            return ()
        if self.estimator == "reinforce" and not self.watched:
            raise ValueError(
                "Hard attention with estimator='reinforce' learns from the model's "
                "loss. Expected: model.compile(loss=kattn.losses.Reinforce(loss, "
                "model)). Received: a loss that does not tell it"
            )
        # Off 0 and 1, whose noise is infinite.
        chance = keras.random.uniform(shape, 1e-7, 1.0, seed=self.seed_generator)
        noise = -ops.log(-ops.log(ops.minimum(chance, 1 - 1e-7)))
        if self.estimator == "gumbel":
            return noise, self._temperature()
        softly = keras.random.uniform(
            (shape[0],) + (1,) * (len(shape) - 1), seed=self.seed_generator
        )
        return noise, softly < self.soft_probability

    def _temperature(self):
        """The number, or the schedule's at this call."""
        if not hasattr(self, "calls"):
            return ops.convert_to_tensor(self.temperature, "float32")
        now = ops.cast(self.temperature(self.calls.value), "float32")
        self.calls.assign_add(1.0)
        return now

    def call(self, energies, visible=None, noise=None, other=None):
        """The chosen keys; `other` is what `draw` gave beside noise."""
        if visible is not None:
            energies = ops.where(visible, energies, _NOWHERE)
        if noise is None:
            return _straight_through(energies, shares(energies))
        noisy = energies + ops.cast(noise, energies.dtype)
        if self.estimator == "gumbel":
            temperature = ops.cast(other, energies.dtype)
            return _straight_through(noisy, shares(noisy / temperature))
        soft = shares(energies)
        sample = ops.stop_gradient(_one_hot(noisy))
        logarithms = ops.log(ops.where(soft > 0, soft, ops.ones_like(soft)))
        log_p = ops.sum(sample * logarithms, axis=-1, keepdims=True)  # (..., Tq, 1)
        log_p = ops.where(other, 0.0, log_p)
        entropy = -ops.sum(soft * logarithms, axis=-1, keepdims=True)
        inner = tuple(range(1, len(log_p.shape)))
        self.sampled.append(tuple(ops.sum(x, axis=inner) for x in (log_p, entropy)))
        return ops.where(other, soft, sample)

    def compute_output_spec(self, energies, visible=None, noise=None, other=None):
        """Weights have the shape and dtype of the energies."""
        return keras.KerasTensor(energies.shape, dtype=energies.dtype)

    def get_config(self):
        """The constructor's arguments."""
        temperature = self.temperature
        if hasattr(self, "calls"):
            temperature = keras.optimizers.schedules.serialize(temperature)
        return {
            **super().get_config(),
            "estimator": self.estimator,
            "temperature": temperature,
            "soft_probability": self.soft_probability,
            "entropy_bonus": self.entropy_bonus,
            "seed": self.seed,
        }


def _one_hot(energies):
    """1 at the largest energy of each row; zeros where all are hidden."""
    top = ops.argmax(energies, axis=-1)  # (..., Tq)
    positions = ops.arange(ops.shape(energies)[-1], dtype=top.dtype)
    chosen = positions == ops.expand_dims(top, -1)
    return ops.cast(ops.logical_and(chosen, energies != _NOWHERE), energies.dtype)


def _straight_through(energies, soft):
    """One-hot going forward, exactly; backward the gradient of `soft`."""
    return ops.stop_gradient(_one_hot(energies)) + (soft - ops.stop_gradient(soft))
