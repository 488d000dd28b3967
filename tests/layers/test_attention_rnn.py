"""`kattn.layers.AttentionRNN`: step by step, masks, chance, and Keras's demands."""

import keras
import numpy as np
import pytest
from keras import ops

import kattn
from kattn.layers import AttentionRNN, BahdanauCell, LuongCell

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
MASK = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], bool)
MEMORY_MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]], bool)


def bahdanau(policy=None, **kwargs):
    return BahdanauCell(keras.layers.GRUCell(3, dtype=policy), dtype=policy, **kwargs)


def luong(policy=None, **kwargs):
    return LuongCell(keras.layers.LSTMCell(3, dtype=policy), dtype=policy, **kwargs)


def stacked(policy=None, **kwargs):
    cells = [
        keras.layers.LSTMCell(2, dtype=policy),
        keras.layers.GRUCell(3, dtype=policy),
    ]
    stack = keras.layers.StackedRNNCells(cells, dtype=policy)
    return LuongCell(stack, units=4, dtype=policy, **kwargs)


def top_asks(policy=None):
    return BahdanauCell(stacked(policy).cell, region="causal", dtype=policy)


def monotonic(policy=None, **kwargs):
    score = kattn.scores.Additive(normalize=True)
    normalizer = kattn.normalizers.Monotonic(offset=0.0, seed=1, dtype=policy)
    return luong(policy, score=score, normalizer=normalizer, **kwargs)


#: A function of a dtype policy, how many weights and how many seeds.
CELLS = {
    "bahdanau": (bahdanau, 7, 1),
    "luong": (luong, 5, 1),
    "stacked local_m": (lambda p=None: stacked(p, region="local_m"), 8, 2),
    "stacked causal": (top_asks, 10, 2),
    "local_p": (lambda p=None: luong(p, region="local_p"), 7, 1),
    "monotonic": (monotonic, 10, 2),
    "covered": (lambda p=None: bahdanau(p, coverage=True), 8, 1),
    "covered monotonic": (lambda p=None: monotonic(p, coverage=True), 11, 2),
}
CELL = pytest.mark.parametrize("name", CELLS)


def numpy(x):
    x = ops.convert_to_numpy(ops.cast(x, "float32"))
    return x.astype("float64")


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype("float32") for shape in shapes]


def case(batch=3):
    return draw((batch, 4, 2), (batch, 5, 6))


def made(name, policy=None, **kwargs):
    layer = AttentionRNN(CELLS[name][0](policy), dtype=policy, **kwargs)
    layer.build((None, None, 2), (None, None, 6))
    for seed, weight in enumerate(layer.weights):
        weight.assign(keras.random.normal(weight.shape, stddev=0.7, seed=seed))
    return layer


def walk(cell, inputs, memory, drawn=lambda t: None, **kwargs):
    """The same as a run with masks, one step at a time."""
    memory = cell.prepare(memory, MEMORY_MASK)
    states = cell.initial_state(memory)
    outputs, shares = [], []
    for t in range(inputs.shape[1]):
        output, after, weights = cell(
            inputs[:, t],
            states,
            memory,
            drawn=drawn(t),
            return_attention_scores=True,
            **kwargs,
        )
        live = ops.convert_to_tensor(MASK[:, t, None])
        outputs.append(ops.where(live, output, ops.zeros_like(output)))
        shares.append(ops.where(live, weights, ops.zeros_like(weights)))
        pairs = zip(after, states, strict=True)
        states = [ops.where(live, new, old) for new, old in pairs]
    return ops.stack(outputs, axis=1), ops.stack(shares, axis=1), *states


MASKS = {"mask": MASK, "memory_mask": MEMORY_MASK}


# ---- a run is its steps -------------------------------------------------------------


@CELL
def test_a_run_is_its_steps(name):
    inputs, memory = case()
    layer = made(name, return_state=True)
    got = layer(inputs, memory, return_attention_scores=True, **MASKS)
    expected = walk(layer.cell, inputs, memory)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-6)
    assert not numpy(got[0])[2].any() and not numpy(got[1])[2].any()


