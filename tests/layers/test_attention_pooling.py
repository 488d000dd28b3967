"""`kattn.layers.AttentionPooling`: the formulas, masks, and Keras's demands."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import kattn
from kattn.layers import AttentionPooling

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
# Keras computes in float64 on TensorFlow alone.
POLICIES += ("float64",) if keras.backend.backend() == "tensorflow" else ()
#: Constructor arguments, and the width of the query from outside.
KINDS = {
    "learned": ({"query_initializer": "glorot_uniform"}, None),
    "hops": ({"units": 6, "hops": 3, "penalty": 0.5}, None),
    "one hop": ({"hops": 1}, None),
    "outside": ({"score": "cosine"}, 7),
    "outside, additive": ({"units": 3, "score": "additive"}, 7),
}
KIND = pytest.mark.parametrize("kind", KINDS)
POLICY = pytest.mark.parametrize("policy", POLICIES)


def draw(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")


def made(kind, shape, **kwargs):
    """A layer with weights that are drawn, and the arguments of its calls."""
    arguments, width = KINDS[kind]
    layer = AttentionPooling(**arguments, **kwargs)
    query = None if width is None else (shape[0], width)
    layer.build(shape, query)
    for seed, weight in enumerate(layer.weights):
        weight.assign(keras.random.normal(weight.shape, seed=seed))
    return layer, {} if width is None else {"query": draw(*query, seed=9)}


# ---- the formulas -------------------------------------------------------------------


def hops(oracles, inputs, w, b, queries, mask=None):
    """Lin et al. 2017: one reading after another, each as Yang et al.'s."""
    read = [oracles.pooling(inputs, w, b, u_w, mask) for u_w in queries]
    return [np.stack(x, 1) for x in zip(*read, strict=True)]


def outside(oracles, score, inputs, query, w, b, *weights, mask=None):
    """A vector for each text reads it: Er et al. 2016 by cosine."""
    pooled, shares = [], []
    for n, text in enumerate(np.asarray(inputs, "float64")):
        live = np.ones(len(text), bool) if mask is None else mask[n]
        u = [np.tanh(h @ w + b) for h in text]
        row = np.array([oracles.energy(score, query[n], k, weights) for k in u])
        shares.append(oracles.softmax(row, live))
        pooled.append(sum(a * h for a, h in zip(shares[-1], text, strict=True) if a))
    return np.array([p * np.ones(inputs.shape[-1]) for p in pooled]), np.array(shares)


def penalty(shares, live):
    """Lin et al. 2017: the squares of A A^T - I, entry by entry."""
    totals = [
        sum(
            (sum(a * b for a, b in zip(one, other, strict=True)) - (i == j)) ** 2
            for i, one in enumerate(rows)
            for j, other in enumerate(rows)
        )
        for rows, alive in zip(shares, live, strict=True)
        if alive
    ]
    return np.mean(totals) if totals else 0.0


def formula(oracles, kind, inputs, query, weights, mask=None):
    """Pooled texts and weights of a layer with these weights, in its order."""
    if "outside" in kind:
        *score, w, b = weights  # the score is made first
        name = KINDS[kind][0]["score"]
        return outside(oracles, name, inputs, query, w, b, *score, mask=mask)
    queries, w, b = weights
    pooled, shares = hops(oracles, inputs, w, b, queries, mask)
    return (pooled, shares) if "hop" in kind else (pooled[:, 0], shares[:, 0])


def weights_of(layer):
    """In the order that `formula` takes them."""
    dense = layer.hidden_dense
    first = [] if layer.query is None else [layer.query]
    if isinstance(layer.score, kattn.scores.Additive):
        score = layer.score
        first = [score.query_dense.kernel, score.key_dense.kernel]
        first += [score.key_dense.bias, score.vector]
    return [*first, dense.kernel, dense.bias]


@KIND
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_the_formula(kind, data, oracles):
    shape = tuple(data.draw(st.integers(1, 4)) for _ in range(3))
    inputs = draw(*shape, seed=data.draw(st.integers(0, 99)))
    size = shape[0] * shape[1]
    bits = data.draw(st.none() | st.lists(st.booleans(), min_size=size, max_size=size))
    mask = None if bits is None else np.array(bits).reshape(shape[:2])
    layer, options = made(kind, shape)
    text, weights = layer(inputs, mask=mask, return_attention_scores=True, **options)
    values = [numpy(x) for x in weights_of(layer)]
    expected = formula(oracles, kind, inputs, options.get("query"), values, mask)
    np.testing.assert_allclose(numpy(text), expected[0], atol=1e-5)
    np.testing.assert_allclose(numpy(weights), expected[1], atol=1e-5)
    live = np.ones(shape[0]) if mask is None else mask.any(-1)
    sums = numpy(weights).sum(-1)
    np.testing.assert_allclose(sums.T, np.broadcast_to(live, sums.T.shape), atol=1e-5)
    if layer.penalty:
        (loss,) = layer.losses
        expected = layer.penalty * penalty(expected[1], live)
        np.testing.assert_allclose(numpy(loss), expected, atol=1e-5)


