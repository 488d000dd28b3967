"""`kattn.layers.AttentionPooling`: the formula, masks, and Keras's demands."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn.layers import AttentionPooling

POLICIES = ("float32", "mixed_float16", "mixed_bfloat16", "float64")


def draw(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def made(units, shape, **kwargs):
    layer = AttentionPooling(units, **kwargs)
    layer.build(shape)
    for seed, weight in enumerate(layer.weights):
        weight.assign(keras.random.normal(weight.shape, seed=seed))
    return layer


def weights_of(layer):
    dense = layer.hidden_dense
    named = (dense.kernel, dense.bias, layer.query[0])
    return [ops.convert_to_numpy(x).astype("float64") for x in named]


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_the_formula(data, oracles):
    shape = tuple(data.draw(st.integers(1, 5)) for _ in range(3))
    units = data.draw(st.sampled_from([None, 1, 3]))
    inputs = draw(shape, seed=data.draw(st.integers(0, 99)))
    size = shape[0] * shape[1]
    bits = data.draw(st.none() | st.lists(st.booleans(), min_size=size, max_size=size))
    mask = None if bits is None else np.array(bits).reshape(shape[:2])
    layer = made(units, shape)
    text, weights = layer(inputs, mask=mask, return_attention_scores=True)
    expected = oracles.pooling(inputs, *weights_of(layer), mask)
    np.testing.assert_allclose(text, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)


@pytest.mark.parametrize("mask", [None, [[1, 1, 0, 1], [0, 0, 0, 0]]])
def test_gradients_are_the_finite_differences(mask, oracles):
    tf = pytest.importorskip("tensorflow")
    mask = None if mask is None else np.array(mask, bool)
    inputs = ops.convert_to_tensor(draw((2, 4, 3)).astype("float64"))
    layer = made(5, inputs.shape, dtype="float64")
    towards = draw((2, 3), seed=5).astype("float64")
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = ops.sum(layer(inputs, mask=mask) * towards)
    slopes = tape.gradient(loss, [inputs, *layer.trainable_weights])
    _, *rest = slopes
    w, b, u_w = weights_of(layer)
    values = {layer.hidden_dense.kernel.path: w, layer.hidden_dense.bias.path: b}
    values[layer.query.path] = u_w[None]

    def loss_at(**changed):
        now = {"x": np.array(inputs), "w": w, "b": b, "q": u_w, **changed}
        text, _ = oracles.pooling(now["x"], now["w"], now["b"], now["q"], mask)
        return (text * towards).sum()

    letters = {layer.hidden_dense.kernel.path: "w", layer.hidden_dense.bias.path: "b"}
    letters[layer.query.path] = "q"
    cases = [("x", np.array(inputs), slopes[0])]
    for weight, slope in zip(layer.trainable_weights, rest, strict=True):
        cases.append((letters[weight.path], values[weight.path], slope))
    for letter, value, slope in cases:
        value, slope = np.squeeze(value), np.squeeze(np.array(slope))
        if letter == "x":
            value, slope = np.array(inputs), np.array(slopes[0])
        direction = np.random.default_rng(1).normal(size=value.shape)
        expected = oracles.slope(
            lambda x, letter=letter: loss_at(**{letter: x}), value, direction
        )
        np.testing.assert_allclose((slope * direction).sum(), expected, rtol=1e-6)


@pytest.mark.parametrize("kwargs", [{}, {"units": 3, "score": "additive"}])
def test_is_a_keras_layer(kwargs, check_layer):
    check_layer(
        AttentionPooling,
        {"query_initializer": "glorot_uniform", **kwargs},
        {"inputs": draw((2, 5, 4))},
        weights=7 if kwargs else 3,
        mask_shape=None,
        flags=({}, {"return_attention_scores": True}),
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("junk", [np.nan, np.inf, 6e4])
def test_padding_reaches_neither_outputs_nor_gradients(policy, junk):
    tf = pytest.importorskip("tensorflow")
    inputs = draw((3, 4, 5))
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]], bool)
    layer = AttentionPooling(dtype=policy, query_initializer="glorot_uniform")

    def run(fill):
        filled = ops.convert_to_tensor(
            np.where(mask[..., None], inputs, fill).astype("float32")
        )
        with tf.GradientTape() as tape:
            tape.watch(filled)
            outputs = layer(filled, mask=mask, return_attention_scores=True)
            loss = ops.sum(ops.square(ops.cast(outputs[0], "float32")))
        return [
            ops.convert_to_numpy(ops.cast(x, "float64"))
            for x in (
                *outputs,
                *tape.gradient(loss, [filled, *layer.trainable_weights]),
            )
        ]

    for clean, dirty in zip(run(0.5), run(junk), strict=True):
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(clean, dirty)
    text, weights, *_ = run(junk)
    assert not text[2].any() and not weights[2].any()


def test_more_padding_changes_nothing():
    inputs = draw((2, 4, 5))
    layer = AttentionPooling(query_initializer="glorot_uniform")
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
    longer = np.pad(inputs, ((0, 0), (0, 3), (0, 0)), constant_values=9.0)
    np.testing.assert_allclose(
        layer(longer, mask=np.pad(mask, ((0, 0), (0, 3)))),
        layer(inputs, mask=mask),
        atol=1e-6,
    )


def test_a_live_nan_is_passed_on():
    inputs = draw((1, 3, 2))
    inputs[0, 1, 0] = np.nan
    assert np.isnan(AttentionPooling(query_initializer="glorot_uniform")(inputs)).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_masks_given_and_carried_are_both_heeded(policy):
    inputs = draw((2, 4, 3))
    carried = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    given_mask = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], bool)
    inputs = np.where(carried[..., None], inputs, 0.0).astype("float32")
    layer = AttentionPooling(dtype=policy, query_initializer="glorot_uniform")
    tensor = keras.layers.Masking(0.0)(inputs)
    text, weights = layer(tensor, mask=given_mask, return_attention_scores=True)
    np.testing.assert_array_equal(
        np.array(ops.cast(weights, "float32")) > 0, carried & given_mask
    )
    np.testing.assert_array_equal(tensor._keras_mask, carried)
    assert getattr(text, "_keras_mask", None) is None

    sources = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    masked = keras.layers.Masking(0.0)(sources[0])
    model = keras.Model(
        sources, layer(masked, mask=sources[1], return_attention_scores=True)
    )
    for outputs in (
        model([inputs, given_mask]),
        model.predict([inputs, given_mask], verbose=0),
    ):
        seen = np.array(ops.cast(outputs[1], "float32")) > 0
        np.testing.assert_array_equal(seen, carried & given_mask)


def test_seeing_the_weights_changes_nothing():
    inputs, layer = (
        draw((2, 4, 3)),
        AttentionPooling(query_initializer="glorot_uniform"),
    )
    text, weights = layer(inputs, return_attention_scores=True)
    np.testing.assert_array_equal(text, layer(inputs))
    np.testing.assert_allclose(np.sum(weights, -1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "mask", "message"),
    [
        ((2, 3), None, r"\(batch, length, width\).*\(2, 3\)"),
        ((2, 3, 4), (2, 4), r"mask.*\(2, 3\).*\(2, 4\)"),
        ((2, 3, 4), (2,), r"mask.*\(2, 3\).*\(2,\)"),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_shapes_that_do_not_fit(shape, mask, message, symbolic):
    tensor = keras.KerasTensor if symbolic else np.zeros
    kwargs = {} if mask is None else {"mask": tensor(mask, dtype="bool")}
    with pytest.raises(ValueError, match=f"(?s){message}"):
        AttentionPooling(query_initializer="glorot_uniform")(
            tensor(shape, dtype="float32"), **kwargs
        )


@pytest.mark.parametrize("units", [0, -3])
def test_units_below_one(units):
    with pytest.raises(ValueError, match="units is at least 1"):
        AttentionPooling(units)


def test_starts_as_the_average_of_the_live_positions():
    inputs, mask = draw((2, 4, 3)), np.array([[1, 1, 1, 0], [1, 0, 0, 0]], bool)
    got = AttentionPooling()(inputs, mask=mask)
    np.testing.assert_allclose(got[0], inputs[0, :3].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(got[1], inputs[1, 0], atol=1e-6)
