"""`kattn.layers.AttentionFeatureMap`: the formula, two channels, Keras's demands."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn.layers import AttentionFeatureMap, MatchMatrix

POLICIES = ["float32", "mixed_float16", "mixed_bfloat16"]
if keras.backend.backend() == "tensorflow":  # it alone computes in float64 in Keras
    POLICIES.append("float64")


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    return arrays if len(arrays) > 1 else arrays[0]


def numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def formula(match, kernel, mask=None):
    """Feature i is sum_j A_ij W_j, one place at a time; zeros where i is masked."""
    features = np.zeros((*match.shape[:2], kernel.shape[1]))
    for b, i, j in np.ndindex(*match.shape):
        if mask is None or mask[b, i]:
            features[b, i] += match[b, i, j] * kernel[j]
    return features


@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_the_formula(data):
    batch, rows, columns, units = (data.draw(st.integers(1, 5)) for _ in range(4))
    match = draw((batch, rows, columns), seed=data.draw(st.integers(0, 9)))
    size = batch * rows
    bits = data.draw(st.none() | st.lists(st.booleans(), min_size=size, max_size=size))
    mask = None if bits is None else np.array(bits).reshape(batch, rows)
    layer = AttentionFeatureMap(units)
    got = numpy(layer(match, mask=mask))
    expected = formula(match, numpy(layer.dense.kernel), mask)
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_one_layer_makes_both_maps_with_one_w():
    """The paper's F_{0,a} = W A^T and F_{1,a} = W A, whose columns are the words."""
    match = draw((1, 4, 4))
    layer = AttentionFeatureMap(3)
    left = numpy(layer(match))[0]
    right = numpy(layer(ops.transpose(match, (0, 2, 1))))[0]
    (weight,) = layer.weights
    w = numpy(weight).T  # (d, s)
    np.testing.assert_allclose(left.T, w @ match[0].T, atol=1e-6)
    np.testing.assert_allclose(right.T, w @ match[0], atol=1e-6)


def test_two_channels_of_an_image_are_the_features_of_both():
    """Filters as high as the image sum over the channels and over its height."""
    text, other = draw((2, 6, 4), (2, 6, 4), seed=1)
    feature_map = numpy(AttentionFeatureMap(4)(MatchMatrix()(text, other)))
    image = np.stack([text, feature_map], axis=-1).astype("float32")  # (2, 6, 4, 2)
    on_image = keras.layers.Conv2D(5, (3, 4), data_format="channels_last")
    on_image.build(image.shape)
    kernel = numpy(on_image.kernel)  # (3, 4, 2, 5)
    joined = np.concatenate([text, feature_map], axis=-1).astype("float32")
    on_features = keras.layers.Conv1D(5, 3)
    on_features.build(joined.shape)
    both = np.concatenate([kernel[:, :, 0], kernel[:, :, 1]], axis=1)
    on_features.kernel.assign(both.astype("float32"))
    expected = numpy(on_image(image))[:, :, 0]
    np.testing.assert_allclose(numpy(on_features(joined)), expected, atol=1e-5)


def test_gradients_are_the_finite_differences(check_gradients, precise):
    match = draw((2, 3, 4)).astype("float64")
    mask = np.array([[1, 1, 0], [0, 0, 0]], bool)
    layer = AttentionFeatureMap(5, dtype=precise[0])
    layer.build(match.shape)
    check_gradients(
        lambda x: layer(x, mask=mask),
        lambda x, kernel: formula(x, kernel, mask),
        [match],
        layer.weights,
    )


@pytest.mark.parametrize(
    "kwargs", [{}, {"kernel_initializer": "he_normal"}, {"length": 7}, {"length": 2}]
)
def test_is_a_keras_layer(kwargs, check_layer):
    check_layer(
        AttentionFeatureMap,
        {"units": 3, **kwargs},
        {"match": draw((2, 5, 4))},
        weights=1,
        mask_shape=(2, 5),
    )


def test_starts_as_it_is_told():
    layer = AttentionFeatureMap(3, kernel_initializer="ones")
    match = draw((2, 5, 4))
    expected = np.repeat(match.sum(axis=-1, keepdims=True), 3, axis=-1)
    np.testing.assert_allclose(numpy(layer(match)), expected, atol=1e-6)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("junk", [np.nan, np.inf, 6e4])
def test_padding_reaches_neither_outputs_nor_gradients(policy, junk, gradients):
    match = draw((3, 4, 5))
    mask = np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]], bool)
    layer = AttentionFeatureMap(3, dtype=policy)
    layer.build(match.shape)

    def run(fill):
        def loss(x):
            features = ops.cast(layer(x, mask=mask), "float32")
            return ops.sum(ops.square(features)), features

        filled = np.where(mask[..., None], match, fill).astype("float32")
        (_, features), slopes = gradients(loss, [filled], layer.weights)
        return [features, *(slope.astype("float32") for slope in slopes)]

    for clean, dirty in zip(run(0.5), run(junk), strict=True):
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(clean, dirty)
    assert not run(junk)[0][~mask].any()


