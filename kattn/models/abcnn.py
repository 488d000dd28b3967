"""ABCNN: two texts through one convolution, each attended to as the other matches it.

Yin, Schütze, Xiang, Zhou: ABCNN: Attention-Based Convolutional Neural Network for
Modeling Sentence Pairs. TACL 4 (2016) 259-272.
"""

import keras
import keras_hub
from keras import ops

from kattn import scores
from kattn.attend import cleared
from kattn.layers import (
    Attention,
    AttentionFeatureMap,
    AttentiveWindowPooling,
    MatchMatrix,
)
from kattn.models.pair_dropout import PairDropout
from kattn.models.pair_features import PairFeatures
from kattn.models.pooling import LivePooling
from kattn.models.preprocessors import PairPreprocessor, pair_inputs
from kattn.models.presets import Presets
from kattn.models.text_pair_classifier import TextPairClassifier
from kattn.names import unknown
from kattn.text import WordTokenizer

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
        ends = [k + 1 - self.kernel_size or None for k in range(self.kernel_size)]
        live = sum(live[:, k:end] for k, end in enumerate(ends)) > 0  # (B, T + w - 1)
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
            weights = [self._windows(share) for share in shares]
        return pooled, vectors, tuple(map(_shares, weights, masks))

    def _windows(self, share):
        """What the windows that a word stands in have together, `(B, T)`."""
        ends = [k + 1 - self.kernel_size or None for k in range(self.kernel_size)]
        return sum(share[:, k:end] for k, end in enumerate(ends))

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


def _shares(weights, mask):
    """Weights `(B, T)` as shares of the live positions."""
    weights = cleared(ops.expand_dims(weights, -1), mask)[..., 0]
    total = ops.sum(weights, axis=-1, keepdims=True)
    return weights / ops.where(total == 0, ops.ones_like(total), total)


