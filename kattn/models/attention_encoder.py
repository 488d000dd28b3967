"""Attention alone: blocks of self attention, no recurrence and no convolution.

Vaswani, Shazeer, Parmar, Uszkoreit, Jones, Gomez, Kaiser, Polosukhin: Attention Is All
You Need. NeurIPS 2017. Normalised before each part, as Xiong, Yang, He, Zheng, Zheng,
Xing, Zhang, Lan, Wang, Liu: On Layer Normalization in the Transformer Architecture,
ICML 2020, found to train without a warm-up.
"""

import keras
import keras_hub
from keras import ops

from kattn import normalizers, parts, regions, scores
from kattn.layers import AttentionPooling
from kattn.models.attention_block import AttentionBlock, Rotary, WatchedBlock
from kattn.models.layouts import Layouts
from kattn.models.pooling import LivePooling
from kattn.models.preprocessors import SequencePreprocessor
from kattn.models.presets import Presets
from kattn.models.text_classifier import TextClassifier
from kattn.models.word_embedding import word_embedding
from kattn.names import unknown
from kattn.text import WordTokenizer

POSITIONS = ("sinusoidal", "learned", "rotary", "none")
POOLINGS = ("mean", "attention")


@keras.saving.register_keras_serializable(package="kattn")
class AttentionEncoderBackbone(Layouts, Presets, keras_hub.models.Backbone):
    """Words and their positions, through blocks of attention, to a text vector.

    Each block is multi-head self attention and a feed-forward part, both normalised
    before and added to their input; the last block's output is normalised once more
    and pooled. Score, region and normalizer are those of every block:
    `region=kattn.regions.Local(32, 32)` makes an encoder for long documents.

    Inputs are `token_ids`, integers `(B, T)`, and `padding_mask`, booleans of the same
    shape, `False` for padding, which takes part in nothing. The output is
    `(B, embedding_dim)`. A text without a word gives zeros.

    Args:
        vocabulary_size: Number of token ids.
        embedding_dim: Width of a word vector, and of everything between the blocks.
        num_layers: Number of blocks.
        num_heads: Number of heads, of equal width.
        feed_forward_dim: Width of the feed-forward part's hidden layer.
        positions: `"sinusoidal"` or `"learned"`, added to the word vectors;
            `"rotary"`, in the score, which then is the scaled dot product; `"none"`.
        max_length: The longest text that learned positions reach.
        score: How similar is a key to a query: a name, a `kattn.scores.Score` or its
            config, as for `kattn.layers.MultiHeadAttention`.
        region: Which keys may be seen, likewise.
        normalizer: How energies become weights, likewise.
        pooling: `"mean"` over the words, or `"attention"`.
        dropout: Fraction dropped in training, of word vectors, of the attention's
            weights and of what each part adds.
        dtype: Precision policy of the layers.
        **kwargs: `name` and `trainable`.

    Example:
        >>> backbone = kattn.models.AttentionEncoderBackbone(
        ...     vocabulary_size=100, region=kattn.regions.Local(left=2, right=2)
        ... )
        >>> ids = np.ones((2, 5), "int32")
        >>> backbone({"token_ids": ids, "padding_mask": ids > 0}).shape
        TensorShape([2, 100])

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, section 3; Xiong et al. 2020,
        arXiv:2002.04745.
    """

    def __init__(
        self,
        vocabulary_size,
        embedding_dim=100,
        num_layers=2,
        num_heads=4,
        feed_forward_dim=256,
        positions="sinusoidal",
        max_length=512,
        score="scaled_dot",
        region="global",
        normalizer="softmax",
        pooling="mean",
        dropout=0.0,
        dtype=None,
        **kwargs,
    ):
        if positions not in POSITIONS:
            raise unknown("positions", positions, POSITIONS)
        if pooling not in POOLINGS:
            raise unknown("pooling", pooling, POOLINGS)
        score = scores.get(score)
        region, normalizer = regions.get(region), normalizers.get(normalizer)
        if positions == "rotary" and not isinstance(score, scores.ScaledDot):
            raise ValueError(
                "Rotary positions turn what a scaled dot product compares. Expected: "
                'score="scaled_dot", or other positions. Received: '
                f"score={score.name!r}"
            )
        # === Layers ===
        self.token_embedding = word_embedding(vocabulary_size, embedding_dim, dtype)
        self.position_embedding = None
        if positions == "sinusoidal":
            self.position_embedding = keras_hub.layers.SinePositionEncoding(
                dtype=dtype, name="position_embedding"
            )
        elif positions == "learned":
            self.position_embedding = keras_hub.layers.PositionEmbedding(
                max_length, dtype=dtype, name="position_embedding"
            )
        self.word_dropout = keras.layers.Dropout(
            dropout, dtype=dtype, name="word_dropout"
        )
        self.blocks = [
            AttentionBlock(
                num_heads,
                feed_forward_dim,
                # No two blocks share the weights of a part.
                score=Rotary() if positions == "rotary" else parts.like(score),
                region=parts.like(region),
                normalizer=parts.like(normalizer),
                dropout=dropout,
                dtype=dtype,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]
        self.output_norm = keras.layers.LayerNormalization(
            epsilon=1e-6, dtype=dtype, name="output_norm"
        )
        if pooling == "mean":
            self.pooling_layer = LivePooling("mean", dtype=dtype, name="pooling")
        else:
            self.pooling_layer = AttentionPooling(dtype=dtype, name="pooling")
        self.pooling = pooling
        # === Functional model ===
        inputs = {
            "token_ids": keras.Input((None,), dtype="int32", name="token_ids"),
            "padding_mask": keras.Input((None,), dtype="bool", name="padding_mask"),
        }
        vector, _ = self._read(inputs)
        super().__init__(inputs=inputs, outputs=vector, dtype=dtype, **kwargs)
        # === Config ===
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.feed_forward_dim = feed_forward_dim
        self.positions = positions
        self.max_length = max_length
        policy = keras.dtype_policies.get(dtype)
        self.score = parts.of_policy(score, policy)
        self.region = parts.of_policy(region, policy)
        self.normalizer = parts.of_policy(normalizer, policy)
        self.dropout = dropout

    def _read(self, inputs, attention=False):
        """The text vector, and the weights where asked."""
        mask = inputs["padding_mask"]
        words = self.token_embedding(inputs["token_ids"])  # (B, T, D)
        if self.position_embedding is not None:
            words = words + self.position_embedding(words)
        x = self.word_dropout(words)
        weights = {}
        for i, block in enumerate(self.blocks):
            if attention:
                watched = WatchedBlock(block, dtype=block.dtype_policy)
                x, weights[f"block_{i}_weights"] = watched(x, mask=mask)
            else:
                x = block(x, mask=mask)
        x = self.output_norm(x)
        if self.pooling == "attention":
            vector, words = self.pooling_layer(
                x, mask=mask, return_attention_scores=True
            )  # (B, D), (B, T)
            weights["word_weights"] = words
        else:
            vector = self.pooling_layer(x, mask=mask)
            if attention and self.blocks:
                received = ops.mean(weights[f"block_{len(self.blocks) - 1}_weights"], 1)
                weights["word_weights"] = LivePooling("mean", dtype="float32")(
                    received, mask=mask
                )  # (B, T)
        return vector, weights

    @classmethod
    def _splits(cls, model):
        return {
            **super()._splits(model),
            r"block_\d+/attention/(query|key|value)/kernel": (None, model, None),
            r"block_\d+/attention/attention_output/kernel": (model, None, None),
            r"block_\d+/hidden/kernel": (None, model),
            r"block_\d+/output/kernel": (model, None),
        }

    def attention_model(self, blocks=False):
        """The same layers and weights, with the attention as outputs.

        Args:
            blocks: Whether to give the weights of every head of every block as well,
                which take `(T, T)` each.

        Returns:
            A `keras.Model` of the same inputs that gives a dictionary: `vector`, and
            `word_weights` `(B, T)`, which sum to 1: those of the pooling by attention;
            or, where the pooling is the mean, how much of the last block's attention
            each word received, on the average of all words and heads. With `blocks`
            also `block_0_weights` `(B, H, T, T)`, and so on.
        """
        vector, weights = self._read(self.input, attention=True)
        if not blocks:
            weights = {k: v for k, v in weights.items() if k == "word_weights"}
        return keras.Model(self.input, {"vector": vector, **weights})

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "vocabulary_size": self.vocabulary_size,
            "embedding_dim": self.embedding_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "feed_forward_dim": self.feed_forward_dim,
            "positions": self.positions,
            "max_length": self.max_length,
            "score": scores.serialize(self.score),
            "region": regions.serialize(self.region),
            "normalizer": normalizers.serialize(self.normalizer),
            "pooling": self.pooling,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="kattn")
