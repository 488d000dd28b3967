"""BiLSTM with attention pooling: a text is read both ways, then summed by importance.

Zhou, Shi, Tian, Qi, Li, Hao, Xu: Attention-Based Bidirectional Long Short-Term Memory
Networks for Relation Classification. ACL 2016. Structured: Lin, Feng, dos Santos, Yu,
Xiang, Zhou, Bengio: A Structured Self-attentive Sentence Embedding. ICLR 2017.
"""

import keras
import keras_hub
from keras import ops

from kattn.layers import AttentionPooling
from kattn.models.layouts import Layouts
from kattn.models.pooling import LivePooling
from kattn.models.preprocessors import SequencePreprocessor
from kattn.models.presets import Presets
from kattn.models.recurrent import RecurrentEncoder
from kattn.models.text_classifier import TextClassifier
from kattn.models.word_embedding import word_embedding
from kattn.names import unknown
from kattn.text import WordTokenizer

POOLINGS = ("last", "mean", "max", "attention", "structured")


@keras.saving.register_keras_serializable(package="kattn")
class BiLSTMAttentionBackbone(Layouts, Presets, keras_hub.models.Backbone):
    """Words to the states of a BiLSTM to a text vector.

    What makes one vector of the states `h_t` is the `pooling`:

    - `"last"`: the last state of each direction, that after the last word and that
      after the first one.
    - `"mean"`, `"max"`: over the words.
    - `"attention"`, Zhou et al.: `weights = softmax(w . tanh(h_t))`,
      `tanh(sum_t weights_t h_t)`.
    - `"structured"`, Lin et al.: `A = softmax(W_2 tanh(W_1 h_t))`, `hops` rows of
      weights, each of which sums the states: `hops` vectors, side by side. The penalty
      `|A A^T - I|^2` keeps the hops apart.

    Inputs are `token_ids`, integers `(B, T)`, and `padding_mask`, booleans of the same
    shape, `False` for padding, which takes part in nothing. The output is
    `(B, W)`, with hops `(B, hops * W)`, where W is `2 * units`, or `units` if the
    directions are summed. A text without a word gives zeros.

    Args:
        vocabulary_size: Number of token ids.
        embedding_dim: Width of a word vector.
        units: Width of the recurrence in each direction.
        cell: `"lstm"` or `"gru"`.
        directions: How the states of both directions are joined: by `"concat"`, or by
            `"sum"` as in Zhou et al.
        pooling: What makes one vector of the states, see above.
        attention_units: Width of the hidden representation that structured pooling
            compares.
        hops: Number of vectors that structured pooling makes.
        penalty: How much of the penalty on overlapping hops is added to the loss.
        dropout: Fraction of the entries dropped in training, of word vectors and of
            states.
        dtype: Precision policy of the layers.
        **kwargs: `name` and `trainable`.

    Example:
        >>> backbone = kattn.models.BiLSTMAttentionBackbone(vocabulary_size=100)
        >>> ids = np.ones((2, 5), "int32")
        >>> backbone({"token_ids": ids, "padding_mask": ids > 0}).shape
        TensorShape([2, 256])

    Reference:
        Zhou et al. 2016, section 3; Lin et al. 2017, section 2, arXiv:1703.03130.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=100,
        units=128,
        cell="lstm",
        directions="concat",
        pooling="attention",
        attention_units=350,
        hops=30,
        penalty=1.0,
        dropout=0.0,
        dtype=None,
        **kwargs,
    ):
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
        # === Layers ===
        self.token_embedding = word_embedding(vocabulary_size, embedding_dim, dtype)
        self.word_dropout = keras.layers.Dropout(
            dropout, dtype=dtype, name="word_dropout"
        )
        self.encoder = RecurrentEncoder(
            units, cell, directions, dtype=dtype, name="encoder"
        )
        self.state_dropout = keras.layers.Dropout(
            dropout, dtype=dtype, name="state_dropout"
        )
        if pooling in ("mean", "max"):
            self.pooling_layer = LivePooling(pooling, dtype=dtype, name="pooling")
        elif pooling == "attention":
            self.pooling_layer = AttentionPooling(
                projected=False, dtype=dtype, name="pooling"
            )
        elif pooling == "structured":
            self.pooling_layer = AttentionPooling(
                attention_units,
                hops=hops,
                penalty=penalty,
                dtype=dtype,
                name="pooling",
            )
        # === Functional model ===
        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        padding_mask = keras.Input((None,), dtype="bool", name="padding_mask")
        words = self.word_dropout(self.token_embedding(token_ids))  # (B, T, D)
        states, last = self.encoder(words, mask=padding_mask)  # (B, T, W), (B, W)
        attention = {}
        if pooling == "last":
            vector = self.state_dropout(last)
        elif pooling in ("mean", "max"):
            vector = self.pooling_layer(self.state_dropout(states), mask=padding_mask)
        else:
            vector, weights = self.pooling_layer(
                self.state_dropout(states),
                mask=padding_mask,
                return_attention_scores=True,
            )
            if pooling == "attention":
                vector = ops.tanh(vector)
                attention["word_weights"] = weights  # (B, T)
            else:
                width = vector.shape[1] * vector.shape[2]
                vector = ops.reshape(vector, (-1, width))  # (B, hops * W)
                attention["word_weights"] = ops.mean(weights, axis=1)  # (B, T)
                attention["hop_weights"] = weights  # (B, hops, T)
        super().__init__(
            inputs={"token_ids": token_ids, "padding_mask": padding_mask},
            outputs=vector,
            dtype=dtype,
            **kwargs,
        )
        self._attention = attention
        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.cell = cell
        self.directions = directions
        self.pooling = pooling
        self.attention_units = attention_units
        self.hops = hops
        self.penalty = penalty
        self.dropout = dropout

    @property
    def word_recurrence(self):
        """The `Bidirectional` layer over words, which a language model can teach."""
        return self.encoder.recurrent

    def attention_model(self):
        """The same layers and weights, with the attention as outputs.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `vector`, and,
            where the pooling is by attention, `word_weights` `(B, T)`, which sum to 1;
            for structured pooling they are the mean of `hop_weights` `(B, hops, T)`.
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
            "directions": self.directions,
            "pooling": self.pooling,
            "attention_units": self.attention_units,
            "hops": self.hops,
            "penalty": self.penalty,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="kattn")
