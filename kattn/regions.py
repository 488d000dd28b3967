"""Step 1 to 2: which keys may a query see, and how near are they?

A region is told by distances: where a key stands, less where its query looks. Most
regions are values (`kattn.parts.Value`); one that predicts where to look is a layer.
"""

import dataclasses
import math

import keras
from keras import ops

from kattn import parts
from kattn.pairwise import wide


class Region:
    """Base class: what each query may see, as far as positions decide it.

    Padding is not a region's concern: masks travel as arguments and are AND-ed.
    """

    #: Whether weights are made to sum to 1 again after they were multiplied with
    #: `closeness`.
    renormalize = False
    #: How far a query sees to the left and to the right of its own position, where
    #: that is all there is to it: then only so much needs to be compared.
    window = None
    #: A region without weights has nothing to build.
    built = True

    def view(self, query, key_length, *, start=0, key_mask=None):
        """What each query may see.

        Args:
            query: Tensor `(..., Tq, Dq)`.
            key_length: Tk, an integer or a scalar tensor.
            start: Position of the first query, an integer or a scalar tensor: a decoder
                that asks one query at a time says which step it is at.
            key_mask: Boolean `(..., Tk)`, `False` for padding, or `None`.

        Returns:
            `(visible, closeness)`: a boolean tensor, `None` where all keys may be seen,
            and the factors that the weights are multiplied with, `None` for none. Both
            broadcast to `(..., Tq, Tk)`.
        """
        centres = self.centres(query, key_length, start, key_mask)  # (..., Tq)
        keys = ops.cast(ops.arange(key_length), centres.dtype)  # (Tk,)
        distances = keys - ops.expand_dims(centres, -1)  # (..., Tq, Tk)
        return self.visible(distances), self.closeness(distances)

    def centres(self, query, key_length, start, key_mask):
        """Where each query looks: at its own position. `(Tq,)`, or `(..., Tq)`."""
        return ops.arange(ops.shape(query)[-2]) + start

    def visible(self, distances):
        """Which keys at these distances from the centre may be seen."""
        raise NotImplementedError

    def closeness(self, distances):
        """What weights are multiplied with; `None`, so that they stay as they are."""
        return None


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class Global(parts.Value, Region):
    """Every key may be seen by every query: soft attention over the whole text.

    Example:
        >>> kattn.regions.get("global")
        Global()

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473; "global" in Luong et al. 2015,
        arXiv:1508.04025.
    """

    def view(self, query, key_length, *, start=0, key_mask=None):
        """`(None, None)`: there is nothing to hide."""
        return None, None


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class Causal(parts.Value, Region):
    """A query sees the keys up to its own position: `j <= i`, both counted from 0.

    Example:
        >>> visible, _ = kattn.regions.Causal().view(np.ones((1, 3, 4)), 3)
        >>> np.asarray(visible).astype(int)
        array([[1, 0, 0],
               [1, 1, 0],
               [1, 1, 1]])

    Reference:
        Vaswani et al. 2017, arXiv:1706.03762, section 3.2.3.
    """

    def visible(self, distances):
        """The keys that do not come later."""
        return distances <= 0


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class Local(parts.Value, Region):
    """Self attention within a window: `i - left <= j <= i + right`.

    Args:
        left: How many positions before its own a query sees.
        right: How many after it.

    Example:
        >>> region = kattn.regions.Local(left=1, right=0)
        >>> visible, _ = region.view(np.ones((1, 3, 4)), 3)
        >>> np.asarray(visible).astype(int)
        array([[1, 0, 0],
               [1, 1, 0],
               [0, 1, 1]])

    Reference:
        Beltagy et al. 2020, arXiv:2004.05150, "sliding window".
    """

    left: int = 10
    right: int = 10

    def __post_init__(self):
        """Refuse what is no window."""
        for name in ("left", "right"):
            size = getattr(self, name)
            if not isinstance(size, int) or isinstance(size, bool) or size < 0:
                raise ValueError(
                    f"{name} is a number of positions, 0 or more. "
                    f"Received: {name}={size!r}"
                )

    @property
    def window(self):
        """`(left, right)`."""
        return self.left, self.right

    def visible(self, distances):
        """The keys within the window."""
        return ops.logical_and(distances >= -self.left, distances <= self.right)


