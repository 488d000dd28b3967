"""`kattn.scores`: every score against its formula."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn import scores

NAMES = ("dot", "scaled_dot", "additive")


def made(name, dtype="float32", width=4, **kwargs):
    score = scores._NAMED[name](dtype=dtype, **kwargs)
    score.build((2, 3, width), (2, 5, width))
    for seed, weight in enumerate(score.weights):
        weight.assign(keras.random.normal(weight.shape, seed=seed))
    return score


def weights_of(score):
    """W, U, b, v."""
    if not score.weights:
        return ()
    kept = (score.query_dense.kernel, score.key_dense.kernel)
    kept += (score.key_dense.bias, score.vector)
    return [ops.convert_to_numpy(ops.cast(x, "float64")) for x in kept]


def vectors(dtype="float64"):
    rng = np.random.default_rng(0)
    return rng.normal(size=(2, 3, 4)).astype(dtype), rng.normal(size=(2, 5, 4)).astype(
        dtype
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_the_formula(name, dtype, oracles):
    query, key = vectors(dtype)
    score = made(name, dtype)
    expected = oracles.energies(name, query, key, weights_of(score))
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(score(query, key), expected, atol=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_one_query_for_all_texts(name):
    query, key = vectors("float32")
    score = made(name)
    alone = score(query[:1], key)
    assert alone.shape == (2, 3, 5)
    repeated = score(np.repeat(query[:1], 2, 0), key)
    np.testing.assert_allclose(alone, repeated, atol=1e-5)


def test_additive_takes_any_widths(oracles):
    rng = np.random.default_rng(0)
    query, key = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 5, 6))
    for units in (None, 7):
        score = scores.Additive(units, dtype="float64")
        energies = score(query, key)
        assert score.vector.shape == (units or 6,)
        expected = oracles.energies("additive", query, key, weights_of(score))
        np.testing.assert_allclose(energies, expected, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_the_finite_differences(name, oracles):
    tf = pytest.importorskip("tensorflow")
    query, key = vectors()
    score = made(name, "float64")
    rng = np.random.default_rng(1)
    towards = rng.normal(size=(2, 3, 5))
    q, k = tf.constant(query), tf.constant(key)
    with tf.GradientTape() as tape:
        tape.watch([q, k])
        loss = ops.sum(score(q, k) * towards)
    sources, points = [q, k], [query, key, *weights_of(score)]
    if score.weights:
        dense = score.key_dense
        sources += [score.query_dense.kernel.value, dense.kernel.value]
        sources += [dense.bias.value, score.vector.value]
    for n, slope in enumerate(tape.gradient(loss, sources)):
        direction = rng.normal(size=points[n].shape)

        def at(x, n=n):
            now = [*points[:n], x, *points[n + 1 :]]
            return (oracles.energies(name, now[0], now[1], now[2:]) * towards).sum()

        expected = oracles.slope(at, points[n], direction)
        got = (ops.convert_to_numpy(slope) * direction).sum()
        np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_energies_are_wide(name, policy):
    query, key = np.full((1, 2, 1024), 10.0), np.full((1, 3, 1024), 10.0)
    score = made(name, policy, width=1024)
    energies = score(query, key)
    wide = "float64" if policy == "float64" else "float32"
    assert energies.dtype == wide
    assert np.isfinite(energies).all()
    if name == "dot":
        np.testing.assert_array_equal(energies, np.full((1, 2, 3), 102400.0))
    spec = score.compute_output_spec(*map(ops.convert_to_tensor, (query, key)))
    assert (spec.shape, spec.dtype) == (tuple(energies.shape), wide)


@pytest.mark.parametrize("name", ["dot", "scaled_dot"])
def test_widths_that_differ(name):
    message = "equal width.*query of width 4, key of width 6"
    with pytest.raises(ValueError, match=message):
        scores.get(name)(np.ones((1, 2, 4)), np.ones((1, 3, 6)))


@pytest.mark.parametrize("units", [0, -1])
def test_units_below_one(units):
    with pytest.raises(ValueError, match="units is at least 1"):
        scores.Additive(units)
