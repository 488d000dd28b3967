"""A recurrence over what is live: the encoder of the recurrent families."""

import functools

import keras
from keras import ops

from kattn.attend import cleared
from kattn.devices import on_cpu
from kattn.models import live_steps, packed, packed_recurrence
from kattn.names import unknown
from kattn.text.libraries import tensorflow

_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
_DIRECTIONS = ("concat", "sum", "forward")


@keras.saving.register_keras_serializable(package="kattn")
class WideOrthogonal(keras.initializers.Orthogonal):
    """Orthogonal, drawn in float32: TensorFlow has no QR decomposition in bfloat16."""

    def __call__(self, shape, dtype=None):
        """A matrix of that shape, cast to the dtype after it was drawn."""
        return ops.cast(super().__call__(shape, "float32"), dtype or "float32")


def in_both_directions(layer, **kwargs):
    """A `keras.layers.Bidirectional`, named `recurrent`, that can be loaded.

    It copies the layer by serialising it. While a file is loaded, Keras notes by
    address what was serialised: were the layer freed, the next object at its address
    would be taken for it. So it is kept.

    Args:
        layer: A recurrent layer.
        **kwargs: As for `keras.layers.Bidirectional`.
    """
    both = keras.layers.Bidirectional(
        layer, dtype=layer.dtype_policy, name="recurrent", **kwargs
    )
    both.kept = functools.partial(id, layer)  # not as a layer, which would be saved
    return both


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
        training: Whether this is training. On a CPU no steps are taken over padding, by
            a GRU in training and by both kinds else.

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
        recurrent = _CELLS[cell](
            units,
            return_sequences=True,
            return_state=True,
            recurrent_initializer=WideOrthogonal(),
            dtype=self.dtype_policy,
        )
        if directions != "forward":
            recurrent = in_both_directions(recurrent, merge_mode=directions)
        # Not before, or Keras would count the one that the two are copies of, too.
        self.recurrent = recurrent
        self._packs = directions != "forward" and on_cpu()
        self.supports_jit = not self._packs

    def build(self, inputs_shape):
        """Build the recurrence."""
        self.recurrent.build(inputs_shape)

    def call(self, inputs, mask, training=None):
        """Encode; see the class."""
        if not training and self.directions != "forward" and live_steps.alone():
            return self._ended(live_steps.read(inputs, mask, *self._cells()), mask)
        # An empty text gets one live step, or cuDNN fails; what it gives is cleared.
        live = ops.any(mask, axis=-1)  # (B,)
        first = ops.arange(ops.shape(mask)[1]) == 0  # (T,)
        steps = ops.logical_or(mask, ops.expand_dims(~live, -1) & first)  # (B, T)
        inputs = cleared(inputs, mask)
        if training and self._packs:
            states, last = self._ended(_packed(inputs, steps, *self._cells()), steps)
        else:
            states, *ends = self.recurrent(inputs, mask=steps, training=training)
            # Each direction gives its h, and an LSTM its cell state after it.
            last = self._joined(ends[0], ends[len(ends) // 2])
        last = ops.cast(last, self.compute_dtype)
        return cleared(states, mask), ops.where(ops.expand_dims(live, -1), last, 0)

    def _joined(self, forward, backward):
        """What both directions give, as one."""
        if self.directions == "sum":
            return forward + backward
        if self.directions == "concat":
            return ops.concatenate([forward, backward], axis=-1)
        return forward

    def _cells(self):
        layers = self.recurrent.forward_layer, self.recurrent.backward_layer
        return (layer.cell for layer in layers)

    def _ended(self, states, steps):
        """The states of two directions as they are joined, and the last ones."""
        forward, backward = states  # (B, T, units) each
        first = ops.argmax(steps, axis=1)  # (B,)
        end = ops.shape(steps)[1] - 1 - ops.argmax(ops.flip(steps, axis=1), axis=1)
        last, backward_last = (
            tensorflow().gather(x, at, batch_dims=1)
            for x, at in ((forward, end), (backward, first))
        )
        return self._joined(forward, backward), self._joined(last, backward_last)

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


def _packed(inputs, steps, forward, backward):
    """The states of two directions, `(B, T, units)` each, none taken over padding."""
    live = packed.Live.of(steps)
    states = packed_recurrence.read(live.packed(inputs), live, forward, backward)
    return ops.split(live.padded(states), 2, axis=-1)
