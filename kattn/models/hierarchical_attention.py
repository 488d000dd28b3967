"""Hierarchical Attention Network: words make sentences, sentences make a document.

Yang, Yang, Dyer, He, Smola, Hovy: Hierarchical Attention Networks for Document
Classification. NAACL 2016.
"""

import keras
import keras_hub
from keras import ops

from kattn import normalizers
from kattn.devices import on_cpu
from kattn.layers import AttentionPooling, Hierarchical
from kattn.models import live_steps, packed, packed_recurrence
from kattn.models.layouts import Layouts
from kattn.models.preprocessors import Preprocessor, buckets
from kattn.models.presets import Presets
from kattn.models.recurrent import WideOrthogonal, in_both_directions
from kattn.models.text_classifier import TextClassifier
from kattn.models.word_embedding import word_embedding
from kattn.text import WordTokenizer, cut, head_and_tail, pad_to_bucket, split_sentences


@keras.saving.register_keras_serializable(package="kattn")
class AttentiveEncoder(keras.layers.Layer):
    """One level of the hierarchy: a bidirectional GRU, read by attention pooling.

    `h_t = [GRU_forward(x)_t; GRU_backward(x)_t]`, then
    `kattn.layers.AttentionPooling` over `h`.

    Args:
        units: Width of the GRU in each direction.
        attention_units: Width of the attention's hidden representation.
        normalizer: How energies become weights, as for `AttentionPooling`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        mask: Boolean `(B, T)`, with a live position in every row.
        return_attention_scores: Whether to return the weights as well.
        training: Whether this is training.

    Returns:
        `(B, 2 * units)`, and the weights `(B, T)` where asked.
    """

    def __init__(self, units, attention_units, normalizer="softmax", **kwargs):
        super().__init__(**kwargs)
        self.supports_jit = not on_cpu()
        self.units = units
        self.attention_units = attention_units
        self.recurrent = in_both_directions(
            keras.layers.GRU(
                units,
                return_sequences=True,
                recurrent_initializer=WideOrthogonal(),
                dtype=self.dtype_policy,
            )
        )
        self.pooling = AttentionPooling(
            attention_units,
            normalizer=normalizer,
            dtype=self.dtype_policy,
            name="pooling",
        )

    def build(self, input_shape):
        """Build both parts."""
        self.recurrent.build(input_shape)
        self.pooling.build((*input_shape[:-1], 2 * self.units))

    def call(self, inputs, mask=None, return_attention_scores=False, training=None):
        """Encode and pool; see the class."""
        if training and mask is not None and on_cpu():
            vector, weights = self._packed(inputs, mask, training)
        else:
            hidden = self._hidden(inputs, mask, training)  # (B, T, 2 * units)
            vector, weights = self.pooling(
                hidden, mask=mask, return_attention_scores=True, training=training
            )
        return (vector, weights) if return_attention_scores else vector

    def _hidden(self, inputs, mask, training):
        if training or mask is None or not live_steps.alone():
            return self.recurrent(inputs, mask=mask)
        states = live_steps.read(inputs, mask, *self._cells())
        return ops.concatenate(states, axis=-1)

    def _cells(self):
        layers = self.recurrent.forward_layer, self.recurrent.backward_layer
        return (layer.cell for layer in layers)

    def _packed(self, inputs, mask, training):
        """The same without steps over padding, and without projecting it."""
        live = packed.Live.of(mask)
        cells = self._cells()
        states = packed_recurrence.read(
            live.packed(inputs), live, *cells
        )  # (M, 2 * units)
        hidden = live.padded(self.pooling.hidden(states))  # (B, T, attention_units)
        return self.pooling.read(hidden, live.padded(states), mask, training=training)

    def compute_mask(self, inputs, previous_mask):
        """None: the positions are gone."""
        return None

    def compute_output_spec(
        self, inputs, mask=None, return_attention_scores=False, training=None
    ):
        """What `call` returns, for every flag."""
        batch, length = inputs.shape[:2]
        pooled = keras.KerasTensor((batch, 2 * self.units), dtype=self.compute_dtype)
        if not return_attention_scores:
            return pooled
        return pooled, keras.KerasTensor((batch, length), dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "attention_units": self.attention_units,
            "normalizer": normalizers.serialize(self.pooling.normalizer),
        }


