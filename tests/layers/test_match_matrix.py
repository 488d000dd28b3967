"""`kattn.layers.MatchMatrix`: the formula, the traps of ABCNN, Keras's demands."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn import scores
from kattn.layers import MatchMatrix

POLICIES = ["float32", "mixed_float16", "mixed_bfloat16"]
if keras.backend.backend() == "tensorflow":  # it alone computes in float64 in Keras
    POLICIES.append("float64")
SCORES = ("proximity", "cosine", "bilinear", "additive", "location")


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    return arrays if len(arrays) > 1 else arrays[0]


def numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def made(score, left_shape, right_shape, **kwargs):
    layer = MatchMatrix(score, **kwargs)
    layer.build(left_shape, right_shape)
    for seed, weight in enumerate(layer.weights):
        weight.assign(keras.random.normal(weight.shape, seed=seed))
    return layer


def carrying(array, mask):
    """The array as a tensor that carries a Keras mask."""
    array = np.where(mask[..., None], array, 0.0).astype("float32")
    return keras.layers.Masking(0.0)(array)


def euclidean(left, right, left_mask=None, right_mask=None):
    """Yin et al. 2016, section 4: 1 / (1 + |x - y|), one pair of live words at a time.

    Takes and gives float64, `(B, T0, D)` and `(B, T1, D)` to `(B, T0, T1)`.
    """
    match = np.zeros((len(left), left.shape[1], right.shape[1]))
    for b, i, j in np.ndindex(*match.shape):
        live = left_mask is None or left_mask[b, i]
        if live and (right_mask is None or right_mask[b, j]):
            gaps = left[b, i].astype("float64") - right[b, j].astype("float64")
            match[b, i, j] = 1 / (1 + sum(gap * gap for gap in gaps) ** 0.5)
    return match


@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_the_formula(data):
    batch, queries, keys, width = (data.draw(st.integers(1, 4)) for _ in range(4))
    left, right = draw(
        (batch, queries, width), (batch, keys, width), seed=data.draw(st.integers(0, 9))
    )
    right[:, 0] = left[:, 0]  # a word in common

    def mask(*shape):
        size = int(np.prod(shape))
        bits = st.none() | st.lists(st.booleans(), min_size=size, max_size=size)
        bits = data.draw(bits)
        return None if bits is None else np.array(bits).reshape(shape)

    masks = mask(batch, queries), mask(batch, keys)
    got = MatchMatrix()(left, right, left_mask=masks[0], right_mask=masks[1])
    np.testing.assert_allclose(numpy(got), euclidean(left, right, *masks), atol=1e-6)


@pytest.mark.parametrize("score", SCORES)
def test_takes_every_score(score, oracles):
    left, right = draw((2, 3, 4), (2, 5, 4))
    left_mask = np.array([[1, 1, 0], [1, 1, 1]], bool)
    right_mask = np.array([[1, 0, 1, 1, 1], [1, 1, 0, 0, 0]], bool)
    layer = made(score, left.shape, right.shape)
    weights = [numpy(weight) for weight in layer.weights]
    if score == "additive":
        score_ = layer.score
        named = score_.query_dense.kernel, score_.key_dense.kernel
        weights = [numpy(x) for x in (*named, score_.key_dense.bias, score_.vector)]
    expected = oracles.energies(score, left, right, weights)
    expected *= left_mask[:, :, None] & right_mask[:, None, :]
    got = layer(left, right, left_mask=left_mask, right_mask=right_mask)
    np.testing.assert_allclose(numpy(got), expected, atol=1e-5)


def test_rows_are_the_left_texts():
    left = np.array([[[0.0, 0.0], [3.0, 4.0]]], "float32")
    right = np.array([[[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]]], "float32")
    match = numpy(MatchMatrix()(left, right))
    sixth = 1 / 6  # of a distance of 5
    expected = [[1, 1, sixth], [sixth, sixth, 1]]
    np.testing.assert_allclose(match[0], expected, atol=1e-7)
    swapped = numpy(MatchMatrix()(right, left))
    np.testing.assert_array_equal(swapped, match.transpose(0, 2, 1))


@pytest.mark.parametrize("policy", POLICIES)
def test_equal_words_match_with_one_and_have_finite_gradients(policy, gradients):
    """The root's slope is infinite there: galsang/ABCNN, issue 6."""
    text = draw((2, 4, 6))
    text[:, 3] = text[:, 1]  # and a word that comes twice
    text[1] = 0  # columns of zeros
    layer = MatchMatrix(dtype=policy)
    value, slopes = gradients(
        lambda left, right: ops.sum(ops.cast(layer(left, right), "float32")),
        [text, text],
    )
    match = numpy(layer(text, text))
    np.testing.assert_array_equal(match[:, range(4), range(4)], 1.0)
    np.testing.assert_array_equal(match[0, 1, 3], 1.0)
    np.testing.assert_array_equal(match[1], 1.0)
    assert np.isfinite(value).all()
    for slope in slopes:
        assert np.isfinite(slope.astype("float32")).all()
        assert slope[0].any() and not slope[1].any()


