"""How the three steps' parts are named: by a string, an object or a config."""

import dataclasses

import keras

from kattn.names import unknown


class Value:
    """Mixin of the parts that own no weights: frozen dataclasses.

    They compare by value, so that one compiled core serves all layers that use equal
    ones.
    """

    def get_config(self) -> dict:
        """The constructor's arguments."""
        return dataclasses.asdict(self)

    @classmethod
    def from_config(cls, config: dict):
        """The part that `get_config` described."""
        return cls(**config)


def like(part):
    """Another part of the same configuration, with weights of its own if it has any.

    Not by way of a serialised one: while a file is loaded Keras notes what it
    serialises by its address, and may take another part that comes to stand there for
    this one.
    """
    if isinstance(part, Value):
        return part
    return type(part).from_config(part.get_config())


def of_policy(part, policy):
    """The part, which computes in that precision from now on where it is a layer."""
    if isinstance(part, keras.Layer):
        # A map is of a model whose embedding was quantized, which no part is.
        if isinstance(policy, keras.dtype_policies.DTypePolicyMap):
            policy = policy.default_policy
        part.dtype_policy = policy
    return part


def resolve(kind: str, identifier, base: type, named: dict[str, type]):
    """Turn what a user may type for a part into the part.

    Args:
        kind: `"score"`, `"region"` or `"normalizer"`, for the error message.
        identifier: A name, an object of class `base`, or a serialised one.
        base: The class every part of this kind derives from.
        named: The classes that a name stands for.

    Returns:
        An object of class `base`.

    Raises:
        ValueError: If the name is unknown; the nearest one is offered.
        TypeError: If the identifier is none of the three.
    """
    if isinstance(identifier, base):
        return identifier
    if isinstance(identifier, str):
        if identifier not in named:
            raise unknown(kind, identifier, named)
        return named[identifier]()
    if isinstance(identifier, dict):
        part = keras.saving.deserialize_keras_object(identifier)
        if isinstance(part, base):
            return part
    raise TypeError(
        f"A {kind} is a name ({', '.join(sorted(named))}), a "
        f"kattn {base.__name__} object or a config of one. Received: {identifier!r}"
    )
