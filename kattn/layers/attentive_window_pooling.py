"""Attention after a convolution: ABCNN-2's weighted pooling."""

import functools

import keras
from keras import ops

from kattn.attend import cleared
from kattn.layers.flags import check_flags
from kattn.layers.masking import check_mask, merged
from kattn.pairwise import wide
from kattn.windows import shifted


@keras.saving.register_keras_serializable(package="kattn")
class AttentiveWindowPooling(keras.layers.Layer):
    """`a_k = sum_j A_kj`, `output_j = sum_{k=j}^{j+w-1} a_k inputs_k`.

    A position counts for as much as it matches the other text, and each window of w
    positions is summed. A wide convolution makes s + w - 1 columns of s words; this
    makes s of them again (the paper's w-ap), so that such pairs of layers stack.
    Without a window the whole text is summed (all-ap, at the top): one vector.

    What the paper leaves open, and what is done here:

    - The paper prints the sum's upper limit as j + w, which is one column more than
      the window has; j + w - 1 is meant.
    - The paper takes `a` as it is, so that activations grow with the other text's
      length: `normalize=False`. The author's own code came to divide it by its sum over
      the text, as is done by default.
    - The paper weights no all-ap, which makes ABCNN-2 of one layer the same as BCNN,
      without attention. The author's own code weights it.
    - The window is summed, as printed and in the author's code, and not averaged.

    BCNN's own w-ap, the plain average, is `keras.layers.AveragePooling1D(w, strides=1)`
    where nothing is masked. With masks it is this layer with `normalize=False`, and
    `1 / w` in a match matrix of shape `(B, T, 1)`; its all-ap, over the live positions
    alone, is `window=None` with ones there.

    Args:
        window: w, how many positions are summed; all of them if `None`.
        normalize: Whether `a` is divided by its sum over the live positions. Meant for
            scores that are not negative, as ABCNN's; of others the sum may be near 0.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        match: Tensor `(B, T, T')`: `kattn.layers.MatchMatrix`'s, a row for each
            position of this text; for the other text, the transposed one. Zeros at the
            other text's padding.
        mask: Boolean `(B, T)`, by keyword; AND-ed with the mask Keras carries along.
        return_attention_scores: Whether to return `a` as well.

    Returns:
        The pooled positions `(B, T - w + 1, D)`, or the text `(B, D)` without a window;
        with `return_attention_scores=True` a pair of it and `a`, `(B, T)`. A window
        with a masked position gives zeros, and is masked: of n + w - 1 live columns, n
        live ones are left. A text without a live position gives zeros.

    Raises:
        ValueError: For a window below 1 or longer than the text, inputs or a match
            matrix that are not of rank 3 or do not fit each other, or a mask of another
            shape.

    Example:
        >>> layer = kattn.layers.AttentiveWindowPooling(window=2)
        >>> text = np.array([[[1.0], [2.0], [4.0]]])
        >>> match = np.array([[[0.5], [0.5], [1.0]]])
        >>> pooled, attention = layer(text, match, return_attention_scores=True)
        >>> np.asarray(pooled).tolist(), np.asarray(attention).tolist()
        ([[[0.75], [2.5]]], [[0.25, 0.25, 0.5]])

    Reference:
        Yin et al. 2016, ABCNN, arXiv:1512.05193, section 4, ABCNN-2; the author's code:
        github.com/yinwenpeng/Answer_Selection.
    """

    def __init__(self, window: int | None = None, normalize: bool = True, **kwargs):
        check_flags(kwargs)
        super().__init__(**kwargs)
        number = isinstance(window, int) and not isinstance(window, bool)
        if window is not None and not (number and window >= 1):
            raise ValueError(
                "window is a number of positions, at least 1, or None. "
                f"Received: window={window!r}"
            )
        self.window = window
        self.normalize = normalize

    def build(self, inputs_shape, match_shape):
        """Check the shapes; there are no weights."""
        self._check_shapes(tuple(inputs_shape), tuple(match_shape))

    # By keyword, for Keras passes on no mask that is given by position.
    def call(self, inputs, match, *, mask=None, return_attention_scores=False):
        """Pool; see the class."""
        self._check_shapes(tuple(inputs.shape), tuple(match.shape))
        mask = merged(inputs, mask)  # (B, T)
        attention = ops.sum(wide(cleared(match, mask)), axis=-1)  # (B, T)
        if self.normalize:
            total = ops.sum(attention, axis=-1, keepdims=True)  # (B, 1)
            attention = attention / ops.where(total == 0, ops.ones_like(total), total)
        weighted = wide(cleared(inputs, mask)) * ops.expand_dims(attention, -1)
        if self.window is None:
            output = ops.sum(weighted, axis=1)  # (B, D)
        else:
            output = sum(shifted(weighted, self.window))  # (B, T - w + 1, D)
            output = cleared(output, self._live(mask))
        output = ops.cast(output, self.compute_dtype)
        if return_attention_scores:
            return output, ops.cast(attention, self.compute_dtype)
        return output

    def _live(self, mask):
        """The windows that have no masked position, `(B, T - w + 1)`."""
        if mask is None:
            return None
        return functools.reduce(ops.logical_and, shifted(mask, self.window))

    def _check_shapes(self, inputs, match):
        """Raise where shapes do not fit, symbolic or not."""
        if len(inputs) != 3:
            raise ValueError(
                "AttentiveWindowPooling expects inputs of shape (batch, length, width)."
                f" Received: shape {inputs}"
            )
        if len(match) != 3 or any(
            None not in pair and pair[0] != pair[1]
            for pair in zip(inputs[:2], match[:2], strict=True)
        ):
            raise ValueError(
                "AttentiveWindowPooling expects a match matrix of shape (batch, length,"
                " other length), with a row for each position of the inputs. Received: "
                f"inputs of shape {inputs}, match of shape {match}"
            )
        if None not in (self.window, inputs[1]) and self.window > inputs[1]:
            raise ValueError(
                f"A window of {self.window} positions is longer than the text. "
                f"Received: inputs of shape {inputs}"
            )

    def compute_mask(self, inputs, previous_mask):
        """Which windows are live; None without a window, the positions being gone."""
        if self.window is None or previous_mask is None:
            return None
        if not isinstance(inputs, keras.KerasTensor):
            # Where a mask is given, Keras shows it alone, without the one carried.
            previous_mask = merged(inputs, previous_mask)
        return self._live(previous_mask)

    def compute_output_spec(
        self, inputs, match, *, mask=None, return_attention_scores=False
    ):
        """What `call` returns, for every flag."""
        self._check_shapes(tuple(inputs.shape), tuple(match.shape))
        check_mask(inputs, mask)
        batch, length, width = inputs.shape
        shape = (batch, width)
        if self.window is not None:
            left = None if length is None else length - self.window + 1
            shape = (batch, left, width)
        output = keras.KerasTensor(shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        return output, keras.KerasTensor((batch, length), dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "window": self.window,
            "normalize": self.normalize,
        }