@pytest.mark.parametrize("policy", POLICIES)
def test_padding_matches_nothing(policy, gradients):
    """Not even padding, at a distance of 0 from which it would match with 1."""
    zeros, text = np.zeros((2, 3, 4), "float32"), draw((2, 2, 4))
    nothing, all_ = np.zeros((2, 3), bool), np.ones((2, 2), bool)
    layer = MatchMatrix(dtype=policy)
    for left, right, left_mask, right_mask in (
        (zeros, zeros, nothing, nothing),
        (zeros, text, nothing, all_),
        (text, zeros, all_, nothing),
        (text, zeros, None, nothing),
    ):
        call = {"left_mask": left_mask, "right_mask": right_mask}
        value, slopes = gradients(
            lambda x, y, call=call: ops.sum(ops.cast(layer(x, y, **call), "float32")),
            [left, right],
        )
        assert value == 0
        for slope in slopes:
            assert slope is None or not slope.any()


def test_gradients_are_the_finite_differences(check_gradients, precise):
    left, right = (x.astype("float64") for x in draw((2, 3, 4), (2, 5, 4)))
    masks = np.array([[1, 1, 0]] * 2, bool), np.array([[1, 1, 1, 0, 1]] * 2, bool)
    layer = MatchMatrix(dtype=precise[0])
    check_gradients(
        lambda x, y: layer(x, y, left_mask=masks[0], right_mask=masks[1]),
        lambda x, y: euclidean(x, y, *masks),
        [left, right],
        [],
    )


@pytest.mark.parametrize(
    ("kwargs", "width", "count"),
    [
        ({}, 4, 0),
        ({"score": "bilinear"}, 6, 1),
        ({"score": scores.serialize(scores.Additive(3))}, 6, 4),
    ],
    ids=["proximity", "bilinear", "config"],
)
def test_is_a_keras_layer(kwargs, width, count, check_layer):
    left, right = draw((2, 3, 4), (2, 5, width))
    arrays = {"left": left, "right": right}
    check_layer(MatchMatrix, kwargs, arrays, weights=count, mask_shape=None)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("junk", [np.nan, np.inf, 6e4])
@pytest.mark.parametrize("score", ["proximity", "bilinear"])
def test_padding_reaches_neither_outputs_nor_gradients(score, policy, junk, gradients):
    left, right = draw((3, 4, 5), (3, 3, 5))
    left_mask = np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]], bool)
    right_mask = np.array([[1, 1, 0], [0, 1, 1], [1, 1, 1]], bool)
    layer = made(score, left.shape, right.shape, dtype=policy)

    def run(fill):
        arrays = (
            np.where(left_mask[..., None], left, fill).astype("float32"),
            np.where(right_mask[..., None], right, fill).astype("float32"),
        )

        def loss(x, y):
            match = layer(x, y, left_mask=left_mask, right_mask=right_mask)
            match = ops.cast(match, "float32")
            return ops.sum(ops.square(match)), match

        (_, match), slopes = gradients(loss, arrays, layer.weights)
        return [match, *(slope.astype("float32") for slope in slopes)]

    for clean, dirty in zip(run(0.5), run(junk), strict=True):
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(clean, dirty)