class AttentionEncoderTokenizer(Presets, WordTokenizer):
    """The word tokenizer of the encoder; see `kattn.text.WordTokenizer`."""

    backbone_cls = AttentionEncoderBackbone


@keras.saving.register_keras_serializable(package="kattn")
class AttentionEncoderTextClassifierPreprocessor(SequencePreprocessor):
    """Strings to one sequence of word ids each; see `SequencePreprocessor`."""

    backbone_cls = AttentionEncoderBackbone
    tokenizer_cls = AttentionEncoderTokenizer


@keras.saving.register_keras_serializable(package="kattn")
class AttentionEncoderTextClassifier(TextClassifier):
    """Texts to labels by attention alone.

    Args:
        backbone: An `AttentionEncoderBackbone`.
        num_classes: Number of classes; that of `class_names` if `None`.
        preprocessor: An `AttentionEncoderTextClassifierPreprocessor`, or `None`.
        class_names: The labels as strings, in the order of their numbers.
        dropout: Fraction of the text's vector dropped in training.
        ngrams: How many n-grams speak for themselves, see `NgramLogits`; 0: none.
        ngram_order: The most words of an n-gram.
        **kwargs: `name` and `compile`.

    Example:
        >>> from kattn import models
        >>> tokenizer = models.AttentionEncoderTokenizer(["good", "bad"])
        >>> classifier = models.AttentionEncoderTextClassifier(
        ...     models.AttentionEncoderBackbone(tokenizer.vocabulary_size()),
        ...     preprocessor=models.AttentionEncoderTextClassifierPreprocessor(
        ...         tokenizer
        ...     ),
        ...     class_names=["no", "yes"],
        ... )
        >>> len(classifier.classify(["Good!", "Bad!", "Good?"]))
        3

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762.
    """

    backbone_cls = AttentionEncoderBackbone
    preprocessor_cls = AttentionEncoderTextClassifierPreprocessor

    def _all_attention(self):
        return self.attention_model(blocks=True)
