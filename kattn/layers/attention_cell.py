"""Dynamic attention, one step: a recurrent cell that asks anew at every step."""

import copy
import typing

import keras
from keras import ops

from kattn import normalizers, regions, scores
from kattn.attend import attend, cleared
from kattn.layers.flags import check_flags
from kattn.layers.inner_cell import plain
from kattn.layers.masking import check_mask, merged
from kattn.pairwise import products
from kattn.parts import of_policy


class Memory(typing.NamedTuple):
    """What is read at every step, made ready once for all of them by `prepare`."""

    values: object  # (B, Tk, ...), what `project_value` makes of the memory
    keys: object  # (B, Tk, ...), what `score.project_key` makes of it
    mask: object = None  # (B, Tk), or None


class AttentionCell(keras.layers.Layer):
    """Base class: a recurrent cell whose state, new at every step, is the query.

    A subclass says how wide things are (`widths`) and what happens at a step
    (`advance`). The memory is an argument of each call; nothing of a text is kept here.

    States are a flat list of tensors `(B, width)`, so that a model can return them and
    a beam search can pick rows of them: those of the inner cell; the output, where the
    next step takes it as an input; with `coverage` the sum of all weights; the last
    ones, where the normalizer `remembers` them; and how many steps were taken, which is
    the query's position for the region.

    Args:
        cell: A recurrent cell: `keras.layers.GRUCell`, `LSTMCell`, `SimpleRNNCell`,
            `StackedRNNCells`, or a layer of the user's that has a `state_size`. It
            keeps its own dtype policy.
        score: How similar is a key to the query, as for `kattn.layers.Attention`.
        region: Which keys may be seen, likewise.
        normalizer: How energies become weights, likewise.
        coverage: Whether a key tells how much it was read: the score gets `k_j + c_j w`
            for the projected key `k_j`, where `c_j` is the sum of the weights that key
            j had at the steps before, and w, which starts at 0, is learned. With the
            additive score that is `v . tanh(W_q q + W_k x_j + c_j w)`.
        **kwargs: `name`, `dtype` and `trainable`, as for every Keras layer.

    Call arguments:
        inputs: Tensor `(B, D)`, the input of this step.
        states: What `initial_state` or the step before gave.
        memory: Tensor `(B, Tk, Dm)`, the text that is read; or what `prepare` made of
            it, without which its keys are projected anew at each step.
        memory_mask: Boolean `(B, Tk)`, AND-ed with the mask Keras carries along. The
            mask of a prepared memory was given to `prepare`.
        drawn: What the normalizer's `draw` gave for this step: for loops, in which
            nothing may be drawn.
        readers: How many states read each text, as those of a beam do: K. Inputs and
            states are `(B * K, ...)` of a memory `(B, ...)`.
        return_attention_scores: Whether to return the weights as well.
        training: Whether this is training, for the inner cell and the normalizer.

    Returns:
        The output and the new states; with `return_attention_scores=True` also the
        weights `(B, Tk)`. Of a text whose positions are all masked, zeros are read.

    Raises:
        TypeError: If `cell` is no recurrent cell.
        ValueError: For an unknown name, or for tensors or states that do not fit.

    Reference:
        Coverage: Tu et al. 2016, arXiv:1601.04811; See et al. 2017, arXiv:1704.04368.
    """

    #: Width of the output, where the next step takes it as an input; 0 where not.
    feeding = 0

    def __init__(
        self,
        cell,
        score="additive",
        region="global",
        normalizer="softmax",
        coverage=False,
        **kwargs,
    ):
        check_flags(kwargs)
        # States have dtypes of their own: weights stay in float32 or wider.
        super().__init__(autocast=False, **kwargs)
        sizes = keras.tree.flatten(getattr(cell, "state_size", None))
        sized = sizes and all(isinstance(size, int) for size in sizes)
        whole = isinstance(cell, keras.layers.RNN)  # a layer that runs a cell
        if not isinstance(cell, keras.Layer) or not sized or whole:
            raise TypeError(
                "cell is a recurrent cell: a Keras layer with a state_size of one or "
                "more integers, say keras.layers.GRUCell(units), not GRU(units). "
                f"Received: {cell!r}"
            )
        self.cell = cell
        self.score = of_policy(scores.get(score), self.dtype_policy)
        self.region = of_policy(regions.get(region), self.dtype_policy)
        self.normalizer = of_policy(normalizers.get(normalizer), self.dtype_policy)
        self.coverage = coverage

    def widths(self, inputs_width, memory_width):
        """Widths of the inner cell's input, of the query, and of the output."""
        raise NotImplementedError

    def advance(self, inputs, inner, fed, read, training):
        """One step.

        Args:
            inputs: Tensor `(B, D)`.
            inner: List of the inner cell's states, as `run_cell` takes them.
            fed: The output of the step before, `(B, feeding)`; `None` where none is.
            read: A function of a query `(B, Dq)` that gives `(context, weights)`.
            training: Whether this is training.

        Returns:
            The output, the inner cell's new states, and the weights.
        """
        raise NotImplementedError

    def build(self, inputs_shape, memory_shape):
        """Build the inner cell, the score and the region."""
        check_rank("inputs", inputs_shape, 2)
        check_rank("memory", memory_shape, 3)
        self.cell_width, query, _ = self.widths(inputs_shape[-1], memory_shape[-1])
        self.query_shape = (None, 1, query)
        if not self.cell.built:
            self.cell.build((inputs_shape[0], self.cell_width))
        if not self.score.built:
            self.score.build(self.query_shape, memory_shape)
        if not self.region.built:
            self.region.build(self.query_shape)
        if self.coverage:
            keys = keras.KerasTensor((None, *memory_shape[1:]), self.compute_dtype)
            keys = self.score.project_key(keys)  # (B, Tk, Dk)
            self.coverage_vector = self.add_weight(
                shape=(keys.shape[-1],), initializer="zeros", name="coverage_vector"
            )

    def prepare(self, memory, memory_mask=None):
        """Clear and project the memory, once for all steps that read it.

        Args:
            memory: Tensor `(B, Tk, Dm)`; a prepared one is returned as it is.
            memory_mask: Boolean `(B, Tk)`, AND-ed with the mask Keras carries along.

        Returns:
            A `Memory`.

        Raises:
            ValueError: If the cell is not built yet, or if shapes do not fit.
        """
        if isinstance(memory, Memory):
            return memory
        if not self.built:
            raise ValueError(
                "A memory is prepared with the weights of a cell. Expected: a cell "
                "that was built, by `build(inputs_shape, memory_shape)`, by a call, or "
                f"by that of its AttentionRNN. Received: {self.name}, not built"
            )
        memory = ops.convert_to_tensor(memory)
        check_rank("memory", memory.shape, 3)
        mask = merged(memory, memory_mask, "memory_mask")  # (B, Tk)
        self.score.check(self.query_shape, memory.shape)
        values = cleared(ops.cast(memory, self.compute_dtype), mask)
        keys = self.score.project_key(values)
        return Memory(self.project_value(values), keys, mask)

    def project_value(self, value):
        """What a step sums, of the memory `(B, Tk, Dm)`: its values as they are."""
        return value

    def initial_state(self, memory, given=None):
        """The states before the first step.

        Args:
            memory: The memory, prepared or not.
            given: States to start from: those of the inner cell, say the last ones of
                an encoder, or all that a step or a run returned.

        Returns:
            A list of tensors. Where none is given they start at zero, and monotonic
            attention at the first key.

        Raises:
            ValueError: If states are missing, or of another width.
        """
        values = memory.values if isinstance(memory, Memory) else memory
        batch, length = ops.shape(values)[:2]
        kinds = self._kinds(length)
        if given is None and hasattr(self.cell, "get_initial_state"):
            given = self.cell.get_initial_state(batch_size=batch)
        given = [] if given is None else keras.tree.flatten(given)
        if given:
            self.check_states(given, values.shape[1], inner=True)
        states = [
            ops.cast(state, dtype)
            for state, (_, dtype) in zip(given, kinds, strict=False)
        ]
        for width, dtype in kinds[len(given) :]:
            states.append(ops.zeros((batch, width), dtype))
        if self.normalizer.remembers and len(given) < len(kinds):
            first = ops.arange(length) == 0  # (Tk,)
            states[-2] = states[-2] + ops.cast(first, states[-2].dtype)
        return states

    def _kinds(self, length):
        """Width and dtype of each state."""
        sizes = keras.tree.flatten(self.cell.state_size)
        kinds = [(size, self.cell.compute_dtype) for size in sizes]
        if self.feeding:
            kinds.append((self.feeding, self.compute_dtype))
        double = self.compute_dtype == "float64"
        weights = (length, "float64" if double else "float32")
        kinds += [weights] * (bool(self.coverage) + bool(self.normalizer.remembers))
        return [*kinds, (1, "int32")]

    def check_states(self, states, length, inner=False):
        """Raise a `ValueError` where states are missing, or of another width.

        Args:
            states: The states, a flat list.
            length: Length of the memory, `None` if it is free.
            inner: Whether those of the inner cell will do.
        """
        widths = [width for width, _ in self._kinds(length)]
        few = len(keras.tree.flatten(self.cell.state_size))
        counts = (few, len(widths)) if inner else (len(widths),)
        fits = len(states) in counts and all(
            len(state.shape) == 2
            and (None in (state.shape[1], w) or state.shape[1] == w)
            for state, w in zip(states, widths, strict=False)
        )
        if not fits:
            alone = f", or the first {few} of them" if inner else ""
            raise ValueError(
                f"States have shapes (batch, width) with the widths {widths}{alone}. "
                f"Received: shapes {[tuple(state.shape) for state in states]}"
            )

    def run_cell(self, inputs, inner, training):
        """A step of the inner cell: its output and its new states, a flat list."""
        structure = plain(self.cell.state_size)
        structure = structure if isinstance(structure, list) else [structure]
        states = keras.tree.pack_sequence_as(structure, inner)
        output, states = self.cell(inputs, states, training=training)
        states = keras.tree.flatten(states)
        inner = [ops.cast(state, self.cell.compute_dtype) for state in states]
        return ops.cast(output, self.compute_dtype), inner

    def call(
        self,
        inputs,
        states,
        memory,
        memory_mask=None,
        drawn=None,
        readers=1,
        return_attention_scores=False,
        training=None,
    ):
        """Take a step; see the class."""
        memory = self.prepare(memory, memory_mask)
        states = keras.tree.flatten(states)
        check_rank("inputs", inputs.shape, 2)
        self.check_states(states, memory.values.shape[1])
        batch, length = ops.shape(memory.values)[:2]
        values, keys, mask = memory
        queries = [readers]  # of each text
        if readers > 1 and not self._queries_are_alike():
            queries = [readers, 1]
            keys, values = (ops.expand_dims(x, 1) for x in (keys, values))
            mask = None if mask is None else ops.expand_dims(mask, 1)
        if drawn is None:
            drawn = self.normalizer.draw((batch, *queries, length), training)
        *states, steps = states
        if self.normalizer.remembers:
            before = ops.reshape(states.pop(), (batch, *queries, length))
            drawn = (*drawn, before)
        covered = states.pop() if self.coverage else None  # (B * readers, Tk)
        if self.coverage:
            vector = ops.cast(self.coverage_vector, keys.dtype)  # (Dk,)
            had = ops.cast(covered, keys.dtype)
            had = ops.reshape(had, (batch, *queries[:-1], length, 1))
            keys = keys + had * vector
            if queries[1:]:  # each reader has keys of its own
                values = ops.repeat(values, readers, axis=1)
        fed = states.pop() if self.feeding else None

        def read(query):
            context, weights = attend(
                ops.reshape(query, (batch, *queries, query.shape[-1])),
                keys,
                values,
                score=self.score,
                region=self.region,
                normalizer=self.normalizer,
                key_mask=mask,
                drawn=drawn,
                start=ops.reshape(steps, (batch, *queries)),
                key_is_projected=True,
                compile="never",  # one query is too little for a kernel of its own
            )
            width = memory.values.shape[-1]
            return (
                ops.reshape(context, (batch * readers, width)),
                ops.reshape(weights, (batch * readers, length)),
            )

        inputs = ops.cast(inputs, self.compute_dtype)
        output, inner, weights = self.advance(inputs, states, fed, read, training)
        states = list(inner)
        if self.feeding:
            states.append(output)
        if self.coverage:
            states.append(covered + ops.cast(weights, covered.dtype))
        if self.normalizer.remembers:
            states.append(weights)
        states.append(steps + 1)
        if return_attention_scores:
            return output, states, ops.cast(weights, self.compute_dtype)
        return output, states

    def _queries_are_alike(self):
        """Whether it is one whatever comes before a query, which products make use of.

        All of a text's are then compared at once, by a product of matrices.
        """
        somewhere = type(self.region) is not regions.Global
        differ = somewhere or self.normalizer.remembers or self.coverage
        return not differ and self.score.pairwise is products

    def compute_mask(self, inputs, previous_mask):
        """None: a step has no positions."""
        return None

    def compute_output_spec(
        self,
        inputs,
        states,
        memory,
        memory_mask=None,
        drawn=None,
        readers=1,
        return_attention_scores=False,
        training=None,
    ):
        """What `call` returns, for every flag."""
        check_rank("inputs", inputs.shape, 2)
        check_rank("memory", memory.shape, 3)
        check_mask(memory, memory_mask, "memory_mask")
        batch, (_, length, width) = inputs.shape[0], memory.shape
        self.check_states(keras.tree.flatten(states), length)
        output = self.widths(inputs.shape[1], width)[2]
        output = keras.KerasTensor((batch, output), dtype=self.compute_dtype)
        states = self.state_spec(batch, length)
        if not return_attention_scores:
            return output, states
        weights = keras.KerasTensor((batch, length), dtype=self.compute_dtype)
        return output, states, weights

    def state_spec(self, batch, length):
        """The states of a batch and of a memory's length, as symbolic tensors."""
        return [
            keras.KerasTensor((batch, width), dtype=dtype)
            for width, dtype in self._kinds(length)
        ]

    def get_config(self):
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "cell": keras.saving.serialize_keras_object(self.cell),
            "score": scores.serialize(self.score),
            "region": regions.serialize(self.region),
            "normalizer": normalizers.serialize(self.normalizer),
            "coverage": self.coverage,
        }

    @classmethod
    def from_config(cls, config):
        """The layer that `get_config` described."""
        # A copy, since Keras empties the config of stacked cells.
        cell = keras.saving.deserialize_keras_object(copy.deepcopy(config["cell"]))
        return cls(**{**config, "cell": cell})


def check_rank(name, shape, rank):
    """Raise a `ValueError` where a tensor has more or fewer axes than it should."""
    if len(shape) != rank:
        axes = "batch, width" if rank == 2 else "batch, length, width"
        raise ValueError(
            f"Expected: {name} of shape ({axes}). Received: shape {tuple(shape)}"
        )
