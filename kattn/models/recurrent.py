"""A recurrence over what is live: the encoder of the recurrent families."""

import keras
from keras import ops

from kattn.attend import cleared
from kattn.names import unknown

_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
_DIRECTIONS = ("concat", "sum", "forward")


@keras.saving.register_keras_serializable(package="kattn")
class WideOrthogonal(keras.initializers.Orthogonal):
    """Orthogonal, drawn in float32: TensorFlow has no QR decomposition in bfloat16."""

    def __call__(self, shape, dtype=None):
        """A matrix of that shape, cast to the dtype after it was drawn."""
        return ops.cast(super().__call__(shape, "float32"), dtype or "float32")


@keras.saving.register_keras_serializable(package="kattn")
class RecurrentEncoder(keras.layers.Layer):
    """An LSTM or a GRU, in both directions `h_t = [forward_t; backward_t]`.

    Padding takes no part: the last state of each direction is that after the last live
    position, or after the first one, and states at padding are zero.

    Args:
        units: Width in each direction.
        cell: `"lstm"` or `"gru"`.
        directions: Both, joined by `"concat"` or by `"sum"`; or `"forward"` alone.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`.
        mask: Boolean `(B, T)`, live positions first.
        training: Whether this is training.

    Returns:
        The states `(B, T, W)`, and the last states of the directions, joined in the
        same way, `(B, W)`. W is `2 * units` for `"concat"`, else `units`. A text
        without a live position gives zeros.

    Raises:
        ValueError: For an unknown name.

    Example:
        >>> encoder = RecurrentEncoder(4)
        >>> states, last = encoder(np.ones((2, 5, 3)), mask=np.ones((2, 5), bool))
        >>> states.shape, last.shape
        (TensorShape([2, 5, 8]), TensorShape([2, 8]))
    """

    def __init__(self, units, cell="lstm", directions="concat", **kwargs):
        super().__init__(**kwargs)
        if cell not in _CELLS:
            raise unknown("cell", cell, _CELLS)
        if directions not in _DIRECTIONS:
            raise unknown("directions", directions, _DIRECTIONS)
        self.units = units
        self.cell = cell
        self.directions = directions
        self.recurrent = _CELLS[cell](
            units,
            return_sequences=True,
            return_state=True,
            recurrent_initializer=WideOrthogonal(),
            dtype=self.dtype_policy,
        )
        if directions != "forward":
            self.recurrent = keras.layers.Bidirectional(
                self.recurrent,
                merge_mode=directions,
                dtype=self.dtype_policy,
                name="recurrent",
            )

    def build(self, inputs_shape):
        """Build the recurrence."""
        self.recurrent.build(inputs_shape)

    def call(self, inputs, mask, training=None):
        """Encode; see the class."""
        # An empty text gets one live step, or cuDNN fails; what it gives is cleared.
        live = ops.any(mask, axis=-1)  # (B,)
        first = ops.arange(ops.shape(mask)[1]) == 0  # (T,)
        steps = ops.logical_or(mask, ops.expand_dims(~live, -1) & first)  # (B, T)
        states, *ends = self.recurrent(
            cleared(inputs, mask), mask=steps, training=training
        )
        # Each direction gives its h, and an LSTM its cell state after it.
        last = ends[0]
        if self.directions == "sum":
            last = last + ends[len(ends) // 2]
        elif self.directions == "concat":
            last = ops.concatenate([last, ends[len(ends) // 2]], axis=-1)
        last = ops.cast(last, self.compute_dtype)
        return cleared(states, mask), ops.where(ops.expand_dims(live, -1), last, 0)

    def compute_mask(self, inputs, previous_mask):
        """None: who reads the states is told the mask."""
        return None

    def compute_output_spec(self, inputs, mask, training=None):
        """What `call` returns."""
        batch, length = inputs.shape[:2]
        width = self.units * (2 if self.directions == "concat" else 1)
        return (
            keras.KerasTensor((batch, length, width), dtype=self.compute_dtype),
            keras.KerasTensor((batch, width), dtype=self.compute_dtype),
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "cell": self.cell,
            "directions": self.directions,
        }
