"""`kattn.layers.Attention`: the formula, masks, numerics, and Keras's demands."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import kattn
from kattn.layers import Attention

SCORES = ("dot", "scaled_dot", "additive")
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
ROUNDING = {"float64": 1e-12, "float32": 1e-5, "float16": 3e-3, "bfloat16": 2e-2}
if keras.backend.backend() == "tensorflow":  # the one that computes in float64
    POLICIES += ("float64",)


def draw(*shapes, seed=0, dtype="float32"):
    rng = np.random.default_rng(seed)
    arrays = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    return arrays if len(arrays) > 1 else arrays[0]


def weights_of(layer):
    """W, U, b, v of an additive score; nothing for the others."""
    if layer.score.name.startswith("additive"):
        score = layer.score
        named = (score.query_dense.kernel, score.key_dense.kernel)
        named += (score.key_dense.bias, score.vector)
        return [ops.convert_to_numpy(x).astype("float64") for x in named]
    return ()


def call(layer, *args, **kwargs):
    """What the layer gives, as arrays where it is not symbolic."""
    outputs = layer(*args, **kwargs)
    if isinstance(keras.tree.flatten(outputs)[0], keras.KerasTensor):
        return outputs
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def stir(layer):
    for weight in layer.weights:
        weight.assign(keras.random.normal(weight.shape, seed=7))


def implicit(array, mask):
    """The array as a tensor that carries `mask` as Keras's own layers attach it."""
    array = np.where(mask[..., None], array, 0.0).astype("float32")
    return keras.layers.Masking(0.0)(array)


@pytest.mark.parametrize("score", SCORES)
def test_equals_the_formula(score, oracles):
    query, value, key = draw((2, 3, 4), (2, 5, 6), (2, 5, 4))
    layer = Attention(score=score)
    call(layer, query, value, key)
    stir(layer)
    context, weights = call(layer, query, value, key, return_attention_scores=True)
    expected = oracles.attend(score, query, key, value, weights_of(layer))
    np.testing.assert_allclose(context, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)


@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_equals_the_formula_for_any_shapes_and_masks(data, oracles):
    sizes = st.integers(1, 4)
    batch, queries, keys, width, out = (data.draw(sizes) for _ in range(5))
    score = data.draw(st.sampled_from(SCORES))
    query, key, value = draw(
        (batch, queries, width),
        (batch, keys, width),
        (batch, keys, out),
        seed=data.draw(st.integers(0, 99)),
    )

    def mask(*shape):
        if not data.draw(st.booleans()):
            return None
        size = int(np.prod(shape))
        bits = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
        return np.array(bits).reshape(shape)

    query_mask, value_mask = mask(batch, queries), mask(batch, keys)
    key_mask, attention_mask = mask(batch, keys), mask(batch, queries, keys)
    visible = np.ones((batch, queries, keys), bool)
    if query_mask is not None:
        visible &= query_mask[:, :, None]
    for one in (value_mask, key_mask):
        if one is not None:
            visible &= one[:, None, :]
    if attention_mask is not None:
        visible &= attention_mask
    layer = Attention(score=score)
    layer.build(query.shape, value.shape, key.shape)
    stir(layer)
    context, weights = call(
        layer,
        query,
        value,
        key,
        query_mask=query_mask,
        value_mask=value_mask,
        key_mask=key_mask,
        attention_mask=attention_mask,
        return_attention_scores=True,
    )
    expected = oracles.attend(score, query, key, value, weights_of(layer), visible)
    np.testing.assert_allclose(context, expected[0], atol=1e-5)
    np.testing.assert_allclose(weights, expected[1], atol=1e-5)
    sums = np.sum(weights, -1)
    np.testing.assert_allclose(sums, visible.any(-1), atol=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "count", "seeds"),
    [
        ({"score": "dot"}, 0, 0),
        ({"score": "additive", "dropout": 0.2, "seed": 1}, 4, 1),
        ({"score": kattn.scores.Additive(units=3)}, 4, 0),
    ],
    ids=["dot", "additive-dropout", "object"],
)
def test_is_a_keras_layer(kwargs, count, seeds, check_layer):
    query, value, key = draw((2, 3, 4), (2, 5, 6), (2, 5, 4))
    if isinstance(kwargs["score"], kattn.scores.Score):
        config = kattn.scores.serialize(kwargs["score"])
        kwargs = {**kwargs, "score": config}
    check_layer(
        Attention,
        kwargs,
        {"query": query, "value": value, "key": key},
        weights=count,
        seeds=seeds,
        mask_shape=(2, 3),
        flags=({}, {"return_attention_scores": True}, {"training": True}),
    )


