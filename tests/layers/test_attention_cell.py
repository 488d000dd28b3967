"""`kattn.layers.BahdanauCell` and `LuongCell`: one step, against the formulas."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import kattn
from kattn.layers import AttentionCell, BahdanauCell, LuongCell

CELLS = {"bahdanau": BahdanauCell, "luong": LuongCell}


def numpy(x):
    x = ops.convert_to_numpy(
        x if "float" not in str(x.dtype) else ops.cast(x, "float32")
    )
    return x.astype("float64")


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def made(kind, inputs_shape, memory_shape, hidden=3, dtype=None, **kwargs):
    """A cell round a plain recurrent one, its weights all drawn anew."""
    inner = keras.layers.SimpleRNNCell(hidden, dtype=dtype)
    cell = CELLS[kind](inner, dtype=dtype, **kwargs)
    cell.build(inputs_shape, memory_shape)
    for seed, weight in enumerate(cell.weights):
        weight.assign(keras.random.normal(weight.shape, stddev=0.7, seed=seed))
    return cell


# ---- the formulas, one position at a time -------------------------------------------


def read(query, text, live, energy, weigh):
    """The context of one query and one text, and its weights."""
    row = np.array([energy(query, h) for h in text])
    weights = weigh(row, live)
    context = np.zeros(text.shape[-1])
    for weight, h, seen in zip(weights, text, live, strict=True):
        if seen:
            context = context + weight * h
    return context, weights


def additive(v, w, u, b):
    """Bahdanau et al. 2015, A.1.2."""
    return lambda q, h: v @ np.tanh(q @ w + h @ u + b)


def general(w):
    """Luong et al. 2015, equation 8."""
    return lambda q, h: q @ w @ h


def formula(kind, weights, inputs, memory, live, weigh, feeds=True, start=None):
    """Outputs `(B, T, units)` and weights `(B, T, Tk)`; `weigh(b, t)` is a normalizer.

    `weights` are the cell's own, in Keras's order; `start` is the first state.
    """
    w, u, b, *rest = (np.asarray(x, "float64") for x in weights)
    if kind == "bahdanau":
        energy = additive(*rest[:4])
    else:
        energy, w_c = general(rest[0]), rest[-1]
    outputs = [[] for _ in memory]
    shares = [[] for _ in memory]
    for n, text in enumerate(np.asarray(memory, "float64")):
        state = np.zeros(len(b)) if start is None else start[n]
        fed = np.zeros(w_c.shape[1] if kind == "luong" and feeds else 0)
        for t, x in enumerate(np.asarray(inputs[n], "float64")):
            if kind == "bahdanau":
                context, row = read(state, text, live[n], energy, weigh(n, t))
                state = np.tanh(np.concatenate([x, context]) @ w + state @ u + b)
                output = np.concatenate([state, context])
            else:
                state = np.tanh(np.concatenate([x, fed]) @ w + state @ u + b)
                context, row = read(state, text, live[n], energy, weigh(n, t))
                output = np.tanh(np.concatenate([context, state]) @ w_c)
                fed = output[: len(fed)]
            outputs[n].append(output)
            shares[n].append(row)
    return np.array(outputs), np.array(shares)


def walk(cell, inputs, memory, mask=None, **kwargs):
    """The same by the cell, step by step."""
    prepared = cell.prepare(memory, mask)
    states = cell.initial_state(prepared)
    steps = []
    for t in range(inputs.shape[1]):
        at = {name: value(t) for name, value in kwargs.items()}
        output, states, weights = cell(
            inputs[:, t], states, prepared, return_attention_scores=True, **at
        )
        steps.append((numpy(output), numpy(weights)))
    return [np.stack(x, 1) for x in zip(*steps, strict=True)], states


def values(cell):
    return [numpy(x) for x in cell.weights]


@pytest.mark.parametrize("kind", CELLS)
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_the_formula(kind, data, oracles):
    batch, steps, length, width, deep, units = (
        data.draw(st.integers(1, 3)) for _ in range(6)
    )
    kwargs = {}
    if kind == "luong":
        kwargs = {
            "input_feeding": data.draw(st.booleans()),
            "units": data.draw(st.sampled_from([None, 1, 5])),
        }
    inputs, memory = draw((batch, steps, width), (batch, length, deep))
    size = batch * length
    bits = data.draw(st.none() | st.lists(st.booleans(), min_size=size, max_size=size))
    mask = None if bits is None else np.array(bits).reshape(batch, length)
    live = np.ones((batch, length), bool) if mask is None else mask
    cell = made(kind, (batch, width), memory.shape, units, **kwargs)
    (outputs, weights), states = walk(cell, inputs, memory, mask)
    expected = formula(
        kind,
        values(cell),
        inputs,
        memory,
        live,
        lambda n, t: oracles.softmax,
        kwargs.get("input_feeding"),
    )
    np.testing.assert_allclose(outputs, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(states[-1]), steps)


def test_the_top_layer_of_a_stack_asks():
    inputs, memory = draw((2, 4), (2, 5, 6))
    stack = [keras.layers.LSTMCell(3), keras.layers.LSTMCell(7)]
    cell = BahdanauCell(keras.layers.StackedRNNCells(stack))
    states = draw((2, 3), (2, 3), (2, 7), (2, 7)) + [np.zeros((2, 1), "int32")]
    cell.build(inputs.shape, memory.shape)
    output, _, weights = cell(inputs, states, memory, return_attention_scores=True)
    assert tuple(output.shape) == (2, 7 + 6)
    expected = cell.score(states[2][:, None], memory)
    np.testing.assert_allclose(
        numpy(weights), numpy(ops.softmax(expected))[:, 0], atol=1e-6
    )


# ---- regions and normalizers --------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("region", "sees"),
    [
        ("causal", lambda t, j: j <= t),
        (kattn.regions.Local(left=2, right=1), lambda t, j: -2 <= j - t <= 1),
        (kattn.regions.LocalM(1), lambda t, j: abs(j - t) <= 1),
    ],
    ids=["causal", "local", "local_m"],
)
def test_regions_centre_at_the_step(kind, region, sees, oracles):
    inputs, memory = draw((2, 7, 4), (2, 5, 6))
    mask = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], bool)
    cell = made(kind, (2, 4), memory.shape, region=region)
    (outputs, weights), _ = walk(cell, inputs, memory, mask)

    def weigh(n, t):
        window = np.array([sees(t, j) for j in range(5)])
        return lambda row, live: oracles.softmax(row, live & window)

    expected = formula(kind, values(cell), inputs, memory, mask, weigh)
    np.testing.assert_allclose(outputs, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)


def test_local_p_predicts_its_centre_from_the_new_state(oracles):
    inputs, memory = draw((2, 3, 4), (2, 9, 6))
    mask = np.array([[1] * 9, [1] * 6 + [0] * 3], bool)
    cell = made("luong", (2, 4), memory.shape, region=kattn.regions.LocalP(2))
    (outputs, weights), _ = walk(cell, inputs, memory, mask)
    w, v = numpy(cell.region.hidden_dense.kernel), numpy(cell.region.vector)
    prepared = cell.prepare(memory, mask)
    states, places = cell.initial_state(prepared), np.arange(9)
    energy = general(numpy(cell.score.query_dense.kernel))
    for t in range(3):
        _, states = cell(inputs[:, t], states, prepared)
        for b in range(2):
            h = numpy(states[0])[b]
            centre = mask[b].sum() / (1 + np.exp(-v @ np.tanh(h @ w)))
            near = (abs(places - centre) <= 2) & mask[b]
            row = np.array([energy(h, x) for x in memory[b].astype("float64")])
            expected = oracles.softmax(row, near)
            expected *= np.exp(-((places - centre) ** 2) / 2)  # sigma = 1
            np.testing.assert_allclose(weights[b, t], expected, atol=1e-5)


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("name", ["sparsemax", "entmax15", "hard"])
def test_other_normalizers(kind, name):
    inputs, memory = draw((2, 3, 4), (2, 5, 6))
    cell = made(kind, (2, 4), memory.shape, score="additive", normalizer=name)
    cell.score.vector.assign(9 * cell.score.vector)
    (_, weights), _ = walk(cell, inputs, memory)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert (weights == 0).any()


# ---- monotonic attention ------------------------------------------------------------


def monotonic(r, previous, noise):
    """Raffel et al. 2017, section 2.4: the expected weights, key after key."""

    def weigh(row, live):
        p = np.where(live, 1 / (1 + np.exp(-(row + r + noise))), 0.0)
        weights, q = np.zeros(len(row)), 0.0
        for j in range(len(row)):
            q = (1 - p[j - 1]) * q + previous[j] if j else previous[0]
            weights[j] = p[j] * q
        previous[:] = weights
        return weights

    return weigh


def test_monotonic_training_is_the_recursion():
    inputs, memory, noise = draw((2, 4, 4), (2, 5, 6), (2, 4, 5))
    mask = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 1, 0]], bool)
    cell = made("bahdanau", (2, 4), memory.shape, normalizer="monotonic")
    (outputs, weights), states = walk(
        cell, inputs, memory, mask, drawn=lambda t: (noise[:, t, None],)
    )
    before = np.eye(1, 5).repeat(2, 0)  # the first query starts at key 0

    def weigh(n, t):
        return monotonic(values(cell)[-1], before[n], noise[n, t])

    expected = formula("bahdanau", values(cell), inputs, memory, mask, weigh)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)
    np.testing.assert_allclose(outputs, expected[0], atol=1e-5)
    np.testing.assert_allclose(numpy(states[-2]), expected[1][:, -1], atol=1e-5)
    assert (weights.sum(-1) < 1).all()


def test_monotonic_inference_is_hard_and_never_goes_back():
    inputs, memory = draw((40, 6, 4), (40, 5, 6))
    score = kattn.scores.Additive(units=4, normalize=True)
    cell = made("luong", (40, 4), memory.shape, score=score, normalizer="monotonic")
    cell.normalizer.r.assign(-0.2)
    cell.score.length.assign(3.0)
    (_, weights), _ = walk(cell, inputs, memory)
    assert set(np.unique(weights)) == {0.0, 1.0}
    found = weights.sum(-1)  # (B, T)
    assert set(np.unique(found)) == {0.0, 1.0}, "all stopped, or none did"
    assert (np.diff(found) <= 0).all(), "something was found after the end"
    places = np.where(found > 0, weights.argmax(-1), 99)
    assert (np.diff(places) >= 0).all() and (np.diff(places) > 0).any()


def test_what_a_step_draws_for_itself():
    inputs, memory = draw((2, 4), (2, 5, 6))
    noisy = kattn.normalizers.Monotonic(seed=3)
    cell = made("luong", (2, 4), memory.shape, normalizer=noisy, score="additive")
    states = cell.initial_state(memory)

    def step(**kwargs):
        return numpy(
            cell(inputs, states, memory, return_attention_scores=True, **kwargs)[2]
        )

    assert np.array_equal(step(), step(training=False))
    first, second = step(training=True), step(training=True)
    assert not np.array_equal(first, second)
    assert ((0 < first) & (first < 1)).all()
    drawn = (np.zeros((2, 1, 5), "float32"),)
    np.testing.assert_array_equal(step(drawn=drawn), step(drawn=drawn, training=True))


# ---- memory and states --------------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS)
def test_a_prepared_memory_is_the_memory(kind):
    inputs, memory = draw((2, 4), (2, 5, 6))
    mask = np.array([[1, 1, 1, 0, 0], [1] * 5], bool)
    cell = made(kind, (2, 4), memory.shape)
    states = cell.initial_state(memory)
    plain = cell(inputs, states, memory, memory_mask=mask)
    prepared = cell.prepare(memory, mask)
    assert cell.prepare(prepared) is prepared
    for a, b in zip(plain[1], cell(inputs, states, prepared)[1], strict=True):
        np.testing.assert_array_equal(numpy(a), numpy(b))


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    "parts",
    [{"score": "general"}, {"region": "local_p"}, {"normalizer": "monotonic"}],
    ids=str,
)
def test_several_readers_of_a_text_read_as_if_it_stood_there_for_each(kind, parts):
    if kind == "bahdanau" and parts.get("region"):
        parts = {"region": "local_m"}
    cell = made(kind, (2, 4), (2, 5, 6), **parts)
    inputs, memory = draw((6, 4), (2, 5, 6))
    mask = np.arange(5) < [[5], [3]]
    tiled = cell.prepare(np.repeat(memory, 3, 0), np.repeat(mask, 3, 0))
    states = cell.initial_state(tiled)
    for readers, read in ((1, tiled), (3, cell.prepare(memory, mask))):
        before = states
        for _ in range(3):
            output, before, weights = cell(
                inputs, before, read, readers=readers, return_attention_scores=True
            )
        if readers == 1:
            expected = output, weights
    for got, alone in zip((output, weights), expected, strict=True):
        np.testing.assert_allclose(numpy(got), numpy(alone), atol=1e-6)


def test_starts_from_given_states():
    memory, h, c = draw((2, 5, 6), (2, 3), (2, 3))
    cell = LuongCell(keras.layers.LSTMCell(3), normalizer="monotonic")
    cell.build((2, 4), memory.shape)
    for given_states in ([h, c], (h, c), {"a": h, "b": c}):
        states = cell.initial_state(memory, given_states)
        assert [tuple(x.shape) for x in states] == [(2, 3)] * 3 + [(2, 5), (2, 1)]
        np.testing.assert_array_equal(numpy(states[0]), h)
        np.testing.assert_array_equal(numpy(states[1]), c)
        np.testing.assert_array_equal(numpy(states[3]), np.eye(1, 5).repeat(2, 0))
    _, later = cell(np.ones((2, 4)), states, memory)
    for a, b in zip(cell.initial_state(memory, later), later, strict=True):
        np.testing.assert_array_equal(numpy(a), numpy(b))


@keras.saving.register_keras_serializable(package="kattn_tests")
class Leaky(keras.layers.Layer):
    """A cell of a user's, as plain as Keras's documentation has it."""

    state_size = 3

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 3), name="kernel")

    def call(self, inputs, states):
        new = 0.5 * states[0] + ops.tanh(ops.matmul(inputs, self.kernel))
        return new, [new]


@pytest.mark.parametrize("kind", CELLS)
def test_a_cell_of_the_users(kind):
    inputs, memory = draw((2, 4), (2, 5, 6))
    cell = CELLS[kind](Leaky())
    cell.build(inputs.shape, memory.shape)
    output, states = cell(inputs, cell.initial_state(memory), memory, training=True)
    assert tuple(output.shape) == (2, 9 if kind == "bahdanau" else 3)
    again = type(cell).from_config(cell.get_config())
    assert isinstance(again.cell, Leaky)


# ---- numerics -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "normalizer"),
    [("bahdanau", "softmax"), ("luong", "softmax"), ("bahdanau", "monotonic")],
)
def test_gradients_are_the_finite_differences(
    kind, normalizer, check_gradients, precise, oracles
):
    inputs, memory, start, noise = (
        x.astype("float64") for x in draw((2, 2, 4), (2, 5, 6), (2, 3), (2, 2, 5))
    )
    mask = np.array([[1, 1, 1, 1, 0], [0] * 5], bool)
    chance = normalizer == "monotonic"
    if chance:
        normalizer = kattn.normalizers.Monotonic(dtype=precise[0])
    cell = made(kind, (2, 4), memory.shape, dtype=precise[0], normalizer=normalizer)

    def outputs(inputs, memory, start):
        states, steps = cell.initial_state(memory, [start]), []
        for t in range(2):
            drawn = (noise[:, t, None].astype(precise[0]),) if chance else ()
            output, states = cell(
                inputs[:, t], states, memory, memory_mask=mask, drawn=drawn
            )
            steps.append(output)
        return ops.stack(steps, axis=1)

    def expected(inputs, memory, start, *weights):
        before = np.eye(1, 5).repeat(2, 0)

        def weigh(n, t):
            if chance:
                return monotonic(weights[-1], before[n], noise[n, t])
            return oracles.softmax

        return formula(kind, weights, inputs, memory, mask, weigh, start=start)[0]

    check_gradients(outputs, expected, [inputs, memory, start], cell.weights)


# ---- Keras --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CELLS)
def test_a_step_as_a_model(kind, tmp_path):
    inputs, memory = draw((2, 4), (2, 5, 6))
    cell = CELLS[kind](keras.layers.LSTMCell(3), normalizer="monotonic")
    json.dumps(cell.get_config())
    again = type(cell).from_config(cell.get_config())
    assert again.get_config() == cell.get_config()
    cell.build((None, 4), (None, None, 6))
    states = [keras.Input(x.shape[1:], dtype=x.dtype) for x in cell.state_spec(2, None)]
    text = keras.layers.Masking()(source := keras.Input((None, 6)))
    now = keras.Input((4,))
    outputs = cell(now, states, text, return_attention_scores=True)
    assert outputs[2].shape == (None, None) and outputs[0].shape[0] is None
    model = keras.Model([now, source, *states], outputs)
    memory[1, 3:] = 0  # masked
    arrays = [inputs, memory, *map(ops.convert_to_numpy, cell.initial_state(memory))]
    expected = keras.tree.flatten(model(arrays))
    assert not numpy(expected[-1])[1, 3:].any()
    for spec, real in zip(keras.tree.flatten(outputs), expected, strict=True):
        assert keras.backend.standardize_dtype(real.dtype) == spec.dtype
        pairs = zip(spec.shape, real.shape, strict=True)
        assert all(a in (None, b) for a, b in pairs)
    model.save(tmp_path / "step.keras")
    revived = keras.saving.load_model(tmp_path / "step.keras")
    for m in (model, revived):
        for a, b in zip(
            expected, keras.tree.flatten(m.predict(arrays, verbose=0)), strict=True
        ):
            np.testing.assert_allclose(numpy(a), b, atol=1e-6)


# ---- what does not fit --------------------------------------------------------------


@pytest.mark.parametrize(
    "inner", [None, "gru", keras.layers.GRUCell, keras.layers.Dense(3)]
)
@pytest.mark.parametrize("kind", CELLS)
def test_what_is_no_recurrent_cell(kind, inner):
    with pytest.raises(TypeError, match="cell is a recurrent cell.*Received: "):
        CELLS[kind](inner)


def test_bad_arguments():
    inner = keras.layers.GRUCell(3)
    with pytest.raises(ValueError, match="Expected: a cell that was built"):
        BahdanauCell(inner).prepare(np.ones((2, 5, 6)))
    with pytest.raises(ValueError, match="units is at least 1.*units=0"):
        LuongCell(inner, units=0)
    with pytest.raises(ValueError, match="Did you mean 'additive'"):
        BahdanauCell(inner, score="aditive")
    with pytest.raises(NotImplementedError):
        AttentionCell(inner).build((2, 4), (2, 5, 6))
    with pytest.raises(ValueError, match="equal width.*width 3.*width 6"):
        LuongCell(inner, score="dot").build((2, 4), (2, 5, 6))


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": (2, 1, 4)}, r"inputs of shape \(batch, width\).*\(2, 1, 4\)"),
        ({"memory": (2, 6)}, r"memory of shape \(batch, length, width\).*\(2, 6\)"),
        ({"memory_mask": (2, 4)}, r"memory_mask.*\(2, 5\).*\(2, 4\)"),
        ({"states": [(2, 3)]}, r"widths \[3, 1\].*shapes \[\(2, 3\)\]"),
        ({"states": [(2, 4), (2, 1)]}, r"widths \[3, 1\].*\[\(2, 4\), \(2, 1\)\]"),
    ],
)
def test_shapes_that_do_not_fit(change, message, symbolic):
    cell = made("bahdanau", (2, 4), (2, 5, 6))
    shapes = {"inputs": (2, 4), "states": [(2, 3), (2, 1)], "memory": (2, 5, 6)}

    tensor = keras.KerasTensor if symbolic else np.ones
    arguments = {
        name: [tensor(x) for x in shape]
        if name == "states"
        else tensor(shape, dtype="bool" if "mask" in name else "float32")
        for name, shape in {**shapes, **change}.items()
    }
    with pytest.raises(ValueError, match=f"(?s){message}"):
        cell(**arguments)


def test_given_states_that_do_not_fit():
    cell = made("luong", (2, 4), (2, 5, 6))
    for shapes in ([(2, 4)], [(2, 3), (2, 3)], [(2, 3, 1)]):
        with pytest.raises(ValueError, match=r"\[3, 3, 1\], or the first 1 of them"):
            cell.initial_state(np.ones((2, 5, 6)), [np.ones(x) for x in shapes])
