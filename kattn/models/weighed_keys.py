"""Logits by adding up what each known thing in an example says, by its key.

Wang, Manning: Baselines and Bigrams: Simple, Good Sentiment and Topic Classification.
ACL 2012: linear weights on n-grams, each scaled by how much likelier it is in one
class than in the others, are hard to beat.
"""

import numpy as np
from keras import ops
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from kattn.models.known_keys import FACTOR, NONE, KnownKeys


class WeighedKeys(KnownKeys):
    """`b + sum_g w_g`, over the different known things g in an example.

    A thing, an n-gram say, has a key, a number of 32 bits. A subclass makes the keys of
    an example. The weights are found by `weigh` and not learned with a network, which
    would find nothing left to learn beside them: they know the training examples by
    heart. Of the things in at least two training examples those of the highest
    `|r_g| sqrt(n_g)` are known, for a thing in n_g examples of which p_g are of the
    class and q_g are not:

        r_g = log((p_g + 1) / sum_h (p_h + 1)) - log((q_g + 1) / sum_h (q_h + 1))

    `w_g = r_g u_g`, where u are the weights of a logistic regression of one class
    against the others on `r_g [g in example]`.

    Args:
        num_ngrams: At most so many things are known, N.
        num_classes: Number of classes, C.
        order: The most words of an n-gram.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Reference:
        Wang and Manning 2012, section 2.
    """

    #: How far the logistic regression may go from 0, as liblinear has it.
    inverse_regularization = 1.0

    def __init__(self, num_ngrams, num_classes, order, **kwargs):
        super().__init__(num_ngrams, **kwargs)
        self.num_classes = num_classes
        self.order = order

    def build(self, input_shape=None):
        """Make the list of known keys, none yet, and their weights."""
        super().build(input_shape)
        shape = (self.num_ngrams, self.num_classes)
        # Half the bytes, and finer than the weights are known.
        self.table = self.add_weight(
            shape=shape,
            initializer="zeros",
            dtype="float16",
            trainable=False,
            autocast=False,
            name="table",
        )
        self.bias = self.add_weight(
            shape=shape[1:], initializer="zeros", trainable=False, name="bias"
        )

    def weigh(self, found, labels):
        """Find the weights.

        Args:
            found: The different keys of each example, a list of int32 arrays.
            labels: Integers `(B,)`.

        Raises:
            ValueError: If no two examples of a class have a key in common.
        """
        if not self.built:
            self.build()
        labels = np.asarray(labels)
        example = np.repeat(np.arange(len(found)), [len(keys) for keys in found])
        known, column = np.unique(np.concatenate(found), return_inverse=True)
        ones = np.ones(len(example), "float32")
        has = sparse.csr_matrix((ones, (example, column)), (len(found), len(known)))
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
                model = LogisticRegression(
                    C=self.inverse_regularization, solver="liblinear", max_iter=1000
                )
                model.fit(has @ sparse.diags(ratios[:, c]), of_class[:, c])
                weights[:, c] = ratios[:, c] * model.coef_[0]
                bias[c] = model.intercept_[0]
        if self.num_classes == 2:  # what parts two classes is shared by both
            weights, bias = weights / 2, bias / 2
        table = np.zeros((self.num_ngrams, self.num_classes), "float32")
        table[: len(best)] = weights
        self.know(known[best])
        self.table.assign(table)
        self.bias.assign(bias)

    def added_up(self, keys):
        """The logits `(B, C)` of examples by their different keys.

        Args:
            keys: Integers `(B, M)`, `NONE` for nothing.
        """
        place, counts = self.places(keys)  # (B, M) each
        said = ops.einsum(
            "bm,bmc->bc",
            ops.cast(counts, self.compute_dtype),
            ops.cast(ops.take(self.table, place, axis=0), self.compute_dtype),
        )
        return said + ops.cast(self.bias, self.compute_dtype)

    def compute_mask(self, inputs, previous_mask):
        """None: the positions are gone."""
        return None

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "order": self.order,
        }


def ngram_keys(ids, live, order):
    """Keys of the runs of 1, 2, ... words, and which are live: `(..., T - n + 1)`.

    What is multiplied beyond 2^31 begins again at -2^31, in NumPy as on all backends.
    """
    key = ids
    yield key, live
    words = live
    for n in range(1, order):
        key = key[..., :-1] * FACTOR + ids[..., n:]
        live = live[..., :-1] & words[..., n:]
        yield key, live


def different_ngrams(sentences, order):
    """The different keys of a text, lists of word ids for each of its sentences."""
    found = [np.zeros(0, "int32")]
    with np.errstate(over="ignore"):
        for sentence in sentences:
            ids = np.asarray(sentence, "int32")
            found += [key for key, _ in ngram_keys(ids, ids > 0, order)]
    return np.unique(np.concatenate(found))


def sorted_ngrams(ids, live, order):
    """The different keys of texts, in ascending order, `NONE` for nothing.

    Args:
        ids: Integers `(B, ..., T)`.
        live: Boolean of the same shape.
        order: The most words of an n-gram.

    Returns:
        Integers `(B, M)`.
    """
    batch = ops.shape(ids)[0]
    ids, live = ops.cast(ids, "int32"), ops.cast(live, "bool")
    keys = [
        ops.reshape(ops.where(which, key, NONE), (batch, -1))
        for key, which in ngram_keys(ids, live, order)
    ]
    keys = ops.sort(ops.concatenate(keys, axis=1), axis=1)  # (B, M)
    again = keys[:, 1:] == keys[:, :-1]
    rest = ops.where(again, NONE, keys[:, 1:])
    return ops.concatenate([keys[:, :1], rest], axis=1)


def _log_shares(counts):
    """`log((n_g + 1) / sum_h (n_h + 1))` of counts `(N, C)`."""
    counts = counts + 1
    return np.log(counts) - np.log(counts.sum(axis=0, dtype="float64"))
