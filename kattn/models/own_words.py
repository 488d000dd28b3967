"""Where two texts differ: the words that only one of them has."""

import keras
from keras import ops

from kattn.text.word_list import SPECIAL_TOKENS


@keras.saving.register_keras_serializable(package="kattn")
class OwnWords(keras.layers.Layer):
    """Which words of each of two texts the other one does not have.

    Words that are not in the vocabulary are always a text's own.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        premise_ids: Integers `(B, Tp)`.
        hypothesis_ids: Integers `(B, Th)`.
        premise_mask: Boolean `(B, Tp)`.
        hypothesis_mask: Boolean `(B, Th)`.

    Returns:
        Two masks, `(B, Tp)` and `(B, Th)`.

    Example:
        >>> a, dog, cat = 2, 3, 4
        >>> ids = np.array([[a, dog]]), np.array([[a, cat]])
        >>> masks = {"premise_mask": ids[0] > 0, "hypothesis_mask": ids[1] > 0}
        >>> premise, hypothesis = kattn.models.OwnWords()(*ids, **masks)
        >>> np.asarray(premise)
        array([[False,  True]])

    Reference:
        Words are kattn's; parts of vectors that two texts share, or not: Wang et al.
        2016, arXiv:1602.07019.
    """

    def call(self, premise_ids, hypothesis_ids, premise_mask, hypothesis_mask):
        """Compare; see the class."""
        # What stands in padding matches nothing, whatever it is.
        left = ops.expand_dims(ops.where(premise_mask, premise_ids, 0), 2)
        right = ops.expand_dims(ops.where(hypothesis_mask, hypothesis_ids, 0), 1)
        equal = ops.logical_and(left == right, left >= len(SPECIAL_TOKENS))
        return (
            ops.logical_and(premise_mask, ~ops.any(equal, axis=2)),
            ops.logical_and(hypothesis_mask, ~ops.any(equal, axis=1)),
        )

    def compute_mask(self, inputs, previous_mask):
        """None: masks are what it gives."""
        return None

    def compute_output_spec(
        self, premise_ids, hypothesis_ids, premise_mask, hypothesis_mask
    ):
        """What `call` returns."""
        return tuple(
            keras.KerasTensor(ids.shape, dtype="bool")
            for ids in (premise_ids, hypothesis_ids)
        )
