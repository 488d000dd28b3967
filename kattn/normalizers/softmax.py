"""Soft attention: every key that may be seen gets a share."""

import dataclasses

import keras
from keras import ops

from kattn import parts
from kattn.normalizers.normalizer import Normalizer


def shares(energies, visible=None):
    """Softmax over the visible keys, the last axis; zeros where there is none."""
    energies = ops.convert_to_tensor(energies)
    if visible is not None:
        # Hidden energies are replaced, never added to: a NaN there stays there.
        energies = ops.where(visible, energies, -float("inf"))
    return _softmax(energies)


@ops.custom_gradient
def _softmax(energies):
    """Softmax over the last axis, where -inf hides a key, and all of them give zeros.

    Its slope is written down, for the one that is derived reads and writes all pairs
    three times as often.
    """
    top = ops.max(energies, axis=-1, keepdims=True)
    # -inf - -inf would be NaN in the row that sees nothing.
    top = ops.where(top == -float("inf"), ops.zeros_like(top), top)
    powers = ops.exp(energies - top)  # (..., Tq, Tk)
    total = ops.sum(powers, axis=-1, keepdims=True)  # (..., Tq, 1), >= 1 or 0
    weights = powers / ops.where(total == 0, ops.ones_like(total), total)

    def gradient(*inputs, upstream=None):
        slope = inputs[0] if upstream is None else upstream
        mean = ops.sum(weights * slope, axis=-1, keepdims=True)  # (..., Tq, 1)
        return weights * (slope - mean)

    return weights, gradient


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class Softmax(parts.Value, Normalizer):
    """Soft attention: `weights_j = exp(e_j / t) / sum_i exp(e_i / t)`.

    The sum is over the visible keys. A query that may see nothing gets zeros.

    Args:
        temperature: t. Below 1 sharper, above 1 more even.

    Example:
        >>> energies = np.array([[0.0, 1.0, 7.0]])
        >>> seen = np.array([[True, True, False]])
        >>> weights = kattn.normalizers.Softmax()(energies, seen)
        >>> np.round(weights, 3)
        array([[0.269, 0.731, 0.   ]])

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473.
    """

    temperature: float = 1.0

    def __post_init__(self):
        """Refuse what is no temperature."""
        if not self.temperature > 0:
            raise ValueError(
                "temperature is a positive number. "
                f"Received: temperature={self.temperature!r}"
            )

    def __call__(self, energies, visible=None):
        """Softmax over the visible keys of each query."""
        if self.temperature != 1:
            energies = ops.convert_to_tensor(energies) / self.temperature
        return shares(energies, visible)
