"""LiteRT: one file for phones and small devices, formerly TensorFlow Lite."""

import tempfile

import keras
import keras_hub
import numpy as np

from kattn.formats import loops
from kattn.formats.graph import trace
from kattn.formats.replacing import replaced
from kattn.layers import AttentionRNN
from kattn.models.known_keys import NONE
from kattn.models.weighed_keys import WeighedKeys
from kattn.text.libraries import tensorflow

FILE = "model.tflite"


def write(classifier, folder):
    """Write a classifier from token ids to probabilities.

    The batch and all lengths are free, and no operation is one of TensorFlow's that
    runtimes do not bring.

    Args:
        classifier: A `kattn.models.TextClassifier`.
        folder: The folder that gets `model.tflite`.

    Returns:
        The names of the files.
    """
    tf = tensorflow()
    function = trace(classifier, _spelled_out).function
    module = tf.Module()
    module.model_variables = [variable.value for variable in classifier.variables]
    with tempfile.TemporaryDirectory() as work:
        # From a SavedModel, for so the inputs keep their names.
        tf.saved_model.save(module, work, function)
        converter = tf.lite.TFLiteConverter.from_saved_model(work)
        (folder / FILE).write_bytes(converter.convert())
    return [FILE]


def _spelled_out(model):
    """The context in which a model is traced by operations that LiteRT has."""
    return replaced(
        model,
        {
            (keras.layers.LSTM, keras.layers.GRU): ("call", loops.call_of),
            AttentionRNN: ("scan", lambda _: loops.scan),
            WeighedKeys: ("added_up", _added_up),
            keras_hub.layers.SinePositionEncoding: ("call", _sines),
        },
    )


def _added_up(layer):
    """As `WeighedKeys.added_up`, by a binary search, from a table in float32."""
    tf = tensorflow()
    table = tf.cast(tf.convert_to_tensor(layer.table), tf.float32)  # (N, C)
    known = tf.convert_to_tensor(layer.keys)  # (N,)

    def added_up(keys):
        place = tf.zeros_like(keys)  # (B, M), how many are surely less
        step = 1 << (layer.num_ngrams.bit_length() - 1)
        while step:
            at = place + (step - 1)
            less = tf.gather(known, tf.minimum(at, layer.num_ngrams - 1)) < keys
            on = less & (at < layer.num_ngrams)
            place += tf.where(on, step, 0)
            step //= 2
        place = tf.minimum(place, layer.num_ngrams - 1)
        counts = (tf.gather(known, place) == keys) & (keys != NONE)
        counts = tf.expand_dims(tf.cast(counts, tf.float32), -1)  # (B, M, 1)
        return tf.reduce_sum(counts * tf.gather(table, place), axis=1) + layer.bias

    return added_up


def _sines(layer):
    """As the `call` of a `SinePositionEncoding`, without a sum of Einstein's."""
    tf = tensorflow()

    def call(inputs):
        width = inputs.shape[-1]
        rates = layer.max_wavelength ** -(2 * (np.arange(width) // 2) / width)  # (D,)
        places = tf.cast(tf.range(tf.shape(inputs)[1]), tf.float32)  # (T,)
        angles = tf.expand_dims(places, 1) * rates.astype("float32")  # (T, D)
        even = np.arange(width) % 2 == 0
        return tf.where(even, tf.sin(angles), tf.cos(angles)) + tf.zeros_like(inputs)

    return call
