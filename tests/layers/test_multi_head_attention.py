"""`kattn.layers.MultiHeadAttention`: the formula, Keras's own, masks and demands."""

import warnings

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import kattn
from kattn.layers import MultiHeadAttention

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
ROUNDING = {"float64": 1e-12, "float32": 1e-5, "float16": 3e-3, "bfloat16": 2e-2}


def draw(*shapes, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    return arrays if len(arrays) > 1 else arrays[0]


def numpy(x):
    return ops.convert_to_numpy(ops.cast(x, "float32")).astype("float64")


def stir(layer):
    for seed, weight in enumerate(layer.weights):
        weight.assign(keras.random.normal(weight.shape, seed=seed, stddev=0.5))


def made(*shapes, **kwargs):
    """Two heads of width 3, with weights that are drawn."""
    kwargs = {"num_heads": 2, "key_dim": 3, "value_dim": 5, **kwargs}
    layer = MultiHeadAttention(**kwargs)
    layer.build(*shapes)
    stir(layer)
    return layer


# ---- the formula --------------------------------------------------------------------


def formula(oracles, score, query, value, key, values, visible, parameters=()):
    """Vaswani et al. 2017, section 3.2.2: head after head, position after position.

    `visible` is `(B, H, Tq, Tk)`; `values` are those of kernels and biases, in order.
    """
    wq, bq, wk, bk, wv, bv, wo, bo = values
    # The bias where any head reads anything.
    output = visible.any((1, 3))[..., None] * bo
    shares = []
    for h in range(visible.shape[1]):
        q, k, v = (
            np.array([[x @ w[:, h] + b[h] for x in text] for text in texts])
            for texts, w, b in ((query, wq, bq), (key, wk, bk), (value, wv, bv))
        )
        context, weights = oracles.attend(score, q, k, v, parameters, visible[:, h])
        for n, i in np.ndindex(*output.shape[:2]):
            output[n, i] += context[n, i] @ wo[h]
        shares.append(weights)
    return output, np.stack(shares, 1)


def projections(layer):
    dense = (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense)
    return [weight for one in dense for weight in (one.kernel, one.bias)]


@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_the_formula_for_any_shapes_and_masks(data, oracles):
    sizes = st.integers(1, 3)
    batch, queries, keys, width, out, heads = (data.draw(sizes) for _ in range(6))
    shapes = (batch, queries, width), (batch, keys, width + 1), (batch, keys, out)
    query, key, value = draw(*shapes, seed=data.draw(st.integers(0, 99)))

    def mask(*shape):
        if not data.draw(st.booleans()):
            return None
        size = int(np.prod(shape))
        bits = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
        return np.array(bits).reshape(shape)

    both = (queries, keys)
    shapes = [both, (batch, *both), (1, queries, 1)]
    shapes += [(batch, heads, *both), (1, heads, 1, keys)]
    masks = {
        "query_mask": mask(batch, queries),
        "value_mask": mask(batch, keys),
        "key_mask": mask(batch, keys),
        "attention_mask": mask(*data.draw(st.sampled_from(shapes))),
    }
    visible = np.ones((batch, heads, *both), bool)
    for name, one in masks.items():
        if one is not None and name == "query_mask":
            visible &= one[:, None, :, None]
        elif one is not None and name != "attention_mask":
            visible &= one[:, None, None, :]
        elif one is not None:
            visible &= one[:, None] if one.ndim == 3 else one
    layer = made(query.shape, value.shape, key.shape, num_heads=heads, output_shape=2)
    masks["return_attention_scores"] = True
    output, weights = layer(query, value, key, **masks)
    values = [numpy(x) for x in projections(layer)]
    expected = formula(oracles, "scaled_dot", query, value, key, values, visible)
    np.testing.assert_allclose(numpy(output), expected[0], atol=1e-5)
    np.testing.assert_allclose(numpy(weights), expected[1], atol=1e-5)


@pytest.mark.parametrize("score", ["scaled_dot", "additive"])
def test_gradients_are_the_finite_differences(score, oracles, check_gradients, precise):
    arrays = draw((2, 2, 4), (2, 3, 2), (2, 3, 3), dtype="float64")
    layer = made(*(x.shape for x in arrays), score=score, dtype=precise[0])
    # Of the first text, head 0 reads nothing for a query; of the second, no head does.
    seen = np.array([[[[0, 0, 0], [1, 0, 1]], [[1, 1, 0], [1, 1, 1]]]] * 2, bool)
    seen[1, :, 0] = False
    variables = projections(layer)
    if score == "additive":
        parts = layer.score
        variables += [parts.query_dense.kernel, parts.key_dense.kernel]
        variables += [parts.key_dense.bias, parts.vector]

    def output(query, value, key):
        return layer(query, value, key, attention_mask=seen)

    def expected(query, value, key, *values):
        rest = values[:8], seen, values[8:]
        return formula(oracles, score, query, value, key, *rest)[0]

    check_gradients(output, expected, arrays, variables)


@pytest.mark.parametrize("use_bias", [True, False])
def test_equals_keras_with_the_same_weights(use_bias):
    inputs = draw((2, 3, 6), (2, 5, 4), (2, 5, 7))
    # Keras on JAX refuses a value of another width than the key.
    arguments = {"num_heads": 4, "key_dim": 8, "use_bias": use_bias}
    theirs = keras.layers.MultiHeadAttention(**arguments, output_shape=9)
    ours = MultiHeadAttention(**arguments, output_shape=9)
    theirs(*inputs)
    stir(theirs)
    ours(*inputs)
    ours.set_weights(theirs.get_weights())
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    expected = theirs(*inputs, return_attention_scores=True)
    for a, b in zip(ours(*inputs, return_attention_scores=True), expected, strict=True):
        np.testing.assert_allclose(numpy(a), numpy(b), atol=1e-5)


# ---- the parts ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "parts",
    [
        *({"normalizer": x} for x in ("sparsemax", "entmax15", "hard", "monotonic")),
        *({"score": x} for x in ("cosine", "bilinear", "concat", "location")),
    ],
)
def test_every_part_works_in_heads(parts):
    query, value = draw((2, 3, 4), (2, 5, 6))
    layer = made(query.shape, value.shape, **parts)
    masked = np.array([[1, 1, 1, 0, 0], [0] * 5], bool)
    for options in ({"training": False}, {"training": True}):
        options |= {"value_mask": masked, "return_attention_scores": True}
        output, weights = map(numpy, layer(query, value, **options))
        assert np.isfinite(output).all() and not output[1].any()
        assert not weights[:, :, :, 3:].any() and not weights[1].any()