@keras.saving.register_keras_serializable(package="kattn")
class HierarchicalAttentionBackbone(Layouts, Presets, keras_hub.models.Backbone):
    """Words to sentence vectors to a document vector, `(B, 2 * units)`.

    Each level is an `AttentiveEncoder`. Padding takes part in nothing, and a sentence
    is seen if any of its words is; a document without a word gives zeros.

    Inputs are `token_ids`, integers `(B, S, T)`, and `padding_mask`, booleans of the
    same shape, `False` for padding; S sentences of T words each.

    Args:
        vocabulary_size: Number of token ids.
        embedding_dim: Width of a word vector.
        units: Width of the GRUs in each direction, at both levels.
        attention_units: Width of the attention's hidden representation, likewise.
        dropout: Fraction of the words, and of the sentences, whose vectors are dropped
            in training.
        normalizer: How energies become weights, at both levels: a name (`"softmax"`,
            `"sparsemax"`, `"entmax15"`, `"hard"`), a `kattn.normalizers.Normalizer` or
            its config.
        dtype: Precision policy of the layers.
        **kwargs: `name` and `trainable`.

    Example:
        >>> backbone = kattn.models.HierarchicalAttentionBackbone(vocabulary_size=100)
        >>> ids = np.ones((2, 3, 4), "int32")
        >>> backbone({"token_ids": ids, "padding_mask": ids > 0}).shape
        TensorShape([2, 100])

    Reference:
        Yang et al. 2016, section 2; the widths are those of section 3.3.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=200,
        units=50,
        attention_units=100,
        dropout=0.0,
        normalizer="softmax",
        dtype=None,
        **kwargs,
    ):
        # === Layers ===
        normalizer = normalizers.get(normalizer)
        self.token_embedding = word_embedding(vocabulary_size, embedding_dim, dtype)
        # Whole words and whole sentences are dropped, so that no document is known by
        # one name in it.
        self.word_dropout = keras.layers.Dropout(
            dropout, (None, None, None, 1), dtype=dtype, name="word_dropout"
        )
        self.word_encoder = Hierarchical(
            AttentiveEncoder(units, attention_units, normalizer, dtype=dtype),
            dtype=dtype,
            name="word_encoder",
        )
        self.sentence_dropout = keras.layers.Dropout(
            dropout, (None, None, 1), dtype=dtype, name="sentence_dropout"
        )
        # A document is a sequence of sentences as a sentence is one of words: the same
        # layer, folded over batches of one sequence, guards the empty document.
        self.sentence_encoder = Hierarchical(
            AttentiveEncoder(units, attention_units, normalizer, dtype=dtype),
            dtype=dtype,
            name="sentence_encoder",
        )
        # === Functional model ===
        token_ids = keras.Input((None, None), dtype="int32", name="token_ids")
        padding_mask = keras.Input((None, None), dtype="bool", name="padding_mask")
        words = self.word_dropout(self.token_embedding(token_ids))  # (B, S, T, D)
        sentences, word_weights = self.word_encoder(
            words, mask=padding_mask, return_attention_scores=True
        )  # (B, S, 2 * units), (B, S, T)
        sentences = self.sentence_dropout(sentences)
        sentence_mask = ops.any(padding_mask, axis=-1)  # (B, S)
        document, sentence_weights = self.sentence_encoder(
            ops.expand_dims(sentences, 1),
            mask=ops.expand_dims(sentence_mask, 1),
            return_attention_scores=True,
        )  # (B, 1, 2 * units), (B, 1, S)
        super().__init__(
            inputs={"token_ids": token_ids, "padding_mask": padding_mask},
            outputs=document[:, 0],
            dtype=dtype,
            **kwargs,
        )
        self._attention = {
            "sentence_weights": sentence_weights[:, 0],
            "word_weights": word_weights,
        }
        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.units = units
        self.attention_units = attention_units
        self.dropout = dropout
        self.normalizer = normalizer

    @property
    def word_recurrence(self):
        """The `Bidirectional` layer over words, which a language model can teach."""
        return self.word_encoder.layer.recurrent

    def attention_model(self):
        """The same layers and weights, with the attention as outputs.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `vector`
            `(B, 2 * units)`, `sentence_weights` `(B, S)` and `word_weights`
            `(B, S, T)`. Weights of a document's sentences, and of a sentence's words,
            sum to 1; those of padding are 0.
        """
        return keras.Model(self.input, {"vector": self.output, **self._attention})

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "units": self.units,
            "attention_units": self.attention_units,
            "dropout": self.dropout,
            "normalizer": normalizers.serialize(self.normalizer),
        }


@keras.saving.register_keras_serializable(package="kattn")
class HierarchicalAttentionTokenizer(Presets, WordTokenizer):
    """The word tokenizer of the hierarchical model; see `kattn.text.WordTokenizer`."""

    backbone_cls = HierarchicalAttentionBackbone


@keras.saving.register_keras_serializable(package="kattn")
class HierarchicalAttentionTextClassifierPreprocessor(Preprocessor):
    """Strings to sentences of word ids.

    Sentences longer than `max_words` are cut into pieces; of documents longer than
    `max_sentences` the head and the tail are kept. Both axes are padded, on the right,
    to one of few lengths.

    Args:
        tokenizer: A `HierarchicalAttentionTokenizer`.
        max_sentences: The most sentences of a document.
        max_words: The most words of a sentence.
        **kwargs: `name` and `dtype`.

    Call arguments:
        x: A string or strings `(B,)`: a list, an array or a tensor.
        y: Labels, passed through.
        sample_weight: Weights, passed through.

    Returns:
        A dictionary of `token_ids`, int32 `(B, S, T)`, and `padding_mask`, booleans of
        the same shape; with `y`, a tuple of it and what is passed through.

    Example:
        >>> tokenizer = kattn.models.HierarchicalAttentionTokenizer(["good", "film"])
        >>> preprocessor = (
        ...     kattn.models.HierarchicalAttentionTextClassifierPreprocessor(tokenizer)
        ... )
        >>> np.asarray(preprocessor(["Good. Good film!"])["token_ids"])[0, :2, :4]
        array([[2, 1, 0, 0],
               [2, 3, 1, 0]], dtype=int32)
    """

    backbone_cls = HierarchicalAttentionBackbone
    tokenizer_cls = HierarchicalAttentionTokenizer
    levels = 2  # sentences and their words

    def __init__(self, tokenizer, max_sentences=48, max_words=32, **kwargs):
        super().__init__(tokenizer, **kwargs)
        self.max_sentences = max_sentences
        self.max_words = max_words

    def words(self, texts):
        """The words that the model reads, `(B, S, T)` ragged strings."""
        sentences = self.tokenizer.words(split_sentences(texts))  # (B, S, T)
        return head_and_tail(cut(sentences, self.max_words), self.max_sentences)

    def pad(self, ids):
        """Ragged ids `(B, S, T)` as the model's inputs."""
        token_ids = pad_to_bucket(
            ids, buckets(self.max_sentences), buckets(self.max_words)
        )
        padding_mask = token_ids != self.tokenizer.pad_token_id
        return {"token_ids": token_ids, "padding_mask": padding_mask}

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "max_sentences": self.max_sentences,
            "max_words": self.max_words,
        }


