"""One level of a hierarchy: a layer applied to every innermost sequence."""

import inspect
import warnings

import keras
from keras import ops

from kattn.attend import cleared
from kattn.layers.flags import check_flags
from kattn.layers.masking import check_mask, merged


@keras.saving.register_keras_serializable(package="kattn")
class Hierarchical(keras.layers.Layer):
    """Reads every innermost sequence of a text with one and the same layer.

    `(B, S, T, D)` is folded to `(B*S, T, D)`, read, and unfolded again; so are the
    masks. A document of sentences of words becomes a document of sentence vectors:
    apply the next level's layer to that, or another `Hierarchical` where there are
    more levels.

    Args:
        layer: A Keras layer that takes `(N, T, D)`, and `mask=(N, T)` if it heeds one,
            and gives `(N, D')` (a pooling) or `(N, T, D')` (an encoder).
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, S, ..., T, D)`; any number of outer axes.
        mask: Boolean `(B, S, ..., T)`. AND-ed with the mask Keras carries along.
        return_attention_scores: Passed on to the layer where it is `True`.

    Returns:
        What the layer gives, `(B, S, ..., D')` or `(B, S, ..., T, D')`, and the
        weights `(B, S, ..., T)` where asked. A sequence without a live position gives
        zeros, and is masked for the next level: a sentence is seen if any word is.

    Raises:
        TypeError: If `layer` is no Keras layer.
        ValueError: If the input has fewer than four axes or the mask another shape.

    Example:
        >>> words = np.ones((2, 3, 5, 8))  # 2 documents, 3 sentences, 5 words
        >>> pooling = kattn.layers.AttentionPooling()
        >>> kattn.layers.Hierarchical(pooling)(words).shape
        TensorShape([2, 3, 8])

    Reference:
        Yang et al. 2016, Hierarchical Attention Networks for Document Classification.
    """

    def __init__(self, layer, **kwargs):
        check_flags(kwargs)
        super().__init__(**kwargs)
        if not isinstance(layer, keras.layers.Layer):
            raise TypeError(f"layer is a Keras layer. Received: {layer!r}")
        self.layer = layer

    def build(self, input_shape):
        """Build the layer on one folded sequence."""
        if len(input_shape) < 4:
            raise ValueError(
                "Hierarchical expects an input of shape (batch, sequences, ..., "
                f"length, width). Received: shape {tuple(input_shape)}"
            )
        if not self.layer.built:
            self.layer.build((None, *input_shape[-2:]))

    def call(self, inputs, mask=None, return_attention_scores=False):
        """Fold, read, unfold; see the class."""
        mask = merged(inputs, mask)  # (B, S, ..., T)
        outer = ops.shape(inputs)[:-2]  # (B, S, ...)
        folded = cleared(inputs, mask)
        folded = ops.reshape(folded, (-1, *ops.shape(inputs)[-2:]))  # (N, T, D)
        options = {"return_attention_scores": True} if return_attention_scores else {}
        if mask is None:
            outputs = self.layer(folded, **options)
            return keras.tree.map_structure(lambda x: _unfold(x, outer), outputs)
        live_words = ops.reshape(mask, (-1, ops.shape(mask)[-1]))  # (N, T)
        live = ops.any(live_words, axis=-1)  # (N,)
        # Recurrent kernels refuse a sequence without a live step: an empty one gets
        # its first, and what they make of it is cleared afterwards.
        first = ops.arange(ops.shape(live_words)[-1]) == 0  # (T,)
        steps = live_words | (first & ~ops.expand_dims(live, -1))  # (N, T)
        if "mask" in inspect.signature(self.layer.call).parameters:
            options["mask"] = steps
        with warnings.catch_warnings():
            # A Sequential heeds a mask, then warns that its output carries none; what
            # the next level sees is decided in `compute_mask`.
            warnings.filterwarnings("ignore", ".*does not support masking")
            outputs = self.layer(folded, **options)
        return keras.tree.map_structure(
            lambda x: _unfold(_clear(x, live), outer), outputs
        )

    def compute_mask(self, inputs, previous_mask):
        """Pooled: which sequences have a live position. Encoded: the mask itself."""
        if previous_mask is None:
            return None
        if not isinstance(inputs, keras.KerasTensor):
            # Where a mask is given, Keras shows it alone, without the one carried.
            previous_mask = merged(inputs, previous_mask)
        spec = self.layer.compute_output_spec(_folded_spec(inputs))
        if len(keras.tree.flatten(spec)[0].shape) == 3:
            return previous_mask
        return ops.any(previous_mask, axis=-1)

    def compute_output_spec(self, inputs, mask=None, return_attention_scores=False):
        """What `call` returns, for every flag."""
        check_mask(inputs, mask)
        options = {"return_attention_scores": True} if return_attention_scores else {}
        spec = self.layer.compute_output_spec(_folded_spec(inputs), **options)
        return keras.tree.map_structure(
            lambda x: keras.KerasTensor(
                (*inputs.shape[:-2], *x.shape[1:]), dtype=x.dtype
            ),
            spec,
        )

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
        }

    @classmethod
    def from_config(cls, config):
        """The layer that `get_config` described."""
        layer = keras.saving.deserialize_keras_object(config["layer"])
        return cls(**{**config, "layer": layer})


def _folded_spec(inputs):
    return keras.KerasTensor((None, *inputs.shape[-2:]), dtype=inputs.dtype)


def _clear(outputs, live):
    """Zeros in the rows of sequences without a live position."""
    live = ops.reshape(live, (-1,) + (1,) * (len(outputs.shape) - 1))
    return ops.where(live, outputs, ops.zeros_like(outputs))


def _unfold(outputs, outer):
    """`(N, ...)` back to `(B, S, ..., ...)`."""
    return ops.reshape(outputs, (*outer, *ops.shape(outputs)[1:]))
