"""Sparse attention: keys that matter little get a weight of exactly 0.

Both normalizers subtract a threshold tau from the energies, cut what is below 0, and
have to find the tau for which the weights sum to 1. Newton steps find it without
sorting: the sum is convex in tau, so that from below they never step over it. The last
step is the only one that gradients see; from the threshold itself it leads nowhere, and
its derivative is the threshold's own.
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
        energies, live = _shifted(energies, visible, 1)

        def step(energies, tau):
            inside = ops.cast(energies > tau, energies.dtype)
            total = ops.sum(inside * energies, axis=-1, keepdims=True)
            return (total - 1) / ops.sum(inside, axis=-1, keepdims=True)

        tau = step(energies, _fixed_point(step, energies))
        return ops.where(live, ops.relu(energies - tau), 0.0)


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
        energies, live = _shifted(energies, visible, 2)

        def step(energies, tau):
            roots = ops.relu(energies - tau)
            excess = ops.sum(ops.square(roots), axis=-1, keepdims=True) - 1
            # At the threshold the excess is 0: the slope's own gradient has no part.
            slope = ops.stop_gradient(ops.sum(roots, axis=-1, keepdims=True))
            return tau + excess / (2 * slope)

        tau = step(energies, _fixed_point(step, energies))
        return ops.where(live, ops.square(ops.relu(energies - tau)), 0.0)


def _shifted(energies, visible, scale):
    """Energies with 0 as the largest visible one, and which queries see any key."""
    energies = ops.convert_to_tensor(energies)
    if visible is not None:
        energies = ops.where(visible, energies, -float("inf"))
    top = ops.stop_gradient(ops.max(energies, axis=-1, keepdims=True))  # (..., Tq, 1)
    live = top != -float("inf")
    top = ops.where(live, top, ops.zeros_like(top))
    energies = ops.maximum((energies - top) / scale, _FAR)
    # A row that sees nothing is normalised as any other, and cleared afterwards.
    return ops.where(live, energies, 0.0), live


def _fixed_point(step, energies):
    """Where Newton steps from below end, as a constant: `(..., Tq, 1)`."""
    energies = ops.stop_gradient(energies)
    tau = -ops.ones_like(energies[..., :1])  # the largest energy alone sums to 1
    precise = keras.backend.standardize_dtype(energies.dtype) == "float64"
    rounding = 1e-15 if precise else 5e-7

    def moves(tau, before):
        return ops.any(tau - before > rounding)

    def next_step(tau, before):
        return ops.maximum(step(energies, tau), tau), tau

    tau, _ = ops.while_loop(moves, next_step, (tau, tau - 1))
    return ops.stop_gradient(tau)
