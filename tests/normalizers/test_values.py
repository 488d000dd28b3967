"""`kattn.normalizers` without chance: against the formulas, and at their edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn import normalizers

INF = np.inf
MADE = {
    "softmax": normalizers.Softmax(),
    "sparsemax": normalizers.Sparsemax(),
    "entmax15": normalizers.Entmax15(),
}
NAMES = tuple(MADE)


def run(name, energies, visible=None):
    energies = ops.convert_to_tensor(np.array(energies, "float32"))
    return ops.convert_to_numpy(MADE[name](energies, visible))


def formula(oracles, name, energies, visible):
    weights = np.zeros(energies.shape)
    for index in np.ndindex(energies.shape[:-1]):
        row, seen = energies[index], visible[index]
        weights[index] = oracles.NORMALIZERS[name](row.astype("float64"), seen)
    return weights


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [1e-3, 1, 30])
def test_equals_the_formula(name, masked, scale, oracles):
    rng = np.random.default_rng(0)
    energies = (rng.normal(size=(20, 3, 17)) * scale).astype("float32")
    visible = rng.random(energies.shape) < 0.6
    visible[0, 0] = False
    weights = run(name, energies, visible if masked else None)
    visible = visible if masked else np.ones_like(visible)
    np.testing.assert_allclose(
        weights, formula(oracles, name, energies, visible), atol=2e-6
    )


@settings(deadline=None, derandomize=True)
@given(data=st.data())
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_formula_for_any_row(name, data, oracles):
    size = data.draw(st.integers(1, 9))
    numbers = st.floats(-50, 50, width=32) | st.sampled_from([0.0, 1.0, 1.5])
    row = np.array(data.draw(st.lists(numbers, min_size=size, max_size=size)))
    seen = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)))
    weights = run(name, [row], seen[None])
    expected = formula(oracles, name, row[None], seen[None])
    np.testing.assert_allclose(weights, expected, atol=5e-6)
    np.testing.assert_allclose(weights.sum(), float(seen.any()), atol=1e-5)
    assert not weights[0, ~seen].any()


@pytest.mark.parametrize(
    ("name", "row", "expected"),
    [
        ("softmax", [-2, 0, 0.5], [0.0486, 0.3592, 0.5922]),
        ("sparsemax", [-2, 0, 0.5], [0, 0.25, 0.75]),
        ("sparsemax", [0.1, 0.2, 0.3], [0.2333, 0.3333, 0.4333]),
        ("sparsemax", [-1, 0, 1], [0, 0, 1]),
        ("entmax15", [-2, 0, 0.5], [0, 0.3260, 0.6740]),
        ("entmax15", [0.1, 0.2, 0.3], [0.2766, 0.3317, 0.3918]),
        ("entmax15", [-1, 0, 1], [0, 0.1693, 0.8307]),
    ],
)
def test_published_values(name, row, expected):
    np.testing.assert_allclose(run(name, [row])[0], expected, atol=6e-5)


@pytest.mark.parametrize("name", ["sparsemax", "entmax15"])
@pytest.mark.parametrize("ratio", [0.5, 0.9, 0.999])
def test_supports_that_shrink_one_by_one_are_found(name, ratio, oracles):
    """Geometric gaps make Newton's steps as many as they get."""
    row = -np.cumsum(ratio ** np.arange(2000)[::-1])[None]
    weights = run(name, row)
    expected = formula(oracles, name, row.astype("float32"), np.ones(row.shape, bool))
    np.testing.assert_allclose(weights, expected, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
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
def test_edges(name, row, visible, expected):
    visible = None if visible is None else np.array([visible])
    np.testing.assert_allclose(run(name, [row], visible), [expected], atol=1e-7)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_the_finite_differences(name, masked, oracles, check_gradients):
    rng = np.random.default_rng(1)
    energies = rng.normal(size=(4, 7))
    visible = rng.random(energies.shape) < 0.6 if masked else np.ones((4, 7), bool)
    visible[0] = not masked
    check_gradients(
        lambda x: MADE[name](x, visible if masked else None),
        lambda x: formula(oracles, name, x, visible),
        [energies],
        [],
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("row", "visible"),
    [([-INF] * 3, [1, 1, 1]), ([1.0] * 3, [0, 0, 0]), ([np.nan, 1, INF], [0, 1, 0])],
)
def test_gradients_at_the_edges_are_finite(name, row, visible, gradients):
    visible = np.array([visible], bool)
    _, (slope,) = gradients(
        lambda x: ops.sum(MADE[name](x, visible) * ops.convert_to_tensor([1.0, 2, 3])),
        [np.array([row], "float32")],
    )
    np.testing.assert_array_equal(slope, [[0, 0, 0]])


def test_a_temperature_divides_the_energies():
    energies = np.random.default_rng(0).normal(size=(2, 5)).astype("float32")
    warm = normalizers.Softmax(temperature=2.5)(ops.convert_to_tensor(energies))
    np.testing.assert_allclose(
        ops.convert_to_numpy(warm), run("softmax", energies / 2.5), atol=1e-6
    )
    for temperature in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="temperature is a positive number"):
            normalizers.Softmax(temperature)


def test_sparse_weights_are_zeros_and_softmax_has_none():
    energies = np.random.default_rng(0).normal(size=(8, 30)).astype("float32")
    zeros = {name: (run(name, energies) == 0).mean() for name in NAMES}
    assert zeros["softmax"] == 0 < zeros["entmax15"] < zeros["sparsemax"]


@pytest.mark.parametrize("name", NAMES)
def test_normalizers_are_values(name):
    kind = type(MADE[name])
    assert kind() == kind() == normalizers.get(name)
    assert hash(kind()) == hash(kind())
    assert normalizers.get(normalizers.serialize(MADE[name])) == MADE[name]
    assert normalizers.Softmax(2.0) != normalizers.Softmax(3.0)
    assert MADE[name].draw((1, 2), training=True) == ()


def test_an_unknown_normalizer():
    with pytest.raises(ValueError, match="Did you mean 'sparsemax'"):
        normalizers.get("sparsmax")
