"""What words and pairs of words say by themselves, beside what a model reads in them.

Wang, Manning: Baselines and Bigrams. ACL 2012, found pairs of words hard to beat; here
as in Joulin, Grave, Bojanowski, Mikolov: Bag of Tricks for Efficient Text
Classification. EACL 2017, whose table of hashed n-grams holds a vector for each.
"""

import keras
from keras import ops

#: A table from zeros, learned at the pace of a network, stays small without it.
_SCALE = 10.0
_PRIMES = 31337, 7919


@keras.saving.register_keras_serializable(package="kattn")
class NgramLogits(keras.layers.Layer):
    """`10 / sqrt(n) sum_g table[hash(g)]`, over the n words and pairs g of a text.

    A pair is two live words that stand side by side, and all of a text's sentences are
    read as one. Words that are given by different numbers may share a row of the
    table: the fewer buckets, the more of them.

    Args:
        buckets: Rows of the table.
        num_classes: Number of classes, C.
        dropout: Fraction of the words and pairs left out in training.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        token_ids: Integers `(B, ..., T)`.
        mask: Boolean of the same shape.
        training: Whether to apply the dropout.

    Returns:
        The logits `(B, C)`; zeros for a text without a word.

    Example:
        >>> layer = NgramLogits(buckets=64, num_classes=2)
        >>> ids = np.array([[5, 3, 0]])
        >>> layer(ids, mask=ids > 0).shape
        TensorShape([1, 2])

    Reference:
        Joulin et al. 2017, arXiv:1607.01759, section 2.2.
    """

    def __init__(self, buckets, num_classes, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.buckets = buckets
        self.num_classes = num_classes
        self.dropout = dropout
        self.ngram_dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, token_ids_shape):
        """Make the table."""
        shape = (self.buckets, self.num_classes)
        self.table = self.add_weight(shape=shape, initializer="zeros", name="table")

    def call(self, token_ids, mask, training=None):
        """Look up and add; see the class."""
        batch = ops.shape(token_ids)[0]
        words = ops.reshape(ops.cast(token_ids, "int32"), (batch, -1))  # (B, N)
        live = ops.reshape(mask, (batch, -1))  # (B, N)
        # What is multiplied beyond 2^31 begins again at -2^31, on every backend.
        pairs = words[:, :-1] * _PRIMES[0] + words[:, 1:] * _PRIMES[1]  # (B, N - 1)
        both = ops.logical_and(live[:, :-1], live[:, 1:])
        rows = ops.mod(ops.concatenate([words, pairs], axis=1), self.buckets)
        live = ops.cast(ops.concatenate([live, both], axis=1), self.compute_dtype)
        count = ops.sum(live, axis=1, keepdims=True)  # (B, 1)
        kept = self.ngram_dropout(live, training=training)  # (B, 2 N - 1)
        said = ops.einsum("bn,bnc->bc", kept, ops.take(self.table, rows, axis=0))
        return _SCALE * said / ops.sqrt(ops.maximum(count, 1))

    def compute_mask(self, inputs, previous_mask):
        """None: the positions are gone."""
        return None

    def compute_output_spec(self, token_ids, mask, training=None):
        """What `call` returns."""
        shape = (token_ids.shape[0], self.num_classes)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "buckets": self.buckets,
            "num_classes": self.num_classes,
            "dropout": self.dropout,
        }
