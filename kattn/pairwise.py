"""All pairs of projected queries and keys compared: what scores are made of.

Pure functions of tensors, at module level, so that one compiled core serves all layers
that compare in the same way.
"""

import keras
from keras import ops


def wide(x):
    """A tensor as float32, or as float64 if it is: what energies are computed in."""
    double = keras.backend.standardize_dtype(x.dtype) == "float64"
    return ops.cast(x, "float64" if double else "float32")


def products(query, key):
    """Pairwise `q . k`: `(..., Tq, D)` and `(..., Tk, D)` to `(..., Tq, Tk)`."""
    shared = all(size == 1 for size in query.shape[:-2])
    if shared and len(query.shape) <= len(key.shape):
        # One query for all texts, as in pooling: a single product of two matrices,
        # where a batch of small ones takes half as long again.
        query = ops.reshape(query, query.shape[-2:])  # (Tq, D)
        energies = ops.matmul(key, ops.transpose(query))  # (..., Tk, Tq)
        return ops.swapaxes(energies, -1, -2)
    return ops.einsum("...qd,...kd->...qk", query, key)


def tanh_sums(query, key, vector):
    """Pairwise `v . tanh(q + k)`, `v` being `(D,)`; to `(..., Tq, Tk)`."""
    pairs = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)  # (..., Tq, Tk, D)
    return ops.matmul(ops.tanh(pairs), ops.expand_dims(vector, -1))[..., 0]


def sums(query, key):
    """Pairwise `q + k` of widths 1: `(..., Tq, 1)` and `(..., Tk, 1)`."""
    return query + ops.swapaxes(key, -1, -2)  # (..., Tq, Tk)


def places(query, key):
    """`q_j` at key `j`, whatever the key holds: `(..., Tq, Tk)` of any batch."""
    return query + ops.expand_dims(ops.zeros_like(key[..., 0]), -2)


def proximities(query, key):
    """Pairwise `1 / (1 + |q - k|)`; at `q = k` it is 1 and its gradient 0."""
    gaps = ops.expand_dims(query, -2) - ops.expand_dims(key, -3)  # (..., Tq, Tk, D)
    squares = ops.sum(ops.square(gaps), axis=-1)  # (..., Tq, Tk)
    # The root's slope is infinite at 0, where equal words stand: keep it from there.
    apart = squares != 0  # NaN is apart too, and stays NaN
    distances = ops.sqrt(ops.where(apart, squares, ops.ones_like(squares)))
    return 1 / (1 + ops.where(apart, distances, ops.zeros_like(squares)))