def test_a_live_nan_stays_in_its_row():
    match = draw((1, 3, 2))
    match[0, 1, 0] = np.nan
    nan = np.isnan(numpy(AttentionFeatureMap(4)(match))[0])
    np.testing.assert_array_equal(nan, [[False] * 4, [True] * 4, [False] * 4])


def test_masked_texts_have_zeros_in_their_maps_without_a_mask_of_their_own():
    left, right = draw((2, 4, 3), (2, 4, 3))
    masks = np.array([[1, 1, 0, 0], [1, 1, 1, 0]], bool), np.ones((2, 4), bool)
    match = MatchMatrix()(left, right, left_mask=masks[0], right_mask=masks[1])
    features = numpy(AttentionFeatureMap(3)(match))
    np.testing.assert_array_equal(features.any(axis=-1), masks[0])


def test_masks_given_and_carried_are_both_heeded_and_go_on():
    carried = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    given_mask = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], bool)
    match = np.where(carried[..., None], draw((2, 4, 3)), 0.0).astype("float32")
    tensor = keras.layers.Masking(0.0)(match)
    layer = AttentionFeatureMap(5)
    for mask, expected in ((given_mask, carried & given_mask), (None, carried)):
        features = layer(tensor, mask=mask)
        np.testing.assert_array_equal(numpy(features).any(axis=-1), expected)
        np.testing.assert_array_equal(
            ops.convert_to_numpy(features._keras_mask), expected
        )
    np.testing.assert_array_equal(ops.convert_to_numpy(tensor._keras_mask), carried)
    assert getattr(layer(match), "_keras_mask", None) is None


def test_joined_with_its_text_it_carries_the_texts_mask():
    text, other = draw((2, 4, 3), (2, 4, 3))
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)
    text = np.where(mask[..., None], text, 0.0).astype("float32")
    tensor = keras.layers.Masking(0.0)(text)
    features = AttentionFeatureMap(3)(MatchMatrix()(tensor, other), mask=mask)
    joined = keras.layers.Concatenate()([tensor, features])
    np.testing.assert_array_equal(ops.convert_to_numpy(joined._keras_mask), mask)


def test_the_rows_may_be_free():
    match, mask = draw((2, 4, 3)), np.array([[1, 1, 0, 0], [1, 1, 1, 1]], bool)
    sources = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    layer = AttentionFeatureMap(5)
    output = layer(sources[0], mask=sources[1])
    assert output.shape == (None, None, 5)
    got = keras.Model(sources, output).predict([match, mask], verbose=0)
    expected = formula(match, numpy(layer.dense.kernel), mask)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("shape", "mask", "message"),
    [
        ((2, 3), None, r"\(batch, length, other length\).*\(2, 3\)"),
        ((2, 3, 4), (2, 4), r"mask.*\(2, 3\).*\(2, 4\)"),
        ((2, 3, 4), (2,), r"mask.*\(2, 3\).*\(2,\)"),
    ],
)
def test_shapes_that_do_not_fit(shape, mask, message, symbolic):
    tensor = keras.KerasTensor if symbolic else np.zeros
    kwargs = {} if mask is None else {"mask": tensor(mask, dtype="bool")}
    with pytest.raises(ValueError, match=f"(?s){message}"):
        AttentionFeatureMap(5)(tensor(shape, dtype="float32"), **kwargs)


def test_the_other_texts_length_is_fixed():
    message = r"(?s)length must be known.*kattn.layers.Attention.*\(None, 4, None\)"
    with pytest.raises(ValueError, match=message):
        AttentionFeatureMap(5)(keras.Input((4, None)))
    layer = AttentionFeatureMap(5)
    layer(draw((2, 3, 4)))
    message = r"(?s)built for .* 4 columns.*kattn.layers.Attention.*\(2, 4, 3\)"
    for tensor in (np.zeros, keras.KerasTensor):
        with pytest.raises(ValueError, match=message):
            layer(tensor((2, 4, 3)))


def test_a_shorter_text_uses_the_first_places_and_a_longer_one_no_more_than_there_are():
    layer = AttentionFeatureMap(5, length=4)
    match = draw((2, 3, 6))
    layer.build(match.shape)
    (places,) = layer.get_weights()
    assert places.shape == (4, 5)
    expected = formula(match[..., :4], places)
    np.testing.assert_allclose(numpy(layer(match)), expected, rtol=1e-5, atol=1e-6)
    short = formula(match[..., :2], places[:2])
    np.testing.assert_allclose(
        numpy(layer(match[..., :2])), short, rtol=1e-5, atol=1e-6
    )
    free = keras.Input((None, None))
    model = keras.Model(free, layer(free))
    np.testing.assert_allclose(numpy(model(match)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [0, -3])
@pytest.mark.parametrize("name", ["units", "length"])
def test_sizes_below_one(name, size):
    with pytest.raises(ValueError, match=f"{name} is at least 1.*{name}={size}"):
        AttentionFeatureMap(**{"units": 2, name: size})
