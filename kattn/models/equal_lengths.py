"""Two texts in one batch: padded to one length, and cut to their own again."""

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="kattn")
class EqualLengths(keras.layers.Layer):
    """Two texts' ids, or their masks, with zeros after the shorter.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        premise: Tensor `(B, Tp)`.
        hypothesis: Tensor `(B, Th)`.

    Returns:
        Both, `(B, max(Tp, Th))`.
    """

    def call(self, premise, hypothesis):
        """Pad; see the class."""
        lengths = ops.shape(premise)[1], ops.shape(hypothesis)[1]
        if all(isinstance(length, int) for length in lengths):
            longest = max(lengths)
        else:
            longest = ops.maximum(*lengths)
        return tuple(
            ops.pad(x, ((0, 0), (0, longest - length)))
            for x, length in zip((premise, hypothesis), lengths, strict=True)
        )

    def compute_mask(self, premise, previous_mask):
        """None: masks are inputs of their own."""
        return None

    def compute_output_spec(self, premise, hypothesis):
        """What `call` returns."""
        lengths = premise.shape[1], hypothesis.shape[1]
        length = None if None in lengths else max(lengths)
        return tuple(
            keras.KerasTensor((x.shape[0], length), dtype=x.dtype)
            for x in (premise, hypothesis)
        )


@keras.saving.register_keras_serializable(package="kattn")
class AsLong(keras.layers.Layer):
    """What was padded, without the padding.

    Args:
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        padded: Tensor `(B, T', ...)`.
        ids: Tensor `(B, T)`, of what there was.

    Returns:
        `(B, T, ...)`.
    """

    def call(self, padded, ids):
        """Cut; see the class."""
        return padded[:, : ops.shape(ids)[1]]

    def compute_output_spec(self, padded, ids):
        """What `call` returns."""
        shape = (*ids.shape[:2], *padded.shape[2:])
        return keras.KerasTensor(shape, dtype=padded.dtype)
