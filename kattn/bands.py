"""A window that moves with the query: only what it can see is compared.

Queries are taken S at a time, and each such block gets the keys that any of its queries
may see: energies are `(..., T / S, S, S + left + right)`, and nothing is `(T, T)`.
"""

from keras import ops


class Band:
    """Blocks of queries with the keys they may see.

    Args:
        window: `(left, right)`: a query at i sees the keys from `i - left` to
            `i + right`.
        queries: Tq, an integer or a scalar tensor.
        keys: Tk, likewise.
    """

    def __init__(self, window, queries, keys):
        self.left, self.right = window
        self.queries, self.keys = queries, keys
        # As many queries as a window is wide: half of what is compared is seen.
        self.size = max(self.left + self.right, 32)  # S
        self.reach = self.size + self.left + self.right  # keys of a block
        self.count = -(-queries // self.size)

    def of_queries(self, x):
        """`(..., Tq, D)` as `(..., Tq / S, S, D)`, zeros standing in at the end."""
        *outer, length, width = ops.shape(x)
        x = _extended(x, 0, self.count * self.size - length)
        return ops.reshape(x, (*outer, self.count, self.size, width))

    def of_keys(self, x):
        """`(..., Tk, D)` as `(..., Tq / S, S + left + right, D)`, which overlap."""
        *outer, length, width = ops.shape(x)
        pieces = -(-self.reach // self.size)  # blocks that lie side by side in a window
        total = (self.count + pieces - 1) * self.size
        after = total - self.left - length
        after = max(after, 0) if isinstance(after, int) else ops.maximum(after, 0)
        x = _extended(x, self.left, after)[..., :total, :]
        x = ops.reshape(x, (*outer, -1, self.size, width))
        beside = [x[..., i : i + self.count, :, :] for i in range(pieces)]
        return ops.concatenate(beside, axis=-2)[..., : self.reach, :]

    def visible(self, query_mask=None, key_mask=None):
        """Which keys of its block each query sees: booleans `(..., Tq / S, S, reach)`.

        Args:
            query_mask: Boolean `(..., Tq)`, or `None`.
            key_mask: Boolean `(..., Tk)`, or `None`.
        """
        if key_mask is None:
            key_mask = ops.ones((self.keys,), "bool")
        distances = ops.arange(self.reach) - ops.expand_dims(ops.arange(self.size), 1)
        seen = ops.logical_and(distances >= 0, distances <= self.left + self.right)
        live = self.of_keys(ops.expand_dims(ops.cast(key_mask, "int32"), -1))
        seen = ops.logical_and(seen, ops.swapaxes(live, -1, -2) > 0)
        if query_mask is not None:
            asks = self.of_queries(ops.expand_dims(ops.cast(query_mask, "int32"), -1))
            seen = ops.logical_and(seen, asks > 0)
        return seen

    def joined(self, x):
        """`(..., Tq / S, S, D)` as `(..., Tq, D)` again."""
        *outer, _, _, width = ops.shape(x)
        x = ops.reshape(x, (*outer, self.count * self.size, width))
        return x[..., : self.queries, :]


def _extended(x, before, after):
    """`(..., T, D)` with so many zeros before and after."""
    *outer, _, width = ops.shape(x)
    zeros = [ops.zeros((*outer, n, width), x.dtype) for n in (before, after)]
    return ops.concatenate([zeros[0], x, zeros[1]], axis=-2)