@CELL
def test_the_inner_cell_runs_as_in_kerass_own_rnn(name):
    inputs, memory = case()
    cell = CELLS[name][0]()
    if isinstance(cell, LuongCell):  # without feeding it sees the inputs alone
        cell = LuongCell(cell.cell, input_feeding=False)
        seen = inputs
    else:  # an empty memory is read as zeros
        seen = np.concatenate([inputs, np.zeros((3, 4, 6))], -1)
    layer = AttentionRNN(cell, return_state=True)
    _, *states = layer(inputs, memory, memory_mask=np.zeros((3, 5), bool))
    rnn = keras.layers.RNN(cell.cell, return_state=True)
    _, *expected = keras.tree.flatten(rnn(seen))
    for a, b in zip(states, expected, strict=False):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-6)


@CELL
def test_a_masked_step_is_none(name):
    inputs, memory = case()
    mask = np.array([[1, 0, 1, 1]] * 3, bool)
    layer = made(name, return_state=True)
    outputs, *states = layer(inputs, memory, mask=mask)
    short, *expected = layer(inputs[:, mask[0]], memory)
    np.testing.assert_allclose(numpy(outputs)[:, mask[0]], numpy(short), atol=1e-6)
    for a, b in zip(states, expected, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-6)
    assert not numpy(outputs)[:, 1].any()


@CELL
def test_a_run_goes_on_where_another_ended(name):
    inputs, memory = case()
    layer = made(name, return_state=True)
    outputs, *states = layer(inputs, memory)
    first, *middle = layer(inputs[:, :1], memory)
    second, *end = layer(inputs[:, 1:], memory, initial_state=middle)
    both = np.concatenate([numpy(first), numpy(second)], 1)
    np.testing.assert_allclose(both, numpy(outputs), atol=1e-6)
    for a, b in zip(end, states, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-6)
    assert (numpy(states[-1]) == 4).all()


def test_the_memory_is_projected_once(monkeypatch):
    inputs, memory = case()
    layer = made("bahdanau")
    calls = []
    project = layer.cell.score.project_key
    monkeypatch.setattr(
        layer.cell.score, "project_key", lambda key: calls.append(1) or project(key)
    )
    layer(inputs, memory)
    assert len(calls) == 1


# ---- Keras --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bahdanau", "stacked local_m", "monotonic"])
def test_is_a_keras_layer(name, check_layer):
    inputs, memory = case()
    make, weights, seeds = CELLS[name]
    check_layer(
        AttentionRNN,
        lambda policy: {"cell": make(policy)},
        {"inputs": inputs, "memory": memory},
        weights=weights,
        seeds=seeds,
        mask_shape=(3, 4),
        flags=({}, {"return_attention_scores": True}, {"training": True}),
        policies=POLICIES[
            1:
        ],  # no bfloat16: TensorFlow makes no orthogonal matrix in it
    )


@CELL
def test_the_states_are_what_the_spec_says(name):
    inputs, memory = case()
    layer = made(name, "mixed_bfloat16", return_state=True)
    for flag in (False, True):
        real = layer(inputs, memory, return_attention_scores=flag)
        symbols = keras.KerasTensor(inputs.shape), keras.KerasTensor(memory.shape)
        spec = layer.compute_output_spec(*symbols, return_attention_scores=flag)
        assert [(tuple(x.shape), x.dtype) for x in spec] == [
            (tuple(x.shape), keras.backend.standardize_dtype(x.dtype)) for x in real
        ]
        if name == "monotonic":
            assert spec[-2].dtype == "float32", "the weights are kept wide"


def translator(cell, size=3):
    """An encoder and a decoder, all sizes free, that starts where the encoder ended."""
    source = keras.Input((None,), dtype="int32", name="source")
    words = keras.Input((None,), dtype="int32", name="words")
    memory, *last = keras.layers.LSTM(
        size, return_sequences=True, return_state=True, use_cudnn=False
    )(keras.layers.Embedding(7, 4, mask_zero=True)(source))
    decoder = AttentionRNN(cell, return_state=True, name="decoder")
    fed = keras.layers.Embedding(7, 4, mask_zero=True)(words)
    outputs, weights, *states = decoder(
        fed, memory, initial_state=last, return_attention_scores=True
    )
    logits = keras.layers.Dense(7)(outputs)
    return keras.Model([source, words], [logits, weights, *states])


