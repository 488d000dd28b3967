"""Step 1: how similar is each key to the query?

A score splits in two. `project_query` and `project_key` apply the dense maps, once per
position; `pairwise` compares all pairs of what they give, is a pure function of
tensors, and so can be compiled, run block by block, or recomputed in the backward pass.
"""

import math
import operator

import keras
from keras import ops

from kattn import parts
from kattn.pairwise import places, products, proximities, sums, tanh_sums, wide


class Score(keras.layers.Layer):
    """Base class: a layer that owns a similarity's weights.

    Subclasses say how queries and keys are projected, which pure function compares the
    projected pairs (`pairwise`), and which weights that function needs (`parameters`).
    """

    #: A module-level function `(query, key, *parameters) -> energies`.
    pairwise = staticmethod(products)
    #: Whether an energy depends on the key's place, and not on its vector alone.
    by_place = False

    def build(self, query_shape, key_shape):
        """Make the weights, where there are any."""

    def project_query(self, query):
        """The query's dense map: `(..., Tq, Dq)` to what `pairwise` takes."""
        return query

    def project_key(self, key):
        """The key's dense map: `(..., Tk, Dk)` to what `pairwise` takes."""
        return key

    def check(self, query_shape, key_shape):
        """Raise where the score cannot compare these shapes; here none."""

    def parameters(self) -> tuple:
        """The weights `pairwise` needs beside query and key."""
        return ()

    def call(self, query, key):
        """Energies `(..., Tq, Tk)` of all pairs, in float32 or wider."""
        self.check(query.shape, key.shape)
        query, key = self.project_query(query), self.project_key(key)
        return self.pairwise(*map(wide, (query, key, *self.parameters())))

    def compute_output_spec(self, query, key):
        """`(..., Tq, Tk)`, in float32 or wider whatever the policy."""
        dtype = "float64" if self.compute_dtype == "float64" else "float32"
        return keras.KerasTensor((*query.shape[:-1], key.shape[-2]), dtype=dtype)


class EqualWidths(Score):
    """Base class of the scores that compare vectors of one and the same width."""

    def build(self, query_shape, key_shape):
        """Check the widths."""
        self.check(query_shape, key_shape)

    def check(self, query_shape, key_shape):
        """Raise a `ValueError` that says both widths where they differ."""
        if query_shape[-1] != key_shape[-1]:
            raise ValueError(
                f"The {self.name} score compares vectors of equal width. Received: "
                f"query of width {query_shape[-1]}, key of width {key_shape[-1]}"
            )


@keras.saving.register_keras_serializable(package="kattn")
class Dot(EqualWidths):
    """`e = q . k`. Query and key have the same width.

    Example:
        >>> score = kattn.scores.Dot()
        >>> np.asarray(score(np.ones((1, 2, 4)), np.ones((1, 3, 4))))[0, 0]
        array([4., 4., 4.], dtype=float32)

    Reference:
        Luong et al. 2015, arXiv:1508.04025, `dot`.
    """


@keras.saving.register_keras_serializable(package="kattn")
class ScaledDot(EqualWidths):
    """`e = q . k / sqrt(D)`. Query and key have the same width D.

    Example:
        >>> score = kattn.scores.ScaledDot()
        >>> np.asarray(score(np.ones((1, 2, 4)), np.ones((1, 3, 4))))[0, 0]
        array([2., 2., 2.], dtype=float32)

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762.
    """

    def project_query(self, query):
        """The query divided by the root of its width, so that nothing overflows."""
        return query * (query.shape[-1] ** -0.5)


@keras.saving.register_keras_serializable(package="kattn")
class Cosine(EqualWidths):
    """`e = q . k / (|q| |k|)`, divided by a learned temperature where one is given.

    Query and key have the same width. A vector shorter than 1e-6 counts as zero: its
    cosine with everything is 0, and so is the gradient. Without a temperature energies
    lie in [-1, 1], so that no softmax weight is over 7.4 times another.

    Args:
        temperature: Where the learned temperature starts; none is learned if `None`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Example:
        >>> score = kattn.scores.Cosine()
        >>> np.asarray(score(np.ones((1, 2, 4)), -np.ones((1, 3, 4))))[0, 0]
        array([-1., -1., -1.], dtype=float32)

    Reference:
        Graves et al. 2014, arXiv:1410.5401, section 3.3.1.
    """

    def __init__(self, temperature: float | None = None, **kwargs):
        super().__init__(**kwargs)
        if temperature is not None and not temperature > 0:
            raise ValueError(
                "temperature is a positive number, or None. "
                f"Received: temperature={temperature!r}"
            )
        self.temperature = temperature

    def build(self, query_shape, key_shape):
        """Check the widths; make the temperature's logarithm."""
        super().build(query_shape, key_shape)
        if self.temperature is not None:
            # A logarithm, so that no step can make the temperature negative.
            start = keras.initializers.Constant(math.log(self.temperature))
            self.log_temperature = self.add_weight(
                shape=(), initializer=start, name="log_temperature", autocast=False
            )

    def project_query(self, query):
        """`q / |q|`, divided by the temperature."""
        if self.temperature is None:
            return _unit(query)
        return _unit(query) * ops.exp(-wide(self.log_temperature))

    def project_key(self, key):
        """`k / |k|`."""
        return _unit(key)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "temperature": self.temperature}


