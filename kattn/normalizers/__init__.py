"""Step 2: from energies to weights, over what may be seen."""

import keras

from kattn import parts
from kattn.normalizers.hard import Hard
from kattn.normalizers.monotonic import Monotonic
from kattn.normalizers.normalizer import Normalizer
from kattn.normalizers.softmax import Softmax
from kattn.normalizers.sparse import Entmax15, Sparsemax

__all__ = [
    "Entmax15",
    "Hard",
    "Monotonic",
    "Normalizer",
    "Softmax",
    "Sparsemax",
    "get",
    "serialize",
]

_NAMED = {
    "softmax": Softmax,
    "sparsemax": Sparsemax,
    "entmax15": Entmax15,
    "hard": Hard,
    "monotonic": Monotonic,
}


def get(identifier) -> Normalizer:
    """A normalizer from its name (`"softmax"`), an object or a config."""
    return parts.resolve("normalizer", identifier, Normalizer, _NAMED)


def serialize(normalizer: Normalizer) -> dict:
    """The config that `get` turns back into an equal normalizer."""
    return keras.saving.serialize_keras_object(normalizer)
