"""Scores that compare number by number, in blocks: equal to the whole, in less room."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn import blocks, pairwise

TENSORFLOW = keras.backend.backend() == "tensorflow"


def case(seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    shapes = (3, 7, 5), (3, 6, 5), (5,)
    return [scale * rng.normal(size=shape).astype("float32") for shape in shapes]


def tanh_sums(query, key, vector):
    return np.tanh(query[..., :, None, :] + key[..., None, :, :]) @ vector


def run(function, *arrays):
    """Of tensors, and in NumPy again."""
    return ops.convert_to_numpy(function(*map(ops.convert_to_tensor, arrays)))


def proximities(query, key):
    gaps = query[..., :, None, :] - key[..., None, :, :]
    return 1 / (1 + np.linalg.norm(gaps, axis=-1))


@pytest.fixture(params=[1, 70, 10**6], ids=["row by row", "two rows", "whole"])
def size(request, monkeypatch):
    """Numbers of a block: of one query, of two, or of all."""
    monkeypatch.setattr(blocks, "SIZE", request.param)


@pytest.mark.parametrize("scale", [1.0, 100.0], ids=["near", "far"])
def test_blocks_compare_as_the_formula_does(size, scale):
    # exp(2x) of the far ones would overflow, and vanish.
    query, key, vector = case(scale=scale)
    got = run(pairwise.tanh_sums, query, key, vector)
    expected = tanh_sums(*(x.astype("float64") for x in (query, key, vector)))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6 * scale)
    key[:, 2] = query[:, 1]
    got = run(pairwise.proximities, query, key)
    np.testing.assert_allclose(got, proximities(query, key), atol=1e-5)
    assert (got[:, 1, 2] == 1).all()


@pytest.mark.parametrize(
    ("distance", "rounding"),
    # Vectors 1e-6 apart have their distance to a twentieth in float32.
    [(0.0, 2e-5), (1e-6, 2e-4), (1e-3, 2e-5)],
)
def test_near_vectors_keep_their_distance_and_its_slope(distance, rounding, gradients):
    rng = np.random.default_rng(0)
    query = rng.normal(size=(1, 3, 50)).astype("float32")
    key = (query + distance * rng.normal(size=query.shape)).astype("float32")
    slopes = []
    for kind in ("float32", "float64"):
        values, made = gradients(
            lambda q, k: ops.sum(pairwise.proximities(q, k)),
            [query.astype(kind), key.astype(kind)],
        )
        slopes.append([values, *made])
    for got, expected in zip(*slopes, strict=True):
        np.testing.assert_allclose(got, expected, atol=rounding)


@pytest.mark.parametrize("scale", [1.0, 50.0], ids=["near", "far"])
def test_gradients_are_the_finite_differences(size, scale, check_gradients):
    query, key, vector = (x.astype("float64") for x in case())
    key = np.concatenate([scale * key[:, :1], key[:, 1:]], axis=1)
    check_gradients(pairwise.tanh_sums, tanh_sums, [query, key, vector], [])
    check_gradients(pairwise.proximities, proximities, [query, key], [])


def test_nan_stays_nan_and_with_its_text(size):
    query, key, vector = case()
    query[0, 3, 1] = np.nan
    for got in (
        run(pairwise.tanh_sums, query, key, vector),
        run(pairwise.proximities, query, key),
    ):
        wrong = np.isnan(got).all(axis=-1)
        assert np.argwhere(wrong).tolist() == [[0, 3]]


@pytest.mark.parametrize(
    ("query", "key"),
    [((1, 7, 5), (3, 6, 5)), ((3, 7, 5), (6, 5)), ((2, 1, 4, 5), (2, 3, 6, 5))],
    ids=str,
)
def test_the_batch_broadcasts(size, query, key):
    rng = np.random.default_rng(0)
    query, key = (rng.normal(size=s).astype("float32") for s in (query, key))
    vector = case()[2]
    got = run(pairwise.tanh_sums, query, key, vector)
    np.testing.assert_allclose(got, tanh_sums(query, key, vector), atol=1e-5)
    got = run(pairwise.proximities, query, key)
    np.testing.assert_allclose(got, proximities(query, key), atol=1e-5)


@pytest.mark.skipif(not TENSORFLOW, reason="shapes are always known elsewhere")
@pytest.mark.parametrize("compiled", [False, True])
def test_lengths_may_be_unknown(size, compiled):
    import tensorflow as tf

    free = [tf.TensorSpec((None, None, 5)), tf.TensorSpec((None, None, 5))]
    query, key, vector = case()

    @tf.function(input_signature=free, jit_compile=compiled)
    def slopes(query, key):
        with tf.GradientTape() as tape:
            tape.watch([query, key])
            energies = pairwise.tanh_sums(query, key, tf.constant(vector))
        return energies, tape.gradient(energies, [query, key])

    if compiled:  # XLA wants every length, and then compiles for each
        slopes = tf.function(slopes.python_function, jit_compile=True)
    energies, gradients = slopes(query, key)
    np.testing.assert_allclose(energies, tanh_sums(query, key, vector), atol=1e-5)
    inner = 1 - np.tanh(query[:, :, None] + key[:, None]) ** 2
    np.testing.assert_allclose(gradients[0], (inner * vector).sum(2), atol=1e-5)
    np.testing.assert_allclose(gradients[1], (inner * vector).sum(1), atol=1e-5)


@pytest.mark.skipif(not TENSORFLOW, reason="graphs are TensorFlow's")
@pytest.mark.parametrize("name", ["tanh_sums", "proximities"])
def test_nothing_in_the_graph_is_larger_than_a_block(name):
    import tensorflow as tf

    length, width = 512, 64
    query = tf.zeros((8, length, width))
    parameters = [tf.zeros((width,))] if name == "tanh_sums" else []

    @tf.function
    def slopes(query, key):
        with tf.GradientTape() as tape:
            tape.watch([query, key])
            energies = getattr(pairwise, name)(query, key, *parameters)
        return tape.gradient(energies, [query, key])

    graph = slopes.get_concrete_function(query, query).graph
    everything = [graph, *graph._functions.values()]
    largest = max(
        tensor.shape.num_elements() or 0
        for part in everything
        for operation in getattr(part, "graph", part).get_operations()
        for tensor in operation.outputs
        if tensor.shape.rank is not None
    )
    assert largest <= 8 * length * length  # the energies; all pairs are 64 times that
