"""`kattn.layers.AttentiveWindowPooling`, alone and in the steps of ABCNN-1 and 2."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn.layers import AttentionFeatureMap, AttentiveWindowPooling, MatchMatrix

POLICIES = ["float32", "mixed_float16", "mixed_bfloat16"]
if keras.backend.backend() == "tensorflow":  # it alone computes in float64 in Keras
    POLICIES.append("float64")


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape).astype("float32") for shape in shapes]
    return arrays if len(arrays) > 1 else arrays[0]


def matches(*shape, seed=0):
    """Scores between 0 and 1, as those of a match matrix."""
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype("float32")


def numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def formula(inputs, match, window=None, normalize=True, mask=None):
    """a_k = sum_j A_kj, over their sum; the windows' sums of a_k F_k, one at a time."""
    batch, length, width = inputs.shape
    live = np.ones((batch, length), bool) if mask is None else mask
    attention = np.zeros((batch, length))
    for b, k in np.argwhere(live):
        attention[b, k] = sum(match[b, k])
    if normalize:
        for b in range(batch):
            attention[b] /= attention[b].sum() if live[b].any() else 1
    places = 1 if window is None else length - window + 1
    output = np.zeros((batch, places, width))
    for b, j in np.ndindex(batch, places):
        ks = range(length) if window is None else range(j, j + window)
        if window is None or all(live[b, k] for k in ks):
            output[b, j] = sum(attention[b, k] * inputs[b, k] for k in ks if live[b, k])
    return (output[:, 0] if window is None else output), attention


@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_the_formula(data):
    batch, length, other, width = (data.draw(st.integers(1, 5)) for _ in range(4))
    window = data.draw(st.none() | st.integers(1, length))
    normalize = data.draw(st.booleans())
    seed, size = data.draw(st.integers(0, 9)), batch * length
    inputs, match = draw((batch, length, width)), matches(batch, length, other)
    bits = data.draw(st.none() | st.lists(st.booleans(), min_size=size, max_size=size))
    mask = None if bits is None else np.array(bits).reshape(batch, length)
    layer = AttentiveWindowPooling(window, normalize)
    got = layer(inputs, match, mask=mask, return_attention_scores=True)
    expected = formula(inputs, match, window, normalize, mask)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(numpy(a), b, atol=1e-5, err_msg=str(seed))


@pytest.mark.parametrize("window", [None, 2])
@pytest.mark.parametrize("normalize", [True, False])
def test_gradients_are_the_finite_differences(
    window, normalize, check_gradients, precise
):
    inputs = draw((2, 4, 3)).astype("float64")
    match = matches(2, 4, 5).astype("float64")
    mask = np.array([[1, 1, 1, 0], [0, 0, 0, 0]], bool)
    layer = AttentiveWindowPooling(window, normalize, dtype=precise[0])
    check_gradients(
        lambda x, m: layer(x, m, mask=mask),
        lambda x, m: formula(x, m, window, normalize, mask)[0],
        [inputs, match],
        [],
    )


@pytest.mark.parametrize(
    ("kwargs", "mask_shape"),
    [({"window": 2}, (2, 4)), ({"normalize": False}, None), ({}, None)],
)
def test_is_a_keras_layer(kwargs, mask_shape, check_layer):
    check_layer(
        AttentiveWindowPooling,
        kwargs,
        {"inputs": draw((2, 5, 4)), "match": matches(2, 5, 3)},
        weights=0,
        mask_shape=mask_shape,
        flags=({}, {"return_attention_scores": True}),
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("junk", [np.nan, np.inf, 6e4])
@pytest.mark.parametrize("window", [None, 2])
def test_padding_reaches_neither_outputs_nor_gradients(window, policy, junk, gradients):
    inputs, match = draw((3, 4, 5)), matches(3, 4, 3)
    mask = np.array([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 0, 0]], bool)
    layer = AttentiveWindowPooling(window, dtype=policy)

    def run(fill):
        def loss(x, m):
            outputs = layer(x, m, mask=mask, return_attention_scores=True)
            output, attention = (ops.cast(y, "float32") for y in outputs)
            return ops.sum(ops.square(output)), output, attention

        filled = [
            np.where(mask[..., None], x, fill).astype("float32")
            for x in (inputs, match)
        ]
        (_, *outputs), slopes = gradients(loss, filled)
        return [*outputs, *(slope.astype("float32") for slope in slopes)]

    for clean, dirty in zip(run(0.5), run(junk), strict=True):
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(clean, dirty)
    output, attention, *_ = run(junk)
    assert not output[2].any() and not attention[~mask].any()