def test_the_key_is_the_value_where_none_is_given(check_layer):
    query, value = draw((2, 3, 4), (2, 5, 4))
    layer = Attention()
    np.testing.assert_array_equal(
        call(layer, query, value), call(layer, query, value, value)
    )
    check_layer(
        Attention,
        {},
        {"query": query, "value": value},
        weights=0,
        mask_shape=(2, 3),
        flags=({}, {"return_attention_scores": True}),
    )


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("score", SCORES)
def test_seeing_the_weights_changes_nothing(score, policy):
    query, value = draw((2, 3, 4), (2, 5, 4))
    layer = Attention(score=score, dtype=policy)
    mask = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    context, weights = call(
        layer, query, value, value_mask=mask, return_attention_scores=True
    )
    unseen = call(layer, query, value, value_mask=mask)
    rounding = ROUNDING[layer.compute_dtype]
    np.testing.assert_allclose(context, unseen, rtol=rounding, atol=rounding)
    assert weights.dtype == context.dtype == layer.compute_dtype


def test_the_weights_are_those_before_dropout():
    query, value = draw((2, 3, 4), (2, 5, 4))
    layer = Attention(dropout=0.5, seed=3)
    plain, expected = call(layer, query, value, return_attention_scores=True)
    context, weights = call(
        layer, query, value, return_attention_scores=True, training=True
    )
    np.testing.assert_array_equal(weights, expected)
    assert np.abs(context - plain).max() > 1e-3
    again = call(layer, query, value, training=True)
    assert np.abs(context - again).max() > 1e-3, "dropout drew the same twice"


def test_dropout_keeps_the_expectation():
    query, value = draw((1, 1, 4), (1, 3, 4))
    layer = Attention(dropout=0.5, seed=3)
    query, value = np.repeat(query, 4000, 0), np.repeat(value, 4000, 0)
    mean = np.mean(call(layer, query, value, training=True), 0)
    np.testing.assert_allclose(mean, call(layer, query, value)[0], atol=0.06)


# ---- what stands in padding reaches nothing -----------------------------------------


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("junk", [np.nan, np.inf, -np.inf, 6e4])
def test_padding_reaches_neither_outputs_nor_gradients(score, policy, junk, gradients):
    query, value, key = draw((2, 3, 4), (2, 5, 4), (2, 5, 4))
    query_mask = np.array([[1, 1, 0], [1, 0, 0]], bool)
    value_mask = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], bool)
    layer = Attention(score=score, dtype=policy)
    layer.build(query.shape, value.shape, key.shape)

    def run(fill):
        arrays = [
            np.where(mask[..., None], x, fill).astype("float32")
            for x, mask in (
                (query, query_mask),
                (value, value_mask),
                (key, value_mask),
            )
        ]

        def loss(*tensors):
            outputs = layer(
                *tensors,
                query_mask=query_mask,
                value_mask=value_mask,
                return_attention_scores=True,
            )
            return ops.sum(ops.square(ops.cast(outputs[0], "float32"))), *outputs

        outputs, slopes = gradients(loss, arrays, layer.trainable_variables)
        return [x.astype("float64") for x in (*outputs[1:], *slopes)]

    for clean, dirty in zip(run(0.25), run(junk), strict=True):
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(clean, dirty)


