"""Attention before a convolution: ABCNN-1's second channel."""

import keras
from keras import ops

from kattn.attend import cleared
from kattn.layers.masking import check_mask, merged


@keras.saving.register_keras_serializable(package="kattn")
class AttentionFeatureMap(keras.layers.Layer):
    """`map_i = sum_j A_ij W_j`: what each position matches, as features of its own.

    A is the match matrix of two texts, W one learned vector for each place of the other
    text. In the paper's columns this is `F_{0,a} = W_0 A^T`. The other text's map is
    that of the transposed matrix; the same layer makes both, with one W, where the
    texts are equally long:

        left_map = feature_map(match)
        right_map = feature_map(ops.transpose(match, (0, 2, 1)))

    W belongs to places, not to words. Without `length` the other text's length is fixed
    when the layer is built: pad to one length. With it, W has so many places, a shorter
    text uses the first of them, just as if it were padded, and places past the last are
    not read. Where lengths must be free, a `kattn.layers.Attention` that reads the
    other text does the same service, with the other text's own vectors in place of W.

    The paper stacks the text and its map as two channels of an image and convolves
    them. Its filters are as high as the image, so each has a weight of its own for
    every feature of either channel, and sums over both: the very sum that
    `keras.layers.Conv1D` makes of the two concatenated along their features.

    Masked rows give zeros. Let `mask` be the text's mask where the map is to carry it:
    `keras.layers.Concatenate` takes a position to be live if one of its inputs says so,
    and one without a mask says so everywhere.

    Args:
        units: Width of the map; in the paper, that of the texts' vectors.
        kernel_initializer: Start of W.
        length: How many places of the other text W has a vector for; as many as the
            match matrix has columns if `None`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        match: Tensor `(B, T, T')`: `kattn.layers.MatchMatrix`'s, a row for each
            position of the text whose map is made. Zeros at the other text's padding.
        mask: Boolean `(B, T)`, of the rows; AND-ed with the mask Keras carries along.

    Returns:
        The map `(B, T, units)`, which carries the mask on.

    Raises:
        ValueError: For units or a length below 1, a match matrix that is not of rank 3
            or, without `length`, whose T' is free or another than before, or a mask of
            another shape.

    Example:
        >>> texts = np.ones((2, 5, 8)), np.ones((2, 7, 8))
        >>> match = kattn.layers.MatchMatrix()(*texts)
        >>> kattn.layers.AttentionFeatureMap(units=8)(match).shape
        TensorShape([2, 5, 8])

    Reference:
        Yin et al. 2016, ABCNN, arXiv:1512.05193, section 4, ABCNN-1.
    """

    def __init__(
        self, units, kernel_initializer="glorot_uniform", length=None, **kwargs
    ):
        super().__init__(**kwargs)
        for name, size in (
            ("units", units),
            ("length", 1 if length is None else length),
        ):
            if size < 1:
                raise ValueError(f"{name} is at least 1. Received: {name}={size!r}")
        self.units = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.length = length

    def build(self, match_shape):
        """Make W, `(T', units)`."""
        _check_rank(match_shape)
        self.places = self.length or match_shape[-1]
        if self.places is None:
            raise ValueError(
                "AttentionFeatureMap has a weight vector for each column of the match "
                "matrix, so the other text's length must be known: say the greatest "
                "one by length=, pad to one length, or let kattn.layers.Attention read "
                "the other text, whatever its length. Received: match of shape "
                f"{tuple(match_shape)}"
            )
        self.dense = keras.layers.Dense(
            self.units,
            use_bias=False,
            kernel_initializer=self.kernel_initializer,
            dtype=self.dtype_policy,
            name="places",
        )
        self.dense.build((*match_shape[:-1], self.places))

    def call(self, match, mask=None):
        """`A W`; see the class."""
        self._check(match, mask)
        match = cleared(match, merged(match, mask))
        if match.shape[-1] != self.places:
            match = ops.pad(match, ((0, 0), (0, 0), (0, self.places)))
            match = match[..., : self.places]
        return self.dense(match)

    def _check(self, match, mask):
        """Raise where shapes do not fit, symbolic or not."""
        _check_rank(match.shape)
        check_mask(match, mask)
        if self.length is not None or not self.built:
            return
        if match.shape[-1] not in (None, self.places):
            raise ValueError(
                "This AttentionFeatureMap was built for match matrices of "
                f"{self.places} columns: pad to that length, say the greatest one by "
                "length=, or let kattn.layers.Attention read the other text, whatever "
                f"its length. Received: match of shape {tuple(match.shape)}"
            )

    def compute_mask(self, match, previous_mask):
        """The map has the rows' positions, and so the rows' mask."""
        if previous_mask is None or isinstance(match, keras.KerasTensor):
            return previous_mask
        # Where a mask is given, Keras shows it alone, without the one carried.
        return merged(match, previous_mask)

    def compute_output_spec(self, match, mask=None):
        """What `call` returns."""
        self._check(match, mask)
        shape = (*match.shape[:2], self.units)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        return {
            **super().get_config(),
            "units": self.units,
            "kernel_initializer": initializer,
            "length": self.length,
        }


def _check_rank(shape):
    if len(shape) != 3:
        raise ValueError(
            "AttentionFeatureMap expects a match matrix of shape (batch, length, other "
            f"length). Received: shape {tuple(shape)}"
        )