@keras.saving.register_keras_serializable(package="kattn")
@dataclasses.dataclass(frozen=True)
class LocalM(parts.Value, Region):
    """Luong's monotonic window: `|j - p_i| <= D` with the centre `p_i = i`.

    Where there are more queries than keys, those over D positions past the last key
    see nothing.

    Args:
        half_width: D, how many positions to each side of the centre are seen.

    Example:
        >>> visible, _ = kattn.regions.LocalM(1).view(np.ones((1, 3, 4)), 4)
        >>> np.asarray(visible).astype(int)
        array([[1, 1, 0, 0],
               [1, 1, 1, 0],
               [0, 1, 1, 1]])

    Reference:
        Luong et al. 2015, arXiv:1508.04025, section 3.2, `local-m`.
    """

    half_width: int = 10

    def __post_init__(self):
        """Refuse what is no window."""
        _check_half_width(self.half_width)

    @property
    def window(self):
        """D to either side."""
        # Distances are whole numbers.
        return math.floor(self.half_width), math.floor(self.half_width)

    def visible(self, distances):
        """The keys within the window."""
        return ops.abs(distances) <= math.floor(self.half_width)


@keras.saving.register_keras_serializable(package="kattn")
class LocalP(keras.layers.Layer, Region):
    """Luong's predicted window: `p = S sigmoid(v . tanh(W q))`, `|j - p| <= D`.

    The weights of the keys in the window are multiplied with a Gaussian round its
    centre, `exp(-(j - p)^2 / (2 sigma^2))`, `sigma = D / 2`, which makes the prediction
    learnable. Afterwards they sum to less than 1, as in the paper. Keys are counted
    from 0. S is the length of each text: the place after its last live key, wherever
    the padding ends.

    Args:
        half_width: D, how many positions to each side of the centre are seen.
        units: Width of the hidden layer; the query's width if `None`.
        renormalize: Whether the weights are made to sum to 1 again.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Example:
        >>> region = kattn.regions.LocalP(half_width=2)
        >>> region.build((1, 1, 4))
        >>> visible, closeness = region.view(np.zeros((1, 1, 4), "float32"), 8)
        >>> np.asarray(visible).astype(int)  # p = 8 sigmoid(0) = 4
        array([[[0, 0, 1, 1, 1, 1, 1, 0]]])
        >>> np.round(closeness, 2)[0, 0, 2:7]
        array([0.14, 0.61, 1.  , 0.61, 0.14], dtype=float32)

    Reference:
        Luong et al. 2015, arXiv:1508.04025, equations 9 and 10.
    """

    def __init__(self, half_width=10, units=None, renormalize=False, **kwargs):
        super().__init__(**kwargs)
        _check_half_width(half_width)
        if units is not None and units < 1:
            raise ValueError(f"units is at least 1, or None. Received: units={units!r}")
        self.half_width = half_width
        self.units = units
        self.renormalize = renormalize

    def build(self, query_shape):
        """Make W and v."""
        units = self.units or query_shape[-1]
        self.hidden_dense = keras.layers.Dense(
            units, "tanh", use_bias=False, dtype=self.dtype_policy, name="hidden"
        )
        self.hidden_dense.build(query_shape)
        self.vector = self.add_weight(shape=(units,), name="vector", autocast=False)

    def centres(self, query, key_length, start, key_mask):
        """`S sigmoid(v . tanh(W q))`, `(..., Tq)`."""
        hidden = wide(self.hidden_dense(query))  # (..., Tq, units)
        vector = ops.expand_dims(wide(self.vector), -1)
        share = ops.sigmoid(ops.matmul(hidden, vector)[..., 0])  # (..., Tq)
        if key_mask is None:
            return ops.cast(key_length, share.dtype) * share
        ends = ops.cast(ops.arange(key_length) + 1, share.dtype)  # (Tk,)
        live = ops.cast(key_mask, "bool")
        ends = ops.where(live, ends, ops.zeros_like(ends))  # (..., Tk)
        return ops.max(ends, axis=-1, keepdims=True) * share

    def visible(self, distances):
        """The keys within the window."""
        return ops.abs(distances) <= self.half_width

    def closeness(self, distances):
        """The Gaussian round the centre."""
        return ops.exp(-2 * ops.square(distances / self.half_width))  # sigma = D / 2

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "half_width": self.half_width,
            "units": self.units,
            "renormalize": self.renormalize,
        }


def _check_half_width(half_width):
    number = isinstance(half_width, int | float) and not isinstance(half_width, bool)
    if not number or not half_width > 0:
        raise ValueError(
            "half_width is a positive number of positions. "
            f"Received: half_width={half_width!r}"
        )


_NAMED = {
    "global": Global,
    "causal": Causal,
    "local": Local,
    "local_m": LocalM,
    "local_p": LocalP,
}


def get(identifier) -> Region:
    """A region from its name (`"global"`), an object or a config."""
    return parts.resolve("region", identifier, Region, _NAMED)


def serialize(region: Region) -> dict:
    """The config that `get` turns back into an equal region (without its weights)."""
    return keras.saving.serialize_keras_object(region)
