"""Attention pooling over convolutions, by a recurrent sentence vector as the query.

Er, Zhang, Wang, Pratama: Attention pooling-based convolutional neural network for
sentence modelling. Information Sciences 373 (2016) 388-403.
"""

import keras
import keras_hub
from keras import ops

from kattn import scores
from kattn.attend import cleared
from kattn.layers import AttentionPooling
from kattn.models.layouts import Layouts
from kattn.models.preprocessors import SequencePreprocessor
from kattn.models.presets import Presets
from kattn.models.recurrent import RecurrentEncoder
from kattn.models.text_classifier import TextClassifier
from kattn.models.word_embedding import word_embedding
from kattn.text import WordTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class AttentivePooledConvolution(keras.layers.Layer):
    """A convolution whose columns are summed as a query weighs them.

    `c_t = relu(W x_{t..} + b)` in windows of one width, `e_t = cos(U c_t, q)`,
    `weights = softmax(e)`, `sum_t weights_t c_t`.

    Args:
        filters: Width of a column.
        kernel_size: How many words a window has.
        units: Width of the space in which columns and query are compared.
        temperature: Where the cosine's learned temperature starts; none if `None`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        query: Tensor `(B, units)`.
        mask: Boolean `(B, T)`.

    Returns:
        The pooled columns `(B, filters)`, and the weights `(B, T)`.
    """

    def __init__(self, filters, kernel_size, units, temperature=None, **kwargs):
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.units = units
        self.temperature = temperature
        self.convolution = keras.layers.Conv1D(
            filters,
            kernel_size,
            padding="same",
            activation="relu",
            dtype=self.dtype_policy,
            name="convolution",
        )
        self.pooling = AttentionPooling(
            units,
            activation=None,
            score=scores.Cosine(temperature),
            dtype=self.dtype_policy,
            name="pooling",
        )

    def build(self, inputs_shape, query_shape):
        """Build both parts."""
        self.convolution.build(inputs_shape)
        self.pooling.build((*inputs_shape[:-1], self.filters), query_shape)

    def call(self, inputs, query, mask):
        """Convolve and pool; see the class."""
        columns = self.convolution(cleared(inputs, mask))  # (B, T, filters)
        return self.pooling(
            columns, query=query, mask=mask, return_attention_scores=True
        )

    def compute_mask(self, inputs, previous_mask):
        """None: the positions are gone."""
        return None

    def compute_output_spec(self, inputs, query, mask):
        """What `call` returns."""
        batch, length, _ = inputs.shape
        return (
            keras.KerasTensor((batch, self.filters), dtype=self.compute_dtype),
            keras.KerasTensor((batch, length), dtype=self.compute_dtype),
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "units": self.units,
            "temperature": self.temperature,
        }