def _unit(x):
    """Vectors of length 1, in float32 or wider; zeros of those that are about zero."""
    x = wide(x)
    squares = ops.sum(ops.square(x), axis=-1, keepdims=True)
    tiny = squares < 1e-12
    return x * ops.where(tiny, 0.0, ops.rsqrt(ops.where(tiny, 1.0, squares)))


@keras.saving.register_keras_serializable(package="kattn")
class Bilinear(Score):
    """`e = q . W k`: Luong's `general`. Query and key may have different widths.

    W is applied to the wider of them, so that the narrower are compared: a decoder's
    memory is projected once, and not its state at every step.

    Example:
        >>> score = kattn.scores.Bilinear()
        >>> score(np.ones((1, 2, 4)), np.ones((1, 3, 6))).shape
        TensorShape([1, 2, 3])

    Reference:
        Luong et al. 2015, arXiv:1508.04025, `general`.
    """

    def build(self, query_shape, key_shape):
        """Make W, `(Dq, Dk)`."""
        self.query_dense = keras.layers.Dense(
            key_shape[-1], use_bias=False, dtype=self.dtype_policy, name="query"
        )
        self.query_dense.build(query_shape)

    def _key_is_wider(self):
        if self.query_dense.quantization_mode:  # whose kernel is not W
            return False
        return operator.lt(*self.query_dense.kernel.shape)

    def project_query(self, query):
        """`q W`, `(..., Tq, Dk)`; or `q`, where the key is wider."""
        return query if self._key_is_wider() else self.query_dense(query)

    def project_key(self, key):
        """`k`; or where it is wider `W k`, `(..., Tk, Dq)`."""
        if not self._key_is_wider():
            return key
        kernel = ops.cast(self.query_dense.kernel, self.compute_dtype)
        return ops.matmul(ops.cast(key, self.compute_dtype), ops.transpose(kernel))


@keras.saving.register_keras_serializable(package="kattn")
class Concat(Score):
    """`e = w . [q; k]`, one weight vector over query and key joined.

    The query's share `w . q` is the same for all keys of one query, so a softmax takes
    no notice of it: which keys are read does not depend on the query. What Luong et al.
    write as `concat`, `v . tanh(W [q; k])`, does depend on it, and is `Additive` here.

    Example:
        >>> score = kattn.scores.Concat()
        >>> score(np.ones((1, 2, 4)), np.ones((1, 3, 6))).shape
        TensorShape([1, 2, 3])

    Reference:
        "Concatenation" in Galassi et al. 2020, arXiv:1902.02181, without its tanh.
    """

    pairwise = staticmethod(sums)

    def build(self, query_shape, key_shape):
        """Make w, `(Dq + Dk,)`."""
        self.query_width = query_shape[-1]
        width = query_shape[-1] + key_shape[-1]
        self.vector = self.add_weight(shape=(width,), name="vector", autocast=False)

    def project_query(self, query):
        """The query's share of `w . [q; k]`, `(..., Tq, 1)`."""
        share = wide(self.vector)[: self.query_width]
        return ops.matmul(wide(query), ops.expand_dims(share, -1))

    def project_key(self, key):
        """The key's share, `(..., Tk, 1)`."""
        share = wide(self.vector)[self.query_width :]
        return ops.matmul(wide(key), ops.expand_dims(share, -1))


