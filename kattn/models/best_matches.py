"""How well two texts say the same words: every word's best match in the other text."""

import keras
from keras import ops

from kattn.attend import cleared
from kattn.layers import MatchMatrix
from kattn.text.word_list import SPECIAL_TOKENS

_LOWEST = 3


@keras.saving.register_keras_serializable(package="kattn")
class BestMatches(keras.layers.Layer):
    """Eight numbers of a pair of texts: how well the words of each are matched.

    A word's match is the highest cosine of its vector with a word of the other text,
    `m_i = max_j cos(x_i, y_j)`. For either text, four numbers: the mean of `m_i`, and
    the three lowest of them, for one word that the other text has nothing like is
    enough to say something else. Where a text has fewer words, 1 stands for the rest.

    Words that are not in the vocabulary match none, with 0.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        premise: Word vectors `(B, Tp, D)`.
        hypothesis: Word vectors `(B, Th, D)`.
        premise_ids: Integers `(B, Tp)`.
        hypothesis_ids: Integers `(B, Th)`.
        premise_mask: Boolean `(B, Tp)`.
        hypothesis_mask: Boolean `(B, Th)`.

    Returns:
        The features `(B, 8)`; those of an empty text are 0.

    Example:
        >>> x = np.eye(4, dtype="float32")[None]
        >>> ids = np.array([[2, 3, 4, 5]])
        >>> pair = {"premise_ids": ids, "hypothesis_ids": ids[:, :3]}
        >>> masks = {"premise_mask": ids > 0, "hypothesis_mask": ids[:, :3] > 0}
        >>> layer = kattn.models.BestMatches()
        >>> np.asarray(layer(x, x[:, :3], **pair, **masks))
        array([[0.75, 0.  , 1.  , 1.  , 1.  , 1.  , 1.  , 1.  ]], dtype=float32)

    Reference:
        The mean of best matches: Mihalcea et al. 2006, "Corpus-based and
        Knowledge-based Measures of Text Semantic Similarity"; the lowest are kattn's.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.match = MatchMatrix("cosine", dtype=self.dtype_policy, name="match")

    def build(self, premise_shape, hypothesis_shape=None):
        """Build the matrix, which has no weights."""
        self.match.build(premise_shape, hypothesis_shape or premise_shape)

    def call(
        self,
        premise,
        hypothesis,
        premise_ids,
        hypothesis_ids,
        premise_mask,
        hypothesis_mask,
    ):
        """Match; see the class."""
        # A vector of zeros has the cosine 0 with every other.
        match = self.match(
            cleared(premise, premise_ids >= len(SPECIAL_TOKENS)),
            cleared(hypothesis, hypothesis_ids >= len(SPECIAL_TOKENS)),
            left_mask=premise_mask,
            right_mask=hypothesis_mask,
        )  # (B, Tp, Th)
        return ops.concatenate(
            [
                *self._of_one(match, premise_mask, hypothesis_mask),
                *self._of_one(ops.swapaxes(match, 1, 2), hypothesis_mask, premise_mask),
            ],
            axis=-1,
        )  # (B, 8)

    def _of_one(self, match, mask, other_mask):
        """The mean `(B, 1)` and the lowest `(B, 3)` of a text's best matches."""
        other = ops.expand_dims(other_mask, 1)  # (B, 1, T')
        best = ops.max(ops.where(other, match, -1.0), axis=-1)  # (B, T)
        best = ops.where(ops.any(other, axis=-1), best, 0.0)
        live = ops.cast(mask, best.dtype)
        count = ops.sum(live, axis=-1, keepdims=True)
        mean = ops.sum(best * live, axis=-1, keepdims=True) / ops.maximum(count, 1)
        ones = ops.ones((ops.shape(best)[0], _LOWEST), best.dtype)
        best = ops.concatenate([ops.where(mask, best, 1.0), ones], axis=-1)
        lowest = -ops.top_k(-best, _LOWEST)[0]  # (B, 3)
        return mean, ops.where(count > 0, lowest, 0.0)

    def compute_mask(self, inputs, previous_mask):
        """None: there are no positions."""
        return None

    def compute_output_spec(
        self,
        premise,
        hypothesis,
        premise_ids,
        hypothesis_ids,
        premise_mask,
        hypothesis_mask,
    ):
        """What `call` returns."""
        shape = (premise.shape[0], 2 * (1 + _LOWEST))
        return keras.KerasTensor(shape, dtype=self.compute_dtype)