@keras.saving.register_keras_serializable(package="kattn")
class APCNNBackbone(Layouts, Presets, keras_hub.models.Backbone):
    """What a BiLSTM makes of a text weighs the columns of convolutions over it.

    The last states of a BiLSTM are the query q. For each window width a convolution
    makes columns `c_t`, which are summed with the weights `softmax_t(cos(U c_t, V q))`.
    The sums of all widths and q itself, side by side, are the text vector.

    Inputs are `token_ids`, integers `(B, T)`, and `padding_mask`, booleans of the same
    shape, `False` for padding, which takes part in nothing. The output is
    `(B, len(kernel_sizes) * filters + W)`, W being the width of q. A text without a
    word gives zeros.

    Args:
        vocabulary_size: Number of token ids.
        embedding_dim: Width of a word vector.
        filters: Width of the columns, for each window width.
        kernel_sizes: The window widths, in words.
        units: Width of the recurrence in each direction.
        cell: `"lstm"` or `"gru"`.
        directions: `"concat"` for a query of both directions, `"forward"` for one.
        attention_units: Width of the space in which columns and query are compared.
        temperature: Where a learned temperature starts, which divides the cosine; in
            the paper there is none (`None`), and no weight is over 7.4 times another.
        dropout: Fraction of the entries of word vectors dropped in training.
        dtype: Precision policy of the layers.
        **kwargs: `name` and `trainable`.

    Example:
        >>> backbone = kattn.models.APCNNBackbone(vocabulary_size=100)
        >>> ids = np.ones((2, 5), "int32")
        >>> backbone({"token_ids": ids, "padding_mask": ids > 0}).shape
        TensorShape([2, 500])

    Reference:
        Er et al. 2016, doi:10.1016/j.ins.2016.08.084; equations as in the second
        author's account, github.com/nickzylove/Blogs. Widths are not given there.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=100,
        filters=100,
        kernel_sizes=(3, 4, 5),
        units=100,
        cell="lstm",
        directions="concat",
        attention_units=100,
        temperature=None,
        dropout=0.0,
        dtype=None,
        **kwargs,
    ):
        kernel_sizes = tuple(kernel_sizes)
        if not kernel_sizes or len(set(kernel_sizes)) != len(kernel_sizes):
            raise ValueError(
                "kernel_sizes are one or more different numbers of words. "
                f"Received: {kernel_sizes}"
            )
        # === Layers ===
        self.token_embedding = word_embedding(vocabulary_size, embedding_dim, dtype)
        self.word_dropout = keras.layers.Dropout(
            dropout, dtype=dtype, name="word_dropout"
        )
        self.encoder = RecurrentEncoder(
            units,
            cell,
            directions,
            dtype=dtype,
            name="encoder",
        )
        self.query_dense = keras.layers.Dense(
            attention_units, use_bias=False, dtype=dtype, name="query"
        )
        self.convolutions = [
            AttentivePooledConvolution(
                filters,
                size,
                attention_units,
                temperature,
                dtype=dtype,
                name=f"convolution_{size}",
            )
            for size in kernel_sizes
        ]
        # === Functional model ===
        token_ids = keras.Input((None,), dtype="int32", name="token_ids")
        padding_mask = keras.Input((None,), dtype="bool", name="padding_mask")
        words = self.word_dropout(self.token_embedding(token_ids))  # (B, T, D)
        _, sentence = self.encoder(words, mask=padding_mask)  # (B, 2 * units)
        query = self.query_dense(sentence)  # (B, attention_units)
        pooled, weights = zip(
            *(
                convolution(words, query, mask=padding_mask)
                for convolution in self.convolutions
            ),
            strict=True,
        )  # (B, filters) and (B, T), for each width
        super().__init__(
            inputs={"token_ids": token_ids, "padding_mask": padding_mask},
            outputs=ops.concatenate([*pooled, sentence], axis=-1),
            dtype=dtype,
            **kwargs,
        )
        weights = ops.stack(weights, axis=1)  # (B, widths, T)
        self._attention = {
            "word_weights": ops.mean(weights, axis=1),
            "width_weights": weights,
        }
        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.filters = filters
        self.kernel_sizes = kernel_sizes
        self.units = units
        self.cell = cell
        self.directions = directions
        self.attention_units = attention_units
        self.temperature = temperature
        self.dropout = dropout

    def attention_model(self):
        """The same layers and weights, with the attention as outputs.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `vector`,
            `width_weights` `(B, len(kernel_sizes), T)`, which sum to 1 for each width,
            and their mean `word_weights` `(B, T)`.
        """
        return keras.Model(self.input, {"vector": self.output, **self._attention})

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "filters": self.filters,
            "kernel_sizes": list(self.kernel_sizes),
            "units": self.units,
            "cell": self.cell,
            "directions": self.directions,
            "attention_units": self.attention_units,
            "temperature": self.temperature,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="kattn")
class APCNNTokenizer(Presets, WordTokenizer):
    """The word tokenizer of APCNN; see `kattn.text.WordTokenizer`."""

    backbone_cls = APCNNBackbone


@keras.saving.register_keras_serializable(package="kattn")
class APCNNTextClassifierPreprocessor(SequencePreprocessor):
    """Strings to one sequence of word ids each; see `SequencePreprocessor`."""

    backbone_cls = APCNNBackbone
    tokenizer_cls = APCNNTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class APCNNTextClassifier(TextClassifier):
    """Texts to labels by convolutions that an LSTM's sentence vector pools.

    Args:
        backbone: An `APCNNBackbone`.
        num_classes: Number of classes; that of `class_names` if `None`.
        preprocessor: An `APCNNTextClassifierPreprocessor`, or `None`.
        class_names: The labels as strings, in the order of their numbers.
        dropout: Fraction of the text's vector dropped in training.
        ngrams: How many n-grams speak for themselves, see `NgramLogits`; 0: none.
        ngram_order: The most words of an n-gram.
        **kwargs: `name` and `compile`.

    Example:
        >>> from kattn import models
        >>> tokenizer = models.APCNNTokenizer(["good", "bad"])
        >>> classifier = models.APCNNTextClassifier(
        ...     models.APCNNBackbone(tokenizer.vocabulary_size()),
        ...     preprocessor=models.APCNNTextClassifierPreprocessor(tokenizer),
        ...     class_names=["no", "yes"],
        ... )
        >>> len(classifier.classify(["Good!", "Bad!", "Good?"]))
        3

    Reference:
        Er et al. 2016, doi:10.1016/j.ins.2016.08.084.
    """

    backbone_cls = APCNNBackbone
    preprocessor_cls = APCNNTextClassifierPreprocessor
