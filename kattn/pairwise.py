"""All pairs of projected queries and keys compared: what scores are made of.

Pure functions of tensors, at module level, so that one compiled core serves all layers
that compare in the same way.
"""

import keras
from keras import ops

from kattn import blocks
from kattn.devices import in_xla, on_cpu


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
        query = ops.reshape(query, (-1, query.shape[-1]))  # (Tq, D)
        energies = ops.matmul(key, ops.transpose(query))  # (..., Tk, Tq)
        return ops.swapaxes(energies, -1, -2)
    return ops.einsum("...qd,...kd->...qk", query, key)


def tanh_sums(query, key, vector):
    """Pairwise `v . tanh(q + k)`, `v` being `(D,)`; to `(..., Tq, Tk)`."""

    def whole(query, key):
        column = ops.expand_dims(vector, -1)
        return ops.matmul(_tanh_of_sums(query, key), column)[..., 0]

    return _compared(whole, lambda q, k: _tanh_sums_in_blocks(q, k, vector), query, key)


def sums(query, key):
    """Pairwise `q + k` of widths 1: `(..., Tq, 1)` and `(..., Tk, 1)`."""
    return query + ops.swapaxes(key, -1, -2)  # (..., Tq, Tk)


def places(query, key):
    """`q_j` at key `j`, whatever the key holds: `(..., Tq, Tk)` of any batch."""
    return query + ops.expand_dims(ops.zeros_like(key[..., 0]), -2)


def proximities(query, key):
    """Pairwise `1 / (1 + |q - k|)`; at `q = k` it is 1 and its gradient 0."""

    def whole(query, key):
        return ops.sum(ops.square(_gaps(query, key)), axis=-1)

    single = keras.backend.standardize_dtype(query.dtype) == "float32"
    if single and on_cpu() and blocks.given() is None:
        squares = _flattened(_squares_by_products, query, key)  # (..., Tq, Tk)
    else:
        squares = _compared(whole, _squares_in_blocks, query, key)
    # The root's slope is infinite at 0, where equal words stand: keep it from there.
    apart = squares != 0  # NaN is apart too, and stays NaN
    distances = ops.sqrt(ops.where(apart, squares, ops.ones_like(squares)))
    return 1 / (1 + ops.where(apart, distances, ops.zeros_like(squares)))


def _compared(whole, in_blocks, query, key):
    """Energies `(..., Tq, Tk)` by one function or the other, as memory allows."""
    fits = blocks.fits(query, key)
    if fits is True or query.shape[-2] == 1:
        return whole(query, key)

    def blocked():
        return _flattened(in_blocks, query, key)

    if fits is False or in_xla():
        return blocked()
    return ops.cond(fits, lambda: whole(query, key), blocked)


def _flattened(f, query, key):
    """What `f` makes of `(N, Tq, D)` and `(N, Tk, D)`, as `(..., Tq, Tk)`."""
    *outer, queries, width = ops.shape(query + ops.zeros_like(key[..., :1, :]))
    keys = ops.shape(key)[-2]

    def flat(x, length):
        """`(..., T, D)` of the batch of both, as `(N, T, D)`."""
        return ops.reshape(
            ops.broadcast_to(x, (*outer, length, width)), (-1, length, width)
        )

    energies = f(flat(query, queries), flat(key, keys))  # (N, Tq, Tk)
    return ops.reshape(energies, (*outer, queries, keys))


def _gaps(query, key):
    """`q - k`, `(..., Tq, Tk, D)`."""
    return ops.expand_dims(query, -2) - ops.expand_dims(key, -3)


def _tanh_of_sums(query, key):
    """`tanh(q + k)`, `(..., Tq, Tk, D)`."""
    return ops.tanh(ops.expand_dims(query, -2) + ops.expand_dims(key, -3))


def _tanh_of_products(query, key):
    """`tanh(q + k)` from `exp(2q)` and `exp(2k)`, `(..., Tq, Tk, D)`."""
    return 1 - 2 / (1 + ops.expand_dims(query, -2) * ops.expand_dims(key, -3))


