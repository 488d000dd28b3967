"""What words and runs of words say by themselves, beside what a model reads in them.

Wang, Manning: Baselines and Bigrams: Simple, Good Sentiment and Topic Classification.
ACL 2012: linear weights on n-grams, each scaled by how much likelier it is in one
class than in the others, are hard to beat.
"""

import keras
import numpy as np
from keras import ops
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

# By the golden ratio: up to 40,000 words, no two pairs of them have the same key.
_FACTOR = -1640531535
_NONE = 2**31 - 1  # the key of no n-gram


@keras.saving.register_keras_serializable(package="kattn")
class NgramLogits(keras.layers.Layer):
    """`b + sum_g w_g`, over the different known n-grams g of a text.

    `adapt` finds the weights; they are not learned with a network, which would find
    nothing left to learn beside them: they know the training texts by heart. Of the
    n-grams in at least two training texts those of the highest `|r_g| sqrt(n_g)` are
    known, for an n-gram in n_g texts of which p_g are of the class and q_g are not:

        r_g = log((p_g + 1) / sum_h (p_h + 1)) - log((q_g + 1) / sum_h (q_h + 1))

    `w_g = r_g u_g`, where u are the weights of a logistic regression of one class
    against the others on `r_g [g in text]`.

    An n-gram is up to `order` live words that stand side by side, within a sentence
    where there are sentences.

    Args:
        num_ngrams: At most so many are known, N.
        num_classes: Number of classes, C.
        order: The most words of an n-gram.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        token_ids: Integers `(B, ..., T)`.
        mask: Boolean of the same shape.

    Returns:
        The logits `(B, C)`; zeros before `adapt`.

    Example:
        >>> layer = NgramLogits(num_ngrams=8, num_classes=2)
        >>> layer.adapt([[[5, 3]], [[5, 4]]] * 9, [0, 1] * 9)
        >>> ids = np.array([[5, 3, 0], [4, 0, 0]])
        >>> ops.argmax(layer(ids, mask=ids > 0), axis=-1).numpy().tolist()
        [0, 1]

    Reference:
        Wang and Manning 2012, section 2.
    """

    def __init__(self, num_ngrams, num_classes, order=3, **kwargs):
        super().__init__(**kwargs)
        self.num_ngrams = num_ngrams
        self.num_classes = num_classes
        self.order = order

    def build(self, token_ids_shape):
        """Make the list of known keys, none yet, and their weights."""
        self.keys = self.add_weight(
            shape=(self.num_ngrams,),
            initializer=keras.initializers.Constant(_NONE),
            dtype="int32",
            trainable=False,
            name="keys",
        )
        shape = (self.num_ngrams, self.num_classes)
        self.table = self.add_weight(
            shape=shape, initializer="zeros", trainable=False, name="table"
        )
        self.bias = self.add_weight(
            shape=shape[1:], initializer="zeros", trainable=False, name="bias"
        )

    @property
    def adapted(self):
        """Whether any n-gram is known yet."""
        return self.built and bool(ops.any(self.keys != _NONE))

    def adapt(self, texts, labels):
        """Find the weights.

        Args:
            texts: Texts as lists of sentences, lists of word ids; a text without
                sentences is one.
            labels: Integers `(B,)`.
        """
        if not self.built:
            self.build(None)
        labels = np.asarray(labels)
        found = [_different(text, self.order) for text in texts]
        text = np.repeat(np.arange(len(found)), [len(keys) for keys in found])
        known, column = np.unique(np.concatenate(found), return_inverse=True)
        has = sparse.csr_matrix(
            (np.ones(len(text), "float32"), (text, column)), (len(found), len(known))
        )
        classes = np.arange(self.num_classes)
        of_class = (labels[:, None] == classes).astype("float32")  # (B, C)
        inside = has.T @ of_class  # (N, C)
        total = inside.sum(axis=1, keepdims=True)  # (N, 1)
        ratios = _log_shares(inside) - _log_shares(total - inside)  # (N, C)
        worth = (np.abs(ratios) * np.sqrt(total)).max(axis=1)  # (N,)
        worth[total[:, 0] < 2] = 0
        best = np.argsort(-worth, kind="stable")[: self.num_ngrams]
        best = np.sort(best[worth[best] > 0])
        if not len(best):
            raise ValueError(
                "N-grams are weighed by texts that share some. Received: "
                f"{len(found)} texts without an n-gram in two of them that tells the "
                "classes apart"
            )
        ratios, has = ratios[best], has[:, best]
        weights, bias = np.zeros_like(ratios), np.zeros(self.num_classes)
        for c in tqdm(classes, desc="n-grams", unit="class", disable=None):
            # Of two classes the second has the first one's weights, negated.
            if self.num_classes == 2 and c == 1:
                weights[:, 1], bias[1] = -weights[:, 0], -bias[0]
            elif 0 < of_class[:, c].sum() < len(labels):
                model = LogisticRegression(solver="liblinear", max_iter=1000)
                model.fit(has @ sparse.diags(ratios[:, c]), of_class[:, c])
                weights[:, c] = ratios[:, c] * model.coef_[0]
                bias[c] = model.intercept_[0]
        if self.num_classes == 2:  # what parts two classes is shared by both
            weights, bias = weights / 2, bias / 2
        keys = np.full(self.num_ngrams, _NONE, "int32")
        table = np.zeros((self.num_ngrams, self.num_classes), "float32")
        keys[: len(best)], table[: len(best)] = known[best], weights
        self.keys.assign(keys)
        self.table.assign(table)
        self.bias.assign(bias)

    def call(self, token_ids, mask):
        """Look up and add; see the class."""
        batch = ops.shape(token_ids)[0]
        mask = ops.cast(mask, "bool")
        keys = [
            ops.reshape(ops.where(live, key, _NONE), (batch, -1))
            for key, live in _keys(ops.cast(token_ids, "int32"), mask, self.order)
        ]
        keys = ops.sort(ops.concatenate(keys, axis=1), axis=1)  # (B, M)
        new = ops.concatenate(
            [ops.ones_like(keys[:, :1], "bool"), keys[:, 1:] != keys[:, :-1]], axis=1
        )
        place = ops.searchsorted(self.keys, ops.reshape(keys, (-1,)))
        place = ops.reshape(ops.minimum(place, self.num_ngrams - 1), ops.shape(keys))
        known = ops.take(self.keys, place) == keys
        counts = new & known & (keys != _NONE)
        said = ops.einsum(
            "bm,bmc->bc",
            ops.cast(counts, self.compute_dtype),
            ops.take(ops.cast(self.table, self.compute_dtype), place, axis=0),
        )
        return said + ops.cast(self.bias, self.compute_dtype)

    def compute_mask(self, inputs, previous_mask):
        """None: the positions are gone."""
        return None

    def compute_output_spec(self, token_ids, mask):
        """What `call` returns."""
        shape = (token_ids.shape[0], self.num_classes)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_ngrams": self.num_ngrams,
            "num_classes": self.num_classes,
            "order": self.order,
        }


def _keys(ids, mask, order):
    """Keys of the runs of 1, 2, ... words, and which are live: `(..., T - n + 1)`.

    What is multiplied beyond 2^31 begins again at -2^31, in NumPy as on all backends.
    """
    key, live = ids, mask
    yield key, live
    for n in range(1, order):
        key = key[..., :-1] * _FACTOR + ids[..., n:]
        live = live[..., :-1] & mask[..., n:]
        yield key, live


def _different(text, order):
    """The different keys of a text of sentences of ids."""
    found = [np.zeros(0, "int32")]
    with np.errstate(over="ignore"):
        for sentence in text:
            ids = np.asarray(sentence, "int32")
            found += [key for key, _ in _keys(ids, ids > 0, order)]
    return np.unique(np.concatenate(found))


def _log_shares(counts):
    """`log((n_g + 1) / sum_h (n_h + 1))` of counts `(N, C)`."""
    counts = counts + 1
    return np.log(counts) - np.log(counts.sum(axis=0, dtype="float64"))