@KIND
@pytest.mark.parametrize("mask", [None, [[1, 1, 0, 1], [0, 0, 0, 0]]])
def test_gradients_are_the_finite_differences(
    kind, mask, oracles, check_gradients, precise, monkeypatch
):
    mask = None if mask is None else np.array(mask, bool)
    live = np.ones(2, bool) if mask is None else mask.any(-1)
    layer, options = made(kind, (2, 4, 3), dtype=precise[0])
    losses = []
    monkeypatch.setattr(layer, "add_loss", losses.append)

    def function(inputs, *query):
        options = {"query": query[0]} if query else {}
        pooled = ops.reshape(layer(inputs, mask=mask, **options), (-1,))
        loss = losses.pop() if losses else ops.zeros(())
        return ops.append(pooled, ops.cast(loss, pooled.dtype))

    def pooled_and_penalty(inputs, *points):
        query, weights = None, points
        if "query" in options:
            query, *weights = points
        pooled, shares = formula(oracles, kind, inputs, query, weights, mask)
        loss = layer.penalty * penalty(shares, live) if layer.penalty else 0.0
        return np.append(pooled, loss)

    arrays = [draw(2, 4, 3, dtype="float64")]
    arrays += [x.astype("float64") for x in options.values()]
    check_gradients(function, pooled_and_penalty, arrays, weights_of(layer))


def test_starts_as_the_average_of_the_live_positions():
    inputs, mask = draw(2, 4, 3), np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    got = numpy(AttentionPooling()(inputs, mask=mask))
    np.testing.assert_allclose(got[0], inputs[0, :3].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(got[1], inputs[1, 0], atol=1e-6)


def test_without_a_projection_the_states_themselves_are_compared(oracles):
    """Zhou et al. 2016: softmax(w . tanh(h))."""
    inputs, mask = draw(2, 4, 3), np.array([[1, 1, 0, 1], [0, 0, 0, 0]], bool)
    layer = AttentionPooling(projected=False, query_initializer="glorot_uniform")
    pooled, weights = layer(inputs, mask=mask, return_attention_scores=True)
    (query,) = map(numpy, layer.weights)
    expected = oracles.pooling(inputs, np.eye(3), 0, query[0], mask)
    for got, wanted in zip((pooled, weights), expected, strict=True):
        np.testing.assert_allclose(numpy(got), wanted, atol=1e-6)


def test_hops_start_apart():
    _, weights = AttentionPooling(hops=2)(draw(2, 4, 3), return_attention_scores=True)
    first, second = numpy(weights)[:, 0], numpy(weights)[:, 1]
    assert np.abs(first - second).max() > 1e-3


# ---- what Keras demands -------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "query", "weights", "seeds"),
    [
        ({"query_initializer": "glorot_uniform"}, False, 3, 0),
        ({"units": 3, "score": "additive"}, False, 7, 0),
        ({"hops": 3, "penalty": 0.1, "normalizer": "sparsemax"}, False, 3, 0),
        ({"score": "cosine"}, True, 2, 0),
        ({"units": 3, "score": "bilinear"}, True, 3, 0),
        ({"projected": False}, False, 1, 0),
    ],
)
def test_is_a_keras_layer(kwargs, query, weights, seeds, check_layer):
    check_layer(
        AttentionPooling,
        {"query_initializer": "glorot_uniform", **kwargs},
        {"inputs": draw(2, 5, 4), **({"query": draw(2, 6)} if query else {})},
        weights=weights,
        seeds=seeds,
        mask_shape=None,
        flags=({}, {"return_attention_scores": True}, {"training": True}),
    )


