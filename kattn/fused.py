"""Softmax over products, its three steps in one: fewer passes over all pairs.

What would go over all pairs to sum, to divide or to subtract goes into the products of
matrices instead: beside the value stands a column of ones, which sums the powers, and
in the way back one of what the softmax's slope subtracts. Two passes are left, one that
takes powers and one that multiplies. Where pairs are many, they are made for a block of
queries at a time, and made again in the way back, so that nothing is `(Tq, Tk)`.
"""

import keras
from keras import ops

from kattn.devices import in_xla
from kattn.pairwise import wide

#: Pairs of a block: 64 MiB.
SIZE = 2**24
#: Up to so many pairs are made at once and kept for the way back, which is faster.
WHOLE = 2**26

#: The powers of energies up to this neither overflow nor vanish.
_NEAR = 40.0


def read(query, key, value, key_mask=None, pattern=None, few=None):
    """`softmax(query . key) @ value`, over the keys that may be seen.

    Args:
        query: Tensor `(..., Tq, D)`.
        key: Tensor `(..., Tk, D)`, zeros where it is masked; so is the value.
        value: Tensor `(..., Tk, Dv)`.
        key_mask: Boolean `(..., Tk)`, or `None`.
        pattern: Boolean array `(Tq, Tk)`, which keys each query of any text may see; or
            `None`. With a pattern, pairs are always made at once.
        few: Whether they are made at once without one; `None` where their number
            decides.

    Returns:
        The context `(..., Tq, Dv)` in the value's dtype, zeros where a query sees no
        key.
    """
    *outer, queries, width = ops.shape(query + ops.zeros_like(key[..., :1, :]))
    keys, value_width = ops.shape(value)[-2:]

    def flat(x, *shape):
        """A tensor of the batch of query and key, as `(N, *shape)`."""
        return ops.reshape(ops.broadcast_to(wide(x), (*outer, *shape)), (-1, *shape))

    query, key = flat(query, queries, width), flat(key, keys, width)
    live = ops.ones_like(key[..., :1])  # (N, Tk, 1)
    if key_mask is not None:
        live = flat(ops.cast(ops.expand_dims(key_mask, -1), key.dtype), keys, 1)
    inputs = query, key, flat(value, keys, value_width), live
    if few is None:
        few = ops.shape(query)[0] * queries * keys <= WHOLE
    few = pattern is not None or few
    if keras.backend.backend() == "torch":
        context = _by_kernel(*inputs, pattern)  # (N, Tq, Dv); twice as fast there
    elif isinstance(few, bool) or in_xla():
        context = _in_blocks(*inputs) if few is False else _whole(pattern)(*inputs)
    else:
        whole = _whole(pattern)
        context = ops.cond(few, lambda: whole(*inputs), lambda: _in_blocks(*inputs))
    return ops.cast(ops.reshape(context, (*outer, queries, value_width)), value.dtype)


def _by_kernel(query, key, value, live, pattern):
    """What `_whole` does, by the backend's own kernel."""
    visible = ops.swapaxes(live, 1, 2) > 0  # (N, 1, Tk)
    if pattern is not None:
        visible = ops.logical_and(visible, pattern)  # (N, Tq, Tk)
    sees = ops.any(visible, axis=-1, keepdims=True)  # (N, 1, 1) or (N, Tq, 1)
    # Softmax over nothing would be NaN: who sees no key sees all, and is cleared.
    mask = ops.expand_dims(ops.logical_or(visible, ~sees), 1)  # (N, 1, 1 or Tq, Tk)
    query, key, value = (ops.expand_dims(x, 2) for x in (query, key, value))
    context = ops.dot_product_attention(query, key, value, mask=mask, scale=1.0)
    return ops.where(sees, context[:, :, 0], 0.0)


def _whole(pattern):
    """A function of all pairs, of which a pattern `(Tq, Tk)` may be seen."""

    @ops.custom_gradient
    def run(query, key, value, live):
        """`(N, Tq, D)`, `(N, Tk, D)`, `(N, Tk, Dv)`, `(N, Tk, 1)` to `(N, Tq, Dv)`."""
        # A masked key is zero, as are its value and its one: its power reaches nothing.
        summed = _beside(value, live)
        near = _are_near(query, key)
        powers, _ = _powers(query, key, near, pattern)  # (N, Tq, Tk)
        context, total = _divided(ops.matmul(powers, summed))

        def gradient(*inputs, upstream=None):
            slope = (inputs[0] if upstream is None else upstream) / total  # (N, Tq, Dv)
            mean = ops.sum(slope * context, axis=-1, keepdims=True)
            slopes = powers * _products(_beside(slope, -mean), summed)  # (N, Tq, Tk)
            return (
                ops.matmul(slopes, key),
                ops.matmul(ops.swapaxes(slopes, 1, 2), query),
                ops.matmul(ops.swapaxes(powers, 1, 2), slope),
                ops.zeros_like(live),
            )

        return context, gradient

    return run