SOURCE = np.array([[1, 2, 3, 4, 0], [5, 6, 0, 0, 0]])
WORDS = np.array([[6, 1, 2, 0], [6, 5, 0, 0]])


@pytest.mark.parametrize(
    ("name", "policy"),
    [("luong", "mixed_float16"), ("monotonic", "float32")],
)
def test_in_a_model_of_free_sizes(name, policy, tmp_path):
    keras.config.set_dtype_policy(policy)
    model = translator(CELLS[name][0]())
    assert model.outputs[1].shape == (None, None, None)
    outputs = model([SOURCE, WORDS])
    seen = (SOURCE > 0)[:, None] & (WORDS > 0)[:, :, None]
    assert not numpy(outputs[1])[~seen].any()
    if name == "luong":
        np.testing.assert_array_equal(numpy(outputs[1]) > 0, seen)
    mask = ops.convert_to_numpy(outputs[0]._keras_mask)
    np.testing.assert_array_equal(mask, WORDS > 0)
    trained = keras.Model(model.inputs, model.outputs[0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    trained.compile(keras.optimizers.Adam(0.03), loss)
    losses = trained.fit([SOURCE, WORDS], WORDS, epochs=4, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < losses[0]
    model.save(tmp_path / "model.keras")
    revived = keras.saving.load_model(tmp_path / "model.keras")
    expected = model([SOURCE, WORDS])
    longer = [np.pad(SOURCE, ((0, 0), (0, 2))), np.pad(WORDS, ((0, 0), (0, 1)))]
    for a, b in zip(expected, revived.predict(longer, verbose=0), strict=True):
        b = np.asarray(b, "float64")[tuple(slice(n) for n in a.shape)]
        np.testing.assert_allclose(
            numpy(a), b, atol=1e-6 if "m" not in policy else 0.01
        )


@pytest.mark.filterwarnings("ignore:Model doesn't support `jit_compile=True`")
def test_compiled_as_a_whole():
    if keras.backend.backend() == "torch":
        pytest.skip("torch.compile is no XLA, and takes minutes")
    inputs, memory = case()
    layer = made("luong")
    sources = keras.Input((4, 2)), keras.Input((5, 6))
    model = keras.Model(sources, layer(*sources))
    model.compile("sgd", "mse", jit_compile=True)  # which TensorFlow's loop declines
    loss = model.fit([inputs, memory], np.zeros((3, 4, 3)), verbose=0).history["loss"]
    assert np.isfinite(loss).all()
    got = model.predict([inputs, memory], verbose=0)
    np.testing.assert_allclose(got, numpy(layer(inputs, memory)), atol=1e-5)


# ---- masks and numerics -------------------------------------------------------------


@pytest.mark.parametrize("how", ["eager", "functional"])
def test_masks_given_and_carried_are_both_heeded(how):
    inputs, memory = case()
    carried = np.array([[1, 1, 0, 1], [1, 1, 1, 1], [0, 1, 1, 1]], bool)
    carried_too = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1], [1, 0, 1, 0, 1]], bool)
    inputs = np.where(carried[..., None], inputs, 0)
    memory = np.where(carried_too[..., None], memory, 0)
    layer = made("bahdanau")

    def call(inputs, memory, mask, memory_mask):
        masking = keras.layers.Masking(0.0)
        return layer(
            masking(inputs),
            masking(memory),
            mask=mask,
            memory_mask=memory_mask,
            return_attention_scores=True,
        )

    arguments = [inputs, memory, MASK, MEMORY_MASK]
    if how == "functional":
        sources = [keras.Input(x.shape[1:], dtype=str(x.dtype)) for x in arguments]
        model = keras.Model(sources, call(*sources))
        outputs, weights = model(arguments)
    else:
        outputs, weights = call(*map(ops.convert_to_tensor, arguments))
    mask, seen = carried & MASK, carried_too & MEMORY_MASK
    both = mask[:, :, None] & seen[:, None]
    np.testing.assert_array_equal(numpy(weights) > 0, both)
    np.testing.assert_array_equal(numpy(outputs).any(-1), mask)
    np.testing.assert_array_equal(ops.convert_to_numpy(outputs._keras_mask), mask)