def test_a_live_nan_stays_in_its_windows():
    inputs = draw((1, 5, 2))
    inputs[0, 1, 0] = np.nan
    pooled = numpy(AttentiveWindowPooling(2)(inputs, matches(1, 5, 3)))[0, :, 0]
    np.testing.assert_array_equal(np.isnan(pooled), [True, True, False, False])


def test_nothing_that_matches_gives_zeros(gradients):
    """The other text is all padding: the sum of `a` is 0."""
    inputs, match = draw((2, 4, 3)), np.zeros((2, 4, 5), "float32")
    for window in (None, 2):
        layer = AttentiveWindowPooling(window)
        value, slopes = gradients(
            lambda x, m, layer=layer: ops.sum(layer(x, m)), [inputs, match]
        )
        assert value == 0 and np.isfinite(slopes[1]).all() and not slopes[0].any()


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_sums_are_those_of_float32(policy):
    match = np.ones((1, 4, 4097), "float32")  # float16 counts up to 2048 one by one
    layer = AttentiveWindowPooling(2, dtype=policy)
    pooled, attention = layer(draw((1, 4, 3)), match, return_attention_scores=True)
    assert keras.backend.standardize_dtype(pooled.dtype) == layer.compute_dtype
    np.testing.assert_array_equal(numpy(attention), np.full((1, 4), 0.25))
    whole = AttentiveWindowPooling(2, normalize=False, dtype=policy)
    inputs = np.full((1, 4, 3), 2.0**-12)
    expected = 2 * 4097 * 2.0**-12
    np.testing.assert_allclose(numpy(whole(inputs, match)), expected, rtol=4e-3)


def test_seeing_the_weights_changes_nothing():
    inputs, match = draw((2, 4, 3)), matches(2, 4, 5)
    for window in (None, 3):
        layer = AttentiveWindowPooling(window)
        pooled, attention = layer(inputs, match, return_attention_scores=True)
        np.testing.assert_array_equal(numpy(pooled), numpy(layer(inputs, match)))
        np.testing.assert_allclose(numpy(attention).sum(-1), 1, atol=1e-6)


def test_of_n_and_w_minus_1_live_columns_n_are_left():
    carried = np.arange(8) < np.array([[8], [6], [4], [2], [0]])  # w = 3
    inputs = np.where(carried[..., None], draw((5, 8, 2)), 0.0).astype("float32")
    tensor = keras.layers.Masking(0.0)(inputs)
    given_mask = np.ones((5, 8), bool)
    given_mask[0, 0] = False
    layer = AttentiveWindowPooling(3)
    for mask in (None, given_mask):
        expected = np.arange(6) < np.array([[6], [4], [2], [0], [0]])
        expected[0, 0] = mask is None
        pooled = layer(tensor, matches(5, 8, 4), mask=mask)
        got = ops.convert_to_numpy(pooled._keras_mask)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(numpy(pooled).any(-1), expected)
    assert getattr(layer(inputs, matches(5, 8, 4)), "_keras_mask", None) is None
    np.testing.assert_array_equal(ops.convert_to_numpy(tensor._keras_mask), carried)


