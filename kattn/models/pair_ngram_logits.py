"""What the words of two texts say of both by themselves, and against each other."""

import keras
import numpy as np
from keras import ops

from kattn.models.known_keys import FACTOR, NONE
from kattn.models.weighed_keys import WeighedKeys, different_ngrams, sorted_ngrams

# No word has a negative id, so these stand for no second n-gram. Arrays, for NumPy's
# numbers of 32 bits warn where they begin again at -2^31.
_OF_BOTH, _OF_ONE = np.array([[-1], [-2]], "int32")


@keras.saving.register_keras_serializable(package="kattn")
class PairNgramLogits(WeighedKeys):
    """`b + sum_g w_g`, over what the n-grams of two texts have in common and have not.

    The things g of a pair whose texts have the different n-grams P and H are

    - the n-grams of both, `P & H`,
    - those of one text alone, of `P - H` and `H - P`,
    - and each of the one text's against each of the other's, `{a, b}` for `a` in
      `P - H` and `b` in `H - P`: "man" where the other says "woman".

    Which text comes first plays no part. `adapt` finds the weights by naive Bayes and
    logistic regression, see `kattn.models.weighed_keys.WeighedKeys`; they are not
    learned with a network. Time and memory grow with the product of both lengths and
    the square of `order`.

    Args:
        num_ngrams: At most so many things are known.
        num_classes: Number of classes, C.
        order: The most words of an n-gram.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        premise_ids: Integers `(B, Tp)`.
        hypothesis_ids: Integers `(B, Th)`.
        premise_mask: Boolean `(B, Tp)`.
        hypothesis_mask: Boolean `(B, Th)`.

    Returns:
        The logits `(B, C)`; zeros before `adapt`.

    Example:
        >>> layer = PairNgramLogits(num_ngrams=8, num_classes=2, order=1)
        >>> layer.adapt([[5, 3], [5, 3]] * 9, [[5, 4], [5, 6]] * 9, [0, 1] * 9)
        >>> ids = np.array([[5, 3], [7, 6]]), np.array([[5, 4], [7, 3]])
        >>> masks = [x > 0 for x in ids]
        >>> said = layer(*ids, premise_mask=masks[0], hypothesis_mask=masks[1])
        >>> np.argmax(said, axis=-1).tolist()
        [0, 1]

    Reference:
        The weights: Wang and Manning 2012, section 2. Words of one text against those
        of the other: Bowman et al. 2015, arXiv:1508.05326, section 3.2.
    """

    # Things crossed are many more than pairs: weights stay nearer to 0.
    inverse_regularization = 0.1

    def __init__(self, num_ngrams, num_classes, order=2, **kwargs):
        super().__init__(num_ngrams, num_classes, order, **kwargs)

    def adapt(self, premises, hypotheses, labels):
        """Find the weights.

        Args:
            premises: The first texts as lists of word ids.
            hypotheses: The second ones.
            labels: Integers `(B,)`.
        """
        sides = zip(premises, hypotheses, strict=True)
        self.weigh([_keys(*pair, self.order) for pair in sides], labels)

    def call(self, premise_ids, hypothesis_ids, premise_mask, hypothesis_mask):
        """Look up and add; see the class."""
        first = sorted_ngrams(premise_ids, premise_mask, self.order)  # (B, M)
        second = sorted_ngrams(hypothesis_ids, hypothesis_mask, self.order)  # (B, N)
        a, b = ops.expand_dims(first, 2), ops.expand_dims(second, 1)
        equal = a == b  # (B, M, N)
        shared = ops.any(equal, axis=2)
        both = ops.where(shared, first, NONE)
        first = ops.where(shared, NONE, first)
        second = ops.where(ops.any(equal, axis=1), NONE, second)
        a, b = ops.expand_dims(first, 2), ops.expand_dims(second, 1)
        crossed = _one_key(ops.minimum(a, b), ops.maximum(a, b))
        crossed = ops.where((a != NONE) & (b != NONE), crossed, NONE)  # (B, M, N)
        keys = [
            ops.where(keys != NONE, _one_key(keys, ops.convert_to_tensor(kind)), NONE)
            for keys, kind in ((both, _OF_BOTH), (first, _OF_ONE), (second, _OF_ONE))
        ]
        keys.append(ops.reshape(crossed, (ops.shape(crossed)[0], -1)))
        return self.added_up(ops.concatenate(keys, axis=1))

    def compute_output_spec(
        self, premise_ids, hypothesis_ids, premise_mask, hypothesis_mask
    ):
        """What `call` returns."""
        shape = (premise_ids.shape[0], self.num_classes)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)


def _keys(premise, hypothesis, order):
    """The different keys of a pair of texts, each a list of word ids."""
    first, second = (different_ngrams([text], order) for text in (premise, hypothesis))
    both = np.intersect1d(first, second, assume_unique=True)
    first, second = (
        np.setdiff1d(keys, both, assume_unique=True) for keys in (first, second)
    )
    a, b = first[:, None], second[None, :]
    with np.errstate(over="ignore"):
        crossed = _one_key(np.minimum(a, b), np.maximum(a, b))
        one = _one_key(np.concatenate([first, second]), _OF_ONE)
        return np.unique(
            np.concatenate([_one_key(both, _OF_BOTH), one, crossed.reshape(-1)])
        )


def _one_key(a, b):
    """One key of two, as good as drawn at random (measured on two million)."""
    return _mixed(a) * FACTOR + _mixed(b * FACTOR)


def _mixed(key):
    """One to one modulo 2^32, and no line.

    By a line, two n-grams and two others would have the same key wherever the sums of
    their words are equal.
    """
    return key * (2 * key + 1)
