"""Recurrences as formats know them: one operation, not a loop of many.

ONNX has LSTM and GRU, which runtimes have fast code for; of TensorFlow's loops they
know nothing. So while a model is traced, its recurrent layers are calls of the one
operation of TensorFlow that stands for a whole recurrence, cuDNN's. It is never run:
the converter puts ONNX's in its place.
"""

import contextlib
import dataclasses

import keras
import numpy as np

from kattn.formats.replacing import replaced
from kattn.layers import AttentionRNN
from kattn.text.libraries import tensorflow

#: The operation, and how those of this module begin their names.
OPERATION = "CudnnRNNV3"
PREFIX = "kattn_recurrence_"


@dataclasses.dataclass(frozen=True)
class Recurrence:
    """A recurrent layer in one direction, by ONNX's rules.

    Args:
        kind: `"LSTM"` or `"GRU"`.
        units: Width of the states, U.
        backward: Whether it reads from the end.
        kernel: What the inputs are multiplied with, `(1, G U, D)`, for G gates.
        recurrent: Likewise the states, `(1, G U, U)`.
        bias: Of both, one after the other, `(1, 2 G U)`.
    """

    kind: str
    units: int
    backward: bool
    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, layer):
        """That of a `keras.layers.LSTM`, or of a `keras.layers.GRU` of Keras's kind.

        Raises:
            ValueError: For activations or a reset that ONNX's GRU and LSTM do not have.
        """
        lstm = isinstance(layer, keras.layers.LSTM)
        usual = (
            layer.activation is keras.activations.tanh
            and layer.recurrent_activation is keras.activations.sigmoid
            and layer.use_bias
            and (lstm or layer.reset_after)
        )
        if not usual:
            raise ValueError(
                "An exported recurrence has Keras's own activations, biases and reset. "
                f"Received: {layer!r} with {layer.get_config()}"
            )
        weights = (layer.cell.kernel, layer.cell.recurrent_kernel, layer.cell.bias)
        kernel, recurrent, bias = map(keras.ops.convert_to_numpy, weights)
        # Keras has i, f, c, o and one bias, ONNX i, o, f, c and two; both z, r, h.
        order = (0, 3, 1, 2) if lstm else (0, 1, 2)
        if lstm:
            bias = np.stack([bias, np.zeros_like(bias)])

        def gates(x):
            parts = np.split(x, len(order), axis=-1)
            return np.concatenate([parts[i] for i in order], axis=-1)

        return cls(
            "LSTM" if lstm else "GRU",
            layer.units,
            layer.go_backwards,
            gates(kernel).T[None],
            gates(recurrent).T[None],
            np.concatenate([gates(bias[0]), gates(bias[1])])[None],
        )


@contextlib.contextmanager
def marked(model):
    """Within this context the recurrences of a model are traced as one operation each.

    Positions that are masked stand at the end, and are read as zeros.

    Args:
        model: A `keras.Model`.

    Yields:
        Its recurrences by name, the name of the operation's node ending with it.
    """
    found = {}

    def call_of(layer):
        name = f"{PREFIX}{len(found)}"
        found[name] = Recurrence.of(layer)
        return _call(layer, name)

    recurrent = keras.layers.LSTM, keras.layers.GRU
    with replaced(
        model, {recurrent: ("call", call_of), AttentionRNN: ("scan", lambda _: _scan)}
    ):
        yield found


def name_of(node_name):
    """The name of the recurrence that a node stands for."""
    return next(part for part in node_name.split("/") if part.startswith(PREFIX))


def _call(layer, name):
    """A layer's `call` by the operation."""
    tf = tensorflow()

    def call(sequences, initial_state=None, mask=None, training=None):
        batch, length = tf.unstack(tf.shape(sequences)[:2])
        lengths = tf.fill([batch], length)
        if mask is not None:
            lengths = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)  # (B,)
        return given(layer, *run(layer, name, sequences, lengths))

    return call


def run(layer, name, sequences, lengths):
    """The operation.

    Args:
        layer: A `keras.layers.LSTM` or `GRU`.
        name: Name of the recurrence.
        sequences: Tensor `(B, T, D)`.
        lengths: So many positions of each text are read, integers `(B,)`.

    Returns:
        The states `(B, T, U)`, each in its place, and a list of the last ones.
    """
    tf = tensorflow()
    lstm = isinstance(layer, keras.layers.LSTM)
    none = tf.zeros((1, tf.shape(sequences)[0], layer.units), sequences.dtype)
    outputs, *last = tf.raw_ops.CudnnRNNV3(
        input=tf.transpose(sequences, (1, 0, 2)),  # (T, B, D)
        input_h=none,
        input_c=none,
        params=tf.zeros((1,), sequences.dtype),
        sequence_lengths=lengths,
        rnn_mode="lstm" if lstm else "gru",
        is_training=False,
        name=name,
    )
    outputs.set_shape((None, None, layer.units))
    last = [tf.reshape(x, (-1, layer.units)) for x in last[: 1 + lstm]]
    return tf.transpose(outputs, (1, 0, 2)), last


def given(layer, outputs, last):
    """What a layer's `call` gives of its states, and of the last ones."""
    if layer.go_backwards:  # it hands them on in the order of its reading
        outputs = tensorflow().reverse(outputs, [1])
    result = outputs if layer.return_sequences else last[0]
    return [result, *last] if layer.return_state else result


def _scan(step, start, columns, kept):
    """As `kattn.layers.scanning.scan`."""
    tf = tensorflow()
    length = tf.shape(columns)[0]
    start = [tf.convert_to_tensor(x) for x in start]
    arrays = [tf.TensorArray(x.dtype, length, element_shape=x.shape) for x in start]

    def body(t, states, arrays):
        after = step(list(states), tf.gather(columns, t))
        pairs = zip(after, start, strict=True)
        after = [tf.ensure_shape(x, like.shape) for x, like in pairs]
        # A loop of ONNX does not hand on what it leaves behind.
        left = zip(arrays, map(tf.identity, after), strict=True)
        return t + 1, after, [array.write(t, x) for array, x in left]

    _, end, arrays = tf.while_loop(lambda t, *_: t < length, body, (0, start, arrays))
    return end[kept:], [array.stack() for array in arrays[:kept]]
