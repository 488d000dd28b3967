"""Multi-head attention: several readings at once, each of projections of its own."""

import keras
from keras import ops

from kattn.attend import cleared, reads
from kattn.layers.attention import Attention
from kattn.shapes import check_shapes


@keras.saving.register_keras_serializable(package="kattn")
class MultiHeadAttention(Attention):
    """`sum_h context_h W_h + b`, each head attending in projections of its own.

    Head h reads `context_h = softmax(score(Q_h, K_h)) V_h`, with `Q_h`, `K_h` and `V_h`
    dense maps of query, key and value. With the scaled dot product over the whole text
    this is `keras.layers.MultiHeadAttention`, weight for weight in the same order.

    The heads share the parts: one score compares in all of them, with the same weights
    where it has any, and one region says where they look. What tells them apart is
    their projections. (A region that predicts where to look does so from the projected
    query: each head looks elsewhere.)

    Args:
        num_heads: Number of heads, H.
        key_dim: Width of the query and the key in each head.
        value_dim: Width of the value in each head; `key_dim` if `None`.
        score: How similar is a key to a query, as for `kattn.layers.Attention`.
        region: Which keys may be seen, likewise.
        normalizer: How energies become weights, likewise.
        dropout: Fraction of the weights dropped in training.
        use_bias: Whether the projections have a bias.
        output_shape: Width of the output; the query's width if `None`.
        seed: Seed of the dropout.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        query: Tensor `(B, Tq, Dq)`.
        value: Tensor `(B, Tk, Dv)`.
        key: Tensor `(B, Tk, Dk)`; the value if `None`.
        query_mask: Boolean `(B, Tq)`.
        value_mask: Boolean `(B, Tk)`.
        key_mask: Boolean `(B, Tk)`, AND-ed with `value_mask`. Masks that Keras carries
            along with a tensor are honoured too, AND-ed with these.
        attention_mask: Boolean `(B, Tq, Tk)`, or what broadcasts to it, for all heads;
            `(B, H, Tq, Tk)`, or four axes that broadcast to it, for each. `False` for
            pairs that do not meet.
        return_attention_scores: Whether to return the weights as well.
        training: Whether to apply the dropout.

    Returns:
        The output `(B, Tq, output_shape)`; with `return_attention_scores=True` a pair
        of it and the weights `(B, H, Tq, Tk)`, as they are before dropout. A query that
        reads nothing in any head, as it is masked or may see no key, gets zeros: not
        the bias of the output's projection.

    Raises:
        ValueError: For a size below 1, and as for `kattn.layers.Attention`.

    Example:
        >>> layer = kattn.layers.MultiHeadAttention(num_heads=4, key_dim=8)
        >>> query, text = np.ones((2, 3, 32)), np.ones((2, 5, 16))
        >>> output, weights = layer(query, text, return_attention_scores=True)
        >>> output.shape, weights.shape
        (TensorShape([2, 3, 32]), TensorShape([2, 4, 3, 5]))

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.
    """

    def __init__(
        self,
        num_heads,
        key_dim,
        value_dim=None,
        score="scaled_dot",
        region="global",
        normalizer="softmax",
        dropout=0.0,
        use_bias=True,
        output_shape=None,
        seed=None,
        **kwargs,
    ):
        super().__init__(score, region, normalizer, dropout, seed, **kwargs)
        for name, size in (
            ("num_heads", num_heads),
            ("key_dim", key_dim),
            ("value_dim", 1 if value_dim is None else value_dim),
            ("output_shape", 1 if output_shape is None else output_shape),
        ):
            if not isinstance(size, int) or size < 1:
                raise ValueError(
                    f"{name} is a whole number, at least 1. Received: {name}={size!r}"
                )
        self.num_heads = num_heads
        self.key_dim = key_dim
        self.value_dim = value_dim
        self.use_bias = use_bias
        self.output_shape = output_shape

    def build(self, query_shape, value_shape, key_shape=None):
        """Build the projections, and the parts on the shapes they have in a head."""
        key_shape = key_shape or value_shape
        self._check_ranks(query_shape, value_shape, key_shape)
        value_dim = self.value_dim or self.key_dim
        self.query_dense = self._projection("query", self.key_dim)
        self.key_dense = self._projection("key", self.key_dim)
        self.value_dense = self._projection("value", value_dim)
        self.output_dense = keras.layers.EinsumDense(
            "bqhv,hvd->bqd",
            output_shape=(None, self.output_shape or query_shape[-1]),
            bias_axes="d" if self.use_bias else None,
            dtype=self.dtype_policy,
            name="attention_output",
        )
        self.query_dense.build(query_shape)
        self.key_dense.build(key_shape)
        self.value_dense.build(value_shape)
        batch, queries, _ = query_shape
        self.output_dense.build((batch, queries, self.num_heads, value_dim))
        self._build_parts(
            (batch, self.num_heads, queries, self.key_dim),
            (batch, self.num_heads, key_shape[1], self.key_dim),
        )

    def _projection(self, name, width):
        return keras.layers.EinsumDense(
            "btd,dhe->bthe",
            output_shape=(None, self.num_heads, width),
            bias_axes="he" if self.use_bias else None,
            dtype=self.dtype_policy,
            name=name,
        )

    def _attend(
        self,
        query,
        key,
        value,
        query_mask,
        key_mask,
        attention_mask,
        return_weights,
        training,
    ):
        """Project, attend in every head, and project what all have read."""
        same = key is value
        # Before the dense maps, whose gradients sum over all positions.
        query, value = cleared(query, query_mask), cleared(value, key_mask)
        key = value if same else cleared(key, key_mask)
        if attention_mask is not None and len(attention_mask.shape) == 3:
            attention_mask = ops.expand_dims(attention_mask, 1)  # (B, 1, Tq, Tk)
        query = ops.swapaxes(self.query_dense(query), 1, 2)  # (B, H, Tq, key_dim)
        key = ops.swapaxes(self.key_dense(key), 1, 2)  # (B, H, Tk, key_dim)
        value = ops.swapaxes(self.value_dense(value), 1, 2)  # (B, H, Tk, value_dim)
        query_mask, key_mask = (
            None if mask is None else ops.expand_dims(mask, 1)  # (B, 1, T)
            for mask in (query_mask, key_mask)
        )
        masks = query_mask, key_mask, attention_mask
        context, weights = super()._attend(
            query, key, value, *masks, return_weights, training
        )  # (B, H, Tq, value_dim), (B, H, Tq, Tk)
        output = self.output_dense(ops.swapaxes(context, 1, 2))  # (B, Tq, D)
        names = "query_mask", "key_mask", "attention_mask"
        masks = dict(zip(names, masks, strict=True))
        sees = reads(query, key, region=self.region, **masks)  # as (B, H, Tq)
        if sees is not None:
            sees = ops.broadcast_to(sees, ops.shape(context)[:-1])
            output = cleared(output, ops.any(sees, axis=1))
        return output, weights

    def _shapes(self, query_shape, value_shape):
        batch, queries, width = query_shape
        return (
            (batch, queries, self.output_shape or width),
            (batch, self.num_heads, queries, value_shape[1]),
        )

    def _check(
        self, query, value, key, query_mask, value_mask, key_mask, attention_mask
    ):
        masks = query_mask, value_mask, key_mask
        if attention_mask is None or len(attention_mask.shape) != 4:
            super()._check(query, value, key, *masks, attention_mask)
            return
        super()._check(query, value, key, *masks, None)
        query, key, value = (
            keras.KerasTensor((x.shape[0], self.num_heads, *x.shape[1:]))
            for x in (query, key, value)
        )
        check_shapes(query, key, value, attention_mask=attention_mask)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "num_heads": self.num_heads,
            "key_dim": self.key_dim,
            "value_dim": self.value_dim,
            "use_bias": self.use_bias,
            "output_shape": self.output_shape,
        }
