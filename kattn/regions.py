"""Step 1 to 2: which keys may a query see?

A region is a value: frozen, comparable, hashable, so that one compiled core serves all
layers that use an equal one.
"""

import dataclasses

import keras

from kattn import parts


@dataclasses.dataclass(frozen=True)
class Region:
    """Base class: which keys each query may see, as far as positions decide it.

    Padding is not a region's concern: masks travel as arguments and are AND-ed.
    """

    def visible(self, query_length, key_length):
        """The positions that may be seen.

        Args:
            query_length: Tq, an integer or a scalar tensor.
            key_length: Tk, likewise.

        Returns:
            A boolean tensor `(Tq, Tk)`, or `None` where every key may be seen.
        """
        raise NotImplementedError

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict) -> "Region":
        """The region that `get_config` described."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class Global(Region):
    """Every key may be seen by every query: soft attention over the whole text.

    Example:
        >>> kattn.regions.get("global")
        Global()

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473; "global" in Luong et al. 2015,
        arXiv:1508.04025.
    """

    def visible(self, query_length, key_length):
        """`None`: there is nothing to hide."""
        return None


_NAMED = {"global": Global}


def get(identifier) -> Region:
    """A region from its name (`"global"`), an object or a config."""
    return parts.resolve("region", identifier, Region, _NAMED)


def serialize(region: Region) -> dict:
    """The config that `get` turns back into an equal region."""
    return keras.saving.serialize_keras_object(region)
