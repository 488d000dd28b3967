"""Readers: one text is read with the other in mind, once or at every one of its words.

Hermann, Kočiský, Grefenstette, Espeholt, Kay, Suleyman, Blunsom: Teaching Machines to
Read and Comprehend. NeurIPS 2015.
"""

import keras
import keras_hub
from keras import ops

from kattn import scores
from kattn.layers import Attention, AttentionCell, AttentionRNN
from kattn.models.best_matches import BestMatches
from kattn.models.layouts import Layouts
from kattn.models.own_words import OwnWords
from kattn.models.pair_dropout import PairDropout
from kattn.models.pair_features import PairFeatures
from kattn.models.pooling import LivePooling
from kattn.models.preprocessors import PairPreprocessor, pair_inputs
from kattn.models.presets import Presets
from kattn.models.recurrent import RecurrentEncoder
from kattn.models.similarities import Similarities
from kattn.models.text_pair_classifier import TextPairClassifier
from kattn.models.word_embedding import word_embedding
from kattn.names import unknown
from kattn.text import WordTokenizer

READINGS = ("static", "dynamic")


@keras.saving.register_keras_serializable(package="kattn")
class Recollection(keras.layers.Layer):
    """A recurrent cell: `r_i = x_i + tanh(W r_{i-1})`.

    Args:
        units: Width of the state.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, units)`.
        states: A list of the one state, `(B, units)`.
        training: Not used.

    Returns:
        The new state, and a list of it.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.state_size = units
        self.dense = keras.layers.Dense(
            units, "tanh", use_bias=False, dtype=self.dtype_policy, name="recollection"
        )

    def build(self, inputs_shape):
        """Make W."""
        self.dense.build((inputs_shape[0], self.units))

    def call(self, inputs, states, training=None):
        """Take a step; see the class."""
        state = inputs + self.dense(states[0])
        return state, [state]

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable(package="kattn")
class ImpatientCell(AttentionCell):
    """A step of the Impatient Reader: the memory is read again at each word.

    `weights_i = softmax_t(w . tanh(U memory_t + W [r_{i-1}; x_i] + b))`,
    `r_i = sum_t weights_it memory_t + tanh(V r_{i-1})`. The output is `r_i`.

    Args:
        cell: A `Recollection` as wide as the memory.
        score: How similar is a position to the query `[r_{i-1}; x_i]`.
        region: As for `kattn.layers.AttentionCell`.
        normalizer: Likewise.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Reference:
        Hermann et al. 2015, arXiv:1506.03340, section 3, "The Impatient Reader".
    """

    def widths(self, inputs_width, memory_width):
        """The memory's; `[r_{i-1}; x_i]`; the memory's."""
        return memory_width, memory_width + inputs_width, memory_width

    def advance(self, inputs, inner, fed, read, training):
        """Read, then recollect."""
        query = ops.concatenate([inner[0], inputs], axis=-1)
        context, weights = read(query)
        output, inner = self.run_cell(context, inner, training)
        return output, inner, weights


@keras.saving.register_keras_serializable(package="kattn")
class ReaderBackbone(Layouts, Presets, keras_hub.models.Backbone):
    """The premise is read with the hypothesis in mind.

    Both texts go through a BiLSTM of their own: `y_t` are the states of the premise, u
    the last states of the hypothesis, those after its last word and after its first
    one. The premise is read

    - `"static"`, the Attentive Reader: once, with u as the query,
      `weights = softmax_t(w . tanh(W y_t + U u))`, `r = sum_t weights_t y_t`;
    - `"dynamic"`, the Impatient Reader: again at every word of the hypothesis, with its
      state `y'_i` and what was read before as the query,
      `weights_i = softmax_t(w . tanh(W y_t + V r_{i-1} + U y'_i))`,
      `r_i = sum_t weights_it y_t + tanh(X r_{i-1})`, and r is the last one.

    The output is `g = tanh(R r + Q u)`, `(B, reading_dim)`. This is the paper's form;
    `compare` and `pair_features` add to it what helps where both texts say the same.

    Inputs are `premise_token_ids` and `hypothesis_token_ids`, integers `(B, Tp)` and
    `(B, Th)`, and `premise_padding_mask` and `hypothesis_padding_mask`, booleans,
    `False` for padding, which takes part in nothing.

    Args:
        vocabulary_size: Number of token ids.
        embedding_dim: Width of a word vector.
        units: Width of the recurrences in each direction.
        cell: `"lstm"` or `"gru"`.
        attention: `"static"` or `"dynamic"`.
        attention_units: Width of the attention's hidden representation.
        reading_dim: Width of g.
        shared: Whether one BiLSTM reads both texts.
        compare: Whether `|r - u|` and `r * u` are put beside r and u, so that g can
            tell how what was read differs from what was asked.
        pair_features: Whether the numbers of `kattn.models.PairFeatures` are joined to
            the output: overlap, lengths, negation.
        best_matches: Whether those of `kattn.models.BestMatches` are: how well the
            words of each text are matched by single words of the other.
        own_words: Whether it is joined how x and y differ, the mean vectors of the
            words that only one of the texts has: their cosine, `1 / (1 + |x - y|)`,
            `|x - y|` and `x * y`.
        dropout: Fraction dropped in training: of the features of word vectors, the same
            in all words of both texts, and of the entries of states.
        dtype: Precision policy of the layers.
        **kwargs: `name` and `trainable`.

    Example:
        >>> backbone = kattn.models.ReaderBackbone(vocabulary_size=100)
        >>> ids = np.ones((2, 5), "int32")
        >>> inputs = {"premise_token_ids": ids, "premise_padding_mask": ids > 0}
        >>> inputs |= {"hypothesis_token_ids": ids, "hypothesis_padding_mask": ids > 0}
        >>> backbone(inputs).shape
        TensorShape([2, 128])

    Reference:
        Hermann et al. 2015, arXiv:1506.03340, section 3.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=100,
        units=64,
        cell="lstm",
        attention="static",
        attention_units=128,
        reading_dim=128,
        shared=False,
        compare=False,
        pair_features=False,
        best_matches=False,
        own_words=False,
        dropout=0.0,
        dtype=None,
        **kwargs,
    ):
        if attention not in READINGS:
            raise unknown("attention", attention, READINGS)
        # === Layers ===
        self.token_embedding = word_embedding(vocabulary_size, embedding_dim, dtype)
        self.word_dropout = PairDropout(dropout, dtype=dtype, name="word_dropout")
        self.premise_encoder = RecurrentEncoder(
            units, cell, dtype=dtype, name="premise_encoder"
        )
        self.hypothesis_encoder = self.premise_encoder
        if not shared:
            self.hypothesis_encoder = RecurrentEncoder(
                units, cell, dtype=dtype, name="hypothesis_encoder"
            )
        self.state_dropout = keras.layers.Dropout(
            dropout, dtype=dtype, name="state_dropout"
        )
        score = scores.Additive(attention_units)
        if attention == "static":
            self.reading = Attention(score, dtype=dtype, name="reading")
        else:
            recollection = Recollection(2 * units, dtype=dtype, name="recollection")
            cell = ImpatientCell(recollection, score, dtype=dtype, name="cell")
            self.reading = AttentionRNN(
                cell, return_state=True, dtype=dtype, name="reading"
            )
        self.compare_dense = None
        if compare:
            self.compare_dense = keras.layers.Dense(
                reading_dim, use_bias=False, dtype=dtype, name="compare"
            )
        self.pair_features_layer = None
        if pair_features:
            self.pair_features_layer = PairFeatures(
                vocabulary_size, dtype=dtype, name="pair_features"
            )
        self.best_matches_layer = None
        if best_matches:
            self.best_matches_layer = BestMatches(dtype=dtype, name="best_matches")
        self.read_dense = keras.layers.Dense(
            reading_dim, use_bias=False, dtype=dtype, name="read"
        )
        self.query_dense = keras.layers.Dense(reading_dim, dtype=dtype, name="query")
        # === Functional model ===
        inputs = pair_inputs()
        ids, masks = list(inputs.values())[:2], list(inputs.values())[2:]
        encoders = self.premise_encoder, self.hypothesis_encoder
        texts = self.word_dropout(*map(self.token_embedding, ids))  # 2 of (B, T, D)
        (premise, _), (hypothesis, query) = (
            encoder(text, mask=mask)
            for encoder, text, mask in zip(encoders, texts, masks, strict=True)
        )  # (B, Tp, 2 * units), (B, Th, 2 * units), (B, 2 * units)
        premise, hypothesis = map(self.state_dropout, (premise, hypothesis))
        if attention == "static":
            read, weights = self.reading(
                ops.expand_dims(query, 1),
                premise,
                value_mask=masks[0],
                return_attention_scores=True,
            )  # (B, 1, 2 * units), (B, 1, Tp)
            read = read[:, 0]
            self._attention = {"premise_word_weights": weights[:, 0]}
        else:
            _, weights, read, _ = self.reading(
                hypothesis,
                premise,
                mask=masks[1],
                memory_mask=masks[0],
                return_attention_scores=True,
            )  # (B, Th, Tp), (B, 2 * units)
            mean = LivePooling("mean", dtype=dtype)(weights, mask=masks[1])
            self._attention = {"premise_word_weights": mean, "alignment": weights}
        vector = self.read_dense(read) + self.query_dense(query)
        if compare:
            both = ops.concatenate([ops.abs(read - query), read * query], axis=-1)
            vector = vector + self.compare_dense(both)
        vector = ops.tanh(vector)  # (B, reading_dim)
        if pair_features:
            counted = self.pair_features_layer(
                *ids, premise_mask=masks[0], hypothesis_mask=masks[1]
            )
            vector = ops.concatenate([vector, counted], axis=-1)
        if best_matches:
            matched = self.best_matches_layer(
                *texts, *ids, premise_mask=masks[0], hypothesis_mask=masks[1]
            )
            vector = ops.concatenate([vector, matched], axis=-1)
        if own_words:
            own = OwnWords(dtype=dtype, name="own_words")(
                *ids, premise_mask=masks[0], hypothesis_mask=masks[1]
            )
            mean = LivePooling("mean", dtype=dtype, name="own_pooling")
            left, right = (
                mean(text, mask=mask) for text, mask in zip(texts, own, strict=True)
            )  # (B, D)
            similar = Similarities(dtype=dtype, name="own_similarities")(
                ops.concatenate([left, right], axis=0)
            )  # (B, 2)
            vector = ops.concatenate(
                [vector, similar, ops.abs(left - right), left * right], axis=-1
            )
        super().__init__(
            inputs=inputs,
            outputs=vector,
            dtype=dtype,
            **kwargs,
        )
        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.cell = self.premise_encoder.cell
        self.attention = attention
        self.attention_units = attention_units
        self.reading_dim = reading_dim
        self.shared = shared
        self.compare = compare
        self.pair_features = pair_features
        self.best_matches = best_matches
        self.own_words = own_words
        self.dropout = dropout

    def attention_model(self):
        """The same layers and weights, with the attention as outputs.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `vector`, and
            `premise_word_weights` `(B, Tp)`, which sum to 1. Of dynamic attention they
            are the mean over the hypothesis's words, and `alignment` `(B, Th, Tp)` has
            a row for each of these.
        """
        return keras.Model(self.input, {"vector": self.output, **self._attention})

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "cell": self.cell,
            "attention": self.attention,
            "attention_units": self.attention_units,
            "reading_dim": self.reading_dim,
            "shared": self.shared,
            "compare": self.compare,
            "pair_features": self.pair_features,
            "best_matches": self.best_matches,
            "own_words": self.own_words,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="kattn")
