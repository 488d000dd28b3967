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
        x = ops.reshape(x, (-1, self.count + pieces - 1, self.size, width))
        x = _side_by_side(x, pieces)[..., : self.reach, :]
        return ops.reshape(x, (*outer, self.count, self.reach, width))

    def pattern(self):
        """Which keys of a block are in each query's window: booleans `(S, reach)`."""
        distances = ops.arange(self.reach) - ops.expand_dims(ops.arange(self.size), 1)
        return ops.logical_and(distances >= 0, distances <= self.left + self.right)

    def live(self, key_mask=None):
        """Which keys of each block there are: booleans `(..., Tq / S, reach)`.

        Args:
            key_mask: Boolean `(..., Tk)`, or `None` where all are.
        """
        if key_mask is None:
            key_mask = ops.ones((self.keys,), "bool")
        live = self.of_keys(ops.expand_dims(ops.cast(key_mask, "int32"), -1))
        return live[..., 0] > 0

    def visible(self, query_mask=None, key_mask=None):
        """Which keys of its block each query sees: booleans `(..., Tq / S, S, reach)`.

        Args:
            query_mask: Boolean `(..., Tq)`, or `None`.
            key_mask: Boolean `(..., Tk)`, or `None`.
        """
        live = ops.expand_dims(self.live(key_mask), -2)
        seen = ops.logical_and(self.pattern(), live)
        if query_mask is not None:
            asks = self.of_queries(ops.expand_dims(ops.cast(query_mask, "int32"), -1))
            seen = ops.logical_and(seen, asks > 0)
        return seen

    def joined(self, x):
        """`(..., Tq / S, S, D)` as `(..., Tq, D)` again."""
        *outer, _, _, width = ops.shape(x)
        x = ops.reshape(x, (*outer, self.count * self.size, width))
        return x[..., : self.queries, :]


def _side_by_side(x, pieces):
    """Blocks `(N, C, S, D)`, each with those after it: `(N, C - P + 1, P S, D)`."""

    @ops.custom_gradient
    def joined(x):
        count, size = ops.shape(x)[1] - pieces + 1, ops.shape(x)[2]
        made = ops.concatenate([x[:, i : i + count] for i in range(pieces)], axis=2)

        def gradient(*inputs, upstream=None):
            slope = inputs[0] if upstream is None else upstream
            # Each block stood in several places; the derived way goes over all of them
            # several times.
            total = 0
            for i in range(pieces):
                part = slope[:, :, i * size : (i + 1) * size]
                before, after = (ops.zeros_like(x[:, :n]) for n in (i, pieces - 1 - i))
                total = total + ops.concatenate([before, part, after], axis=1)
            return total

        return made, gradient

    return joined(x)


def _extended(x, before, after):
    """`(..., T, D)` with so many zeros before and after."""
    *outer, _, width = ops.shape(x)
    zeros = [ops.zeros((*outer, n, width), x.dtype) for n in (before, after)]
    return ops.concatenate([zeros[0], x, zeros[1]], axis=-2)
