"""Attention as pooling: a learned query reads a text into one vector."""

import keras
from keras import ops

from kattn import normalizers, scores
from kattn.attend import attend, cleared
from kattn.layers.masking import check_mask, merged


@keras.saving.register_keras_serializable(package="kattn")
class AttentionPooling(keras.layers.Layer):
    """`u_t = tanh(W h_t + b)`, `weights = softmax(u . u_w)`, `sum_t weights_t h_t`.

    The query `u_w` is learned: what makes a position worth reading. It is compared
    with the hidden representation `u` of each position; what is summed are the
    positions themselves.

    Args:
        units: Width of the hidden representation and of the query; the input's width
            if `None`.
        activation: Activation of the hidden representation.
        score: How the query is compared with it, as for `kattn.layers.Attention`.
        normalizer: How energies become weights, likewise.
        query_initializer: Start of the query. From zeros, pooling starts as the plain
            average and every position learns; a random query reads few positions from
            the first step on, and was seen to learn worse.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        mask: Boolean `(B, T)`; AND-ed with the mask Keras carries along.
        return_attention_scores: Whether to return the weights as well.

    Returns:
        The pooled text `(B, D)`; with `return_attention_scores=True` a pair of it and
        the weights `(B, T)`. A text whose positions are all masked gets zeros.

    Raises:
        ValueError: For an unknown name, units below 1, an input that is not of rank 3,
            or a mask of another shape.

    Example:
        >>> layer = kattn.layers.AttentionPooling()
        >>> text, weights = layer(np.ones((2, 5, 16)), return_attention_scores=True)
        >>> text.shape, np.round(weights[0], 1)
        (TensorShape([2, 16]), array([0.2, 0.2, 0.2, 0.2, 0.2], dtype=float32))

    Reference:
        Yang et al. 2016, Hierarchical Attention Networks for Document Classification,
        NAACL, section 2.2.
    """

    def __init__(
        self,
        units=None,
        activation="tanh",
        score="dot",
        normalizer="softmax",
        query_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if units is not None and units < 1:
            raise ValueError(f"units is at least 1, or None. Received: units={units!r}")
        self.units = units
        self.activation = keras.activations.get(activation)
        self.score = scores.get(score)
        self.normalizer = normalizers.get(normalizer)
        self.query_initializer = keras.initializers.get(query_initializer)
        self.score.dtype_policy = self.dtype_policy

    def build(self, input_shape):
        """Make W, b, the query, and the score's weights."""
        if len(input_shape) != 3:
            raise ValueError(
                "AttentionPooling expects an input of shape (batch, length, width). "
                f"Received: shape {tuple(input_shape)}"
            )
        units = self.units or input_shape[-1]
        self.hidden_dense = keras.layers.Dense(
            units, self.activation, dtype=self.dtype_policy, name="hidden"
        )
        self.hidden_dense.build(input_shape)
        self.query = self.add_weight(
            shape=(1, units), initializer=self.query_initializer, name="query"
        )
        if not self.score.built:
            self.score.build((None, 1, units), (*input_shape[:-1], units))

    def call(self, inputs, mask=None, return_attention_scores=False):
        """Pool; see the class."""
        mask = merged(inputs, mask)  # (B, T)
        value = cleared(inputs, mask)  # (B, T, D)
        query = ops.expand_dims(ops.cast(self.query, self.compute_dtype), 0)
        context, weights = attend(
            query,  # (1, 1, units), the same for all texts
            self.hidden_dense(value),  # (B, T, units)
            value,
            score=self.score,
            normalizer=self.normalizer,
            # Cleared already, before the dense map.
            attention_mask=None if mask is None else ops.expand_dims(mask, -2),
        )
        if return_attention_scores:
            return context[:, 0], ops.cast(weights[:, 0], self.compute_dtype)
        return context[:, 0]

    def compute_mask(self, inputs, previous_mask):
        """None: the positions are gone."""
        return None

    def compute_output_spec(self, inputs, mask=None, return_attention_scores=False):
        """What `call` returns, for every flag."""
        check_mask(inputs, mask)
        batch, length, width = inputs.shape
        context = keras.KerasTensor((batch, width), dtype=self.compute_dtype)
        if not return_attention_scores:
            return context
        return context, keras.KerasTensor((batch, length), dtype=self.compute_dtype)

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "score": scores.serialize(self.score),
            "normalizer": normalizers.serialize(self.normalizer),
            "query_initializer": keras.initializers.serialize(self.query_initializer),
        }
