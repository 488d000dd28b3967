"""`kattn.normalizers`: softmax against the formula, and at its edges."""

import numpy as np
import pytest
from keras import ops

from kattn import normalizers

INF = np.inf


def softmax(energies, visible=None, dtype="float32"):
    energies = ops.convert_to_tensor(np.array(energies, dtype))
    return ops.convert_to_numpy(normalizers.Softmax()(energies, visible))


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equals_the_formula(masked, dtype, oracles):
    rng = np.random.default_rng(0)
    energies = rng.normal(size=(2, 3, 5))
    visible = rng.random((2, 3, 5)) < 0.6 if masked else np.ones((2, 3, 5), bool)
    visible[0, 0] = not masked
    weights = softmax(energies, visible if masked else None, dtype)
    assert weights.dtype == dtype
    for index in np.ndindex(2, 3):
        expected = oracles.softmax(energies[index], visible[index])
        np.testing.assert_allclose(weights[index], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("row", "visible", "expected"),
    [
        ([0.0, -INF, 0.0], None, [0.5, 0, 0.5]),
        ([-INF, -INF, -INF], None, [0, 0, 0]),
        ([-INF, -INF, 3.0], [True, True, False], [0, 0, 0]),
        ([np.nan, 1.0, INF], [False, True, False], [0, 1, 0]),
        ([np.nan, INF, -INF], [False, False, False], [0, 0, 0]),
        ([3e38, -3e38, 3e38], None, [0.5, 0, 0.5]),
        ([3e38, -3e38, 3e38], [False, True, True], [0, 0, 1]),
        ([-3e38, -3e38, 0.0], [True, True, False], [0.5, 0.5, 0]),
        ([np.nan, 1.0, 2.0], None, [np.nan] * 3),
        ([np.nan, -INF, -INF], None, [np.nan] * 3),
        ([INF, 1.0, 2.0], None, [np.nan] * 3),
        ([7.0], None, [1]),
    ],
)
def test_edges(row, visible, expected):
    visible = None if visible is None else np.array([visible])
    np.testing.assert_array_equal(softmax([row], visible), [expected])


@pytest.mark.parametrize("masked", [False, True])
def test_gradients_are_the_finite_differences(masked, oracles):
    tf = pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    values, towards, direction = rng.normal(size=(3, 4, 5))
    visible = rng.random((4, 5)) < 0.6 if masked else np.ones((4, 5), bool)
    visible[0] = not masked
    energies = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(energies)
        weights = normalizers.Softmax()(energies, visible if masked else None)
        loss = ops.sum(weights * towards)

    def at(values):
        rows = [oracles.softmax(*pair) for pair in zip(values, visible, strict=True)]
        return (np.array(rows) * towards).sum()

    slope = (tape.gradient(loss, energies).numpy() * direction).sum()
    np.testing.assert_allclose(slope, oracles.slope(at, values, direction), rtol=1e-6)


@pytest.mark.parametrize(
    ("row", "visible"),
    [([-INF] * 3, [1, 1, 1]), ([1.0] * 3, [0, 0, 0]), ([np.nan, 1, INF], [0, 1, 0])],
)
def test_gradients_at_the_edges_are_finite(row, visible):
    tf = pytest.importorskip("tensorflow")
    energies = tf.constant([row], "float32")
    with tf.GradientTape() as tape:
        tape.watch(energies)
        weights = normalizers.Softmax()(energies, np.array([visible], bool))
        loss = tf.reduce_sum(weights * [[1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(tape.gradient(loss, energies), [[0, 0, 0]])


def test_normalizers_are_values():
    assert normalizers.Softmax() == normalizers.Softmax()
    assert hash(normalizers.Softmax()) == hash(normalizers.Softmax())
    with pytest.raises(NotImplementedError):
        normalizers.Normalizer()(np.zeros((1, 2)))