def test_the_penalty_is_part_of_every_loss():
    inputs = keras.Input((None, 4))
    layer = AttentionPooling(hops=2, penalty=3.0)
    model = keras.Model(inputs, layer(inputs, return_attention_scores=True))
    text = draw(6, 5, 4)
    pooled, weights = model.predict(text, verbose=0)
    model.compile("sgd", ["mse", None])
    got = model.evaluate(text, pooled, batch_size=6, verbose=0)
    expected = 3 * penalty(weights, np.ones(6))
    np.testing.assert_allclose(np.ravel(got)[0], expected, rtol=1e-4)
    history = model.fit(text, pooled, batch_size=6, epochs=8, verbose=0).history["loss"]
    np.testing.assert_allclose(history[0], expected, rtol=1e-4)
    assert history[-1] < history[0], "the hops do not learn to differ"


def test_normalizers_with_chance_have_it_in_training_alone():
    gumbel = kattn.normalizers.Hard("gumbel", seed=1)
    layer = AttentionPooling(normalizer=gumbel, query_initializer="glorot_uniform")
    inputs = np.repeat(draw(1, 5, 4), 64, 0)
    _, same = layer(inputs, return_attention_scores=True)
    _, drawn = layer(inputs, return_attention_scores=True, training=True)
    assert len(np.unique(numpy(same), axis=0)) == 1
    assert len(np.unique(numpy(drawn), axis=0)) > 1
    np.testing.assert_array_equal(np.sort(numpy(drawn)), [[0, 0, 0, 0, 1]] * 64)


def test_one_monotonic_query_stops_at_the_first_key_it_likes():
    monotonic = kattn.normalizers.Monotonic(offset=0.0)
    layer = AttentionPooling(activation="linear", score="dot", normalizer=monotonic)
    layer.build((1, 3, 2), (1, 2))
    layer.hidden_dense.kernel.assign(np.eye(2))
    text = np.array([[[-1.0, 0], [2, 5], [3, 6]]], "float32")
    pooled = layer(text, query=np.array([[1.0, 0]], "float32"))
    np.testing.assert_array_equal(numpy(pooled), [[2, 5]])
    mask = np.array([[True, False, True]])
    pooled = layer(text, mask=mask, query=np.array([[1.0, 0]], "float32"))
    np.testing.assert_array_equal(numpy(pooled), [[3, 6]])


@KIND
def test_seeing_the_weights_changes_nothing(kind):
    inputs = draw(2, 4, 3)
    layer, options = made(kind, inputs.shape)
    text, _ = layer(inputs, return_attention_scores=True, **options)
    np.testing.assert_array_equal(numpy(text), numpy(layer(inputs, **options)))


def test_a_text_of_sentences_is_read_in_hops():
    words = draw(2, 3, 5, 4)
    mask = np.arange(5) < np.array([[5, 3, 1], [2, 0, 0]])[..., None]
    hierarchical = kattn.layers.Hierarchical(AttentionPooling(hops=2, penalty=0.1))
    hops, weights = hierarchical(words, mask=mask, return_attention_scores=True)
    assert tuple(hops.shape) == (2, 3, 2, 4) and tuple(weights.shape) == (2, 3, 2, 5)
    assert len(hierarchical.losses) == 1
    expected = np.broadcast_to(mask[:, :, None], weights.shape)
    np.testing.assert_array_equal(numpy(weights) > 0, expected)


# ---- masks and padding --------------------------------------------------------------


@POLICY
@KIND
def test_padding_reaches_neither_outputs_nor_gradients(kind, policy, gradients):
    inputs = draw(3, 4, 5)
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], bool)
    layer, options = made(kind, inputs.shape, dtype=policy)

    def function(filled):
        outputs = layer(filled, mask=mask, return_attention_scores=True, **options)
        outputs = [ops.cast(x, "float32") for x in outputs]
        return ops.sum(ops.square(outputs[0])), *outputs

    def run(fill):
        filled = np.where(mask[..., None], inputs, fill).astype("float32")
        (_, *outputs), slopes = gradients(function, [filled], layer.trainable_weights)
        return [*outputs, *slopes]

    clean = run(0.5)
    assert all(np.isfinite(x).all() for x in clean)
    assert not clean[0][2].any() and not clean[1][2].any()
    for junk in (np.nan, np.inf, 6e4):
        for a, b in zip(clean, run(junk), strict=True):
            np.testing.assert_array_equal(a, b)


@KIND
def test_more_padding_changes_nothing(kind):
    inputs = draw(2, 4, 5)
    layer, options = made(kind, inputs.shape)
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    longer = np.pad(inputs, ((0, 0), (0, 3), (0, 0)), constant_values=9.0)
    got = layer(longer, mask=np.pad(mask, ((0, 0), (0, 3))), **options)
    expected = layer(inputs, mask=mask, **options)
    np.testing.assert_allclose(numpy(got), numpy(expected), atol=1e-5)


