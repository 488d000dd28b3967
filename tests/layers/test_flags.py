"""Whether weights are returned is asked call by call."""

import keras
import pytest

from kattn import layers

GRU = keras.layers.GRUCell


@pytest.mark.parametrize(
    "make",
    [
        layers.Attention,
        lambda **kwargs: layers.MultiHeadAttention(2, 4, **kwargs),
        layers.AttentionPooling,
        layers.AttentiveWindowPooling,
        lambda **kwargs: layers.Hierarchical(layers.AttentionPooling(), **kwargs),
        lambda **kwargs: layers.BahdanauCell(GRU(3), **kwargs),
        lambda **kwargs: layers.AttentionRNN(layers.LuongCell(GRU(3)), **kwargs),
    ],
)
def test_the_flag_is_no_argument_of_the_layer(make):
    with pytest.raises(TypeError, match="argument of the call.*Received.*=True"):
        make(return_attention_scores=True)


@pytest.mark.parametrize("cell", ["gru", keras.layers.GRU(3), keras.layers.Dense(3)])
def test_a_cell_of_something_that_is_none(cell):
    with pytest.raises(TypeError, match=r"recurrent cell.*GRUCell\(units\).*Received"):
        layers.LuongCell(cell)
