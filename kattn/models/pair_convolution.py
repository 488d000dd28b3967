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
        self.convolution = keras.layers.Conv1D(
            filters,
            kernel_size,
            activation="tanh",
            dtype=self.dtype_policy,
            name="convolution",
        )

    def build(self, inputs_shape):
        """Build the convolution."""
        self.convolution.build(inputs_shape)

    def call(self, inputs, mask):
        """Convolve; see the class."""
        beside = (self.kernel_size - 1,) * 2
        padded = ops.pad(cleared(inputs, mask), ((0, 0), beside, (0, 0)))
        live = ops.pad(ops.cast(mask, "int32"), ((0, 0), beside))
        live = _windows(live, self.kernel_size) > 0  # (B, T + w - 1)
        return cleared(self.convolution(padded), live), live

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

    Both texts go through the same weights.

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
        premise: Tensor `(B, Tp, D)`.
        hypothesis: Tensor `(B, Th, D)`.
        premise_mask: Boolean `(B, Tp)`.
        hypothesis_mask: Boolean `(B, Th)`.
        return_attention_scores: Whether to return how much each position counts.

    Returns:
        Two pairs, for premise and hypothesis: the pooled positions `(B, T, filters)`,
        as many as there were (w-ap), and a vector `(B, filters)` of the whole text
        (all-ap). Where asked also a pair of weights `(B, T)`, which sum to 1: the
        shares that the columns have in the vector, each spread over the words of its
        window; or, where attention comes before the convolution alone, how well each
        position is matched.

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
        self.match = scores.serialize(scores.get(match))
        self.feature_map = feature_map
        self.max_length = max_length
        self.before = variant in ("abcnn1", "abcnn3")
        self.after = variant in ("abcnn2", "abcnn3")

    def build(self, premise_shape, hypothesis_shape):
        """Build the parts that the variant has."""
        width, policy = premise_shape[-1], self.dtype_policy
        match = self.match  # a config: each matrix has weights of its own
        if self.before and self.feature_map == "places":
            self.input_match = MatchMatrix(match, dtype=policy, name="input_match")
            self.input_match.build(premise_shape, hypothesis_shape)
            self.input_map = AttentionFeatureMap(
                width, length=self.max_length, dtype=policy, name="input_map"
            )
            self.input_map.build((None, None, None))
        elif self.before:
            self.input_map = Attention(match, dtype=policy, name="input_map")
            self.input_map.build(premise_shape, hypothesis_shape)
        self.convolution = WideConvolution(
            self.filters, self.kernel_size, dtype=policy, name="convolution"
        )
        self.convolution.build((None, None, width * (2 if self.before else 1)))
        if self.after:
            columns = (None, None, self.filters)
            self.output_match = MatchMatrix(match, dtype=policy, name="output_match")
            self.output_match.build(columns, columns)
        # Without attention each column of a window has an equal share.
        self.window_pooling = AttentiveWindowPooling(
            self.kernel_size, normalize=self.after, dtype=policy
        )
        self.text_pooling = AttentiveWindowPooling(dtype=policy)

    def call(
        self,
        premise,
        hypothesis,
        premise_mask,
        hypothesis_mask,
        return_attention_scores=False,
    ):
        """Run the level; see the class."""
        texts, masks = (premise, hypothesis), (premise_mask, hypothesis_mask)
        if self.before:
            maps, weights = self._maps(texts, masks)
            texts = [
                ops.concatenate(both, axis=-1) for both in zip(texts, maps, strict=True)
            ]
        columns, live = zip(*map(self.convolution, texts, masks), strict=True)
        matches = self._matches(columns, live)
        each = list(zip(columns, matches, live, strict=True))
        pooled = tuple(self.window_pooling(x, a, mask=m) for x, a, m in each)
        vectors = [
            self.text_pooling(x, a, mask=m, return_attention_scores=True)
            for x, a, m in each
        ]
        vectors, shares = zip(*vectors, strict=True)  # (B, filters), (B, T + w - 1)
        if not return_attention_scores:
            return pooled, vectors
        if self.after:
            # What the windows that a word stands in have together, (B, T).
            weights = [_windows(share, self.kernel_size) for share in shares]
        return pooled, vectors, tuple(map(_shares, weights, masks))

    def _maps(self, texts, masks):
        """What of the other text each position matches, and how well it is matched.

        `(B, T, D)` and `(B, T)`, for the one text and the other.
        """
        if self.feature_map == "attention":
            rows = zip(texts, texts[::-1], masks, masks[::-1], strict=True)
            maps, weights = zip(
                *(
                    self.input_map(
                        query,
                        value,
                        query_mask=query_mask,
                        value_mask=value_mask,
                        return_attention_scores=True,
                    )
                    for query, value, query_mask, value_mask in rows
                ),
                strict=True,
            )
            # How well a position is matched: how much of it the other text reads.
            return maps, [ops.sum(w, axis=1) for w in weights[::-1]]
        match = self._match(self.input_match, texts, masks)
        matches = match, ops.swapaxes(match, 1, 2)
        maps = [self.input_map(m, mask=k) for m, k in zip(matches, masks, strict=True)]
        return maps, [ops.sum(m, axis=-1) for m in matches]

    def _matches(self, columns, live):
        """What the columns weigh: rows to be summed, of the one text and the other."""
        if self.after:
            match = self._match(self.output_match, columns, live)
            return match, ops.swapaxes(match, 1, 2)
        return [
            ops.cast(ops.expand_dims(mask, -1), self.compute_dtype) / self.kernel_size
            for mask in live
        ]

    def _match(self, layer, texts, masks):
        """The match matrix, from 0 to 1, and 0 at padding."""
        match = layer(*texts, left_mask=masks[0], right_mask=masks[1])
        if isinstance(layer.score, scores.Proximity):
            return match
        seen = ops.logical_and(
            ops.expand_dims(masks[0], 2), ops.expand_dims(masks[1], 1)
        )
        return ops.where(seen, ops.sigmoid(match), ops.zeros_like(match))

    def compute_mask(self, premise, previous_mask):
        """None: the pooled positions have the masks that the texts had."""
        return None

    def compute_output_spec(
        self,
        premise,
        hypothesis,
        premise_mask,
        hypothesis_mask,
        return_attention_scores=False,
    ):
        """What `call` returns, for every flag."""
        texts = premise, hypothesis
        shapes = [
            [(*text.shape[:2], self.filters) for text in texts],
            [(text.shape[0], self.filters) for text in texts],
        ]
        if return_attention_scores:
            shapes.append([text.shape[:2] for text in texts])
        return tuple(
            tuple(keras.KerasTensor(shape, dtype=self.compute_dtype) for shape in both)
            for both in shapes
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "variant": self.variant,
            "match": self.match,
            "feature_map": self.feature_map,
            "max_length": self.max_length,
        }


def _windows(x, size):
    """The sums over all windows of a size, `(B, T - size + 1)` of `(B, T)`."""
    return sum(x[:, k : k + 1 - size or None] for k in range(size))


def _shares(weights, mask):
    """Weights `(B, T)` as shares of the live positions."""
    weights = cleared(ops.expand_dims(weights, -1), mask)[..., 0]
    total = ops.sum(weights, axis=-1, keepdims=True)
    return weights / ops.where(total == 0, ops.ones_like(total), total)