@pytest.mark.parametrize(
    ("name", "policy"),
    [*zip(("bahdanau", "monotonic", "local_p"), POLICIES, strict=True)],
)
def test_padding_reaches_neither_outputs_nor_gradients(name, policy, gradients):
    inputs, memory = case()
    memory_mask = MEMORY_MASK.copy()
    memory_mask[0] = False  # a text of nothing
    layer = made(name, policy)
    spots = (~MASK, inputs), (~memory_mask, memory)

    def run(fill):
        arrays = [np.where(m[..., None], np.float32(fill), x) for m, x in spots]

        def loss(inputs, memory):
            outputs = layer(
                inputs,
                memory,
                mask=MASK,
                memory_mask=memory_mask,
                return_attention_scores=True,
            )
            return ops.sum(ops.square(ops.cast(outputs[0], "float32"))), outputs

        (_, outputs), slopes = gradients(loss, arrays, layer.trainable_weights)
        return [x.astype("float64") for x in (*outputs, *slopes)]

    clean = run(0.25)
    assert np.abs(clean[0][:2]).sum() and not clean[1][0].any()
    for junk in (np.nan, np.inf):
        for a, b in zip(clean, run(junk), strict=True):
            assert np.isfinite(a).all()
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("where", [0, 1])
def test_a_live_nan_is_passed_on(where):
    arrays = case()
    arrays[where][0, 1, 0] = np.nan
    outputs = numpy(made("luong")(*arrays))
    assert np.isnan(outputs[0, -1]).all() and np.isfinite(outputs[1]).all()


@CELL
def test_gradients_are_those_of_its_steps(name, gradients):
    inputs, memory = case()
    layer = made(name)
    towards = draw((3, 4, 20), seed=5)[0]

    def loss(outputs):
        return ops.sum(ops.multiply(outputs, towards[..., : outputs.shape[-1]]))

    def whole(inputs, memory):
        return loss(layer(inputs, memory, **MASKS))

    def stepwise(inputs, memory):
        return loss(walk(layer.cell, inputs, memory)[0])

    variables = [x for x in layer.trainable_weights if "monotonic" not in x.path]
    one = gradients(whole, [inputs, memory], variables)
    other = gradients(stepwise, [inputs, memory], variables)
    for a, b in zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


# ---- chance -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "normalizer",
    [
        lambda: kattn.normalizers.Monotonic(offset=0.0, seed=1),
        lambda: kattn.normalizers.Hard("gumbel", seed=1),
    ],
    ids=["monotonic", "gumbel"],
)
def test_noise_is_anew_at_every_step(normalizer):
    cell = bahdanau(normalizer=normalizer())
    layer = AttentionRNN(cell)
    inputs, memory = np.zeros((200, 3, 2)), np.zeros((200, 5, 6))

    def weights(training):
        call = layer(inputs, memory, training=training, return_attention_scores=True)
        return numpy(call[1])

    first, second = weights(True), weights(True)
    assert not np.array_equal(first, second), "the noise of every call is the same"
    if isinstance(cell.normalizer, kattn.normalizers.Hard):
        chosen = first.argmax(-1)
        for t in (1, 2):
            assert 0.1 < (chosen[:, 0] == chosen[:, t]).mean() < 0.3  # 1/5 by chance
    np.testing.assert_array_equal(weights(False), weights(False))


@pytest.mark.parametrize("deep", [False, True])
def test_dropout_of_the_inner_cell_is_one_for_all_steps(deep):
    cells = [keras.layers.SimpleRNNCell(9, dropout=0.5, seed=n) for n in range(2)]
    inner = keras.layers.StackedRNNCells(cells) if deep else cells[0]
    layer = AttentionRNN(LuongCell(inner, input_feeding=False))
    inputs, memory = np.ones((50, 4, 2), "float32"), np.ones((50, 5, 6), "float32")
    plain = numpy(layer(inputs, memory))
    for cell in cells:  # no step knows of another: only the dropped may differ
        if cell.built:
            cell.recurrent_kernel.assign(ops.zeros((9, 9)))
    first, second = (numpy(layer(inputs, memory, training=True)) for _ in range(2))
    np.testing.assert_allclose(first, first[:, :1].repeat(4, 1), atol=1e-6)
    assert not np.allclose(first, second) and not np.allclose(first[0], first)
    sources = keras.Input((None, 2)), keras.Input((None, 6))
    model = keras.Model(sources, layer(*sources))
    model.compile("sgd", "mse")
    history = model.fit([inputs, memory], plain, epochs=2, verbose=0).history
    assert history["loss"][0] > 1e-4
    expected = model.predict([inputs, memory], verbose=0)
    np.testing.assert_allclose(numpy(layer(inputs, memory)), expected, atol=1e-6)