def test_a_live_nan_is_passed_on():
    query, value = draw((1, 2, 4), (1, 5, 4))
    value[0, 1, 0] = np.nan
    assert np.isnan(call(Attention(), query, value)).any()
    mask = np.array([[True, True, True, False, False]])
    assert np.isnan(call(Attention(), query, value, value_mask=mask)).any()


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("score", SCORES)
def test_a_query_that_sees_nothing(score, policy, gradients):
    query, value = draw((2, 3, 4), (2, 5, 4))
    layer = Attention(score=score, dtype=policy)
    layer.build(query.shape, value.shape)
    attention_mask = np.ones((2, 3, 5), bool)
    attention_mask[0, 1] = False
    for masks in (
        {"attention_mask": attention_mask},
        {"query_mask": np.array([[1, 0, 1], [1, 1, 1]], bool)},
        {"value_mask": np.array([[0] * 5, [1] * 5], bool)},
    ):

        def loss(query, value, masks=masks):
            outputs = layer(query, value, return_attention_scores=True, **masks)
            return ops.sum(ops.square(ops.cast(outputs[0], "float32"))), *outputs

        (_, context, weights), slopes = gradients(
            loss, [query, value], layer.trainable_variables
        )
        assert not context[0, 1].any()
        assert not weights[0, 1].any()
        sums = weights[1].astype("float32").sum(-1)
        np.testing.assert_allclose(sums, 1, atol=1e-2)
        for slope in slopes:
            assert np.isfinite(slope.astype("float32")).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_large_vectors_do_not_overflow(policy):
    query = np.full((1, 1, 1024), 10.0, "float32")
    value = np.stack([np.full((1, 1024), x, "float32") for x in (10, -10, 5)], 1)
    layer = Attention(score="dot", dtype=policy)
    context, weights = call(layer, query, value, return_attention_scores=True)
    np.testing.assert_array_equal(weights[0, 0], [1, 0, 0])
    np.testing.assert_array_equal(context[0, 0], np.full(1024, 10.0))


# ---- masks, explicit and carried along ----------------------------------------------


def case():
    query, value = draw((2, 3, 4), (2, 5, 4))
    carried = np.array([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]], bool)
    given = np.array([[0, 1, 1, 1, 1], [1, 1, 1, 1, 1]], bool)
    return query, value, carried, given


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("how", ["eager", "function", "functional", "own_key"])
def test_masks_given_and_carried_are_both_heeded(policy, how):
    query, value, carried, given_mask = case()
    layer = Attention(dtype=policy)
    value = np.where(carried[..., None], value, 0.0).astype("float32")
    both = carried & given_mask

    def run(q, v, mask):
        v = keras.layers.Masking(0.0)(v)
        keys = {"key": v * 1.0} if how == "own_key" else {}
        return layer(q, v, value_mask=mask, return_attention_scores=True, **keys)

    arguments = (query, value, given_mask)
    if how == "function":
        if keras.backend.backend() != "tensorflow":
            pytest.skip("tf.function is TensorFlow's")
        import tensorflow as tf

        run = tf.function(run)
    elif how == "functional":
        inputs = [keras.Input(x.shape[1:], dtype=x.dtype) for x in arguments]
        model = keras.Model(inputs, run(*inputs))

        def run(*arguments):
            return model(arguments)

    _, weights = run(*map(ops.convert_to_tensor, arguments))
    seen = np.broadcast_to(both[:, None, :], weights.shape)
    np.testing.assert_array_equal(ops.convert_to_numpy(weights) > 0, seen)


def test_the_queries_masks_are_both_heeded_and_the_carried_one_goes_on():
    query, value, _, _ = case()
    carried = np.array([[1, 1, 0], [1, 1, 1]], bool)
    given_mask = np.array([[1, 1, 1], [0, 1, 1]], bool)
    tensor = implicit(query, carried)
    context = Attention()(tensor, value, query_mask=given_mask)
    seen = ops.convert_to_numpy(context).any(-1)
    np.testing.assert_array_equal(seen, carried & given_mask)
    for x in (context, tensor):
        np.testing.assert_array_equal(ops.convert_to_numpy(x._keras_mask), carried)


def test_the_embeddings_mask_is_heeded_and_not_wiped():
    ids = np.array([[1, 2, 0, 0], [3, 0, 0, 0]])
    text = keras.layers.Embedding(5, 4, mask_zero=True)(ids)
    context, weights = Attention()(text, text, return_attention_scores=True)
    live = ids > 0
    seen = ops.convert_to_numpy(weights) > 0
    np.testing.assert_array_equal(seen, live[:, :, None] & live[:, None])
    for x in (text, context):
        np.testing.assert_array_equal(ops.convert_to_numpy(x._keras_mask), live)