@KIND
def test_a_live_nan_is_passed_on(kind):
    inputs = draw(1, 3, 2)
    inputs[0, 1, 0] = np.nan
    layer, options = made(kind, inputs.shape)
    assert np.isnan(numpy(layer(inputs, **options))).all()


@POLICY
@KIND
def test_masks_given_and_carried_are_both_heeded(kind, policy):
    inputs = draw(2, 4, 3)
    carried = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    given_mask = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], bool)
    inputs = np.where(carried[..., None], inputs, 0.0).astype("float32")
    layer, options = made(kind, inputs.shape, dtype=policy)
    tensor = keras.layers.Masking(0.0)(inputs)
    text, weights = layer(
        tensor, mask=given_mask, return_attention_scores=True, **options
    )
    np.testing.assert_array_equal(numpy(tensor._keras_mask), carried)
    assert getattr(text, "_keras_mask", None) is None

    def is_right(weights):
        both = (carried & given_mask).reshape(2, *[1] * (weights.ndim - 2), 4)
        seen = np.broadcast_to(both, weights.shape)
        np.testing.assert_array_equal(weights > 0, seen)

    is_right(numpy(weights))
    sources = {
        "inputs": keras.Input((None, 3), name="inputs"),
        "mask": keras.Input((None,), dtype="bool", name="mask"),
        **{name: keras.Input(x.shape[1:], name=name) for name, x in options.items()},
    }
    masked = keras.layers.Masking(0.0)(sources["inputs"])
    arguments = {**sources, "inputs": masked, "return_attention_scores": True}
    model = keras.Model(sources, layer(**arguments))
    given = {"inputs": inputs, "mask": given_mask, **options}
    is_right(numpy(model(given)[1]))
    is_right(model.predict(given, verbose=0)[1].astype("float32"))


# ---- errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "shapes", "message"),
    [
        ({}, {"inputs": (2, 3)}, r"\(batch, length, width\).*\(2, 3\)"),
        ({}, {"mask": (2, 4)}, r"mask.*\(2, 3\).*\(2, 4\)"),
        ({}, {"mask": (2,)}, r"mask.*\(2, 3\).*\(2,\)"),
        ({}, {"query": (2, 1, 4)}, r"\(batch, width\).*query of shape \(2, 1, 4\)"),
        ({}, {"query": (3, 4)}, r"batch of the input.*\(3, 4\).*\(2, 3, 4\)"),
        ({"hops": 2}, {"query": (2, 4)}, r"no query.*hops=2.*\(2, 4\)"),
        ({"units": 3}, {"query": (2, 4)}, "equal width.*width 4.*width 3"),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_shapes_that_do_not_fit(kwargs, shapes, message, symbolic):
    tensor = keras.KerasTensor if symbolic else np.zeros
    arguments = {
        name: tensor(shape, dtype="bool" if name == "mask" else "float32")
        for name, shape in {"inputs": (2, 3, 4), **shapes}.items()
    }
    with pytest.raises(ValueError, match=f"(?s){message}"):
        AttentionPooling(**kwargs)(**arguments)


@pytest.mark.parametrize("symbolic", [False, True])
def test_a_query_now_and_none_then(symbolic):
    tensor = keras.KerasTensor if symbolic else np.zeros
    inputs, query = tensor((2, 3, 4), "float32"), tensor((2, 4), "float32")
    layer = AttentionPooling()
    layer(inputs)
    with pytest.raises(ValueError, match=r"(?s)a learned query.*\(2, 4\)"):
        layer(inputs, query=query)
    layer = AttentionPooling()
    layer(inputs, query=query)
    with pytest.raises(ValueError, match="(?s)from outside.*query=None"):
        layer(inputs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"units": 0}, "units is at least 1.*units=0"),
        ({"units": -3}, "units is at least 1.*units=-3"),
        ({"hops": 0}, "hops is at least 1.*hops=0"),
        ({"hops": 2, "penalty": -1.0}, "penalty is 0 or more.*penalty=-1.0"),
        ({"units": 3, "projected": False}, "Expected: units=None.*units=3"),
        ({"penalty": 0.1}, "Expected: hops.*penalty=0.1, hops=None"),
        ({"score": "additiv"}, "Did you mean 'additive'"),
        ({"normalizer": "sparsmax"}, "Did you mean 'sparsemax'"),
    ],
)
def test_arguments_that_make_no_sense(kwargs, message):
    with pytest.raises(ValueError, match=f"(?s){message}"):
        AttentionPooling(**kwargs)