class BiLSTMAttentionTokenizer(Presets, WordTokenizer):
    """The word tokenizer of the BiLSTM; see `kattn.text.WordTokenizer`."""

    backbone_cls = BiLSTMAttentionBackbone


@keras.saving.register_keras_serializable(package="kattn")
class BiLSTMAttentionTextClassifierPreprocessor(SequencePreprocessor):
    """Strings to one sequence of word ids each; see `SequencePreprocessor`."""

    backbone_cls = BiLSTMAttentionBackbone
    tokenizer_cls = BiLSTMAttentionTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class BiLSTMAttentionTextClassifier(TextClassifier):
    """Texts to labels by a BiLSTM and attention pooling.

    Args:
        backbone: A `BiLSTMAttentionBackbone`.
        num_classes: Number of classes; that of `class_names` if `None`.
        preprocessor: A `BiLSTMAttentionTextClassifierPreprocessor`, or `None`.
        class_names: The labels as strings, in the order of their numbers.
        dropout: Fraction of the text's vector dropped in training.
        ngrams: How many n-grams speak for themselves, see `NgramLogits`; 0: none.
        ngram_order: The most words of an n-gram.
        **kwargs: `name` and `compile`.

    Example:
        >>> from kattn import models
        >>> tokenizer = models.BiLSTMAttentionTokenizer(["good", "bad"])
        >>> classifier = models.BiLSTMAttentionTextClassifier(
        ...     models.BiLSTMAttentionBackbone(tokenizer.vocabulary_size()),
        ...     preprocessor=models.BiLSTMAttentionTextClassifierPreprocessor(
        ...         tokenizer
        ...     ),
        ...     class_names=["no", "yes"],
        ... )
        >>> len(classifier.classify(["Good!", "Bad!", "Good?"]))
        3

    Reference:
        Zhou et al. 2016; Lin et al. 2017, arXiv:1703.03130.
    """

    backbone_cls = BiLSTMAttentionBackbone
    preprocessor_cls = BiLSTMAttentionTextClassifierPreprocessor
