"""Bahdanau's dynamic attention: the state before the step asks."""

import keras
from keras import ops

from kattn.layers.attention_cell import AttentionCell
from kattn.layers.inner_cell import below_top, output_width


@keras.saving.register_keras_serializable(package="kattn")
class BahdanauCell(AttentionCell):
    """The state before asks: `c_i = attend(s_i-1)`, `s_i = cell([x_i; c_i], s_i-1)`.

    Where the inner cell has several states, the first of its top layer asks. The output
    is the cell's output joined with the context, `[s_i; c_i]`, `(B, units + Dm)`: what
    the paper's deep output reads is the state, the word before and the context, and of
    the first two `s_i` is made.

    Arguments, call arguments and what is returned: see `kattn.layers.AttentionCell`.

    Example:
        >>> cell = kattn.layers.BahdanauCell(keras.layers.GRUCell(8))
        >>> cell.build((2, 4), (2, 5, 6))
        >>> memory = cell.prepare(np.ones((2, 5, 6)))
        >>> states = cell.initial_state(memory)
        >>> output, states = cell(np.ones((2, 4)), states, memory)
        >>> output.shape, [tuple(state.shape) for state in states]
        (TensorShape([2, 14]), [(2, 8), (2, 1)])

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473, section 3.1 and appendix A.2.2.
    """

    def widths(self, inputs_width, memory_width):
        """`D + Dm`, the state's, `units + Dm`."""
        query = keras.tree.flatten(self.cell.state_size)[below_top(self.cell)]
        output = output_width(self.cell) + memory_width
        return inputs_width + memory_width, query, output

    def advance(self, inputs, inner, fed, read, training):
        """Read, then run the inner cell."""
        context, weights = read(inner[below_top(self.cell)])
        joined = ops.concatenate([inputs, context], axis=-1)  # (B, D + Dm)
        output, inner = self.run_cell(joined, inner, training)
        return ops.concatenate([output, context], axis=-1), inner, weights
