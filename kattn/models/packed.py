"""Live positions side by side, without the padding between them.

Texts are sorted by length, so that at step t the live ones are the first n_t rows, and
what all of them have at a step lies side by side: M positions in place of N texts of T.
"""

import dataclasses

from kattn.text.libraries import tensorflow


@dataclasses.dataclass(frozen=True)
class Live:
    """The M live positions, step after step, and at each the longest text first.

    Args:
        mask: Booleans `(N, T)`.
        places: Row and column of each, integers `(M, 2)`.
        turned: For each, that which is as far from its text's end, integers `(M,)`.
        starts: Where each of the L steps begins, integers `(L,)`.
        counts: How many texts are live there, integers `(L,)`.
        before: Of each position past its text's first, the one before it.
    """

    mask: object
    places: object
    turned: object
    starts: object
    counts: object
    before: object

    @classmethod
    def of(cls, mask):
        """Those of a mask `(N, T)` with a live position somewhere."""
        tf = tensorflow()
        lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)  # (N,)
        rows = tf.argsort(lengths, direction="DESCENDING", stable=True)  # (N,)
        lengths = tf.gather(lengths, rows)
        columns = tf.argsort(tf.cast(~tf.gather(mask, rows), tf.int32), stable=True)
        live = tf.range(tf.reduce_max(lengths))[:, None] < lengths  # (L, N)
        counts = tf.reduce_sum(tf.cast(live, tf.int32), axis=1)  # (L,)
        starts = tf.cumsum(counts, exclusive=True)  # (L,)
        step, row = tf.unstack(tf.cast(tf.where(live), tf.int32), axis=1)  # (M,)
        column = tf.gather_nd(columns, tf.stack([row, step], axis=1))
        turned = tf.gather(starts, tf.gather(lengths, row) - 1 - step) + row
        places = tf.stack([tf.gather(rows, row), column], axis=1)
        before = (tf.gather(starts, tf.maximum(step - 1, 0)) + row)[counts[0] :]
        return cls(mask, places, turned, starts, counts, before)

    def packed(self, x):
        """What stands at the live positions: `(N, T, ...)` as `(M, ...)`."""
        return tensorflow().gather_nd(x, self.places)

    def padded(self, x):
        """`(M, ...)` as `(N, T, ...)`, zeros at padding."""
        tf = tensorflow()
        shape = tf.concat([tf.shape(self.mask), tf.shape(x)[1:]], axis=0)
        padded = tf.scatter_nd(self.places, x, shape)
        return tf.ensure_shape(padded, (*self.mask.shape, *x.shape[1:]))
