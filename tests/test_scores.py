"""`kattn.scores`: every score against its formula."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn import scores

#: What a score is made of, by name; `general` is another name of `bilinear`.
MADE = {
    "dot": scores.Dot,
    "scaled_dot": scores.ScaledDot,
    "cosine": scores.Cosine,
    "warm cosine": lambda **kwargs: scores.Cosine(temperature=0.2, **kwargs),
    "bilinear": scores.Bilinear,
    "concat": scores.Concat,
    "additive": scores.Additive,
    "normalized additive": lambda **k: scores.Additive(7, normalize=True, **k),
    "location": scores.Location,
    "proximity": scores.Proximity,
}
NAMES = tuple(MADE)
EQUAL = ("dot", "scaled_dot", "cosine", "proximity")
POLICIES = ["mixed_float16", "mixed_bfloat16", "bfloat16", "float64"]


def numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def made(name, dtype="float32", query=(2, 3, 4), key=(2, 5, 4)):
    score = MADE[name](dtype=dtype)
    score.build(query, key)
    for seed, weight in enumerate(score.weights):
        weight.assign(keras.random.normal(weight.shape, seed=seed))
    return score


def formula(name, oracles):
    name = name.split()[-1]
    return lambda q, k, *weights: oracles.energies(name, q, k, weights)


def weights_of(score):
    """In the order of the oracle: W, U, b, v, g."""
    if isinstance(score, scores.Additive):
        dense = score.key_dense
        kept = [score.query_dense.kernel, dense.kernel, dense.bias, score.vector]
        return kept + ([score.length] if score.normalize else [])
    return list(score.weights)


def vectors(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape) for shape in shapes or ((2, 3, 4), (2, 5, 4))]


def single(*arrays):
    return [x.astype("float32") for x in arrays]


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_formula(name, oracles):
    query, key = vectors()
    score = made(name)
    expected = formula(name, oracles)(query, key, *map(numpy, weights_of(score)))
    np.testing.assert_allclose(numpy(score(*single(query, key))), expected, atol=2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_the_finite_differences(name, oracles, precise, check_gradients):
    score = made(name, precise[0])
    check_gradients(score, formula(name, oracles), vectors(), weights_of(score))


@pytest.mark.parametrize("name", NAMES)
def test_one_query_for_all_texts(name):
    query, key = single(*vectors())
    score = made(name)
    alone = score(query[:1], key)
    assert tuple(alone.shape) == (2, 3, 5)
    repeated = score(np.repeat(query[:1], 2, 0), key)
    np.testing.assert_allclose(numpy(alone), numpy(repeated), atol=1e-5)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="tf.function is TensorFlow's"
)
@pytest.mark.parametrize("name", NAMES)
def test_one_text_of_any_length_in_a_graph(name):
    import tensorflow as tf

    free = tf.TensorSpec((1, None, 4))
    query, key = single(*vectors((1, 3, 4), (1, 5, 4)))
    score = made(name)
    graph = tf.function(score, input_signature=[free, free], autograph=False)
    np.testing.assert_allclose(graph(query, key), score(query, key), atol=1e-6)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EQUAL])
def test_other_widths(name, oracles):
    if name == "warm cosine":
        pytest.skip("cosine compares equal widths")
    query, key = vectors((2, 3, 4), (2, 5, 6))
    score = made(name, query=query.shape, key=key.shape)
    expected = formula(name, oracles)(query, key, *map(numpy, weights_of(score)))
    np.testing.assert_allclose(numpy(score(*single(query, key))), expected, atol=2e-5)


def test_additive_takes_any_units():
    score = made("additive", key=(2, 5, 6))
    assert score.vector.shape == (6,)
    score = scores.Additive(7)
    score.build((2, 3, 4), (2, 5, 6))
    assert score.vector.shape == (7,)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", NAMES)
def test_energies_are_wide(name, policy):
    if policy == "float64" and keras.backend.backend() != "tensorflow":
        pytest.skip("Keras computes in float64 on TensorFlow alone")
    query, key = (np.full((1, n, 1024), 10.0, "float32") for n in (2, 3))
    score = made(name, policy, query.shape, key.shape)
    energies = score(query, key)
    wide = "float64" if policy == "float64" else "float32"
    assert keras.backend.standardize_dtype(energies.dtype) == wide
    assert np.isfinite(numpy(energies)).all()
    if name == "dot":
        np.testing.assert_array_equal(numpy(energies), np.full((1, 2, 3), 102400.0))
    spec = score.compute_output_spec(*map(ops.convert_to_tensor, (query, key)))
    assert (spec.shape, spec.dtype) == (tuple(energies.shape), wide)


def test_the_cosine_of_nothing_is_0_and_teaches_nothing(gradients):
    query, key = single(*vectors())
    query[0, 0], key[1, 2], key[1, 3] = 0, 0, 1e-30
    score = made("cosine")
    loss, slopes = gradients(lambda q, k: ops.sum(score(q, k) * 1.5), [query, key])
    energies = numpy(score(query, key))
    assert not energies[0, 0].any() and not energies[1, :, 2:4].any()
    assert np.isfinite(loss) and all(np.isfinite(slope).all() for slope in slopes)
    assert not slopes[0][0, 0].any() and not slopes[1][1, 2].any()
    assert np.abs(energies).max() <= 1 + 1e-6


def test_the_proximity_of_equal_words_is_1_and_teaches_nothing(gradients):
    words = vectors((1, 3, 300))[0].astype("float32") * 10
    score = made("proximity", query=words.shape, key=words.shape)
    energies = numpy(score(words, words.copy()))[0]
    np.testing.assert_array_equal(np.diag(energies), [1, 1, 1])
    _, slopes = gradients(lambda q, k: ops.sum(score(q, k)), [words, words.copy()])
    assert all(np.isfinite(slope).all() for slope in slopes)
    _, slopes = gradients(
        lambda q, k: ops.sum(score(q, k)), [words[:, :1], words[:, :1].copy()]
    )
    assert not slopes[0].any() and not slopes[1].any()


def test_concat_ranks_the_keys_alike_for_every_query():
    query, key = single(*vectors())
    energies = numpy(made("concat")(query, key))
    apart = energies - energies[:, :, :1]
    np.testing.assert_allclose(apart, np.repeat(apart[:, :1], 3, 1), atol=1e-5)


def test_location_reads_no_key():
    query, key = single(*vectors())
    score = made("location")
    before = numpy(score(query, key))
    np.testing.assert_array_equal(before, numpy(score(query, key * np.nan)))


@pytest.mark.parametrize("name", EQUAL)
def test_widths_that_differ(name):
    message = "equal width.*query of width 4, key of width 6"
    with pytest.raises(ValueError, match=message):
        scores.get(name)(np.ones((1, 2, 4)), np.ones((1, 3, 6)))
    score = made(name)
    with pytest.raises(ValueError, match=message):
        score(np.ones((1, 2, 4)), np.ones((1, 3, 6)))


def test_location_needs_a_known_length():
    with pytest.raises(ValueError, match="key's length must be known.*None"):
        scores.Location().build((None, None, 4), (None, None, 4))
    with pytest.raises(ValueError, match="built for 5 keys.*1, 3, 4"):
        made("location")(np.ones((1, 2, 4)), np.ones((1, 3, 4)))


@pytest.mark.parametrize("units", [0, -1])
def test_units_below_one(units):
    with pytest.raises(ValueError, match="units is at least 1"):
        scores.Additive(units)


@pytest.mark.parametrize("temperature", [0, -1.0, float("nan")])
def test_a_temperature_that_is_not_positive(temperature):
    with pytest.raises(ValueError, match="temperature is a positive number.*Received"):
        scores.Cosine(temperature=temperature)


@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip(name):
    score = MADE[name]()
    again = scores.get(scores.serialize(score))
    assert type(again) is type(score)
    assert again.get_config() == score.get_config()


def test_names():
    assert isinstance(scores.get("general"), scores.Bilinear)
    with pytest.raises(ValueError, match="Did you mean 'bilinear'"):
        scores.get("bilinar")
