"""`kattn.attend`: the three steps, and how they are run."""

import sys

import keras
import numpy as np
import pytest
from keras import ops

import kattn
from kattn import blocks, fused, layers, pairwise, regions, scores
from kattn.normalizers import Hard, Softmax, Sparsemax

attend = sys.modules["kattn.attend"]  # `kattn.attend` is the function
NAMES = ("dot", "scaled_dot", "cosine", "bilinear", "concat", "additive", "location")
COMPILES = keras.backend.backend() == "tensorflow"
tensorflow = pytest.mark.skipif(not COMPILES, reason="compiled on TensorFlow alone")


def made(name, width=4, dtype="float32"):
    score = scores.get(name)
    score.dtype_policy = keras.DTypePolicy(dtype)
    score.build((2, 3, width), (2, 5, width))
    for seed, weight in enumerate(score.weights):
        weight.assign(keras.random.normal(weight.shape, seed=seed))
    return score


def weights_of(score):
    """In the order of the oracle: W, U, b, v."""
    if not isinstance(score, scores.Additive):
        return list(score.weights)
    dense = score.key_dense
    return [score.query_dense.kernel, dense.kernel, dense.bias, score.vector]


def numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def function(*args, **kwargs):
    return [numpy(x) for x in kattn.attend(*args, **kwargs)]


def case(dtype="float32", seed=0):
    rng = np.random.default_rng(seed)
    sizes = (2, 3, 4), (2, 5, 4), (2, 5, 6)
    return [rng.normal(size=size).astype(dtype) for size in sizes]


