"""All pairs compared block by block: `(Tq, Tk, D)` numbers are never made whole.

A score that compares a query's and a key's vectors number by number, as a perceptron
and a distance do, needs D numbers for each pair. They are made for a few queries at a
time, summed, and made again in the backward pass.
"""

import contextlib
import contextvars

import keras
from keras import ops

_DECIDED = contextvars.ContextVar("kattn_blocks", default=None)

#: So many numbers a block has: 4 MiB, which stay in a core's cache.
SIZE = 2**20


@contextlib.contextmanager
def decided(fit):
    """Within this context all pairs fit, or do not, whatever their size.

    Args:
        fit: Whether they do; `None` where size decides.
    """
    token = _DECIDED.set(fit)
    try:
        yield
    finally:
        _DECIDED.reset(token)


def given():
    """What `decided` says here; `None` outside of it."""
    return _DECIDED.get()


def fits(query, key):
    """Whether all pairs' numbers fit into one block, for each text.

    Args:
        query: Tensor `(..., Tq, D)`.
        key: Tensor `(..., Tk, D)`.

    Returns:
        A boolean; or a scalar tensor, where a length is not known before running.
    """
    if _DECIDED.get() is not None:
        return _DECIDED.get()
    *_, queries, _ = ops.shape(query)
    *_, keys, width = ops.shape(key)
    return queries * keys * width <= SIZE


def rows(f, key, *parts):
    """What `f` makes of blocks of rows, in turn, joined again.

    Args:
        f: Function of a key `(Tk, D)` and of a block `(R, ...)` of each of the parts,
            that gives a tensor `(R, ...)` or a tuple of them.
        key: Tensor `(N, Tk, D)`, of N texts.
        *parts: Tensors `(N, Tq, ...)`: what has a row for each query.

    Returns:
        Tensors `(N, Tq, ...)`.
    """
    texts, length, _ = ops.shape(parts[0])
    _, keys, width = ops.shape(key)
    size = _within(SIZE // (keys * width), 1, length)  # R
    count = -(-length // size)  # blocks of a text
    owners = ops.arange(texts * count) // count
    cut = [_cut(part, size, count) for part in parts]  # (N * count, R, ...)
    made = ops.map(lambda x: f(ops.take(key, x[0], axis=0), *x[1:]), (owners, *cut))

    def joined(x):
        shape = (texts, count * size, *ops.shape(x)[2:])
        return ops.reshape(x, shape)[:, :length]

    return keras.tree.map_structure(joined, made)


def _within(x, least, most):
    """`min(max(x, least), most)`, of integers or of scalar tensors."""
    if isinstance(x, int) and isinstance(most, int):
        return min(max(x, least), most)
    return ops.minimum(ops.maximum(x, least), most)


def _cut(x, size, count):
    """`(N, T, ...)` as `(N * count, size, ...)`, zeros standing in for what lacks."""
    texts, length, *others = ops.shape(x)
    filled = ops.concatenate(
        [x, ops.zeros((texts, count * size - length, *others), x.dtype)], axis=1
    )
    return ops.reshape(filled, (texts * count, size, *others))
