"""Monotonic attention: reading goes on from where the query before stopped."""

import keras
from keras import ops

from kattn.normalizers.normalizer import Normalizer


@keras.saving.register_keras_serializable(package="kattn")
class Monotonic(keras.layers.Layer, Normalizer):
    """Each query reads on from the last one's key, and never goes back.

    From there it asks key after key, and stops at key j with probability
    `p_ij = sigmoid(e_ij + r + noise)`. In training the weights are what is expected,

        `w_ij = p_ij q_ij`,  `q_ij = (1 - p_i,j-1) q_i,j-1 + w_i-1,j`,

    by the recursion itself, which is stable where its closed form underflows. In
    inference there is no noise and no chance: it stops at the first key with
    `e + r > 0`. A query that stops nowhere gets zeros, and so do all after it; weights
    sum to at most 1. The first query starts at key 0. Keys that may not be seen are
    passed over.

    The paper's energies are those of `kattn.scores.Additive(normalize=True)`.

    Args:
        offset: Where the learned r starts. Below 0, so that mass goes far at first.
        noise: Standard deviation of the noise, which teaches p to be near 0 or 1.
        seed: Seed of the noise.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Example:
        >>> monotonic = kattn.normalizers.Monotonic(offset=0.0)
        >>> energies = np.array([[-1.0, 2.0, 3.0], [4.0, -1.0, 1.0]], "float32")
        >>> np.asarray(monotonic(energies))
        array([[0., 1., 0.],
               [0., 0., 1.]], dtype=float32)

    Reference:
        Raffel et al. 2017, arXiv:1704.00784, sections 2.2 to 2.4.
    """

    remembers = True

    def __init__(self, offset=-4.0, noise=1.0, seed=None, **kwargs):
        # Energies come in float32 or wider, and stay so.
        super().__init__(autocast=False, **kwargs)
        if not noise >= 0:
            raise ValueError(f"noise is 0 or more. Received: noise={noise!r}")
        self.offset = offset
        self.noise = noise
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        start = keras.initializers.Constant(offset)
        self.r = self.add_weight(shape=(), initializer=start, name="r", autocast=False)
        self.built = True

    def draw(self, shape, training):
        """Noise for each energy in training; `None` says that it is inference."""
        if not training:
            return (None,)
        normal = keras.random.normal(shape, stddev=1.0, seed=self.seed_generator)
        return (normal * self.noise,)

    def call(self, energies, visible=None, noise=None, previous=None):
        """Weights `(..., Tq, Tk)`; `previous` `(..., 1, Tk)` are those before."""
        energies = energies + ops.cast(self.r, energies.dtype)
        if noise is None:
            stops = ops.cast(energies > 0, energies.dtype)
            # A comparison with NaN is false, and would hide it.
            stops = ops.where(ops.isnan(energies), energies, stops)
        else:
            stops = ops.sigmoid(energies + ops.cast(noise, energies.dtype))
        if visible is not None:
            stops = ops.where(visible, stops, ops.zeros_like(stops))
        if previous is None:
            first = ops.arange(ops.shape(energies)[-1]) == 0
            previous = ops.zeros_like(energies[..., :1, :])
            previous = ops.where(first, ops.ones_like(previous), previous)
        if energies.shape[-2] == 1:
            return _read_on(previous, stops)

        def next_query(weights, stop):
            weights = _read_on(weights, stop)  # (..., Tk)
            return weights, weights

        rows = ops.moveaxis(stops, -2, 0)  # (Tq, ..., Tk)
        _, weights = ops.scan(next_query, previous[..., 0, :], rows)
        return ops.moveaxis(weights, 0, -2)

    def compute_output_spec(self, energies, visible=None, noise=None, previous=None):
        """Weights have the shape and dtype of the energies."""
        return keras.KerasTensor(energies.shape, dtype=energies.dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "offset": self.offset,
            "noise": self.noise,
            "seed": self.seed,
        }


def _read_on(previous, stops):
    """`p q`, with `q_j = (1 - p_j-1) q_j-1 + previous_j`, over the last axis."""
    goes_on = 1 - ops.concatenate([ops.ones_like(stops[..., :1]), stops[..., :-1]], -1)

    def join(before, after):
        kept, arrived = before
        keeps, arrives = after
        return kept * keeps, arrived * keeps + arrives

    if stops.shape[-1] is not None:
        # All prefixes in log(Tk) steps; no division, so as stable as key after key.
        _, reached = ops.associative_scan(join, (goes_on, previous), axis=-1)
        return stops * reached

    def next_key(reached, at):
        reached = reached * at[0] + at[1]
        return reached, reached

    # As one, for several of a free length fail in Keras 3.15's scan.
    at = ops.moveaxis(ops.stack([goes_on, previous]), -1, 0)  # (Tk, 2, ...)
    _, reached = ops.scan(next_key, ops.zeros_like(previous[..., 0]), at)
    return stops * ops.moveaxis(reached, 0, -1)
