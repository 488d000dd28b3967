"""Step 2: from energies to weights, over what may be seen.

A normalizer is a value, as a region is: frozen, comparable, hashable. It works in the
energies' own dtype, which `kattn.attend` makes float32 or wider.
"""

import dataclasses

import keras
from keras import ops

from kattn import parts


@dataclasses.dataclass(frozen=True)
class Normalizer:
    """Base class: energies `(..., Tq, Tk)` to weights of the same shape.

    The weights of a query are at least 0 and sum to 1; those of a query that may see
    nothing are 0, all of them, with finite gradients. An energy of -inf hides its key
    as a mask does; NaN and +inf, which is an overflow, give NaN and are not hidden.
    """

    def __call__(self, energies, visible=None):
        """Normalise over the last axis.

        Args:
            energies: Tensor `(..., Tq, Tk)`, float32 or wider.
            visible: Boolean tensor that broadcasts to it, or `None` for all.

        Returns:
            Weights, of the energies' shape and dtype.
        """
        raise NotImplementedError

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> "Normalizer":
        """The normalizer that `get_config` described."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class Softmax(Normalizer):
    """Soft attention: `weights_j = exp(e_j) / sum_i exp(e_i)` over the visible keys.

    A query that may see nothing gets zeros.

    Example:
        >>> energies = np.array([[0.0, 1.0, 7.0]])
        >>> seen = np.array([[True, True, False]])
        >>> weights = kattn.normalizers.Softmax()(energies, seen)
        >>> np.round(weights, 3)
        array([[0.269, 0.731, 0.   ]])

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473.
    """

    def __call__(self, energies, visible=None):
        """Softmax over the visible keys of each query."""
        if visible is not None:
            # Hidden energies are replaced, never added to: a NaN there stays there.
            energies = ops.where(visible, energies, -float("inf"))
        top = ops.stop_gradient(ops.max(energies, axis=-1, keepdims=True))
        # -inf - -inf would be NaN in the row that sees nothing.
        top = ops.where(top == -float("inf"), ops.zeros_like(top), top)
        powers = ops.exp(energies - top)  # (..., Tq, Tk)
        total = ops.sum(powers, axis=-1, keepdims=True)  # (..., Tq, 1), >= 1 or 0
        return powers / ops.where(total == 0, ops.ones_like(total), total)


_NAMED = {"softmax": Softmax}


def get(identifier) -> Normalizer:
    """A normalizer from its name (`"softmax"`), an object or a config."""
    return parts.resolve("normalizer", identifier, Normalizer, _NAMED)


def serialize(normalizer: Normalizer) -> dict:
    """The config that `get` turns back into an equal normalizer."""
    return keras.saving.serialize_keras_object(normalizer)
