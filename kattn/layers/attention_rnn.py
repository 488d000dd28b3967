"""Dynamic attention over a whole sequence: a decoder that reads as it writes."""

import keras
from keras import ops

from kattn.attend import cleared
from kattn.layers.attention_cell import AttentionCell, check_rank
from kattn.layers.flags import check_flags
from kattn.layers.masking import check_mask, merged
from kattn.layers.scanning import scan
from kattn.pairwise import wide


@keras.saving.register_keras_serializable(package="kattn")
class AttentionRNN(keras.layers.Layer):
    """Runs an attention cell over a sequence: a new query, and weights, at every step.

    Step by step with the cell itself, the answers are the same; `layer.cell` is the way
    to write a text whose next word depends on the last one written.

    Args:
        cell: A `kattn.layers.BahdanauCell`, a `LuongCell`, or another `AttentionCell`.
        return_state: Whether to return the last states as well.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, T, D)`, what is fed step by step: in training the words
            before those that are to be written.
        memory: Tensor `(B, Tk, Dm)`, the text that is read.
        initial_state: States to start from: those of the cell's inner cell, say the
            last ones of an encoder, or all that another run returned.
        mask: Boolean `(B, T)`. A masked step is none: it leaves the states as they are
            and gives zeros.
        memory_mask: Boolean `(B, Tk)`. Masks that Keras carries along with a tensor are
            honoured too, AND-ed with these.
        return_attention_scores: Whether to return the weights as well.
        training: Whether this is training, for the inner cell and the normalizer.

    Returns:
        The cell's outputs `(B, T, units)`; with `return_attention_scores=True` then the
        weights `(B, T, Tk)`; with `return_state=True` then each of the states.

    Raises:
        TypeError: If `cell` is no `AttentionCell`.
        ValueError: For tensors, states or masks whose shapes do not fit.

    Example:
        >>> cell = kattn.layers.BahdanauCell(keras.layers.GRUCell(8))
        >>> decoder = kattn.layers.AttentionRNN(cell)
        >>> words, text = np.ones((2, 3, 4)), np.ones((2, 5, 6))
        >>> outputs, weights = decoder(words, text, return_attention_scores=True)
        >>> outputs.shape, weights.shape
        (TensorShape([2, 3, 14]), TensorShape([2, 3, 5]))

    Reference:
        Bahdanau et al. 2015, arXiv:1409.0473; Luong et al. 2015, arXiv:1508.04025;
        monotonic: Raffel et al. 2017, arXiv:1704.00784.
    """

    def __init__(self, cell, return_state=False, **kwargs):
        check_flags(kwargs)
        # States have dtypes of their own.
        super().__init__(autocast=False, **kwargs)
        if not isinstance(cell, AttentionCell):
            raise TypeError(
                "cell is a kattn.layers.AttentionCell, say BahdanauCell or LuongCell "
                f"of a recurrent cell. Received: {cell!r}"
            )
        self.cell = cell
        self.return_state = return_state
        # TensorFlow is not told how many steps there are at most, and without that XLA
        # finds no gradient: "auto" runs such a model plain.
        self.supports_jit = keras.backend.backend() != "tensorflow"

    #: How steps are run, which an export has otherwise.
    scan = staticmethod(scan)

    def build(self, inputs_shape, memory_shape):
        """Build the cell for one step."""
        check_rank("inputs", inputs_shape, 3)
        if not self.cell.built:
            self.cell.build((inputs_shape[0], inputs_shape[2]), memory_shape)

    def call(
        self,
        inputs,
        memory,
        initial_state=None,
        mask=None,
        memory_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        """Run the cell; see the class."""
        _check(inputs, memory, mask, memory_mask)
        mask = merged(inputs, mask)  # (B, T)
        inputs = cleared(ops.cast(inputs, self.compute_dtype), mask)
        memory = self.cell.prepare(memory, memory_mask)
        states = self.cell.initial_state(memory, initial_state)
        outputs, weights, states = self._run(inputs, states, memory, mask, training)
        results = [cleared(ops.cast(outputs, self.compute_dtype), mask)]
        if return_attention_scores:
            results.append(cleared(ops.cast(weights, self.compute_dtype), mask))
        if self.return_state:
            results += states
        return tuple(results) if len(results) > 1 else results[0]

    def _run(self, inputs, states, memory, mask, training):
        """Outputs and weights of all steps, and the last states."""
        batch, steps, width = ops.shape(inputs)
        length = ops.shape(memory.values)[1]
        # Nothing may be drawn within a loop: chance comes in with the inputs. All that
        # comes in is one tensor, as several of a free length fail in Keras 3.15's scan.
        self._draw_dropout(batch, states)
        drawn = self.cell.normalizer.draw((batch, steps, length), training)
        noise = [x for x in drawn[:1] if x is not None]  # (B, T, Tk)
        live = ops.ones((batch, steps)) if mask is None else mask
        columns = [wide(inputs), ops.expand_dims(live, -1), *noise]
        columns = [ops.cast(x, columns[0].dtype) for x in columns]
        hard = self.cell.normalizer if _samples(self.cell, training) else None

        def step(before, now):
            chance = now[:, None, width + 1 :] if noise else None  # (B, 1, Tk)
            output, after, weights = self.cell(
                ops.cast(now[:, :width], self.compute_dtype),
                before[2 : 2 + len(states)],
                memory,
                drawn=(chance, *drawn[1:]) if drawn else (),
                return_attention_scores=True,
                training=training,
            )
            after = [output, weights, *after]
            if hard:
                pairs = zip(before[-2:], hard.sampled.pop(), strict=True)
                after += [total + ops.expand_dims(new, -1) for total, new in pairs]
            if mask is not None:
                live = now[:, width : width + 1] > 0  # (B, 1)
                pairs = zip(after[2:], before[2:], strict=True)
                # Output and weights are cleared at the end, all steps at once.
                after[2:] = [_taken(live, new, old) for new, old in pairs]
            return after

        output = self.cell.widths(width, memory.values.shape[-1])[2]
        start = [
            ops.zeros((batch, x), self.cell.compute_dtype) for x in (output, length)
        ]
        start += states
        if hard:
            start += [ops.zeros((batch, 1), "float32")] * 2  # log p(sample), entropy
        columns = ops.concatenate(columns, axis=-1)
        end, kept = self.scan(step, start, ops.swapaxes(columns, 0, 1), kept=2)
        self._forget_dropout()
        if hard:
            hard.sampled.append(tuple(total[:, 0] for total in end[-2:]))
        outputs, weights = (ops.swapaxes(x, 0, 1) for x in kept)
        return outputs, weights, end[: len(states)]

    def _draw_dropout(self, batch, states):
        """Have the inner cells draw their dropout, which they keep for all steps."""
        self._forget_dropout()
        if self._dropping():  # in inference too: Keras's SimpleRNNCell draws always
            inputs = ops.zeros((batch, self.cell.cell_width), self.cell.compute_dtype)
            inner = states[: len(keras.tree.flatten(self.cell.cell.state_size))]
            self.cell.run_cell(inputs, inner, training=True)

    def _forget_dropout(self):
        for cell in self._dropping():
            cell.reset_dropout_mask()
            cell.reset_recurrent_dropout_mask()

    def _dropping(self):
        """The inner cells that drop something."""
        return [
            cell
            for cell in self.cell._flatten_layers()
            if hasattr(cell, "reset_dropout_mask")
            and (cell.dropout or cell.recurrent_dropout)
        ]

    def compute_mask(self, inputs, previous_mask):
        """The outputs have the inputs' positions, and so the inputs' mask."""
        if previous_mask is None or isinstance(inputs, keras.KerasTensor):
            return previous_mask
        # Where a mask is given, Keras shows it alone, without the one carried.
        return merged(inputs, previous_mask)

    def compute_output_spec(
        self,
        inputs,
        memory,
        initial_state=None,
        mask=None,
        memory_mask=None,
        return_attention_scores=False,
        training=None,
    ):
        """What `call` returns, for every flag."""
        _check(inputs, memory, mask, memory_mask)
        batch, steps, width = inputs.shape
        _, length, memory_width = memory.shape
        if initial_state is not None:
            given = keras.tree.flatten(initial_state)
            self.cell.check_states(given, length, inner=True)
        width = self.cell.widths(width, memory_width)[2]
        results = [keras.KerasTensor((batch, steps, width), dtype=self.compute_dtype)]
        if return_attention_scores:
            shape = (batch, steps, length)
            results.append(keras.KerasTensor(shape, dtype=self.compute_dtype))
        if self.return_state:
            results += self.cell.state_spec(batch, length)
        return tuple(results) if len(results) > 1 else results[0]

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "return_state": self.return_state,
        }

    @classmethod
    def from_config(cls, config):
        """The layer that `get_config` described."""
        cell = keras.saving.deserialize_keras_object(config["cell"])
        return cls(**{**config, "cell": cell})


def _taken(live, new, old):
    """The new state where a step is live, else the old one; `live` is boolean.

    The slope of a product is products, where that of a choice fills zeros to choose.
    """
    if not keras.backend.is_float_dtype(keras.backend.standardize_dtype(new.dtype)):
        return ops.where(live, new, old)
    live = ops.cast(live, new.dtype)
    return live * new + (1 - live) * old


def _samples(cell, training):
    """Whether hard attention will tell a `kattn.losses.Reinforce` what it drew."""
    return training and getattr(cell.normalizer, "estimator", None) == "reinforce"


def _check(inputs, memory, mask, memory_mask):
    """Raise where shapes do not fit, symbolic or not."""
    check_rank("inputs", inputs.shape, 3)
    check_rank("memory", memory.shape, 3)
    check_mask(inputs, mask)
    check_mask(memory, memory_mask, "memory_mask")
    if (
        None not in (inputs.shape[0], memory.shape[0])
        and inputs.shape[0] != memory.shape[0]
    ):
        raise ValueError(
            "Inputs and memory have the same batch. Received: inputs of shape "
            f"{tuple(inputs.shape)}, memory of shape {tuple(memory.shape)}"
        )
