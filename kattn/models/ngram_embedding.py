"""Vectors of the runs of tokens that a token stands in: what it is among these.

Pagnoni et al.: Byte Latent Transformer: Patches Scale Better Than Tokens. 2024: small
encoders of bytes gain much from a table of n-grams, which costs next to no time.
"""

import keras
import numpy as np
from keras import ops

from kattn.models.known_keys import FACTOR, KnownKeys

ORDERS = (3, 4, 5, 6)
_TEXTS_AT_ONCE = 8192


@keras.saving.register_keras_serializable(package="kattn")
class NgramEmbedding(KnownKeys):
    """`e_t = [E[g_3(t)]; E[g_4(t)]; E[g_5(t)]; E[g_6(t)]]`, of the n-grams about t.

    `g_n(t)` is the run of n tokens from `t - n // 2` on, where what lies outside of the
    text is a token of its own: so a prefix or a suffix is a run, too. Those that stand
    most often in the texts that `adapt` is given have a vector, and the others zeros.

    The paper's n-grams end at t, and each hash has a vector, whose runs are many; here
    a vector is of one run, and rare ones, which a model would learn by heart, have
    none. In training, whole vectors are dropped for the same reason.

    Args:
        num_ngrams: At most so many n-grams have vectors.
        dim: Width of a vector, D.
        past: Whether `g_n(t)` ends at t: then nothing is known of what comes later.
        dropout: Fraction of the vectors dropped in training.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        token_ids: Integers `(B, T)`.
        mask: Boolean `(B, T)`, live positions first.
        training: Whether this is training.

    Returns:
        Tensor `(B, T, 4 D)`, zeros at padding, and everywhere before `adapt`.

    Raises:
        ValueError: If `num_ngrams` is no positive integer.

    Example:
        >>> layer = NgramEmbedding(num_ngrams=100, dim=2)
        >>> layer.adapt([[5, 3, 7], [5, 3, 9], [5, 3]])
        >>> ids = np.array([[5, 3, 8, 0]])
        >>> vectors = np.asarray(layer(ids, mask=ids > 0))
        >>> vectors.shape, vectors.any(axis=-1).tolist()  # one that starts with 5 3
        ((1, 4, 8), [[True, False, False, False]])

    Reference:
        Pagnoni et al. 2024, arXiv:2412.09871, section 3.2.1.
    """

    def __init__(self, num_ngrams, dim=32, past=False, dropout=0.0, **kwargs):
        super().__init__(num_ngrams, **kwargs)
        self.dim = dim
        self.past = past
        self.dropout = dropout
        self.embedding = keras.layers.Embedding(
            num_ngrams,
            dim,
            embeddings_initializer=keras.initializers.RandomNormal(stddev=0.1),
            dtype=self.dtype_policy,
            name="embedding",
        )
        self.whole_dropout = keras.layers.Dropout(
            dropout, noise_shape=(None, None, None, 1), dtype=self.dtype_policy
        )

    def build(self, token_ids_shape=None):
        """Make the list of n-grams that have vectors, none yet, and the vectors."""
        super().build(token_ids_shape)
        self.embedding.build()

    def adapt(self, texts):
        """Find the n-grams that have vectors: the most frequent ones, seen twice.

        Args:
            texts: Lists of token ids.

        Raises:
            ValueError: If no n-gram stands twice in the texts.
        """
        if not self.built:
            self.build()
        found, counts = np.zeros(0, "int32"), np.zeros(0)
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            some = texts[start : start + _TEXTS_AT_ONCE]
            ids = np.zeros((len(some), max(map(len, some))), "int32")
            for row, text in zip(ids, some, strict=True):
                row[: len(text)] = text
            with np.errstate(over="ignore"):
                keys = np.stack(self._keys(ids, np.pad), axis=-1)[ids > 0]
            new, times = np.unique(keys, return_counts=True)
            both = np.concatenate([found, new])
            found, where = np.unique(both, return_inverse=True)
            counts = np.bincount(where, np.concatenate([counts, times]))
        best = np.argsort(-counts, kind="stable")[: self.num_ngrams]
        best = found[best[counts[best] > 1]]
        if not len(best):
            raise ValueError(
                "N-grams have vectors where they stand twice in the texts. Received: "
                f"{len(texts):,} texts without one"
            )
        self.know(np.sort(best))

    def call(self, token_ids, mask, training=None):
        """Look up; see the class."""
        batch, length = ops.shape(token_ids)
        live = ops.expand_dims(ops.cast(mask, "bool"), -1)  # (B, T, 1)
        ids = ops.where(live[..., 0], ops.cast(token_ids, "int32"), 0)
        keys = ops.stack(self._keys(ids, ops.pad), axis=-1)  # (B, T, 4)
        place, known = self.places(keys)
        vectors = self.embedding(place)  # (B, T, 4, D)
        vectors = ops.where(ops.expand_dims(known & live, -1), vectors, 0)
        vectors = self.whole_dropout(vectors, training=training)
        return ops.reshape(vectors, (batch, length, len(ORDERS) * self.dim))

    def _keys(self, ids, pad):
        """Of each order the key of the n-gram about each position, `(B, T)`.

        What is multiplied beyond 2^31 begins again at -2^31, in NumPy as on all
        backends.
        """
        length = ids.shape[1] or ops.shape(ids)[1]
        found = []
        for order in ORDERS:
            before = order - 1 if self.past else order // 2
            around = pad(ids, [[0, 0], [before, order - 1 - before]])
            key = order + 0 * ids  # or a text's first 3 of 3 were its first 3 of 4
            for i in range(order):
                key = key * FACTOR + around[:, i : i + length]
            found.append(key)
        return found

    def compute_mask(self, inputs, previous_mask):
        """The positions are those of the tokens."""
        return previous_mask

    def compute_output_spec(self, token_ids, mask, training=None):
        """What `call` returns."""
        shape = (*token_ids.shape, len(ORDERS) * self.dim)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "dim": self.dim,
            "past": self.past,
            "dropout": self.dropout,
        }