@keras.saving.register_keras_serializable(package="kattn")
class HierarchicalAttentionTextClassifier(TextClassifier):
    """Documents to labels by hierarchical attention.

    Args:
        backbone: A `HierarchicalAttentionBackbone`.
        num_classes: Number of classes; that of `class_names` if `None`.
        preprocessor: A `HierarchicalAttentionTextClassifierPreprocessor`, or `None`.
        class_names: The labels as strings, in the order of their numbers.
        dropout: Fraction of the document vector dropped in training.
        ngrams: How many n-grams speak for themselves, see `NgramLogits`; 0: none.
        ngram_order: The most words of an n-gram.
        **kwargs: `name` and `compile`.

    Example:
        >>> from kattn import models
        >>> tokenizer = models.HierarchicalAttentionTokenizer(["good", "bad"])
        >>> classifier = models.HierarchicalAttentionTextClassifier(
        ...     models.HierarchicalAttentionBackbone(tokenizer.vocabulary_size()),
        ...     preprocessor=models.HierarchicalAttentionTextClassifierPreprocessor(
        ...         tokenizer
        ...     ),
        ...     class_names=["no", "yes"],
        ... )
        >>> len(classifier.classify(["Good!", "Bad!", "Good?"]))
        3

    Reference:
        Yang et al. 2016, section 2.
    """

    backbone_cls = HierarchicalAttentionBackbone
    preprocessor_cls = HierarchicalAttentionTextClassifierPreprocessor