@pytest.mark.parametrize("shape", [(3, 5), (1, 3, 5), (2, 1, 5), (2, 3, 1), (2, 3, 5)])
def test_an_attention_mask_broadcasts(shape):
    query, value, _, _ = case()
    mask = np.random.default_rng(1).random(shape) < 0.5
    _, weights = call(
        Attention(), query, value, attention_mask=mask, return_attention_scores=True
    )
    seen = np.broadcast_to(mask, (2, 3, 5))
    np.testing.assert_array_equal(weights > 0, seen)


# ---- errors -------------------------------------------------------------------------

Q, V = np.zeros((2, 3, 4), "float32"), np.zeros((2, 5, 4), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((Q[0], V), r"query of shape \(batch, length, width\).*shape \(3, 4\)"),
        ((Q, V[:, :, None]), r"value of shape.*\(2, 5, 1, 4\)"),
        ((Q, V[..., :2]), "equal width.*width 4.*width 2"),
        ((Q[:1], V), r"same batch.*\(1, 3, 4\).*\(2, 5, 4\)"),
        ((Q, V, V[:, :4]), r"same batch and length.*\(2, 4, 4\).*\(2, 5, 4\)"),
        ((Q, V, None, np.ones((2, 5), bool)), r"query_mask.*\(2, 3\).*\(2, 5\)"),
        ((Q, V, None, None, np.ones((2, 3), bool)), r"value_mask.*\(2, 5\).*\(2, 3\)"),
        ((Q, V, None, None, np.ones((2, 5, 1), bool)), r"value_mask.*\(2, 5, 1\)"),
        ((Q, V, V, None, None, np.ones((1, 5), bool)), r"key_mask.*\(2, 5\).*\(1, 5\)"),
        ((Q[:, :0], V), r"query of at least one position.*\(2, 0, 4\)"),
        ((Q, V[:, :0]), r"(key|value) of at least one position.*\(2, 0, 4\)"),
        (
            (Q, V, None, None, None, None, np.ones((2, 5, 3), bool)),
            r"attention_mask.*\(2, 3, 5\).*\(2, 5, 3\)",
        ),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_shapes_that_do_not_fit(arguments, message, symbolic):
    if symbolic:
        arguments = [
            None if x is None else keras.KerasTensor(x.shape, x.dtype)
            for x in arguments
        ]
    names = ("query", "value", "key", "query_mask", "value_mask", "key_mask")
    names += ("attention_mask",)
    with pytest.raises(ValueError, match=f"(?s){message}"):
        call(Attention(), **dict(zip(names, arguments, strict=False)))


@pytest.mark.parametrize("name", ["query_mask", "value_mask", "attention_mask"])
def test_a_mask_that_says_neither_true_nor_false(name):
    shape = {"query_mask": (2, 3), "value_mask": (2, 5), "attention_mask": (2, 3, 5)}
    mask = np.zeros(shape[name], "float32")
    with pytest.raises(TypeError, match=f"{name} is a tensor of booleans.*float32"):
        Attention()(Q, V, **{name: mask})
    with pytest.raises(TypeError, match=f"{name} is a tensor of booleans.*str"):
        Attention()(Q, V, **{name: "all"})
    # Whole numbers are read as truth values.
    mask = (np.arange(mask.size).reshape(mask.shape) % 2).astype("int32")
    np.testing.assert_array_equal(
        call(Attention(), Q + 1, V + 1, **{name: mask}),
        call(Attention(), Q + 1, V + 1, **{name: mask == 1}),
    )


def test_shapes_that_do_not_fit_once_built():
    layer = Attention()
    layer(Q, V)
    with pytest.raises(ValueError, match="equal width|same batch|shape"):
        layer(Q[:1], V)
    with pytest.raises(ValueError, match="(?s)query of shape"):
        layer(Q[0], V)


@pytest.mark.parametrize("dropout", [-0.1, 1.0, 5])
def test_a_dropout_that_is_no_fraction(dropout):
    with pytest.raises(ValueError, match="dropout"):
        Attention(dropout=dropout)


def test_an_unknown_name():
    with pytest.raises(ValueError, match="Did you mean 'additive'"):
        Attention(score="aditive")


def test_one_score_object_in_two_layers_shares_its_weights():
    score = kattn.scores.Additive()
    first, second = Attention(score=score), Attention(score=score)
    query, value = draw((2, 3, 4), (2, 5, 4))
    before = call(first, query, value)
    np.testing.assert_array_equal(before, call(second, query, value))
    np.testing.assert_array_equal(before, call(first, query, value))