def test_reinforce_learns_through_all_steps():
    hard = kattn.normalizers.Hard("reinforce", soft_probability=0.3, seed=1)
    layer = AttentionRNN(bahdanau(normalizer=hard))
    inputs, memory = case()
    with pytest.raises(ValueError, match="estimator='reinforce' learns from"):
        layer(inputs, memory, training=True)
    layer(inputs, memory)
    assert not hard.sampled
    hard.watched = True
    noise = draw((3, 4, 5))[0], np.array([True, False, False])[:, None, None]
    hard.draw = lambda shape, training: tuple(map(ops.convert_to_tensor, noise))
    layer(inputs, memory, training=True, **MASKS)
    (got,), hard.sampled = hard.sampled, []
    drawn = lambda t: (noise[0][:, t, None], noise[1])  # noqa: E731
    walk(layer.cell, inputs, memory, drawn, training=True)
    each = np.array([[numpy(x) for x in sample] for sample in hard.sampled])
    sums = (each * MASK.T[:, None]).sum(0)  # (T, 2, B) to (2, B)
    np.testing.assert_allclose([numpy(x) for x in got], sums, atol=1e-5)
    assert sums[0, 1] < 0 and sums[0, 0] == sums[0, 2] == 0


def test_reinforce_in_fit():
    hard = kattn.normalizers.Hard("reinforce", seed=1)
    sources = keras.Input((None, 2)), keras.Input((None, 6))
    layer = AttentionRNN(luong(normalizer=hard))
    model = keras.Model(sources, layer(*sources))

    def loss(y_true, y_pred):  # one number for each example
        return ops.mean(ops.square(y_true - y_pred), axis=(1, 2))

    model.compile("sgd", kattn.losses.Reinforce(loss, model))
    before = numpy(layer.cell.score.query_dense.kernel)
    history = model.fit(case(), np.ones((3, 4, 3)), epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.abs(numpy(layer.cell.score.query_dense.kernel) - before).max() > 1e-7


# ---- what does not fit --------------------------------------------------------------


@pytest.mark.parametrize("cell", [None, "luong", keras.layers.GRUCell(3)])
def test_what_is_no_attention_cell(cell):
    with pytest.raises(TypeError, match="cell is a kattn.layers.AttentionCell"):
        AttentionRNN(cell)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": (3, 2)}, r"inputs of shape \(batch, length, width\).*\(3, 2\)"),
        ({"memory": (3, 6)}, r"memory of shape \(batch, length, width\).*\(3, 6\)"),
        ({"memory": (2, 5, 6)}, r"same batch.*\(3, 4, 2\).*\(2, 5, 6\)"),
        ({"mask": (3, 5)}, r"mask.*\(3, 4\).*\(3, 5\)"),
        ({"memory_mask": (3, 4)}, r"memory_mask.*\(3, 5\).*\(3, 4\)"),
        ({"initial_state": (3, 4)}, r"\[3, 1\], or the first 1.*\[\(3, 4\)\]"),
    ],
)
def test_shapes_that_do_not_fit(change, message, symbolic, built):
    layer = made("bahdanau") if built else AttentionRNN(bahdanau())
    shapes = {"inputs": (3, 4, 2), "memory": (3, 5, 6), **change}
    tensor = keras.KerasTensor if symbolic else np.ones

    def made_of(name, shape):
        return tensor(shape, dtype="bool" if "mask" in name else "float32")

    with pytest.raises(ValueError, match=f"(?s){message}"):
        layer(**{name: made_of(name, shape) for name, shape in shapes.items()})