@pytest.mark.parametrize("window", [None, 2])
def test_lengths_may_be_free(window):
    inputs, match = draw((2, 4, 3)), matches(2, 4, 5)
    carried = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
    given_mask = np.array([[0, 1, 1, 1], [1, 1, 1, 1]], bool)
    inputs = np.where(carried[..., None], inputs, 0.0).astype("float32")
    sources = [keras.Input((None, 3)), keras.Input((None, None))]
    sources.append(keras.Input((None,), dtype="bool"))
    text = keras.layers.Masking(0.0)(sources[0])
    layer = AttentiveWindowPooling(window)
    output = layer(text, sources[1], mask=sources[2])
    assert output.shape == ((None, 3) if window is None else (None, None, 3))
    model = keras.Model(sources, output)
    expected, _ = formula(inputs, match, window, mask=carried & given_mask)
    got = model.predict([inputs, match, given_mask], verbose=0)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize(
    ("inputs", "match", "mask", "message"),
    [
        ((2, 4), (2, 4, 3), None, r"inputs of shape \(batch, length, width\).*\(2, 4"),
        ((2, 4, 3), (2, 4), None, r"match matrix of shape.*match of shape \(2, 4\)"),
        ((2, 4, 3), (2, 5, 4), None, r"a row for each position.*\(2, 5, 4\)"),
        ((2, 4, 3), (3, 4, 4), None, r"a row for each position.*\(3, 4, 4\)"),
        ((2, 4, 3), (2, 4, 4), (2, 3), r"mask.*\(2, 4\).*\(2, 3\)"),
        ((2, 2, 3), (2, 2, 4), None, r"window of 3 positions is longer.*\(2, 2, 3\)"),
    ],
)
def test_shapes_that_do_not_fit(inputs, match, mask, message, symbolic):
    tensor = keras.KerasTensor if symbolic else np.zeros
    kwargs = {} if mask is None else {"mask": tensor(mask, dtype="bool")}
    inputs, match = tensor(inputs, dtype="float32"), tensor(match, dtype="float32")
    with pytest.raises(ValueError, match=f"(?s){message}"):
        AttentiveWindowPooling(3)(inputs, match, **kwargs)


@pytest.mark.parametrize("window", [0, -1, 1.5, "3", True])
def test_no_window(window):
    with pytest.raises(ValueError, match=f"at least 1, or None.*window={window!r}"):
        AttentiveWindowPooling(window)


def test_the_mask_is_given_by_keyword():
    """Given by position, Keras would not pass it on."""
    arrays = draw((2, 4, 3)), matches(2, 4, 3), np.ones((2, 4), bool)
    with pytest.raises(TypeError, match="positional"):
        AttentiveWindowPooling()(*arrays)


# ---- a whole step of BCNN, ABCNN-1 and ABCNN-2, as PAPERS writes it ------------------


def wide_convolution(text, w, weight, bias):
    """Columns to columns: p_i = tanh(W [v_{i-w+1}; ...; v_i] + b), 0 < i < s + w."""
    d, s = text.shape
    columns = []
    for i in range(1, s + w):
        words = [
            text[:, k - 1] if 1 <= k <= s else np.zeros(d)
            for k in range(i - w + 1, i + 1)
        ]
        columns.append(np.tanh(weight @ np.concatenate(words) + bias))
    return np.array(columns).T


def attention_matrix(left, right):
    """A_ij = 1 / (1 + |x_i - y_j|), of columns."""
    return np.array(
        [[1 / (1 + np.linalg.norm(x - y)) for y in right.T] for x in left.T]
    )


def w_ap(columns, w, attention):
    """F^p_j = sum_{k=j}^{j+w-1} a_k F^c_k: of s + w - 1 columns, s."""
    s = columns.shape[1] - w + 1
    return np.array(
        [sum(attention[k] * columns[:, k] for k in range(j, j + w)) for j in range(s)]
    ).T


class Pairs:
    """Three padded pairs of texts, and one wide convolution for both texts."""

    width, units, w, length = 3, 4, 3, 6
    lengths = ((6, 6), (4, 5), (1, 6))

    def __init__(self, features=1):
        self.texts = draw(*2 * [(3, self.length, self.width)], seed=3)
        self.masks = [
            np.arange(self.length) < np.array([[pair[side]] for pair in self.lengths])
            for side in (0, 1)
        ]
        # The wide convolution's columns: those that see a live word.
        self.wide_masks = [
            np.arange(self.length + self.w - 1)
            < np.array([[pair[side] + self.w - 1] for pair in self.lengths])
            for side in (0, 1)
        ]
        self.conv = keras.layers.Conv1D(self.units, self.w, activation="tanh")
        self.conv.build((None, None, features * self.width))
        self.conv.bias.assign(draw((self.units,), seed=4))
        kernel = numpy(self.conv.kernel)  # (w, d, units)
        self.weight = kernel.reshape(-1, self.units).T  # (units, w d)
        self.bias = numpy(self.conv.bias)

    def columns(self, b, side):
        """The words of a text, without its padding, as the paper's columns."""
        return self.texts[side][b, : self.lengths[b][side]].T.astype("float64")

    def convolved(self, texts):
        edge = self.w - 1
        return [
            self.conv(np.pad(numpy(text), ((0, 0), (edge, edge), (0, 0))))
            for text in texts
        ]

    def match(self, texts, masks):
        left_mask, right_mask = masks
        return MatchMatrix()(*texts, left_mask=left_mask, right_mask=right_mask)

    def cleared(self):
        return [
            np.where(mask[..., None], text, 0).astype("float32")
            for text, mask in zip(self.texts, self.masks, strict=True)
        ]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("top", [False, True])
