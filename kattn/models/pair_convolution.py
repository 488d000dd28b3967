"""One level of ABCNN: two texts through one convolution, with attention round it."""

import keras
from keras import ops

from kattn import scores
from kattn.attend import cleared
from kattn.layers import (
    Attention,
    AttentionFeatureMap,
    AttentiveWindowPooling,
    MatchMatrix,
)
from kattn.names import unknown
from kattn.parts import like, of_policy
from kattn.windows import shifted

VARIANTS = ("bcnn", "abcnn1", "abcnn2", "abcnn3")
FEATURE_MAPS = ("places", "attention")


@keras.saving.register_keras_serializable(package="kattn")
class WideConvolution(keras.layers.Layer):
    """`p_i = tanh(W [v_{i-w+1}; ...; v_i] + b)`, zeros standing beside the text.

    Args:
        filters: Width of a column.
        kernel_size: w, how many words a window has.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        mask: Boolean `(B, T)`, live positions first.

    Returns:
        The columns `(B, T + w - 1, filters)`, and which of them are live: those whose
        window has a live position, n + w - 1 of a text of n words, none of an empty
        one.

    Reference:
        Yin et al. 2016, section 3.
    """

    def __init__(self, filters, kernel_size, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size

    def build(self, inputs_shape):
        """Make W and b."""
        shape = self.kernel_size, inputs_shape[-1], self.filters
        self.kernel = self.add_weight(shape=shape, name="kernel")
        self.bias = self.add_weight(
            shape=(self.filters,), initializer="zeros", name="bias"
        )

    def call(self, inputs, mask):
        """Convolve; see the class."""
        size = self.kernel_size
        beside = (size - 1, size - 1)
        padded = ops.pad(cleared(inputs, mask), ((0, 0), beside, (0, 0)))
        live = ops.pad(ops.cast(mask, "int32"), ((0, 0), beside))
        live = sum(shifted(live, size)) > 0  # (B, T + w - 1)
        # For texts this short one product of matrices, and sums, take half the time of
        # a convolution.
        kernel = ops.cast(self.kernel, self.compute_dtype)  # (w, D, filters)
        kernel = ops.reshape(ops.swapaxes(kernel, 0, 1), (-1, size * self.filters))
        products = ops.split(ops.matmul(padded, kernel), size, axis=-1)
        columns = sum(shifted(x, size)[k] for k, x in enumerate(products))
        columns = ops.tanh(columns + ops.cast(self.bias, self.compute_dtype))
        return cleared(columns, live), live

    def compute_mask(self, inputs, previous_mask):
        """None: the columns' mask is the second output."""
        return None

    def compute_output_spec(self, inputs, mask):
        """What `call` returns."""
        batch, length, _ = inputs.shape
        length = None if length is None else length + self.kernel_size - 1
        columns = (batch, length, self.filters)
        return (
            keras.KerasTensor(columns, dtype=self.compute_dtype),
            keras.KerasTensor((batch, length), dtype="bool"),
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
        }


@keras.saving.register_keras_serializable(package="kattn")
class PairConvolution(keras.layers.Layer):
    """One level of ABCNN: attention, wide convolution, attention, pooling.

    Both texts go through the same weights, and at once: the premises stand above the
    hypotheses in one batch, `(2 B, T, D)`, padded to one length.

    Args:
        filters: Width of the columns that the convolution makes.
        kernel_size: w, how many words a window has.
        variant: `"bcnn"`, without attention; `"abcnn1"`, before the convolution;
            `"abcnn2"`, after it; `"abcnn3"`, both.
        match: How two positions are compared: the paper's `"proximity"`,
            `1 / (1 + |x - y|)`; or another score of `kattn.scores`, whose energies go
            through a sigmoid, so that they weigh as the paper's do.
        feature_map: What `"abcnn1"` puts beside each position: `"places"`, the paper's
            sum of learned vectors of the other text's places; or `"attention"`, the sum
            of the other text's own vectors, of any length.
        max_length: How many places there are vectors for.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        texts: Tensor `(2 B, T, D)`, premises and then hypotheses.
        mask: Boolean `(2 B, T)`.
        return_attention_scores: Whether to return how much each position counts, and
            what it matches.

    Returns:
        The pooled positions `(2 B, T, filters)`, as many as there were (w-ap), and
        vectors `(2 B, filters)` of the whole texts (all-ap). Where asked also weights
        `(2 B, T)`, which sum to 1: the shares that the columns have in the vector, each
        spread over the words of its window; or, where attention comes before the
        convolution alone, how well each position is matched. And with them the match
        matrix `(B, T, T)`, premises down and hypotheses across: that of the columns, a
        mean over the windows that two words stand in; or that of the positions.

    Reference:
        Yin et al. 2016, sections 3 and 4.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        variant="abcnn3",
        match="proximity",
        feature_map="places",
        max_length=64,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if variant not in VARIANTS:
            raise unknown("variant", variant, VARIANTS)
        if feature_map not in FEATURE_MAPS:
            raise unknown("feature map", feature_map, FEATURE_MAPS)
        self.filters = filters
        self.kernel_size = kernel_size
        self.variant = variant
        self.match = of_policy(scores.get(match), self.dtype_policy)
        self.feature_map = feature_map
        self.max_length = max_length
        self.before = variant in ("abcnn1", "abcnn3")
        self.after = variant in ("abcnn2", "abcnn3")

    def build(self, texts_shape):
        """Build the parts that the variant has."""
        width, policy = texts_shape[-1], self.dtype_policy
        if self.before and self.feature_map == "places":
            self.input_match = MatchMatrix(
                like(self.match), dtype=policy, name="input_match"
            )
            self.input_match.build(texts_shape, texts_shape)
            self.input_map = AttentionFeatureMap(
                width, length=self.max_length, dtype=policy, name="input_map"
            )
            self.input_map.build((None, None, None))
        elif self.before:
            self.input_map = Attention(like(self.match), dtype=policy, name="input_map")
            self.input_map.build(texts_shape, texts_shape)
        self.convolution = WideConvolution(
            self.filters, self.kernel_size, dtype=policy, name="convolution"
        )
        self.convolution.build((None, None, width * (2 if self.before else 1)))
        if self.after:
            columns = (None, None, self.filters)
            self.output_match = MatchMatrix(
                like(self.match), dtype=policy, name="output_match"
            )
            self.output_match.build(columns, columns)
        # Without attention each column of a window has an equal share.
        self.window_pooling = AttentiveWindowPooling(
            self.kernel_size, normalize=self.after, dtype=policy
        )
        self.text_pooling = AttentiveWindowPooling(dtype=policy)

    def call(self, texts, mask, return_attention_scores=False):
        """Run the level; see the class."""
        if self.before:
            texts = cleared(texts, mask)
            maps, weights, match = self._maps(texts, mask)
            texts = ops.concatenate([texts, maps], axis=-1)
        columns, live = self.convolution(texts, mask)  # (2 B, T + w - 1, filters)
        if self.after:
            match = self._match(self.output_match, columns, live)
            sums = ops.concatenate([ops.sum(match, axis=2), ops.sum(match, axis=1)])
        else:
            sums = ops.cast(live, self.compute_dtype) / self.kernel_size
        sums = ops.expand_dims(sums, -1)  # (2 B, T + w - 1, 1)
        # What is not live is zero already, of columns and of sums.
        pooled = cleared(self.window_pooling(columns, sums), mask)
        vectors, shares = self.text_pooling(columns, sums, return_attention_scores=True)
        if not return_attention_scores:
            return pooled, vectors
        if self.after:
            # What the windows that a word stands in have together, (2 B, T).
            weights = sum(shifted(shares, self.kernel_size))
            for _ in range(2):  # a mean over the windows of either side, (B, T, T)
                windows = shifted(match, self.kernel_size)
                match = ops.swapaxes(sum(windows) / self.kernel_size, 1, 2)
        return pooled, vectors, _shares(weights, mask), match

    def _maps(self, texts, mask):
        """What of the other text each position matches, and how well it is matched.

        `(2 B, T, D)`, `(2 B, T)` and the match matrix `(B, T, T)`.
        """
        if self.feature_map == "attention":
            maps, weights = self.input_map(
                texts,
                _swapped(texts),
                query_mask=mask,
                value_mask=_swapped(mask),
                return_attention_scores=True,
            )
            # How well a position is matched: how much of it the other text reads.
            match, _ = _halves(weights)
            return maps, _swapped(ops.sum(weights, axis=1)), match
        match = self._match(self.input_match, texts, mask)
        both = ops.concatenate([match, ops.swapaxes(match, 1, 2)])  # (2 B, T, T)
        return self.input_map(both), ops.sum(both, axis=-1), match

    def _match(self, layer, texts, mask):
        """The match matrix `(B, T, T)`, from 0 to 1, and 0 at padding."""
        left, right = _halves(mask)
        match = layer(*_halves(texts), left_mask=left, right_mask=right)
        if isinstance(layer.score, scores.Proximity):
            return match
        seen = ops.logical_and(ops.expand_dims(left, 2), ops.expand_dims(right, 1))
        return ops.where(seen, ops.sigmoid(match), ops.zeros_like(match))

    def compute_mask(self, texts, previous_mask):
        """None: the pooled positions have the mask that the texts had."""
        return None

    def compute_output_spec(self, texts, mask, return_attention_scores=False):
        """What `call` returns, for every flag."""
        batch, length, _ = texts.shape
        shapes = [(batch, length, self.filters), (batch, self.filters)]
        if return_attention_scores:
            pairs = None if batch is None else batch // 2
            shapes += [(batch, length), (pairs, length, length)]
        return tuple(
            keras.KerasTensor(shape, dtype=self.compute_dtype) for shape in shapes
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "variant": self.variant,
            "match": scores.serialize(self.match),
            "feature_map": self.feature_map,
            "max_length": self.max_length,
        }


def _swapped(x):
    """The hypotheses, then the premises."""
    left, right = _halves(x)
    return ops.concatenate([right, left])


def _halves(x):
    """The premises and the hypotheses."""
    half = ops.shape(x)[0] // 2
    return x[:half], x[half:]


def _shares(weights, mask):
    """Weights `(B, T)` as shares of the live positions."""
    weights = cleared(ops.expand_dims(weights, -1), mask)[..., 0]
    total = ops.sum(weights, axis=-1, keepdims=True)
    return weights / ops.where(total == 0, ops.ones_like(total), total)
