"""One block of the encoder: self attention, then a feed-forward part, both added."""

import keras
import keras_hub

from kattn import normalizers, regions, scores
from kattn.attend import cleared
from kattn.layers import MultiHeadAttention


@keras.saving.register_keras_serializable(package="kattn")
class Rotary(scores.ScaledDot):
    """`e = R_i q . R_j k / sqrt(D)`, where `R_i` turns by angles that grow with i.

    The energy depends on the distance `i - j`, and on no position as such.

    Reference:
        Su et al. 2021, arXiv:2104.09864; the turning is KerasHub's.
    """

    def build(self, query_shape, key_shape):
        """Check the widths."""
        super().build(query_shape, key_shape)
        if query_shape[-1] % 2:
            raise ValueError(
                "Rotary positions turn pairs of numbers: the width is even. Received: "
                f"query of width {query_shape[-1]}"
            )
        self.turn = keras_hub.layers.RotaryEmbedding(
            sequence_axis=-2, feature_axis=-1, dtype=self.dtype_policy
        )

    def project_query(self, query):
        """Turned and scaled, `(..., Tq, D)`."""
        return super().project_query(self.turn(query))

    def project_key(self, key):
        """Turned, `(..., Tk, D)`."""
        return super().project_key(self.turn(key))


@keras.saving.register_keras_serializable(package="kattn")
class AttentionBlock(keras.layers.Layer):
    """`y = x + attend(norm(x))`, then `y + W_2 gelu(W_1 norm(y))`.

    Args:
        num_heads: Number of heads; they share the input's width.
        feed_forward_dim: Width of the feed-forward part's hidden layer.
        score: How similar is a key to a query, as for `MultiHeadAttention`.
        region: Which keys may be seen, likewise.
        normalizer: How energies become weights, likewise.
        dropout: Fraction dropped in training of the attention's weights and of what
            both parts add.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        mask: Boolean `(B, T)`.
        return_attention_scores: Whether to return the weights as well.
        training: Whether this is training.

    Returns:
        `(B, T, D)`, and the weights `(B, H, T, T)` where asked.
    """

    def __init__(
        self,
        num_heads,
        feed_forward_dim,
        score="scaled_dot",
        region="global",
        normalizer="softmax",
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.num_heads = num_heads
        self.feed_forward_dim = feed_forward_dim
        self.score = scores.get(score)
        self.region = regions.get(region)
        self.normalizer = normalizers.get(normalizer)
        self.dropout = dropout

    def build(self, inputs_shape):
        """Build both parts."""
        width, policy = inputs_shape[-1], self.dtype_policy
        if width % self.num_heads:
            raise ValueError(
                "The heads share the width of the input in equal parts. Received: "
                f"num_heads={self.num_heads}, input of width {width}"
            )
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=1e-6, dtype=policy, name="attention_norm"
        )
        self.attention = MultiHeadAttention(
            self.num_heads,
            width // self.num_heads,
            score=self.score,
            region=self.region,
            normalizer=self.normalizer,
            dropout=self.dropout,
            dtype=policy,
            name="attention",
        )
        self.feed_forward_norm = keras.layers.LayerNormalization(
            epsilon=1e-6, dtype=policy, name="feed_forward_norm"
        )
        self.hidden_dense = keras.layers.Dense(
            self.feed_forward_dim, "gelu", dtype=policy, name="hidden"
        )
        self.output_dense = keras.layers.Dense(width, dtype=policy, name="output")
        self.residual_dropout = keras.layers.Dropout(self.dropout, dtype=policy)
        self.attention_norm.build(inputs_shape)
        self.attention.build(inputs_shape, inputs_shape)
        self.feed_forward_norm.build(inputs_shape)
        self.hidden_dense.build(inputs_shape)
        self.output_dense.build((*inputs_shape[:-1], self.feed_forward_dim))

    def call(self, inputs, mask, return_attention_scores=False, training=None):
        """Attend, then feed forward; see the class."""
        normed = self.attention_norm(inputs)
        read = self.attention(
            normed,
            normed,
            query_mask=mask,
            value_mask=mask,
            return_attention_scores=return_attention_scores,
            training=training,
        )  # (B, T, D)
        if return_attention_scores:
            read, weights = read  # (B, H, T, T)
        x = inputs + self.residual_dropout(read, training=training)
        hidden = self.hidden_dense(self.feed_forward_norm(x))  # (B, T, F)
        added = self.output_dense(hidden)
        x = cleared(x + self.residual_dropout(added, training=training), mask)
        return (x, weights) if return_attention_scores else x

    def compute_mask(self, inputs, previous_mask):
        """None: who reads the block is told the mask."""
        return None

    def compute_output_spec(
        self, inputs, mask, return_attention_scores=False, training=None
    ):
        """What `call` returns, for every flag."""
        output = keras.KerasTensor(inputs.shape, dtype=self.compute_dtype)
        if not return_attention_scores:
            return output
        batch, length, _ = inputs.shape
        shape = (batch, self.num_heads, length, length)
        return output, keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "feed_forward_dim": self.feed_forward_dim,
            "score": scores.serialize(self.score),
            "region": regions.serialize(self.region),
            "normalizer": normalizers.serialize(self.normalizer),
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package="kattn")
class WatchedBlock(keras.layers.Layer):
    """A block with its weights as a second output, whatever else calls the block.

    Keras 3.15 cannot have one layer return one output here and two there in a graph.

    Args:
        block: The `AttentionBlock`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments and what is returned: see `AttentionBlock`.
    """

    def __init__(self, block, **kwargs):
        super().__init__(**kwargs)
        self.block = block

    def build(self, inputs_shape):
        """Build the block."""
        if not self.block.built:
            self.block.build(inputs_shape)

    def call(self, inputs, mask, training=None):
        """Run the block; see the class."""
        return self.block(
            inputs, mask=mask, return_attention_scores=True, training=training
        )

    def compute_mask(self, inputs, previous_mask):
        """None, as of the block."""
        return None

    def compute_output_spec(self, inputs, mask, training=None):
        """What `call` returns."""
        return self.block.compute_output_spec(
            inputs, mask, return_attention_scores=True
        )

    def get_config(self):
        """The constructor's arguments."""
        block = keras.saving.serialize_keras_object(self.block)
        return {**super().get_config(), "block": block}

    @classmethod
    def from_config(cls, config):
        """The layer that `get_config` described."""
        block = keras.saving.deserialize_keras_object(config["block"])
        return cls(**{**config, "block": block})