def test_a_step_of_abcnn_2(normalize, top):
    pairs = Pairs()
    convolved = pairs.convolved(pairs.cleared())
    match = pairs.match(convolved, pairs.wide_masks)
    pooling = AttentiveWindowPooling(None if top else pairs.w, normalize)
    got = [
        pooling(convolved[0], match, mask=pairs.wide_masks[0]),
        pooling(
            convolved[1], ops.transpose(match, (0, 2, 1)), mask=pairs.wide_masks[1]
        ),
    ]
    for b, lengths in enumerate(pairs.lengths):
        left, right = (
            wide_convolution(pairs.columns(b, side), pairs.w, pairs.weight, pairs.bias)
            for side in (0, 1)
        )
        matrix = attention_matrix(left, right)
        for side, columns, attention in (
            (0, left, matrix.sum(axis=1)),  # rows belong to the left text
            (1, right, matrix.sum(axis=0)),  # and columns to the right one
        ):
            attention = attention / attention.sum() if normalize else attention
            output = numpy(got[side])[b]
            if top:
                np.testing.assert_allclose(output, columns @ attention, atol=1e-5)
                continue
            expected = w_ap(columns, pairs.w, attention)
            assert expected.shape == (pairs.units, lengths[side])
            live = output[: lengths[side]]
            np.testing.assert_allclose(live, expected.T, atol=1e-5)
            assert not output[lengths[side] :].any()


def test_a_step_of_bcnn():
    """Its averages are those of a match matrix that is the same everywhere."""
    pairs = Pairs()
    (text, _), (mask, _) = pairs.convolved(pairs.cleared()), pairs.wide_masks
    w, ones = pairs.w, np.ones((*text.shape[:2], 1), "float32")
    pooled = numpy(
        AttentiveWindowPooling(w, normalize=False)(text, ones / w, mask=mask)
    )
    whole = numpy(AttentiveWindowPooling()(text, ones, mask=mask))
    for b, (length, _) in enumerate(pairs.lengths):
        columns = wide_convolution(pairs.columns(b, 0), w, pairs.weight, pairs.bias)
        expected = w_ap(columns, w, np.full(columns.shape[1], 1 / w))
        np.testing.assert_allclose(pooled[b, :length], expected.T, atol=1e-5)
        np.testing.assert_allclose(whole[b], columns.mean(axis=1), atol=1e-5)
    plain = keras.layers.AveragePooling1D(w, strides=1, data_format="channels_last")
    np.testing.assert_allclose(pooled[0], numpy(plain(text))[0], atol=1e-6)


def test_a_step_of_abcnn_1():
    pairs = Pairs(features=2)
    texts = pairs.cleared()
    match = pairs.match(texts, pairs.masks)
    layer = AttentionFeatureMap(pairs.width)
    maps = layer(match), layer(ops.transpose(match, (0, 2, 1)))
    both = [
        np.concatenate([x, numpy(y)], axis=-1) for x, y in zip(texts, maps, strict=True)
    ]
    got = pairs.convolved(both)
    places = numpy(layer.dense.kernel).T  # (d, s)
    for b, lengths in enumerate(pairs.lengths):
        left, right = pairs.columns(b, 0), pairs.columns(b, 1)
        matrix = attention_matrix(left, right)
        for side, text, feature_map in (
            (0, left, places[:, : lengths[1]] @ matrix.T),
            (1, right, places[:, : lengths[0]] @ matrix),
        ):
            stacked = np.concatenate([text, feature_map])
            expected = wide_convolution(stacked, pairs.w, pairs.weight, pairs.bias)
            live = numpy(got[side])[b, : lengths[side] + pairs.w - 1]
            np.testing.assert_allclose(live, expected.T, atol=1e-5)