@ops.custom_gradient
def _in_blocks(query, key, value, live):
    """What `_whole` does, for R queries at a time, or R keys."""
    summed, near = _beside(value, live), _are_near(query, key)
    width = ops.shape(value)[-1]

    def of_queries(query):
        """Of a block `(N, R, D)` the context, and the logarithm of the powers' sum."""
        powers, top = _powers(query, key, near)
        context, total = _divided(ops.matmul(powers, summed))
        return _beside(context, ops.log(total) + top)

    made = _by_blocks(of_queries, query, key)  # (N, Tq, Dv + 1)
    context, logarithm = made[..., :width], made[..., width:]

    def gradient(*inputs, upstream=None):
        slope = inputs[0] if upstream is None else upstream  # (N, Tq, Dv)
        mean = ops.sum(slope * context, axis=-1, keepdims=True)
        asked = _beside(query, -logarithm)  # (N, Tq, D + 1)
        offered = _beside(key, ops.ones_like(live))  # (N, Tk, D + 1)
        slope = _beside(slope, -mean)  # (N, Tq, Dv + 1)

        def of_queries(asked, slope):
            weights = ops.exp(_products(asked, offered))  # (N, R, Tk)
            return ops.matmul(weights * _products(slope, summed), key)

        def of_keys(offered, summed):
            weights = ops.exp(_products(offered, asked))  # (N, R, Tq)
            slopes = weights * _products(summed, slope)
            of_key = ops.matmul(slopes, query)
            return _beside(of_key, ops.matmul(weights, slope[..., :width]))

        of_both = _by_blocks(of_keys, offered, asked, summed)  # (N, Tk, D + Dv)
        return (
            _by_blocks(of_queries, asked, offered, slope),
            of_both[..., :-width],
            of_both[..., -width:],
            ops.zeros_like(live),
        )

    return context, gradient


def _by_blocks(f, rows, columns, *parts):
    """What `f` makes of R of the rows `(N, T, D)` at a time, and of such parts.

    R is such that a block has `SIZE` pairs of a row and a column.
    """
    texts, length, _ = ops.shape(rows)
    pairs = texts * ops.shape(columns)[-2]  # of one row of each text
    if isinstance(pairs, int):
        size = max(SIZE // pairs, 1)  # R
    else:
        size = ops.maximum(SIZE // pairs, 1)
    count = -(-length // size)

    def cut(x):
        """`(N, T, D)` as `(count, N, R, D)`, zeros standing in at the end."""
        width = ops.shape(x)[-1]
        zeros = ops.zeros((texts, count * size - length, width), x.dtype)
        x = ops.concatenate([x, zeros], axis=1)
        return ops.swapaxes(ops.reshape(x, (texts, count, size, width)), 0, 1)

    made = ops.map(lambda x: f(*x), tuple(cut(x) for x in (rows, *parts)))
    made = ops.swapaxes(made, 0, 1)  # (N, count, R, D)
    made = ops.reshape(made, (texts, count * size, ops.shape(made)[-1]))
    return made[:, :length]


def _products(query, key):
    """`q . k` of all pairs, `(N, Tq, Tk)`."""
    return ops.matmul(query, ops.swapaxes(key, -1, -2))


def _powers(query, key, near, pattern=None):
    """`exp(q . k - top)`, `(N, Tq, Tk)`, and the top, `(N, Tq, 1)`: 0 where near."""
    energies = _products(query, key)

    def close():
        # Nothing has to be subtracted where no power can overflow: a pass is saved.
        powers = ops.exp(energies)
        if pattern is not None:
            powers = powers * ops.cast(pattern, powers.dtype)
        return powers, ops.zeros_like(energies[..., :1])

    def far():
        seen = energies
        if pattern is not None:
            seen = ops.where(pattern, energies, -float("inf"))
        top = ops.max(seen, axis=-1, keepdims=True)
        return ops.exp(seen - top), top

    return ops.cond(near, close, far)


def _are_near(query, key):
    """Whether no product of a query and a key can be large; not where one is NaN."""
    longest = [ops.max(ops.sum(ops.square(x), axis=-1)) for x in (query, key)]
    return ops.sqrt(longest[0]) * ops.sqrt(longest[1]) < _NEAR


def _divided(sums):
    """Sums `(N, Tq, Dv + 1)` by the last of them, and that one: 1 where it is 0."""
    total = sums[..., -1:]
    total = ops.where(total == 0, ops.ones_like(total), total)
    return sums[..., :-1] / total, total


def _beside(x, column):
    """`(N, T, D)` and `(N, T, C)` as `(N, T, D + C)`."""
    return ops.concatenate([x, column], axis=-1)