MASKS = {
    "query_mask": np.array([[1, 1, 0], [1, 1, 1]], bool),
    "key_mask": np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool),
    "attention_mask": np.random.default_rng(2).random((2, 3, 5)) < 0.7,
}
VISIBLE = (
    MASKS["query_mask"][:, :, None]
    & MASKS["key_mask"][:, None]
    & MASKS["attention_mask"]
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compile", ["auto", "always", "never"])
@pytest.mark.parametrize("masked", [False, True])
def test_equals_the_formula(name, compile, masked, oracles):
    query, key, value = case()
    score = made(name)
    masks = MASKS if masked else {}
    context, weights = function(
        query, key, value, score=score, compile=compile, **masks
    )
    learned = [numpy(x) for x in weights_of(score)]
    expected = oracles.attend(
        name, query, key, value, learned, VISIBLE if masked else None
    )
    np.testing.assert_allclose(context, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compile", ["always", "never"])
def test_gradients_are_the_finite_differences(
    name, compile, oracles, precise, check_gradients
):
    if compile == "always" and not COMPILES:
        pytest.skip("compiled on TensorFlow alone")
    score = made(name, dtype=precise[0])
    check_gradients(
        lambda q, k, v: kattn.attend(q, k, v, score=score, compile=compile, **MASKS)[0],
        lambda q, k, v, *w: oracles.attend(name, q, k, v, w, VISIBLE)[0],
        case("float64"),
        weights_of(score),
    )


@tensorflow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("normalizer", [Softmax(), Sparsemax()])
@pytest.mark.parametrize("junk", [0.0, np.nan])
def test_compiled_equals_plain(name, normalizer, junk, gradients):
    score = made(name)
    query, key, value = case()
    query = np.where(MASKS["query_mask"][..., None], query, junk)
    key, value = (np.where(MASKS["key_mask"][..., None], x, junk) for x in (key, value))
    arrays = [x.astype("float32") for x in (query, key, value)]

    def run(compile):
        def loss(*tensors):
            options = {"score": score, "normalizer": normalizer, "compile": compile}
            outputs = kattn.attend(*tensors, **options, **MASKS)
            return ops.sum(ops.square(outputs[0])), outputs

        outputs, slopes = gradients(loss, arrays, score.trainable_weights)
        return [*keras.tree.flatten(outputs), *slopes]

    for plain, compiled in zip(run("never"), run("always"), strict=True):
        if plain is None:  # location reads no key
            assert compiled is None or not compiled.any()
            continue
        assert np.isfinite(plain).all()
        np.testing.assert_allclose(plain, compiled, rtol=1e-5, atol=2e-6)


@tensorflow
def test_gradients_reach_every_weight_inside_a_function():
    import tensorflow as tf

    score = made("additive")
    arrays = [tf.constant(x) for x in case()]

    @tf.function
    def slopes():
        with tf.GradientTape() as tape:
            context, _ = kattn.attend(*arrays, score=score, compile="always")
            loss = ops.sum(ops.square(context))
        return tape.gradient(loss, score.trainable_weights)

    assert all(np.any(slope) for slope in slopes())


@tensorflow
def test_layers_with_equal_parts_share_one_trace():
    attend._compiled.cache_clear()
    arrays = case()
    for _ in range(3):  # each score is gone before the next is made
        function(*arrays, score=made("additive"), compile="always")
        function(
            *arrays, score=made("additive"), normalizer=Softmax(), compile="always"
        )
    assert attend._compiled.cache_info().currsize == 1
    core = attend._compiled(None, pairwise.tanh_sums, Softmax(), False)
    assert core.experimental_get_tracing_count() == 1
    function(*arrays, score=made("additive"), compile="always", **MASKS)
    assert core.experimental_get_tracing_count() == 2


@tensorflow
def test_auto_compiles_what_was_measured_to_win(monkeypatch):
    def compiles(name, queries, keys, policy="auto", normalizer=None):
        query, key = (keras.KerasTensor((None, n, 4)) for n in (queries, keys))
        return attend._compiles(
            policy, scores.get(name), normalizer or Softmax(), query, key
        )

    monkeypatch.setattr(attend, "has_gpu", lambda: False)
    assert compiles("additive", 512, 512)
    assert compiles("additive", 128, 128)
    assert not compiles("additive", 32, 32)
    assert not compiles("additive", 1, 512)
    assert not compiles("dot", 512, 512)
    assert not compiles("additive", None, 512)
    assert not compiles("additive", 512, None)
    assert compiles("dot", None, 2, "always")
    assert not compiles("additive", 512, 512, "never")
    # What keeps state runs plain.
    assert not compiles("additive", 512, 512, "always", Hard())
    with attend.compiling("never"):
        assert not compiles("additive", 512, 512)
        assert not compiles("additive", 512, 512, "always")
    with attend.compiling("always"):
        assert compiles("dot", None, 2)
        assert not compiles("additive", 512, 512, "never")
        assert not compiles("additive", 512, 512, normalizer=Hard())
    assert compiles("additive", 512, 512)
    monkeypatch.setattr(attend, "has_gpu", lambda: True)
    assert compiles("dot", 2, 2)
    assert not compiles("dot", None, 2)


def test_a_policy_ends_with_its_block():
    with pytest.raises(KeyError), attend.compiling("never"):
        raise KeyError
    assert attend._DECIDED.get() == "auto"
    with (
        pytest.raises(ValueError, match="Did you mean 'never'"),
        attend.compiling("nevr"),
    ):
        pass


@tensorflow
@pytest.mark.parametrize("plain", [True, False])
def test_what_a_saved_model_holds(plain, tmp_path):
    import tensorflow as tf
    from tensorflow.core.protobuf import saved_model_pb2

    inputs = keras.Input((128, 4))
    layer = layers.Attention(score="additive")
    model = keras.Model(inputs, layer(inputs, inputs))
    if plain:
        with attend.compiling("never"):
            model.export(tmp_path, verbose=False)
    else:
        model.export(tmp_path, verbose=False)
    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((tmp_path / "saved_model.pb").read_bytes())
    library = saved.meta_graphs[0].graph_def.library
    compiled = [
        f.signature.name for f in library.function if f.attr["_XlaMustCompile"].b
    ]
    assert bool(compiled) is not plain
    x = np.random.default_rng(0).normal(size=(2, 128, 4)).astype("float32")
    served = tf.saved_model.load(str(tmp_path))  # owns the weights: must be kept
    np.testing.assert_allclose(served.serve(x), model(x), atol=1e-5)


@pytest.mark.parametrize("compile", ["always", "never"])
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf])
def test_what_a_mask_hides_reaches_nothing(compile, junk):
    query, key, value = case()
    score = made("additive")

    def run(fill):
        q = np.where(MASKS["query_mask"][..., None], query, fill)
        k, v = (np.where(MASKS["key_mask"][..., None], x, fill) for x in (key, value))
        arrays = [x.astype("float32") for x in (q, k, v)]
        return function(*arrays, score=score, compile=compile, **MASKS)

    for clean, dirty in zip(run(1.0), run(junk), strict=True):
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(clean, dirty)


def test_keep_multiplies_the_shares_and_not_the_weights():
    query, key, value = case()
    keep = np.zeros((2, 3, 5), "float32")
    context, weights = function(query, key, value, score=made("dot"), keep=keep)
    assert not np.any(context)
    np.testing.assert_allclose(np.sum(weights, -1), 1, atol=1e-6)


def test_more_outer_axes_and_none():
    query, key, value = case()
    score = made("scaled_dot")
    context, weights = function(query, key, value, score=score)
    alone = function(query[0], key[0], value[0], score=score)
    np.testing.assert_allclose(alone[0], context[0], atol=1e-6)
    more = function(query[None], key[None], value[None], score=score)
    np.testing.assert_allclose(more[1][0], weights, atol=1e-6)


