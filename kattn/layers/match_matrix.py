"""Two texts word by word: ABCNN's attention matrix."""

import keras
from keras import ops

from kattn import scores
from kattn.attend import cleared
from kattn.layers.masking import check_mask, merged
from kattn.parts import of_policy


@keras.saving.register_keras_serializable(package="kattn")
class MatchMatrix(keras.layers.Layer):
    """`A_ij = score(left_i, right_j)`, and 0 where either position is masked.

    What two texts have in common, position by position: a row for each position of the
    left text, a column for each of the right one. ABCNN reads it twice: as a further
    channel before a convolution (`kattn.layers.AttentionFeatureMap`), and as weights
    after it (`kattn.layers.AttentiveWindowPooling`). The right text's turn is that of
    the transposed matrix.

    With `"proximity"` equal vectors match with 1, all others with less, down to 0. Two
    vectors of padding are equal too: without a mask they would match best of all.

    The matrix carries no mask on, since its zeros tell both of them; hand each text's
    own mask to the layer that reads the matrix. Comparing by distance takes room for
    `(B, T0, T1, D)` numbers.

    Args:
        score: What compares the positions, as for `kattn.layers.Attention`. Under
            `"proximity"` it is `1 / (1 + |left_i - right_j|)`, the paper's.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        left: Tensor `(B, T0, D)`.
        right: Tensor `(B, T1, D')`; D' is D where the score wants equal widths.
        left_mask: Boolean `(B, T0)`; AND-ed with the mask Keras carries along.
        right_mask: Boolean `(B, T1)`, likewise.

    Returns:
        The matrix `(B, T0, T1)`, computed in float32 or wider.

    Raises:
        ValueError: For an unknown name, a text that is not of rank 3, batches that
            differ, widths that the score cannot compare, or a mask of another shape.

    Example:
        >>> words = np.eye(3, dtype="float32")[None]  # one text of three words
        >>> match = kattn.layers.MatchMatrix()(words, words[:, :2])
        >>> np.round(np.asarray(match), 2)
        array([[[1.  , 0.41],
                [0.41, 1.  ],
                [0.41, 0.41]]], dtype=float32)

    Reference:
        Yin et al. 2016, ABCNN, arXiv:1512.05193, section 4.
    """

    def __init__(self, score="proximity", **kwargs):
        super().__init__(**kwargs)
        self.score = of_policy(scores.get(score), self.dtype_policy)

    def build(self, left_shape, right_shape):
        """Build the score's weights."""
        _check_ranks(left_shape, right_shape)
        if not self.score.built:
            self.score.build(left_shape, right_shape)

    def call(self, left, right, left_mask=None, right_mask=None):
        """Compare; see the class."""
        _check(left, right, left_mask, right_mask)
        left_mask = merged(left, left_mask, "left_mask")  # (B, T0)
        right_mask = merged(right, right_mask, "right_mask")  # (B, T1)
        match = self.score(cleared(left, left_mask), cleared(right, right_mask))
        match = cleared(match, left_mask)  # (B, T0, T1)
        if right_mask is not None:
            seen = ops.expand_dims(right_mask, -2)  # (B, 1, T1)
            match = ops.where(seen, match, ops.zeros_like(match))
        return ops.cast(match, self.compute_dtype)

    def compute_mask(self, left, previous_mask):
        """None: the zeros of the matrix tell both masks."""
        return None

    def compute_output_spec(self, left, right, left_mask=None, right_mask=None):
        """What `call` returns."""
        _check(left, right, left_mask, right_mask)
        if self.score.built:
            self.score.check(left.shape, right.shape)
        shape = (*left.shape[:2], right.shape[1])
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "score": scores.serialize(self.score)}


def _check_ranks(left_shape, right_shape):
    for name, shape in (("left", left_shape), ("right", right_shape)):
        if len(shape) != 3:
            raise ValueError(
                f"MatchMatrix expects a {name} text of shape (batch, length, width). "
                f"Received: shape {tuple(shape)}"
            )


def _check(left, right, left_mask, right_mask):
    """Raise where shapes do not fit, symbolic or not."""
    _check_ranks(left.shape, right.shape)
    check_mask(left, left_mask, "left_mask")
    check_mask(right, right_mask, "right_mask")
    if len({left.shape[0], right.shape[0]} - {None}) > 1:
        raise ValueError(
            "The left and the right text have the same batch. Received: left of shape "
            f"{tuple(left.shape)}, right of shape {tuple(right.shape)}"
        )
