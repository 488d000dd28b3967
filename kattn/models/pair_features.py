"""What two texts have in common, counted: overlap, lengths, negation."""

import keras
import numpy as np
from keras import ops

from kattn.text.word_list import SPECIAL_TOKENS

#: Words that deny, as `kattn.text.split_words` makes them of English and Chinese.
NEGATIONS = (
    *("no", "not", "n't", "never", "none", "nothing", "nobody", "nowhere", "neither"),
    *("nor", "without", "cannot", "不", "没", "無", "无", "非", "未", "别"),
)


@keras.saving.register_keras_serializable(package="kattn")
class PairFeatures(keras.layers.Layer):
    """Fifteen numbers of a pair of texts, from their word ids, in the model's graph.

    For either text, seven: the logarithm of its length; the share of its words that the
    other text has, plain and weighted by idf, `log(N / n_w)` for a word that stands in
    n_w of the N texts counted; the share of its pairs of neighbours that the other has;
    how many words the other lacks, in logarithm; the highest idf among these, as a
    share of the highest there is; and whether it has a word that denies. Then whether
    one text denies and the other does not.

    The idf of words and the words that deny are weights which are not trained: `adapt`
    counts them. A word that is not in the vocabulary matches none.

    Args:
        vocabulary_size: Number of token ids.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        premise_ids: Integers `(B, Tp)`.
        hypothesis_ids: Integers `(B, Th)`.
        premise_mask: Boolean `(B, Tp)`.
        hypothesis_mask: Boolean `(B, Th)`.

    Returns:
        The features `(B, 15)`; those of an empty text are 0.

    Example:
        >>> layer = PairFeatures(vocabulary_size=5)
        >>> layer.adapt([[2, 3], [2, 4]], ["[PAD]", "[UNK]", "a", "not", "dog"])
        >>> ids = np.array([[2, 3]]), np.array([[2, 4]])
        >>> features = layer(*ids, premise_mask=ids[0] > 0, hypothesis_mask=ids[1] > 0)
        >>> np.round(np.asarray(features)[0, [0, 1, 2, 6, 14]], 2)
        array([1.1, 0.5, 0. , 1. , 1. ], dtype=float32)
    """

    def __init__(self, vocabulary_size, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary_size = vocabulary_size

    def build(self, premise_ids_shape, hypothesis_ids_shape=None):
        """Make the tables of idf and of words that deny, all zeros."""
        for name in ("idf", "denies"):
            table = self.add_weight(
                shape=(self.vocabulary_size,),
                initializer="zeros",
                trainable=False,
                dtype="float32",
                autocast=False,
                name=name,
            )
            setattr(self, name, table)

    def adapt(self, texts, tokens):
        """Count in how many texts each word stands, and look up those that deny.

        Args:
            texts: Texts as lists of word ids.
            tokens: The vocabulary: the token of every id.
        """
        if not self.built:
            self.build(None)
        counts = np.zeros(self.vocabulary_size)
        total = 0
        for text in texts:
            counts[np.unique(np.asarray(text, "int64"))] += 1
            total += 1
        idf = np.log(np.maximum(total, 1) / np.maximum(counts, 1))
        idf[: len(SPECIAL_TOKENS)] = 0
        self.idf.assign(idf.astype("float32"))
        self.denies.assign(np.isin(tokens, NEGATIONS).astype("float32"))

    @property
    def adapted(self):
        """Whether anything was counted yet."""
        return bool(ops.any(self.idf != 0))

    def call(self, premise_ids, hypothesis_ids, premise_mask, hypothesis_mask):
        """Count; see the class."""
        ids, masks = (premise_ids, hypothesis_ids), (premise_mask, hypothesis_mask)
        known = [
            ops.logical_and(mask, part >= len(SPECIAL_TOKENS))
            for part, mask in zip(ids, masks, strict=True)
        ]
        left, right = (ops.expand_dims(x, -1) for x in (premise_ids, known[0]))
        equal = left == ops.expand_dims(hypothesis_ids, 1)  # (B, Tp, Th)
        equal &= right & ops.expand_dims(known[1], 1)
        features = [
            *self._of_one(premise_ids, premise_mask, equal),
            *self._of_one(hypothesis_ids, hypothesis_mask, ops.swapaxes(equal, 1, 2)),
        ]
        features.append(ops.abs(features[6] - features[13]))
        return ops.cast(ops.stack(features, axis=-1), self.compute_dtype)  # (B, 15)

    def _of_one(self, ids, mask, equal):
        """The seven features of one text, `(B,)` each."""
        live = ops.cast(mask, "float32")  # (B, T)
        count = ops.sum(live, axis=-1)
        found = ops.cast(ops.any(equal, axis=-1), "float32")  # (B, T)
        # Unknown words weigh as much as the rarest.
        highest = ops.max(self.idf)
        idf = ops.take(self.idf, ids, axis=0)
        idf = live * ops.where(ids < len(SPECIAL_TOKENS), highest, idf)
        lacking = live * (1 - found)
        neighbours = ops.any(equal[:, :-1, :-1] & equal[:, 1:, 1:], axis=-1)
        neighbours = ops.sum(ops.cast(neighbours, "float32"), axis=-1)
        return [
            ops.log1p(count),
            _share(ops.sum(found, axis=-1), count),
            _share(ops.sum(idf * found, axis=-1), ops.sum(idf, axis=-1)),
            _share(neighbours, count - 1),
            ops.log1p(ops.sum(lacking, axis=-1)),
            _share(ops.max(idf * lacking, axis=-1), highest),
            ops.max(live * ops.take(self.denies, ids, axis=0), axis=-1),
        ]

    def compute_mask(self, inputs, previous_mask):
        """None: there are no positions."""
        return None

    def compute_output_spec(
        self, premise_ids, hypothesis_ids, premise_mask, hypothesis_mask
    ):
        """What `call` returns."""
        return keras.KerasTensor((premise_ids.shape[0], 15), dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "vocabulary_size": self.vocabulary_size}


def _share(part, whole):
    """`part / whole`, and 0 where there is no whole."""
    return ops.where(whole > 0, part / ops.where(whole > 0, whole, 1), 0)