def test_integers_are_made_floats():
    x = np.array([[[1, 2], [3, 4]]])
    context, _ = kattn.attend(x, x, x, score=scores.Dot())
    expected = kattn.attend(*[x.astype("float32")] * 3, score=scores.Dot())[0]
    np.testing.assert_array_equal(context, expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"query": (4,)}, r"query of shape \(..., length, width\).*\(4,\)"),
        ({"value": (2, 4, 6)}, r"same batch and length.*\(2, 5, 4\).*\(2, 4, 6\)"),
        ({"query": (3, 3, 4)}, r"same batch.*\(3, 3, 4\).*\(2, 5, 4\)"),
        ({"key_mask": (2, 3)}, r"key_mask has shape \(2, 5\).*\(2, 3\)"),
        ({"query_mask": (2, 5)}, r"query_mask has shape \(2, 3\).*\(2, 5\)"),
        ({"attention_mask": (2, 5, 3)}, r"attention_mask.*\(2, 3, 5\).*\(2, 5, 3\)"),
        ({"attention_mask": (1, 2, 3, 5)}, r"attention_mask.*\(1, 2, 3, 5\)"),
    ],
)
def test_shapes_that_do_not_fit(changes, message):
    arrays = dict(zip(("query", "key", "value"), case(), strict=True))
    for name, shape in changes.items():
        arrays[name] = np.ones(shape, bool if "mask" in name else "float32")
    with pytest.raises(ValueError, match=message):
        function(**arrays, score=made("dot"))


def test_a_projected_key_is_not_projected_again():
    query, key, value = case()
    for name in NAMES:
        score = made(name)
        expected = function(query, key, value, score=score, key_mask=MASKS["key_mask"])
        projected = score.project_key(ops.convert_to_tensor(key))
        got = kattn.attend(
            query,
            projected,
            value,
            score=score,
            key_is_projected=True,
            key_mask=MASKS["key_mask"],
        )
        np.testing.assert_allclose(numpy(got[0]), expected[0], atol=1e-6)


def test_start_is_the_first_querys_position():
    query, key, value = case()
    for region in ("causal", kattn.regions.Local(1, 0), kattn.regions.LocalM(1)):
        options = {"score": made("dot"), "region": kattn.regions.get(region)}
        whole = function(query, key, value, **options)
        for i in range(3):
            alone = function(query[:, i : i + 1], key, value, start=i, **options)
            np.testing.assert_allclose(alone[1][:, 0], whole[1][:, i], atol=1e-6)


def test_an_unknown_compile_policy():
    with pytest.raises(ValueError, match="compile policy.*Did you mean 'always'"):
        function(*case(), score=made("dot"), compile="allways")


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="XLA is a choice on TensorFlow"
)
@pytest.mark.parametrize("score", ["scaled_dot", "additive", "proximity"])
@pytest.mark.parametrize("region", [regions.Global(), regions.Local(2, 2)])
def test_a_whole_step_goes_through_xla_at_lengths_it_did_not_know(
    score, region, graphs
):
    layer = layers.Attention(score, region=region)
    layer.build((None, None, 8), (None, None, 8))
    text = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(1, 40, 8)))
    text = ops.cast(text, "float32")
    plain, compiled = (
        graphs.training_step(layer, None, jit_compile=jit)(text)
        for jit in (False, True)
    )
    np.testing.assert_allclose(plain, compiled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("score", ["scaled_dot", "additive", "proximity", "concat"])
def test_no_plan_answers_differently_from_another(score, gradients):
    rng = np.random.default_rng(0)
    text = rng.normal(size=(2, 70, 6)).astype("float32")
    mask = np.arange(70) < np.array([70, 41])[:, None]
    parts = {"region": regions.Local(3, 5), "score": scores.get(score)}
    parts["score"].build(text.shape, text.shape)

    def run(plan):
        def loss(text):
            context, _ = kattn.attend(
                *(text,) * 3,
                **parts,
                query_mask=mask,
                key_mask=mask,
                plan=plan,
                return_weights=False,
            )
            return ops.sum(ops.sin(context)), context

        (_, context), (slope,) = gradients(loss, [text])
        return context, slope

    expected = run("whole")
    for plan in ("auto", "blocks", "bands"):
        for got, wanted in zip(run(plan), expected, strict=True):
            np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="graphs are TensorFlow's"
)
@pytest.mark.parametrize("score", ["scaled_dot", "additive"])
def test_a_plan_that_is_asked_for_is_taken(score, graphs, monkeypatch):
    for part in (blocks, fused):
        monkeypatch.setattr(part, "SIZE", 2**12)
    score = scores.get(score)
    score.build((None, None, 8), (None, None, 8))
    sizes = {
        plan: graphs.largest(
            graphs.training_step(
                lambda x, _, plan=plan: kattn.attend(
                    *(x,) * 3,
                    score=score,
                    region=regions.Local(4, 4) if plan == "bands" else None,
                    plan=plan,
                    return_weights=False,
                    compile="never",
                )[0],
                160,
            )
        )
        for plan in ("whole", "blocks", "bands")
    }
    width = 8 if isinstance(score, scores.Additive) else 1
    assert sizes["whole"] >= 160 * 160 * width
    assert sizes["blocks"] < 160 * 160 * width
    assert sizes["bands"] <= 160 * 48 * width


def test_a_plan_that_cannot_be_is_refused():
    score = scores.ScaledDot()
    text = np.ones((1, 3, 4), "float32")
    with pytest.raises(ValueError, match="Did you mean 'bands'"):
        kattn.attend(text, text, text, score=score, plan="band")
    with pytest.raises(ValueError, match="Received: region="):
        kattn.attend(text, text, text, score=score, plan="bands")
