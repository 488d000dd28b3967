"""Sparse attention: keys that matter little get a weight of exactly 0.

Both normalizers subtract a threshold tau from the energies, cut what is below 0, and
have to find the tau for which the weights sum to 1. Newton steps find it without
sorting: the sum is convex in tau, so that from below they never step over it. The slope
is written down, for it needs the weights alone.
"""

import dataclasses

import keras
from keras import ops

from kattn import parts
from kattn.normalizers.normalizer import Normalizer

#: Energies are made to have 0 as their largest, so that tau lies in [-1, 0), and
#: whatever is below that has weight 0: one number serves for all such energies.
_FAR = -2.0


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class Sparsemax(parts.Value, Normalizer):
    """`weights_j = max(e_j - tau, 0)`: the weights nearest to the energies.

    Tau is such that they sum to 1 over the visible keys. A query that may see nothing
    gets zeros.

    Example:
        >>> weights = kattn.normalizers.Sparsemax()(np.array([[-2.0, 0.0, 0.5]]))
        >>> np.round(weights, 4)
        array([[0.  , 0.25, 0.75]])

    Reference:
        Martins and Astudillo 2016, arXiv:1602.02068.
    """

    def __call__(self, energies, visible=None):
        """Sparsemax over the visible keys of each query."""
        return _sparsemax(_seen(energies, visible))


@ops.custom_gradient
def _sparsemax(energies):
    energies, live = _shifted(energies)

    def step(tau):
        inside = ops.cast(energies > tau, energies.dtype)
        total = ops.sum(inside * energies, axis=-1, keepdims=True)
        return (total - 1) / ops.sum(inside, axis=-1, keepdims=True)

    tau = _fixed_point(step, energies)
    weights = ops.where(live, ops.relu(energies - tau), 0.0)

    def gradient(*inputs, upstream=None):
        slope = inputs[0] if upstream is None else upstream
        return _centred(ops.cast(weights > 0, weights.dtype), slope)

    return weights, gradient


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class Entmax15(parts.Value, Normalizer):
    """`weights_j = max(e_j / 2 - tau, 0)^2`: between softmax and sparsemax.

    Tau is such that they sum to 1 over the visible keys. A query that may see nothing
    gets zeros.

    Example:
        >>> weights = kattn.normalizers.Entmax15()(np.array([[-2.0, 0.0, 0.5]]))
        >>> np.round(weights, 4)
        array([[0.   , 0.326, 0.674]])

    Reference:
        Peters et al. 2019, arXiv:1905.05702; Correia et al. 2019, arXiv:1909.00015.
    """

    def __call__(self, energies, visible=None):
        """1.5-entmax over the visible keys of each query."""
        return _entmax15(_seen(energies, visible))


@ops.custom_gradient
def _entmax15(energies):
    energies, live = _shifted(energies, 2)

    def step(tau):
        roots = ops.relu(energies - tau)
        excess = ops.sum(ops.square(roots), axis=-1, keepdims=True) - 1
        return tau + excess / (2 * ops.sum(roots, axis=-1, keepdims=True))

    tau = _fixed_point(step, energies)
    roots = ops.where(live, ops.relu(energies - tau), 0.0)

    def gradient(*inputs, upstream=None):
        slope = inputs[0] if upstream is None else upstream
        return _centred(roots, slope)

    return ops.square(roots), gradient


def _centred(shares, slope):
    """`s * (g - (s . g) / sum(s))`: the energies' slope, of a share s of each key."""
    total = ops.sum(shares, axis=-1, keepdims=True)  # (..., Tq, 1)
    total = ops.where(total == 0, ops.ones_like(total), total)
    mean = ops.sum(shares * slope, axis=-1, keepdims=True) / total
    return shares * (slope - mean)


def _seen(energies, visible):
    """Energies, -inf where a key may not be seen."""
    energies = ops.convert_to_tensor(energies)
    return energies if visible is None else ops.where(visible, energies, -float("inf"))


def _shifted(energies, scale=1):
    """Energies with 0 as the largest visible one, and which queries see any key."""
    top = ops.max(energies, axis=-1, keepdims=True)  # (..., Tq, 1)
    live = top != -float("inf")
    top = ops.where(live, top, ops.zeros_like(top))
    top = ops.where(top == float("inf"), float("nan"), top)  # inf - inf, for the row
    energies = ops.maximum((energies - top) / scale, _FAR)
    # A row that sees nothing is normalised as any other, and cleared afterwards.
    return ops.where(live, energies, 0.0), live


def _fixed_point(step, energies):
    """Where Newton steps from below end: `(..., Tq, 1)`."""
    tau = -ops.ones_like(energies[..., :1])  # the largest energy alone sums to 1
    precise = keras.backend.standardize_dtype(energies.dtype) == "float64"
    rounding = 1e-15 if precise else 5e-7

    def moves(tau, before):
        return ops.any(tau - before > rounding)

    def next_step(tau, before):
        return ops.maximum(step(tau), tau), tau

    tau, _ = ops.while_loop(moves, next_step, (tau, tau - 1))
    return tau
