"""General attention: a query from outside, or the text itself."""

import keras
from keras import ops

from kattn import normalizers, regions, scores
from kattn.attend import attend
from kattn.layers.flags import check_flags
from kattn.layers.masking import check_mask, merged
from kattn.parts import of_policy
from kattn.shapes import check_shapes


@keras.saving.register_keras_serializable(package="kattn")
class Attention(keras.layers.Layer):
    """`context_i = sum_j softmax_j(score(query_i, key_j)) value_j`.

    General attention with an outside query; self attention as `layer(x, x)`.

    Args:
        score: How similar is a key to a query: a name (`"dot"`, `"scaled_dot"`,
            `"cosine"`, `"bilinear"`, `"general"`, `"concat"`, `"additive"`,
            `"location"`, `"proximity"`), a `kattn.scores.Score` or its config.
        region: Which keys may be seen: a name (`"global"`, `"causal"`, `"local"`,
            `"local_m"`, `"local_p"`), a `kattn.regions.Region` or its config.
        normalizer: How energies become weights: a name (`"softmax"`, `"sparsemax"`,
            `"entmax15"`, `"hard"`, `"monotonic"`), a `kattn.normalizers.Normalizer` or
            its config.
        dropout: Fraction of the weights dropped in training.
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
        attention_mask: Boolean `(B, Tq, Tk)`, or what broadcasts to it, `False` for
            pairs that do not meet.
        return_attention_scores: Whether to return the weights as well.
        training: Whether to apply the dropout.

    Returns:
        The context `(B, Tq, Dv)`; with `return_attention_scores=True` a pair of it and
        the weights `(B, Tq, Tk)`, as they are before dropout. A query that is masked or
        may see nothing gets zeros.

    Raises:
        ValueError: For an unknown name, a dropout that is no fraction, a tensor that is
            not of rank 3, batches or lengths that differ, widths that a score cannot
            compare, or a mask of another shape.

    Example:
        >>> layer = kattn.layers.Attention(score="additive")
        >>> query, text = np.ones((2, 1, 8)), np.ones((2, 5, 16))
        >>> context, weights = layer(query, text, return_attention_scores=True)
        >>> context.shape, weights.shape
        (TensorShape([2, 1, 16]), TensorShape([2, 1, 5]))

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025;
        Vaswani et al. 2017, arXiv:1706.03762.
    """

    def __init__(
        self,
        score="scaled_dot",
        region="global",
        normalizer="softmax",
        dropout=0.0,
        seed=None,
        **kwargs,
    ):
        check_flags(kwargs)
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(
                f"dropout is a fraction below 1. Received: dropout={dropout!r}"
            )
        self.score = of_policy(scores.get(score), self.dtype_policy)
        self.region = of_policy(regions.get(region), self.dtype_policy)
        self.normalizer = of_policy(normalizers.get(normalizer), self.dtype_policy)
        self.dropout = dropout
        self.seed = seed
        if dropout:
            self.seed_generator = keras.random.SeedGenerator(seed)

    def build(self, query_shape, value_shape, key_shape=None):
        """Build the weights of the parts."""
        key_shape = key_shape or value_shape
        self._check_ranks(query_shape, value_shape, key_shape)
        self._build_parts(query_shape, key_shape)

    def _build_parts(self, query_shape, key_shape):
        if not self.score.built:
            self.score.build(query_shape, key_shape)
        if not self.region.built:
            self.region.build(query_shape)

    def call(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        """Attend; see the class."""
        key = value if key is None else key
        masks = query_mask, value_mask, key_mask, attention_mask
        self._check(query, value, key, *masks)
        query_mask = merged(query, query_mask)  # (B, Tq)
        value_mask = merged(value, value_mask)  # (B, Tk)
        key_mask = merged(key, key_mask)  # (B, Tk)
        if key_mask is None or value_mask is None:
            seen = value_mask if key_mask is None else key_mask
        else:
            seen = ops.logical_and(key_mask, value_mask)
        masks = query_mask, seen, attention_mask
        context, weights = self._attend(
            query, key, value, *masks, return_attention_scores, training
        )
        if return_attention_scores:
            return context, ops.cast(weights, self.compute_dtype)
        return context

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
        """The three steps with this layer's parts, whatever the leading axes."""
        pairs = (*ops.shape(query)[:-1], ops.shape(key)[-2])  # (..., Tq, Tk)
        return attend(
            query,
            key,
            value,
            score=self.score,
            region=self.region,
            normalizer=self.normalizer,
            query_mask=query_mask,
            key_mask=key_mask,
            attention_mask=attention_mask,
            keep=self._keep if training and self.dropout else None,
            drawn=self.normalizer.draw(pairs, training),
            return_weights=return_weights,
        )

    def _keep(self, shape):
        """Multipliers of the weights: 0 for the dropped, 1 / (1 - dropout) else."""
        seed = self.seed_generator
        return keras.random.dropout(ops.ones(shape), self.dropout, seed=seed)

    def compute_mask(self, query, previous_mask):
        """The context has the query's positions, and so the query's mask."""
        return previous_mask

    def compute_output_spec(
        self,
        query,
        value,
        key=None,
        query_mask=None,
        value_mask=None,
        key_mask=None,
        attention_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        """What `call` returns, for every flag."""
        key = value if key is None else key
        masks = query_mask, value_mask, key_mask, attention_mask
        self._check(query, value, key, *masks)
        context, weights = (
            keras.KerasTensor(shape, dtype=self.compute_dtype)
            for shape in self._shapes(query.shape, value.shape)
        )
        return (context, weights) if return_attention_scores else context

    def _shapes(self, query_shape, value_shape):
        """Shapes of the context and of the weights."""
        return (
            (*query_shape[:-1], value_shape[-1]),
            (*query_shape[:-1], value_shape[-2]),
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "score": scores.serialize(self.score),
            "region": regions.serialize(self.region),
            "normalizer": normalizers.serialize(self.normalizer),
            "dropout": self.dropout,
            "seed": self.seed,
        }

    def _check(
        self, query, value, key, query_mask, value_mask, key_mask, attention_mask
    ):
        """Raise where shapes do not fit, symbolic or not."""
        self._check_ranks(query.shape, value.shape, key.shape)
        check_mask(query, query_mask, "query_mask")
        check_mask(value, value_mask, "value_mask")
        check_mask(key, key_mask, "key_mask")
        batches = {x.shape[0] for x in (query, value, key)} - {None}
        if len(batches) > 1:
            raise ValueError(
                "Query, value and key have the same batch. Received: query of shape "
                f"{tuple(query.shape)}, value of shape {tuple(value.shape)}, key of "
                f"shape {tuple(key.shape)}"
            )
        check_shapes(query, key, value, attention_mask=attention_mask)

    def _check_ranks(self, query_shape, value_shape, key_shape):
        for name, shape in (
            ("query", query_shape),
            ("value", value_shape),
            ("key", key_shape),
        ):
            if len(shape) != 3:
                raise ValueError(
                    f"{type(self).__name__} expects a {name} of shape (batch, length, "
                    f"width). Received: shape {tuple(shape)}"
                )