def test_a_predicted_window_is_predicted_by_each_head():
    query, value = draw((2, 3, 4), (2, 9, 6))
    region = kattn.regions.LocalP(half_width=1)
    layer = made(query.shape, value.shape, region=region)
    mask = np.arange(9) < np.array([[9], [4]])
    _, weights = layer(query, value, value_mask=mask, return_attention_scores=True)
    seen = numpy(weights) > 0
    assert (seen.sum(-1) <= 3).all() and not seen[1, :, :, 4:].any()
    q = numpy(ops.swapaxes(layer.query_dense(query), 1, 2))
    w, v = numpy(region.hidden_dense.kernel), numpy(region.vector)
    for b, h, i in np.ndindex(2, 2, 3):
        centre = mask[b].sum() / (1 + np.exp(-(v @ np.tanh(w.T @ q[b, h, i]))))
        near = np.abs(np.arange(9) - centre) <= 1
        np.testing.assert_array_equal(seen[b, h, i], near & mask[b])


# ---- what Keras demands -------------------------------------------------------------


@pytest.mark.parametrize(
    ("kwargs", "count", "seeds"),
    [
        # Without biases: that of the keys moves no weight of a dot product.
        ({"use_bias": False}, 4, 0),
        ({"score": "additive", "dropout": 0.2, "seed": 1, "output_shape": 5}, 12, 1),
        ({"use_bias": False, "region": "local_p", "normalizer": "sparsemax"}, 6, 0),
    ],
)
def test_is_a_keras_layer(kwargs, count, seeds, check_layer):
    query, value, key = draw((2, 3, 4), (2, 5, 6), (2, 5, 4))
    check_layer(
        MultiHeadAttention,
        {"num_heads": 2, "key_dim": 3, "value_dim": 5, **kwargs},
        {"query": query, "value": value, "key": key},
        weights=count,
        seeds=seeds,
        mask_shape=(2, 3),
        flags=({}, {"return_attention_scores": True}, {"training": True}),
    )


