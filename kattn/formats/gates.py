"""Recurrences that padding stops by their gates, for who cannot count.

OpenVINO drops the lengths of ONNX's LSTM and GRU where shapes are free. So the inputs
get one more number, 1 at padding, that shuts the gates: the state stays as it is.
"""

import contextlib
import dataclasses

import keras
import numpy as np

from kattn.formats import loops
from kattn.formats.recurrence import PREFIX, Recurrence, given, run
from kattn.formats.replacing import replaced
from kattn.layers import AttentionRNN
from kattn.text.libraries import tensorflow

_SHUT = 1e4  # far beyond what the inputs of a gate may sum to


@contextlib.contextmanager
def gated(model):
    """As `kattn.formats.recurrence.marked`, without lengths.

    Args:
        model: A `keras.Model`.

    Yields:
        Its recurrences by name.
    """
    found = {}

    def call_of(layer):
        name = f"{PREFIX}{len(found)}"
        found[name] = _with_a_stop(Recurrence.of(layer))
        return _call(layer, name)

    recurrent = keras.layers.LSTM, keras.layers.GRU
    scan = ("scan", lambda _: loops.scan)
    with replaced(model, {recurrent: ("call", call_of), AttentionRNN: scan}):
        yield found


def _with_a_stop(recurrence):
    """A recurrence with one more input."""
    units = recurrence.units
    stop = np.zeros((1, recurrence.kernel.shape[1], 1), recurrence.kernel.dtype)
    if recurrence.kind == "GRU":
        stop[:, :units] = _SHUT  # z, how much stays
    else:
        stop[:, :units] = -_SHUT  # i, how much is new
        stop[:, 2 * units : 3 * units] = _SHUT  # f, how much stays
    kernel = np.concatenate([recurrence.kernel, stop], axis=2)
    return dataclasses.replace(recurrence, kernel=kernel)


def _call(layer, name):
    """A layer's `call`."""
    tf = tensorflow()

    def call(sequences, initial_state=None, mask=None, training=None):
        batch, length = tf.unstack(tf.shape(sequences)[:2])
        live = tf.ones((batch, length, 1), sequences.dtype)
        if mask is not None:
            live = tf.expand_dims(tf.cast(mask, sequences.dtype), -1)  # (B, T, 1)
        stopped = tf.concat([sequences, 1 - live], axis=-1)
        outputs, last = run(layer, name, stopped, tf.fill([batch], length))
        outputs *= live
        if len(last) == 2 and not layer.go_backwards:
            # An LSTM's carry stays at padding, and what it lets out does not.
            ends = live - tf.pad(live[:, 1:], ((0, 0), (0, 1), (0, 0)))
            last[0] = tf.reduce_sum(outputs * ends, axis=1)
        return given(layer, outputs, last)

    return call
