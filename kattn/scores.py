"""Step 1: how similar is each key to the query?

A score splits in two. `project` applies the dense maps, once per position; `pairwise`
compares all pairs of projected queries and keys, is a pure function of tensors, and so
can be compiled, run block by block, or recomputed in the backward pass.
"""

import keras
from keras import ops

from kattn import parts


def wide(x):
    """A tensor as float32, or as float64 if it is: what energies are computed in."""
    double = keras.backend.standardize_dtype(x.dtype) == "float64"
    return ops.cast(x, "float64" if double else "float32")


def products(query, key):
    """Pairwise `q . k`: `(..., Tq, D)` and `(..., Tk, D)` to `(..., Tq, Tk)`."""
    shared = all(size == 1 for size in query.shape[:-2])
    if shared and len(query.shape) <= len(key.shape):
        # One query for all texts, as in pooling: a single product of two matrices,
        # where a batch of small ones takes half as long again.
        query = ops.reshape(query, query.shape[-2:])  # (Tq, D)
        energies = ops.matmul(key, ops.transpose(query))  # (..., Tk, Tq)
        return ops.swapaxes(energies, -1, -2)
    return ops.einsum("...qd,...kd->...qk", query, key)


def tanh_sums(query, key, vector):
    """Pairwise `v . tanh(q + k)`, `v` being `(D,)`; to `(..., Tq, Tk)`."""
    pairs = ops.expand_dims(query, -2) + ops.expand_dims(key, -3)  # (..., Tq, Tk, D)
    return ops.matmul(ops.tanh(pairs), ops.expand_dims(vector, -1))[..., 0]


class Score(keras.layers.Layer):
    """Base class: a layer that owns a similarity's weights.

    Subclasses say how queries and keys are projected, which pure function compares the
    projected pairs (`pairwise`), and which weights that function needs (`parameters`).
    """

    #: A module-level function `(query, key, *parameters) -> energies`.
    pairwise = staticmethod(products)

    def build(self, query_shape, key_shape):
        """Make the weights; here none, so that only the widths are checked."""
        if query_shape[-1] != key_shape[-1]:
            raise ValueError(
                f"The {self.name} score compares vectors of equal width. Received: "
                f"query of width {query_shape[-1]}, key of width {key_shape[-1]}"
            )

    def project(self, query, key):
        """The dense maps.

        Args:
            query: Tensor `(..., Tq, Dq)`.
            key: Tensor `(..., Tk, Dk)`.

        Returns:
            The projected query and key, as `pairwise` takes them.
        """
        return query, key

    def parameters(self) -> tuple:
        """The weights `pairwise` needs beside query and key."""
        return ()

    def call(self, query, key):
        """Energies `(..., Tq, Tk)` of all pairs, in float32 or wider."""
        query, key = self.project(query, key)
        return self.pairwise(*map(wide, (query, key, *self.parameters())))

    def compute_output_spec(self, query, key):
        """`(..., Tq, Tk)`, in float32 or wider whatever the policy."""
        dtype = "float64" if self.compute_dtype == "float64" else "float32"
        return keras.KerasTensor((*query.shape[:-1], key.shape[-2]), dtype=dtype)


@keras.saving.register_keras_serializable(package="kattn")
class Dot(Score):
    """`e = q . k`. Query and key have the same width.

    Example:
        >>> score = kattn.scores.Dot()
        >>> np.asarray(score(np.ones((1, 2, 4)), np.ones((1, 3, 4))))[0, 0]
        array([4., 4., 4.], dtype=float32)

    Reference:
        Luong et al. 2015, arXiv:1508.04025, `dot`.
    """


@keras.saving.register_keras_serializable(package="kattn")
class ScaledDot(Score):
    """`e = q . k / sqrt(D)`. Query and key have the same width D.

    Example:
        >>> score = kattn.scores.ScaledDot()
        >>> np.asarray(score(np.ones((1, 2, 4)), np.ones((1, 3, 4))))[0, 0]
        array([2., 2., 2.], dtype=float32)

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762.
    """

    def project(self, query, key):
        """The query divided by the root of its width, so that nothing overflows."""
        return query * (query.shape[-1] ** -0.5), key


@keras.saving.register_keras_serializable(package="kattn")
class Additive(Score):
    """`e = v . tanh(W q + U k + b)`: a perceptron with one hidden layer.

    Query and key may have different widths.

    Args:
        units: Width of the hidden layer; the key's width if `None`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Example:
        >>> score = kattn.scores.Additive(units=8)
        >>> score(np.ones((1, 2, 4)), np.ones((1, 3, 6))).shape
        TensorShape([1, 2, 3])

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473, appendix A.1.2.
    """

    pairwise = staticmethod(tanh_sums)

    def __init__(self, units: int | None = None, **kwargs):
        super().__init__(**kwargs)
        if units is not None and units < 1:
            raise ValueError(f"units is at least 1, or None. Received: units={units!r}")
        self.units = units

    def build(self, query_shape, key_shape):
        """Make W, U, b and v."""
        units = self.units or key_shape[-1]
        self.query_dense = keras.layers.Dense(
            units, use_bias=False, dtype=self.dtype_policy, name="query"
        )
        self.key_dense = keras.layers.Dense(units, dtype=self.dtype_policy, name="key")
        self.query_dense.build(query_shape)
        self.key_dense.build(key_shape)
        # Not cast down: it is used in the energies' own precision.
        self.vector = self.add_weight(shape=(units,), name="vector", autocast=False)

    def project(self, query, key):
        """`W q` and `U k + b`, `(..., Tq, units)` and `(..., Tk, units)`."""
        return self.query_dense(query), self.key_dense(key)

    def parameters(self):
        """`v`, `(units,)`."""
        return (self.vector,)

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "units": self.units}


_NAMED = {"dot": Dot, "scaled_dot": ScaledDot, "additive": Additive}


def get(identifier) -> Score:
    """A score from its name (say `"scaled_dot"`), an object or a config."""
    return parts.resolve("score", identifier, Score, _NAMED)


def serialize(score: Score) -> dict:
    """The config that `get` turns back into an equal score (without its weights)."""
    return keras.saving.serialize_keras_object(score)