def attentive_model(**kwargs):
    query, value = keras.Input((None, 6)), keras.Input((None, 4))
    layer = MultiHeadAttention(4, 8, **kwargs)
    return layer, keras.Model([query, value], layer(query, value))


@pytest.mark.parametrize("score", ["scaled_dot", "additive"])
def test_a_model_quantizes_to_int8(score):
    inputs = draw((2, 3, 6), (2, 5, 4))
    layer, model = attentive_model(score=score)
    before = model.predict(inputs, verbose=0)
    with warnings.catch_warnings():
        # Keras says of each layer without kernels that it has none to quantize.
        warnings.filterwarnings("ignore", ".*does not have a `quantize` method")
        model.quantize("int8")
    assert all(x.dtype == "int8" for x in projections(layer)[::2])
    np.testing.assert_allclose(model.predict(inputs, verbose=0), before, atol=0.1)


def test_low_rank_adapters_are_trained_alone():
    inputs = draw((2, 3, 6), (2, 5, 4))
    layer, model = attentive_model()
    before = model.predict(inputs, verbose=0)
    layer.trainable = False
    layer.query_dense.trainable = True
    layer.query_dense.enable_lora(2)
    np.testing.assert_allclose(model.predict(inputs, verbose=0), before, atol=1e-6)
    kernel = numpy(layer.query_dense._kernel)
    model.compile("adam", "mse")
    losses = model.fit(inputs, 0 * before, epochs=5, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    np.testing.assert_array_equal(numpy(layer.query_dense._kernel), kernel)
    assert numpy(layer.query_dense.lora_kernel_b).any()


# ---- masks and padding --------------------------------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("kwargs", [{}, {"score": "additive", "region": "local_p"}])
def test_padding_reaches_neither_outputs_nor_gradients(kwargs, policy, gradients):
    query, value, key = draw((2, 3, 4), (2, 5, 4), (2, 5, 4))
    query_mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    value_mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], bool)
    layer = made(query.shape, value.shape, key.shape, dtype=policy, **kwargs)

    def function(*arrays):
        options = {"query_mask": query_mask, "value_mask": value_mask}
        outputs = layer(*arrays, return_attention_scores=True, **options)
        outputs = [ops.cast(x, "float32") for x in outputs]
        return ops.sum(ops.square(outputs[0])), *outputs

    def run(fill):
        arrays = [
            np.where(mask[..., None], x, fill).astype("float32")
            for x, mask in ((query, query_mask), (value, value_mask), (key, value_mask))
        ]
        (_, *outputs), slopes = gradients(function, arrays, layer.trainable_weights)
        return [*outputs, *slopes]

    clean = run(0.25)
    assert all(np.isfinite(x).all() for x in clean)
    for junk in (np.nan, -np.inf, 6e4):
        for a, b in zip(clean, run(junk), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_query_that_sees_nothing_gets_zeros_and_no_bias(policy, gradients):
    query, value = draw((2, 3, 4), (2, 5, 4))
    layer = made(query.shape, value.shape, dtype=policy)
    attention_mask = np.ones((2, 3, 5), bool)
    attention_mask[0, 1] = False
    for masks in (
        {"attention_mask": attention_mask},
        {"query_mask": np.array([[1, 0, 1], [1, 1, 1]], bool)},
        {"value_mask": np.array([[0] * 5, [1] * 5], bool)},
    ):

        def function(query, value, masks=masks):
            outputs = layer(query, value, return_attention_scores=True, **masks)
            outputs = [ops.cast(x, "float32") for x in outputs]
            return ops.sum(ops.square(outputs[0])), *outputs

        arrays, variables = [query, value], layer.trainable_weights
        (_, output, weights), slopes = gradients(function, arrays, variables)
        rounding = ROUNDING[layer.compute_dtype]
        unseen = numpy(layer(query, value, **masks))
        np.testing.assert_allclose(output, unseen, rtol=rounding, atol=rounding)
        assert not output[0, 1].any() and not weights[0, :, 1].any()
        assert output[1].all()
        assert all(np.isfinite(x).all() for x in slopes)


def test_a_region_in_which_there_is_no_key_gives_zeros():
    text = draw((1, 4, 4))
    layer = made(text.shape, text.shape, region="causal")
    output = layer(text, text, value_mask=np.array([[False, False, True, True]]))
    np.testing.assert_array_equal(numpy(output).any(-1), [[False, False, True, True]])


def test_a_live_nan_is_passed_on():
    query, value = draw((1, 2, 4), (1, 5, 4))
    value[0, 1, 0] = np.nan
    layer = made(query.shape, value.shape)
    mask = np.array([[True, True, True, False, False]])
    assert np.isnan(numpy(layer(query, value, value_mask=mask))).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_masks_given_and_carried_are_both_heeded(policy):
    ids = np.array([[1, 2, 3, 0], [4, 3, 0, 0]])
    given_mask = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], bool)
    live = ids > 0
    layer = MultiHeadAttention(2, 3, dtype=policy)
    embedding = keras.layers.Embedding(5, 4, mask_zero=True)
    sources = keras.Input((None,), name="a"), keras.Input((None,), dtype="bool")

    def call(ids, mask):
        text = embedding(ids)
        options = {"value_mask": mask, "return_attention_scores": True}
        return layer(text, text, **options)

    model = keras.Model(sources, call(*sources))
    for output, weights in (
        call(ids, given_mask),
        model((ids, given_mask)),
        model.predict((ids, given_mask), verbose=0),
    ):
        seen = live[:, None, :, None] & (live & given_mask)[:, None, None]
        seen = np.broadcast_to(seen, weights.shape)
        np.testing.assert_array_equal(numpy(weights) > 0, seen)
        np.testing.assert_array_equal(numpy(output).any(-1), live)
    text = embedding(ids)
    for tensor in (layer(text, text), text):
        np.testing.assert_array_equal(numpy(tensor._keras_mask), live)


