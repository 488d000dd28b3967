"""Attention as pooling: a query reads a text into one vector, or a few read several."""

import keras
from keras import ops

from kattn import normalizers, scores
from kattn.attend import attend, cleared
from kattn.layers.flags import check_flags
from kattn.layers.masking import check_mask, merged
from kattn.parts import of_policy


@keras.saving.register_keras_serializable(package="kattn")
class AttentionPooling(keras.layers.Layer):
    """`u_t = tanh(W h_t + b)`, `weights = softmax(u . u_w)`, `sum_t weights_t h_t`.

    The query `u_w` is learned: what makes a position worth reading. It is compared
    with the hidden representation `u` of each position; what is summed are the
    positions themselves.

    With `hops`, several learned queries read the text, each what matters to it; the
    penalty `|A A^T - I|^2` (the squares of all entries summed, A being the weights of
    one text, `(hops, T)`) keeps them from reading the same.

    With a `query` in the call, none is learned: a vector from outside reads the text,
    say an LSTM's last state the keys of a CNN.

    Args:
        units: Width of the hidden representation and of the learned query; if `None`,
            the input's width, or that of the query from outside.
        activation: Activation of the hidden representation.
        score: How the query is compared with it, as for `kattn.layers.Attention`. A
            query from outside may have another width where the score allows it, as
            `"additive"` and `"bilinear"` do.
        normalizer: How energies become weights, likewise.
        query_initializer: Start of the learned query; `"zeros"` if `None`, and
            `"glorot_uniform"` for hops, which must differ to learn different things.
            From zeros, pooling starts as the plain average and every position learns; a
            random query reads few positions from the first step on, and was seen to
            learn worse.
        hops: Number of learned queries, which gives the output and the weights an axis
            of that length; one query, and no axis, if `None`.
        penalty: How much of the penalty is added to the loss, in training and
            evaluation: its mean over the texts that have a live position.
        projected: Whether the hidden representation has W and b; without them it is
            `u_t = activation(h_t)`, as Zhou et al. pool the states of a BiLSTM, and
            `units` is none.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        mask: Boolean `(B, T)`; AND-ed with the mask Keras carries along.
        query: Tensor `(B, Dq)`, the query from outside: at every call, or at none.
        return_attention_scores: Whether to return the weights as well.
        training: Whether this is training, for a normalizer with chance in it.

    Returns:
        The pooled text `(B, D)`, with hops `(B, hops, D)`; with
        `return_attention_scores=True` a pair of it and the weights `(B, T)`, with hops
        `(B, hops, T)`. A text whose positions are all masked gets zeros.

    Raises:
        ValueError: For an unknown name, units or hops below 1, a penalty below 0 or
            without hops, an input that is not of rank 3, a query that is not of rank 2
            or of another batch, a query with hops, a query at one call and none at
            another, or a mask of another shape.

    Example:
        >>> text = np.ones((2, 5, 16))
        >>> layer = kattn.layers.AttentionPooling()
        >>> pooled, weights = layer(text, return_attention_scores=True)
        >>> pooled.shape, np.round(weights[0], 1)
        (TensorShape([2, 16]), array([0.2, 0.2, 0.2, 0.2, 0.2], dtype=float32))
        >>> kattn.layers.AttentionPooling(hops=3, penalty=0.1)(text).shape
        TensorShape([2, 3, 16])
        >>> layer = kattn.layers.AttentionPooling(score="cosine")
        >>> layer(text, query=np.ones((2, 8))).shape
        TensorShape([2, 16])

    Reference:
        Yang et al. 2016, Hierarchical Attention Networks for Document Classification,
        NAACL, section 2.2. Hops: Lin et al. 2017, arXiv:1703.03130, where b is 0. A
        query from outside: Er et al. 2016, Attention pooling-based convolutional neural
        network for sentence modelling, Information Sciences 373, by cosine. Without W:
        Zhou et al. 2016, Attention-Based Bidirectional Long Short-Term Memory Networks
        for Relation Classification, ACL, equations 9 to 11.
    """

    def __init__(
        self,
        units=None,
        activation="tanh",
        score="dot",
        normalizer="softmax",
        query_initializer=None,
        hops=None,
        penalty=0.0,
        projected=True,
        **kwargs,
    ):
        check_flags(kwargs)
        super().__init__(**kwargs)
        for name, size in (("units", units), ("hops", hops)):
            if size is not None and size < 1:
                raise ValueError(
                    f"{name} is at least 1, or None. Received: {name}={size!r}"
                )
        if not penalty >= 0:
            raise ValueError(f"penalty is 0 or more. Received: penalty={penalty!r}")
        if penalty and hops is None:
            raise ValueError(
                "The penalty is for hops that read the same. Expected: hops, or "
                f"penalty=0. Received: penalty={penalty!r}, hops=None"
            )
        if units is not None and not projected:
            raise ValueError(
                "Without W the hidden representation is as wide as the input. Expected:"
                f" units=None, or projected=True. Received: units={units!r}"
            )
        if query_initializer is None:
            query_initializer = "zeros" if hops is None else "glorot_uniform"
        self.units = units
        self.activation = keras.activations.get(activation)
        self.score = of_policy(scores.get(score), self.dtype_policy)
        self.normalizer = of_policy(normalizers.get(normalizer), self.dtype_policy)
        self.query_initializer = keras.initializers.get(query_initializer)
        self.hops = hops
        self.penalty = penalty
        self.projected = projected
        #: The learned query; `None` where it comes from outside.
        self.query = None

    def build(self, inputs_shape, query_shape=None):
        """Make W, b, the query where it is learned, and the score's weights."""
        self._check_shapes(inputs_shape, query_shape)
        width = (inputs_shape if query_shape is None else query_shape)[-1]
        units = (self.units or width) if self.projected else inputs_shape[-1]
        if self.projected:
            self.hidden_dense = keras.layers.Dense(
                units, self.activation, dtype=self.dtype_policy, name="hidden"
            )
            self.hidden_dense.build(inputs_shape)
        queries = (None, 1, width)
        if query_shape is None:
            queries = (None, self.hops or 1, units)
            self.query = self.add_weight(
                shape=queries[1:], initializer=self.query_initializer, name="query"
            )
        if not self.score.built:
            self.score.build(queries, (*inputs_shape[:-1], units))

    def call(
        self,
        inputs,
        mask=None,
        query=None,
        return_attention_scores=False,
        training=None,
    ):
        """Pool; see the class."""
        self._check(inputs, query)
        mask = merged(inputs, mask)  # (B, T)
        value = cleared(inputs, mask)  # (B, T, D)
        context, weights = self.read(self.hidden(value), value, mask, query, training)
        return (context, weights) if return_attention_scores else context

    def read(self, hidden, value, mask=None, query=None, training=None):
        """Pool positions whose hidden representation is made already.

        Args:
            hidden: Tensor `(B, T, units)`.
            value: Tensor `(B, T, D)`, zeros where it is masked.
            mask: Boolean `(B, T)`; this and the others as for a call.
            query: Tensor `(B, Dq)`, or `None` for the learned one.
            training: Whether this is training.

        Returns:
            The pooled text and the weights, as a call gives them.
        """
        if query is None:
            query = ops.cast(self.query, self.compute_dtype)
            query = ops.expand_dims(query, 0)  # (1, r, units), the same for all texts
        else:
            query = ops.expand_dims(query, 1)  # (B, 1, Dq)
        batch, length, _ = ops.shape(value)
        context, weights = attend(
            query,
            hidden,
            value,
            score=self.score,
            normalizer=self.normalizer,
            # Cleared already, before the dense map.
            attention_mask=None if mask is None else ops.expand_dims(mask, -2),
            drawn=self.normalizer.draw((batch, self.hops or 1, length), training),
        )  # (B, r, D), (B, r, T)
        if self.penalty:
            self.add_loss(self.penalty * _overlap(weights, mask))
        if self.hops is None:
            context, weights = context[:, 0], weights[:, 0]
        return context, ops.cast(weights, self.compute_dtype)

    def hidden(self, value):
        """The hidden representation of positions, `(..., D)` to `(..., units)`."""
        return self.hidden_dense(value) if self.projected else self.activation(value)

    def compute_mask(self, inputs, previous_mask):
        """None: the positions are gone."""
        return None

    def compute_output_spec(
        self,
        inputs,
        mask=None,
        query=None,
        return_attention_scores=False,
        training=None,
    ):
        """What `call` returns, for every flag."""
        self._check(inputs, query)
        check_mask(inputs, mask)
        batch, length, width = inputs.shape
        hops = () if self.hops is None else (self.hops,)
        context = keras.KerasTensor((batch, *hops, width), dtype=self.compute_dtype)
        if not return_attention_scores:
            return context
        weights = keras.KerasTensor((batch, *hops, length), dtype=self.compute_dtype)
        return context, weights

    def _check(self, inputs, query):
        """Raise where shapes do not fit, or the query is not where it was before."""
        self._check_shapes(inputs.shape, None if query is None else query.shape)
        if not self.built or (query is None) == (self.query is not None):
            return
        if query is None:
            raise ValueError(
                "This AttentionPooling was built for a query from outside, and has "
                "learned none. Expected: query, as at the first call. Received: "
                "query=None"
            )
        raise ValueError(
            "This AttentionPooling was built with a learned query. Expected: no query, "
            f"as at the first call. Received: query of shape {tuple(query.shape)}"
        )

    def _check_shapes(self, inputs_shape, query_shape):
        if len(inputs_shape) != 3:
            raise ValueError(
                "AttentionPooling expects an input of shape (batch, length, width). "
                f"Received: shape {tuple(inputs_shape)}"
            )
        if query_shape is None:
            return
        if self.hops is not None:
            raise ValueError(
                "Hops are learned queries. Expected: no query where there are hops. "
                f"Received: hops={self.hops}, query of shape {tuple(query_shape)}"
            )
        batches = {inputs_shape[0], query_shape[0]} - {None}
        if len(query_shape) != 2 or len(batches) > 1:
            raise ValueError(
                "AttentionPooling expects a query of shape (batch, width), with the "
                f"batch of the input. Received: query of shape {tuple(query_shape)}, "
                f"input of shape {tuple(inputs_shape)}"
            )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "activation": keras.activations.serialize(self.activation),
            "score": scores.serialize(self.score),
            "normalizer": normalizers.serialize(self.normalizer),
            "query_initializer": keras.initializers.serialize(self.query_initializer),
            "hops": self.hops,
            "penalty": self.penalty,
            "projected": self.projected,
        }


def _overlap(weights, mask):
    """`|A A^T - I|^2` of each text's weights A, its mean over the live texts."""
    products = ops.matmul(weights, ops.swapaxes(weights, -1, -2))  # (B, r, r)
    unit = ops.eye(weights.shape[-2], dtype=weights.dtype)
    squares = ops.sum(ops.square(products - unit), axis=(-2, -1))  # (B,)
    if mask is None:
        return ops.mean(squares)
    live = ops.cast(ops.any(mask, axis=-1), squares.dtype)  # (B,)
    return ops.sum(live * squares) / ops.maximum(ops.sum(live), 1.0)
