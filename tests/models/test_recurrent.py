"""The encoder of the recurrent families, as a file brings it back."""

import gc
import weakref

import keras

from kattn.models.recurrent import in_both_directions


def test_what_keras_serialised_stays_where_it_is():
    """One load in thirty failed: a new object had the address of one that was gone."""
    layer = keras.layers.GRU(3)
    gone = weakref.ref(layer)
    both = in_both_directions(layer)
    del layer
    gc.collect()
    assert gone() is not None
    assert both.forward_layer is not gone()