# ---- errors -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"query": (3, 4)}, r"MultiHeadAttention expects a query of.*shape \(3, 4\)"),
        ({"query": (1, 3, 4)}, r"same batch.*\(1, 3, 4\).*\(2, 5, 4\)"),
        ({"key": (2, 4, 4)}, r"same batch and length.*\(2, 4, 4\).*\(2, 5, 4\)"),
        ({"query_mask": (2, 5)}, r"query_mask.*\(2, 3\).*\(2, 5\)"),
        ({"attention_mask": (2, 5, 3)}, r"\(2, 3, 5\).*\(2, 5, 3\)"),
        ({"attention_mask": (2, 3, 3, 5)}, r"\(2, 2, 3, 5\).*\(2, 3, 3, 5\)"),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_shapes_that_do_not_fit(shapes, message, symbolic):
    tensor = keras.KerasTensor if symbolic else np.zeros
    arguments = {
        name: tensor(shape, dtype="bool" if "mask" in name else "float32")
        for name, shape in {"query": (2, 3, 4), "value": (2, 5, 4), **shapes}.items()
    }
    with pytest.raises(ValueError, match=f"(?s){message}"):
        MultiHeadAttention(2, 3)(**arguments)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_heads": 0}, "num_heads is a whole number, at least 1.*num_heads=0"),
        ({"key_dim": -1}, "key_dim is a whole number.*key_dim=-1"),
        ({"value_dim": 2.5}, "value_dim is a whole number.*value_dim=2.5"),
        ({"output_shape": (3, 4)}, r"output_shape is a.*output_shape=\(3, 4\)"),
        ({"score": "aditive"}, "Did you mean 'additive'"),
        ({"region": "locl"}, "Did you mean 'local'"),
        ({"normalizer": "sofmax"}, "Did you mean 'softmax'"),
        ({"dropout": 1.0}, "dropout is a fraction"),
    ],
)
def test_arguments_that_make_no_sense(kwargs, message):
    with pytest.raises(ValueError, match=message):
        MultiHeadAttention(**{"num_heads": 2, "key_dim": 3, **kwargs})


def test_the_places_of_a_location_score_are_the_keys():
    query, value = draw((2, 3, 4), (2, 5, 4))
    layer = MultiHeadAttention(2, 3, score="location")
    layer(query, value)
    with pytest.raises(ValueError, match=r"built for 5 keys.*\(2, 2, 3, 3\)"):
        layer(query, query)
    with pytest.raises(ValueError, match="length must be known"):
        MultiHeadAttention(2, 3, score="location")(query, keras.Input((None, 4)))
