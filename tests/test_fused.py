"""Softmax over products in one: the three steps' answers, whole or in blocks."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn import attend, fused, layers, normalizers, scores

TENSORFLOW = keras.backend.backend() == "tensorflow"


@pytest.fixture(params=[2**26, 30], ids=["whole", "in blocks"])
def size(request, monkeypatch):
    """Pairs that are made at once: all; or those of two queries, or of one key."""
    monkeypatch.setattr(fused, "WHOLE", request.param)
    monkeypatch.setattr(fused, "SIZE", request.param)


def softmax_of_products(query, key, value, live=None):
    energies = query @ np.swapaxes(key, -1, -2)
    powers = np.exp(energies - energies.max(-1, keepdims=True))
    if live is not None:
        powers = powers * live[..., None, :]
    total = powers.sum(-1, keepdims=True)
    return powers / np.where(total == 0, 1, total) @ value


def case(scale=1.0):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, length, 4)) for length in (7, 6, 6)]
    return [arrays[0] * scale, *arrays[1:]]


@pytest.mark.parametrize("scale", [1.0, 1000.0], ids=["near", "far"])
def test_it_reads_as_the_formula_does(size, scale):
    arrays = case(scale)
    got = fused.read(*map(ops.convert_to_tensor, arrays))
    expected = softmax_of_products(*arrays)
    np.testing.assert_allclose(
        ops.convert_to_numpy(got), expected, atol=1e-9 if TENSORFLOW else 1e-5
    )


@pytest.mark.parametrize("scale", [1.0, 20.0], ids=["near", "far"])
def test_gradients_are_the_finite_differences(size, scale, check_gradients):
    check_gradients(fused.read, softmax_of_products, case(scale), [])


def test_masked_keys_are_nothing(size, check_gradients):
    query, key, value = case()
    live = np.array([[1, 1, 0, 1, 0, 0], [0] * 6], bool)
    key, value = (x * live[..., None] for x in (key, value))

    def run(query, key, value):
        # As `attend` does, for what stands in a mask reaches no gradient either.
        key, value = (
            ops.where(live[..., None], x, ops.zeros_like(x)) for x in (key, value)
        )
        return fused.read(query, key, value, live)

    def expected(query, key, value):
        key, value = key * live[..., None], value * live[..., None]
        return softmax_of_products(query, key, value, live)

    got = ops.convert_to_numpy(run(*map(ops.convert_to_tensor, (query, key, value))))
    np.testing.assert_allclose(
        got, expected(query, key, value), atol=1e-9 if TENSORFLOW else 1e-5
    )
    assert not got[1].any()
    check_gradients(run, expected, [query, key, value], [])


@pytest.mark.parametrize("scale", [1.0, 20.0], ids=["near", "far"])
def test_a_pattern_says_which_keys_are_seen(scale, check_gradients):
    query, key, value = case(scale)
    key[0, 4] *= 100  # which nobody sees
    pattern = np.abs(np.arange(6) - np.arange(7)[:, None]) <= 1
    pattern[:, 4] = False

    def run(*arrays):
        return fused.read(*arrays, pattern=pattern)

    def expected(query, key, value):
        energies = np.where(pattern, query @ np.swapaxes(key, 1, 2), -np.inf)
        top = energies.max(-1, keepdims=True)
        powers = np.exp(energies - np.where(np.isfinite(top), top, 0))
        total = powers.sum(-1, keepdims=True)
        return powers / np.where(total == 0, 1, total) @ value

    got = ops.convert_to_numpy(run(*map(ops.convert_to_tensor, (query, key, value))))
    tolerance = 1e-9 if TENSORFLOW else 1e-4
    np.testing.assert_allclose(got, expected(query, key, value), atol=tolerance)
    check_gradients(run, expected, [query, key, value], [])


def test_texts_share_a_key_or_a_query(size):
    query, key, value = case()
    alone, others = query[:1], (key, value)
    got = fused.read(*map(ops.convert_to_tensor, (alone, *others)))
    expected = softmax_of_products(alone, *others)
    np.testing.assert_allclose(
        ops.convert_to_numpy(got), expected, atol=1e-9 if TENSORFLOW else 1e-5
    )


def test_nan_stays_nan_and_with_its_text(size):
    query, key, value = case()
    query[0, 1] = np.nan
    got = fused.read(*map(ops.convert_to_tensor, (query, key, value)))
    lost = np.isnan(ops.convert_to_numpy(got)).any(-1)
    assert lost[0, 1] and lost.sum() == 1


def test_it_is_what_attend_gives_without_weights(size):
    query, key, value = (x.astype("float32") for x in case(3.0))
    live = np.array([[1, 1, 0, 1, 0, 0], [0] * 6], bool)
    score = scores.ScaledDot()
    score.build(query.shape, key.shape)
    for normalizer in (normalizers.Softmax(), normalizers.Softmax(temperature=0.5)):
        parts = {"score": score, "normalizer": normalizer, "key_mask": live}
        plain, _ = attend(query, key, value, **parts)
        got, weights = attend(query, key, value, return_weights=False, **parts)
        assert weights is None
        np.testing.assert_allclose(
            ops.convert_to_numpy(got), ops.convert_to_numpy(plain), atol=1e-5
        )


@pytest.mark.skipif(not TENSORFLOW, reason="graphs are TensorFlow's")
@pytest.mark.parametrize("known", [True, False])
def test_nothing_in_the_graph_holds_all_pairs(monkeypatch, known, graphs):
    monkeypatch.setattr(fused, "WHOLE", 2**18)
    monkeypatch.setattr(fused, "SIZE", 2**18)
    layer = layers.MultiHeadAttention(2, 4)
    layer.build((None, None, 8), (None, None, 8))
    step = graphs.training_step(layer, 2048 if known else None)
    assert graphs.largest(step) <= 2**18  # all pairs of two heads are 32 times that
    assert np.isfinite(step(ops.ones((1, 2048, 8)))).all()
