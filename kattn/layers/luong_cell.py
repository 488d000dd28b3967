"""Luong's dynamic attention: the state after the step asks."""

import keras
from keras import ops

from kattn.layers.attention_cell import AttentionCell
from kattn.layers.inner_cell import output_width


@keras.saving.register_keras_serializable(package="kattn")
class LuongCell(AttentionCell):
    """The new state asks: `h_t = cell(x_t)`, `c_t = attend(h_t)`.

    The output is the attentional vector `a_t = tanh(W_c [c_t; h_t])`, `(B, units)`.
    With input feeding the cell reads `[x_t; a_{t-1}]`, and so knows what was read.

    Args:
        cell: A recurrent cell, as for `kattn.layers.AttentionCell`.
        units: Width of the attentional vector; that of the cell's output if `None`.
        input_feeding: Whether the next step takes the attentional vector as an input.
        score: How similar is a key to the query, as for `kattn.layers.Attention`.
        region: Which keys may be seen, likewise; `"local_m"` and `"local_p"` are the
            paper's.
        normalizer: How energies become weights, likewise.
        coverage: Whether a key tells how much it was read, as for
            `kattn.layers.AttentionCell`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments and what is returned: see `kattn.layers.AttentionCell`.

    Raises:
        TypeError: If `cell` is no recurrent cell.
        ValueError: For an unknown name, units below 1, or for tensors or states that do
            not fit.

    Example:
        >>> cell = kattn.layers.LuongCell(keras.layers.GRUCell(8), region="local_p")
        >>> cell.build((2, 4), (2, 5, 6))
        >>> memory = cell.prepare(np.ones((2, 5, 6)))
        >>> states = cell.initial_state(memory)
        >>> output, states = cell(np.ones((2, 4)), states, memory)
        >>> output.shape, [tuple(state.shape) for state in states]
        (TensorShape([2, 8]), [(2, 8), (2, 8), (2, 1)])

    Reference:
        Luong et al. 2015, arXiv:1508.04025, section 3.
    """

    def __init__(
        self,
        cell,
        units=None,
        input_feeding=True,
        score="general",
        region="global",
        normalizer="softmax",
        coverage=False,
        **kwargs,
    ):
        super().__init__(cell, score, region, normalizer, coverage, **kwargs)
        if units is not None and units < 1:
            raise ValueError(f"units is at least 1, or None. Received: units={units!r}")
        self.units = units
        self.input_feeding = input_feeding

    @property
    def feeding(self):
        """Width of the attentional vector, where it is fed."""
        return self.widths(0, 0)[2] if self.input_feeding else 0

    def widths(self, inputs_width, memory_width):
        """`D`, or `D + units` with input feeding; the cell's; `units`."""
        query = output_width(self.cell)
        output = self.units or query
        return inputs_width + output * self.input_feeding, query, output

    def build(self, inputs_shape, memory_shape):
        """Make W_c as well."""
        super().build(inputs_shape, memory_shape)
        _, query, output = self.widths(inputs_shape[-1], memory_shape[-1])
        self.output_dense = keras.layers.Dense(
            output, "tanh", use_bias=False, dtype=self.dtype_policy, name="output"
        )
        self.output_dense.build((inputs_shape[0], memory_shape[-1] + query))

    def project_value(self, value):
        """The part of `W_c [c; h]` that c has: once, and not at every step."""
        kernel, _ = self._kernels()
        return ops.matmul(value, kernel)

    def advance(self, inputs, inner, fed, read, training):
        """Run the inner cell, then read."""
        if self.input_feeding:
            inputs = ops.concatenate([inputs, fed], axis=-1)  # (B, D + units)
        hidden, inner = self.run_cell(inputs, inner, training)
        context, weights = read(hidden)  # (B, units)
        _, kernel = self._kernels()
        output = self.output_dense.activation(context + ops.matmul(hidden, kernel))
        return output, inner, weights

    def _kernels(self):
        """W_c, in what c has of it and what h has."""
        kernel = ops.cast(self.output_dense.kernel, self.compute_dtype)
        query = output_width(self.cell)
        return kernel[:-query], kernel[-query:]

    def get_config(self):
        """The constructor's arguments."""
        config = {"units": self.units, "input_feeding": self.input_feeding}
        return {**super().get_config(), **config}