@ops.custom_gradient
def _tanh_sums_in_blocks(query, key, vector):
    """`(N, Tq, D)`, `(N, Tk, D)` and `(D,)` to `(N, Tq, Tk)`."""
    # A product and a division are cheaper than a tanh for every pair; but exp(2x) must
    # neither overflow nor vanish. Where it might, and for NaN, there is tanh.
    double = keras.backend.standardize_dtype(query.dtype) == "float64"
    furthest = ops.maximum(ops.max(ops.abs(query)), ops.max(ops.abs(key)))
    near = furthest < (300.0 if double else 40.0)

    def made(f):
        return ops.cond(
            near,
            lambda: f(_tanh_of_products, ops.exp(2 * query), ops.exp(2 * key)),
            lambda: f(_tanh_of_sums, query, key),
        )

    def energies(tanh, query, key):
        column = ops.expand_dims(vector, -1)
        return blocks.rows(
            lambda k, q: ops.matmul(tanh(q, k), column)[..., 0], key, query
        )

    def gradient(*inputs, upstream=None):
        slope = inputs[0] if upstream is None else upstream  # (N, Tq, Tk)
        turned = ops.swapaxes(slope, 1, 2)

        def sides(tanh, query, key):
            """`sum_k slope t` and `sum_k slope t^2`; `sum_q slope t^2`."""

            def of_query(k, q, slope):
                t = tanh(q, k)  # (R, Tk, D)
                slope = ops.expand_dims(slope, 1)  # (R, 1, Tk)
                return ops.matmul(slope, t)[:, 0], ops.matmul(slope, t * t)[:, 0]

            def of_key(q, k, slope):
                t = tanh(k, q)  # (R, Tq, D)
                slope = ops.expand_dims(slope, 1)  # (R, 1, Tq)
                return ops.matmul(slope, t * t)[:, 0]

            return (
                *blocks.rows(of_query, key, query, slope),
                blocks.rows(of_key, query, key, turned),
            )

        once, of_query, of_key = made(sides)  # (N, T, D) each
        return (
            vector * (ops.sum(slope, axis=2)[..., None] - of_query),
            vector * (ops.sum(slope, axis=1)[..., None] - of_key),
            ops.sum(once, axis=(0, 1)),
        )

    return made(energies), gradient


@ops.custom_gradient
def _squares_in_blocks(query, key):
    """`|q - k|^2`: `(N, Tq, D)` and `(N, Tk, D)` to `(N, Tq, Tk)`."""

    def gradient(*inputs, upstream=None):
        slope = inputs[0] if upstream is None else upstream  # (N, Tq, Tk)

        def side(k, q, slope):
            return ops.matmul(ops.expand_dims(2 * slope, 1), _gaps(q, k))[:, 0]

        return (
            blocks.rows(side, key, query, slope),
            blocks.rows(side, query, key, ops.swapaxes(slope, 1, 2)),
        )

    squares = blocks.rows(
        lambda k, q: ops.sum(ops.square(_gaps(q, k)), axis=-1), key, query
    )
    return squares, gradient


@ops.custom_gradient
def _squares_by_products(query, key):
    """The same as `|q|^2 + |k|^2 - 2 q . k`, in float64.

    In float32 near vectors would lose their distance; in float64 it is as exact as the
    vectors are, and an operation of a graph makes no numbers `(Tq, Tk, D)`.
    """
    query, key = (ops.cast(x, "float64") for x in (query, key))

    def turned(x):
        return ops.swapaxes(x, 1, 2)

    lengths = [ops.sum(ops.square(x), axis=2, keepdims=True) for x in (query, key)]
    total = lengths[0] + turned(lengths[1])  # (N, Tq, Tk)
    squares = total - 2 * ops.matmul(query, turned(key))
    # Of equal vectors rounding is left, below what float32 can tell apart.
    squares = ops.where(squares <= 1e-15 * total, 0.0, squares)

    def gradient(*inputs, upstream=None):
        slope = inputs[0] if upstream is None else upstream  # (N, Tq, Tk)
        slope = ops.cast(2 * slope, "float64")

        def side(x, slope, other):
            """`sum_j slope_ij (x_i - other_j)`."""
            total = ops.sum(slope, axis=2, keepdims=True)
            return ops.cast(x * total - ops.matmul(slope, other), "float32")

        return side(query, slope, key), side(key, turned(slope), query)

    return ops.cast(squares, "float32"), gradient