def test_a_live_nan_stays_in_its_row():
    left, right = draw((1, 3, 2), (1, 4, 2))
    left[0, 1, 0] = np.nan
    seen = np.array([[1, 1, 0, 1]], bool)
    match = numpy(MatchMatrix()(left, right, right_mask=seen))[0]
    np.testing.assert_array_equal(np.isnan(match[1]), seen[0])
    assert np.isfinite(match[[0, 2]]).all()


def test_distances_are_computed_in_float32():
    far, near = np.full((1, 1, 1024), 10.0), np.zeros((1, 1, 1024))
    match = MatchMatrix(dtype="mixed_float16")(far, near)  # 102400 is inf in float16
    np.testing.assert_allclose(numpy(match), 1 / 321, rtol=1e-3)


def test_masks_given_and_carried_are_both_heeded_and_neither_goes_on():
    left, right = draw((2, 4, 3), (2, 3, 3))
    carried = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    others = np.array([[1, 1, 0], [0, 1, 1]], bool)
    left_mask = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], bool)
    right_mask = np.array([[0, 1, 1], [1, 1, 1]], bool)
    seen = (carried & left_mask)[:, :, None] & (others & right_mask)[:, None, :]
    tensors = carrying(left, carried), carrying(right, others)
    match = MatchMatrix()(*tensors, left_mask=left_mask, right_mask=right_mask)
    np.testing.assert_array_equal(numpy(match) > 0, seen)
    assert getattr(match, "_keras_mask", None) is None
    for tensor, mask in zip(tensors, (carried, others), strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(tensor._keras_mask), mask)

    sources = [keras.Input((None, 3)) for _ in range(2)]
    sources += [keras.Input((None,), dtype="bool") for _ in range(2)]
    texts = [keras.layers.Masking(0.0)(source) for source in sources[:2]]
    output = MatchMatrix()(*texts, left_mask=sources[2], right_mask=sources[3])
    assert output.shape == (None, None, None)
    model = keras.Model(sources, output)
    arrays = [numpy(tensor).astype("float32") for tensor in tensors]
    match = model.predict([*arrays, left_mask, right_mask], verbose=0)
    np.testing.assert_array_equal(match > 0, seen)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("left", "right", "masks", "message"),
    [
        ((2, 3), (2, 3, 4), {}, r"left text.*\(batch, length, width\).*\(2, 3\)"),
        ((2, 3, 4), (2, 3, 4, 5), {}, r"right text.*\(2, 3, 4, 5\)"),
        ((2, 3, 4), (3, 3, 4), {}, r"same batch.*\(2, 3, 4\).*\(3, 3, 4\)"),
        ((2, 3, 4), (2, 3, 5), {}, r"equal width.*width 4.*width 5"),
        ((2, 3, 4), (2, 5, 4), {"left_mask": (2, 5)}, r"left_mask.*\(2, 5\)"),
        ((2, 3, 4), (2, 5, 4), {"right_mask": (2,)}, r"right_mask.*\(2,\)"),
    ],
)
def test_shapes_that_do_not_fit(left, right, masks, message, symbolic):
    tensor = keras.KerasTensor if symbolic else np.zeros
    masks = {name: tensor(shape, dtype="bool") for name, shape in masks.items()}
    left, right = tensor(left, dtype="float32"), tensor(right, dtype="float32")
    with pytest.raises(ValueError, match=f"(?s){message}"):
        MatchMatrix()(left, right, **masks)


def test_shapes_that_do_not_fit_once_built():
    layer = MatchMatrix("location")
    layer(*draw((2, 3, 4), (2, 5, 4)))
    for tensor in (np.zeros, keras.KerasTensor):
        with pytest.raises(ValueError, match="built for 5 keys"):
            layer(tensor((2, 3, 4)), tensor((2, 6, 4)))


def test_an_unknown_score():
    with pytest.raises(ValueError, match="proximty.*proximity"):
        MatchMatrix("proximty")