@keras.saving.register_keras_serializable(package="kattn")
class Similarities(keras.layers.Layer):
    """The cosine of two vectors, and `1 / (1 + |x - y|)`.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        left: Tensor `(B, D)`.
        right: Tensor `(B, D)`.

    Returns:
        `(B, 2)`. The cosine with a vector of zeros is 0.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.parts = [
            scores.Cosine(dtype=self.dtype_policy),
            scores.Proximity(dtype=self.dtype_policy),
        ]

    def build(self, left_shape, right_shape):
        """Check the widths."""
        for part in self.parts:
            part.build(left_shape, right_shape)

    def call(self, left, right):
        """Compare; see the class."""
        pair = ops.expand_dims(left, 1), ops.expand_dims(right, 1)  # (B, 1, D)
        found = [part(*pair)[:, 0] for part in self.parts]  # (B, 1)
        return ops.cast(ops.concatenate(found, axis=-1), self.compute_dtype)

    def compute_output_spec(self, left, right):
        """What `call` returns."""
        return keras.KerasTensor((left.shape[0], 2), dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="kattn")
class ABCNNBackbone(Presets, keras_hub.models.Backbone):
    """Two texts through levels of convolution, and how similar they are at each.

    Each level is a `PairConvolution`: both texts go through one wide convolution, and
    attention weighs them, before it, after it, or both, by how well each position
    matches the other text. At every level, the words themselves included, each text is
    summed to a vector; the cosine and `1 / (1 + |x - y|)` of the two vectors are the
    features on which a `kattn.models.ABCNNTextPairClassifier` puts a logistic
    regression.

    What the paper leaves open is decided as in the author's own code: the sums over the
    match matrix are divided by their total, and weigh the sum over the whole text as
    well. In the paper the word vectors are given and stay as they are; here they are
    trained unless `token_embedding.trainable = False`.

    Inputs are `premise_token_ids` and `hypothesis_token_ids`, integers `(B, Tp)` and
    `(B, Th)`, and `premise_padding_mask` and `hypothesis_padding_mask`, booleans,
    `False` for padding, which takes part in nothing. The output is `(B, F)`, the
    features of all levels; or `(B, hidden_dim)`.

    Args:
        vocabulary_size: Number of token ids.
        embedding_dim: Width of a word vector.
        variant: `"bcnn"`, without attention; `"abcnn1"`, attention before each
            convolution; `"abcnn2"`, after it; `"abcnn3"`, both.
        num_layers: Number of levels above the words.
        filters: Width of the columns that a convolution makes.
        kernel_size: How many words the window of a convolution has.
        match: How two positions are compared: the paper's `"proximity"`, or another
            score of `kattn.scores`, say the learned `"bilinear"`, through a sigmoid.
        feature_map: What attention before the convolution puts beside each position:
            `"places"`, the paper's sum of learned vectors of the other text's places;
            or `"attention"`, the sum of the other text's own vectors, of any length.
        max_length: How many places of a text there are vectors for; words past them
            are matched by none.
        join_vectors: Whether the features also have `|x - y|` and `x * y` of the
            vectors of every level.
        pair_features: Whether they also have the numbers of
            `kattn.models.PairFeatures`: overlap, lengths, negation.
        hidden_dim: Width of a layer `relu(W f + b)` between the features f and the
            logistic regression, which then need not be linear in them; none if `None`,
            as in the paper.
        dropout: Fraction of the features of word vectors dropped in training, the same
            in all words of both texts.
        dtype: Precision policy of the layers.
        **kwargs: `name` and `trainable`.

    Example:
        >>> backbone = kattn.models.ABCNNBackbone(vocabulary_size=100)
        >>> ids = np.ones((2, 5), "int32")
        >>> inputs = {"premise_token_ids": ids, "premise_padding_mask": ids > 0}
        >>> inputs |= {"hypothesis_token_ids": ids, "hypothesis_padding_mask": ids > 0}
        >>> backbone(inputs).shape
        TensorShape([2, 6])

    Reference:
        Yin et al. 2016, arXiv:1512.05193; the author's code:
        github.com/yinwenpeng/Answer_Selection.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=100,
        variant="abcnn3",
        num_layers=2,
        filters=50,
        kernel_size=3,
        match="proximity",
        feature_map="places",
        max_length=64,
        join_vectors=False,
        pair_features=False,
        hidden_dim=None,
        dropout=0.0,
        dtype=None,
        **kwargs,
    ):
        # === Layers ===
        match = scores.serialize(scores.get(match))
        self.token_embedding = keras.layers.Embedding(
            vocabulary_size, embedding_dim, dtype=dtype, name="token_embedding"
        )
        self.word_dropout = PairDropout(dropout, dtype=dtype, name="word_dropout")
        self.word_pooling = LivePooling("mean", dtype=dtype, name="word_pooling")
        self.levels = [
            PairConvolution(
                filters,
                kernel_size,
                variant,
                match,
                feature_map,
                max_length,
                dtype=dtype,
                name=f"level_{i}",
            )
            for i in range(num_layers)
        ]
        self.similarities = Similarities(dtype=dtype, name="similarities")
        self.pair_features_layer = None
        if pair_features:
            self.pair_features_layer = PairFeatures(
                vocabulary_size, dtype=dtype, name="pair_features"
            )
        self.hidden_dense = None
        if hidden_dim is not None:
            self.hidden_dense = keras.layers.Dense(
                hidden_dim, "relu", dtype=dtype, name="hidden"
            )
        # === Functional model ===
        inputs = pair_inputs()
        ids, masks = list(inputs.values())[:2], list(inputs.values())[2:]
        texts = self.word_dropout(*map(self.token_embedding, ids))  # 2 of (B, T, D)
        vectors = [tuple(map(self.word_pooling, texts, masks))]  # 2 of (B, D)
        weights = []
        for level in self.levels:
            texts, both, *weights = level(
                *texts,
                premise_mask=masks[0],
                hypothesis_mask=masks[1],
                return_attention_scores=variant != "bcnn",
            )
            vectors.append(both)  # 2 of (B, filters)
        features = [self.similarities(*both) for both in vectors]  # (B, 2)
        if join_vectors:
            for left, right in vectors:
                features += [ops.abs(left - right), left * right]
        if pair_features:
            counted = self.pair_features_layer(
                *ids, premise_mask=masks[0], hypothesis_mask=masks[1]
            )
            features.append(counted)  # (B, 15)
        vector = ops.concatenate(features, axis=-1)  # (B, F)
        if hidden_dim is not None:
            vector = self.hidden_dense(vector)  # (B, hidden_dim)
        super().__init__(
            inputs=inputs,
            outputs=vector,
            dtype=dtype,
            **kwargs,
        )
        names = [f"{field}_word_weights" for field in PairPreprocessor.fields]
        self._attention = dict(zip(names, *weights, strict=True)) if weights else {}
        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.variant = variant
        self.num_layers = num_layers
        self.filters = filters
        self.kernel_size = kernel_size
        self.match = match
        self.feature_map = feature_map
        self.max_length = max_length
        self.join_vectors = join_vectors
        self.pair_features = pair_features
        self.hidden_dim = hidden_dim
        self.dropout = dropout

    def attention_model(self):
        """The same layers and weights, with the attention as outputs.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `vector`, the
            features; and, but for `"bcnn"`, `premise_word_weights` `(B, Tp)` and
            `hypothesis_word_weights` `(B, Th)`, how much each word counts at the
            highest level. They sum to 1.
        """
        return keras.Model(self.input, {"vector": self.output, **self._attention})

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "variant": self.variant,
            "num_layers": self.num_layers,
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "match": self.match,
            "feature_map": self.feature_map,
            "max_length": self.max_length,
            "join_vectors": self.join_vectors,
            "pair_features": self.pair_features,
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="kattn")
class ABCNNTokenizer(Presets, WordTokenizer):
    """The word tokenizer of ABCNN; see `kattn.text.WordTokenizer`."""

    backbone_cls = ABCNNBackbone


@keras.saving.register_keras_serializable(package="kattn")
class ABCNNTextPairClassifierPreprocessor(PairPreprocessor):
    """Pairs of strings to two sequences of word ids each; see `PairPreprocessor`."""

    backbone_cls = ABCNNBackbone
    tokenizer_cls = ABCNNTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class ABCNNTextPairClassifier(TextPairClassifier):
    """Pairs of texts to labels by attention-based convolution.

    Args:
        backbone: An `ABCNNBackbone`.
        num_classes: Number of classes; that of `class_names` if `None`.
        preprocessor: An `ABCNNTextPairClassifierPreprocessor`, or `None`.
        class_names: The labels as strings, in the order of their numbers.
        dropout: Fraction of the features dropped in training.
        **kwargs: `name` and `compile`.

    Example:
        >>> from kattn import models
        >>> tokenizer = models.ABCNNTokenizer(["a", "dog", "cat", "runs"])
        >>> classifier = models.ABCNNTextPairClassifier(
        ...     models.ABCNNBackbone(tokenizer.vocabulary_size()),
        ...     preprocessor=models.ABCNNTextPairClassifierPreprocessor(tokenizer),
        ...     class_names=["no", "yes"],
        ... )
        >>> premises, hypotheses = ["A dog runs.", "A cat."], ["A cat runs.", "A cat."]
        >>> len(classifier.classify((premises, hypotheses)))
        2

    Reference:
        Yin et al. 2016, arXiv:1512.05193.
    """

    backbone_cls = ABCNNBackbone
    preprocessor_cls = ABCNNTextPairClassifierPreprocessor