@keras.saving.register_keras_serializable(package="kattn")
class Additive(Score):
    """`e = v . tanh(W q + U k + b)`: a perceptron with one hidden layer.

    Query and key may have different widths.

    Args:
        units: Width of the hidden layer; the key's width if `None`.
        normalize: Whether v is `g v / |v|` with a learned length g, which starts at
            `1 / sqrt(units)`, as Raffel et al. do for monotonic attention.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Example:
        >>> score = kattn.scores.Additive(units=8)
        >>> score(np.ones((1, 2, 4)), np.ones((1, 3, 6))).shape
        TensorShape([1, 2, 3])

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2; Raffel et al. 2017,
        arXiv:1704.00784, section 2.4.
    """

    pairwise = staticmethod(tanh_sums)

    def __init__(self, units: int | None = None, normalize: bool = False, **kwargs):
        super().__init__(**kwargs)
        if units is not None and units < 1:
            raise ValueError(f"units is at least 1, or None. Received: units={units!r}")
        self.units = units
        self.normalize = normalize

    def build(self, query_shape, key_shape):
        """Make W, U, b and v, and the length of v where it is learned apart."""
        units = self.units or key_shape[-1]
        self.query_dense = keras.layers.Dense(
            units, use_bias=False, dtype=self.dtype_policy, name="query"
        )
        self.key_dense = keras.layers.Dense(units, dtype=self.dtype_policy, name="key")
        self.query_dense.build(query_shape)
        self.key_dense.build(key_shape)
        # Not cast down: they are used in the energies' own precision.
        self.vector = self.add_weight(shape=(units,), name="vector", autocast=False)
        if self.normalize:
            start = keras.initializers.Constant(units**-0.5)
            self.length = self.add_weight(
                shape=(), initializer=start, name="length", autocast=False
            )

    def project_query(self, query):
        """`W q`, `(..., Tq, units)`."""
        return self.query_dense(query)

    def project_key(self, key):
        """`U k + b`, `(..., Tk, units)`."""
        return self.key_dense(key)

    def parameters(self):
        """`v`, `(units,)`."""
        if not self.normalize:
            return (self.vector,)
        return (_unit(self.vector) * wide(self.length),)

    def get_config(self):
        """The constructor's arguments."""
        config = {"units": self.units, "normalize": self.normalize}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="kattn")
class Location(Score):
    """`e_j = (W q)_j`: the query alone says which places it reads.

    The number of keys is fixed when the weights are made.

    Example:
        >>> score = kattn.scores.Location()
        >>> score(np.ones((1, 2, 4)), np.ones((1, 3, 6))).shape
        TensorShape([1, 2, 3])

    Reference:
        Luong et al. 2015, arXiv:1508.04025, `location`.
    """

    pairwise = staticmethod(places)
    by_place = True

    def build(self, query_shape, key_shape):
        """Make W, `(Dq, Tk)`."""
        if key_shape[-2] is None:
            raise ValueError(
                "The location score has a weight for each place, so the key's length "
                f"must be known. Received: key of shape {tuple(key_shape)}"
            )
        self.query_dense = keras.layers.Dense(
            key_shape[-2], use_bias=False, dtype=self.dtype_policy, name="query"
        )
        self.query_dense.build(query_shape)

    def check(self, query_shape, key_shape):
        """Raise a `ValueError` where there are more or fewer keys than places."""
        if key_shape[-2] not in (None, self.query_dense.units):
            raise ValueError(
                f"This location score was built for {self.query_dense.units} keys. "
                f"Received: key of shape {tuple(key_shape)}"
            )

    def project_query(self, query):
        """`W q`, `(..., Tq, Tk)`."""
        return self.query_dense(query)


@keras.saving.register_keras_serializable(package="kattn")
class Proximity(EqualWidths):
    """`e = 1 / (1 + |q - k|)`, with the Euclidean distance: ABCNN's match score.

    Query and key have the same width. The score of equal vectors is 1, exactly; there
    the gradient, which has no limit, is taken as 0.

    Example:
        >>> score = kattn.scores.Proximity()
        >>> np.asarray(score(np.ones((1, 1, 4)), np.array([[[1.0] * 4, [2.0] * 4]])))
        array([[[1.        , 0.33333334]]], dtype=float32)

    Reference:
        Yin et al. 2016, ABCNN, arXiv:1512.05193, section 4.
    """

    pairwise = staticmethod(proximities)


_NAMED = {
    "dot": Dot,
    "scaled_dot": ScaledDot,
    "cosine": Cosine,
    "bilinear": Bilinear,
    "general": Bilinear,
    "concat": Concat,
    "additive": Additive,
    "location": Location,
    "proximity": Proximity,
}


def get(identifier) -> Score:
    """A score from its name (say `"scaled_dot"`), an object or a config."""
    return parts.resolve("score", identifier, Score, _NAMED)


def serialize(score: Score) -> dict:
    """The config that `get` turns back into an equal score (without its weights)."""
    return keras.saving.serialize_keras_object(score)