class ReaderTokenizer(Presets, WordTokenizer):
    """The word tokenizer of the readers; see `kattn.text.WordTokenizer`."""

    backbone_cls = ReaderBackbone


@keras.saving.register_keras_serializable(package="kattn")
class ReaderTextPairClassifierPreprocessor(PairPreprocessor):
    """Pairs of strings to two sequences of word ids each; see `PairPreprocessor`."""

    backbone_cls = ReaderBackbone
    tokenizer_cls = ReaderTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class ReaderTextPairClassifier(TextPairClassifier):
    """Pairs of texts to labels by static or dynamic reading.

    Args:
        backbone: A `ReaderBackbone`.
        num_classes: Number of classes; that of `class_names` if `None`.
        preprocessor: A `ReaderTextPairClassifierPreprocessor`, or `None`.
        class_names: The labels as strings, in the order of their numbers.
        dropout: Fraction of the pair's vector dropped in training.
        ngrams: How many n-grams of both texts speak for themselves, see
            `PairNgramLogits`; 0: none.
        ngram_order: The most words of an n-gram.
        **kwargs: `name` and `compile`.

    Example:
        >>> from kattn import models
        >>> tokenizer = models.ReaderTokenizer(["a", "dog", "cat", "runs"])
        >>> classifier = models.ReaderTextPairClassifier(
        ...     models.ReaderBackbone(tokenizer.vocabulary_size(), attention="dynamic"),
        ...     preprocessor=models.ReaderTextPairClassifierPreprocessor(tokenizer),
        ...     class_names=["no", "yes"],
        ... )
        >>> premises, hypotheses = ["A dog runs.", "A cat."], ["A cat runs.", "A cat."]
        >>> len(classifier.classify((premises, hypotheses)))
        2

    Reference:
        Hermann et al. 2015, arXiv:1506.03340.
    """

    backbone_cls = ReaderBackbone
    preprocessor_cls = ReaderTextPairClassifierPreprocessor
