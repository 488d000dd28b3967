"""Do shapes and masks fit? Asked before anything is computed."""

import keras


def check_shapes(
    query, key, value, query_mask=None, key_mask=None, attention_mask=None
):
    """Raise where shapes do not fit, as far as they are known before running.

    Args:
        query: Tensor, real or symbolic, as for `attend`; so are the others.
        key: Likewise.
        value: Likewise.
        query_mask: Likewise, or `None`.
        key_mask: Likewise.
        attention_mask: Likewise.

    Raises:
        ValueError: If a rank, a length, a batch or a mask does not fit.
        TypeError: If a mask is neither of booleans nor of integers.
    """
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if len(tensor.shape) < 2:
            raise ValueError(
                f"Attention needs a {name} of shape (..., length, width). "
                f"Received: shape {tuple(tensor.shape)}"
            )
        if tensor.shape[-2] == 0:
            raise ValueError(
                f"Attention needs a {name} of at least one position. "
                f"Received: shape {tuple(tensor.shape)}"
            )
    if not _fits(key.shape[:-1], value.shape[:-1]):
        raise ValueError(
            "Key and value have the same batch and length. Received: key of shape "
            f"{tuple(key.shape)}, value of shape {tuple(value.shape)}"
        )
    outer, other = query.shape[:-2], key.shape[:-2]
    if not (_fits(outer, other) or _fits(other, outer)):
        raise ValueError(
            "Query and key have the same batch. Received: query of shape "
            f"{tuple(query.shape)}, key of shape {tuple(key.shape)}"
        )
    outer = other if _fits(outer, other) else outer
    for name, mask, expected in (
        ("query_mask", query_mask, query.shape[:-1]),
        ("key_mask", key_mask, key.shape[:-1]),
        (
            "attention_mask",
            attention_mask,
            (*outer, query.shape[-2], key.shape[-2]),
        ),
    ):
        check_truth(mask, name)
        if mask is not None and not _fits(mask.shape, expected):
            raise ValueError(
                f"{name} has shape {tuple(expected)}, or one that broadcasts to it. "
                f"Received: shape {tuple(mask.shape)}"
            )


def check_truth(mask, name):
    """Raise a `TypeError` where a mask does not say true or false.

    A mask of floats is refused, since it may be one that others add to energies, where
    0 is for what may be seen.

    Args:
        mask: Tensor or array, real or symbolic, or `None`.
        name: What the mask is called in the error message.
    """
    if mask is None:
        return
    kind = type(mask).__name__
    if hasattr(mask, "dtype"):
        kind = keras.backend.standardize_dtype(mask.dtype)
        if kind == "bool" or "int" in kind:
            return
    raise TypeError(
        f"{name} is a tensor of booleans, True for what may be seen. Received: {kind}"
    )


def _fits(shape, expected):
    """Whether a shape broadcasts to another; `None` fits everything."""
    return len(shape) <= len(expected) and all(
        a in (None, 1) or b is None or a == b
        for a, b in zip(reversed(shape), reversed(expected), strict=False)
    )
