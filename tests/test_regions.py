"""`kattn.regions`: which keys may be seen, and how near they are."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn import regions
from kattn.layers import Attention

NAMES = ("global", "causal", "local", "local_m", "local_p")
MADE = {
    "global": regions.Global,
    "causal": regions.Causal,
    "local": lambda: regions.Local(1, 2),
    "local_m": lambda: regions.LocalM(2),
    "local_p": lambda **kwargs: regions.LocalP(2, **kwargs),
}
WINDOW = {"left": 1, "right": 2, "half_width": 2}


def numpy(x):
    return ops.convert_to_numpy(x)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def made(name, width=4, **kwargs):
    region = MADE[name](**kwargs)
    if not region.built:
        region.build((None, None, width))
    return region


def dense(region, queries, keys, start=0, **masks):
    """Visibility and closeness of a region as whole arrays `(B, Tq, Tk)`."""
    visible, closeness = region.view(
        ops.convert_to_tensor(queries.astype("float32")), keys, start=start, **masks
    )
    shape = (*queries.shape[:2], keys)
    seen = np.ones(shape, bool) if visible is None else numpy(visible)
    near = np.ones(shape) if closeness is None else numpy(closeness)
    return np.broadcast_to(seen, shape), np.broadcast_to(near, shape)


def expected(oracles, name, region, queries, keys, start=0, lengths=None):
    seen = np.zeros((*queries.shape[:2], keys), bool)
    near = np.zeros(seen.shape)
    for b, i, j in np.ndindex(seen.shape):
        centre = None
        if name == "local_p":
            w, v = numpy(region.hidden_dense.kernel), numpy(region.vector)
            length = keys if lengths is None else lengths[b]
            centre = oracles.centre(queries[b, i], w, v, length)
        seen[b, i, j], near[b, i, j] = oracles.region(
            name, i + start, j, centre, **WINDOW
        )
    return seen, near


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 7), (6, 6), (9, 4)])
@pytest.mark.parametrize("start", [0, 3])
def test_equals_the_formula(name, shape, start, oracles):
    queries = draw(2, shape[0], 4)
    region = made(name)
    seen, near = dense(region, queries, shape[1], start)
    formula = expected(oracles, name, region, queries, shape[1], start)
    np.testing.assert_array_equal(seen, formula[0])
    np.testing.assert_allclose(near, formula[1], atol=1e-6)


def test_local_p_goes_by_the_length_of_each_text(oracles):
    queries = draw(3, 4, 4)
    mask = np.array([[1] * 9, [1, 1, 1, 1, 0, 0, 0, 0, 0], [0] * 9], bool)
    region = made("local_p")
    seen, near = dense(region, queries, 9, key_mask=mask)
    formula = expected(oracles, "local_p", region, queries, 9, lengths=[9, 4, 0])
    np.testing.assert_array_equal(seen, formula[0])
    np.testing.assert_allclose(near, formula[1], atol=1e-6)
    # A hole is no end: what counts is the last live key.
    mask[0, 3] = False
    again, _ = dense(region, queries, 9, key_mask=mask)
    np.testing.assert_array_equal(again, seen)
    # More padding changes nothing.
    longer, _ = dense(region, queries, 12, key_mask=np.pad(mask, ((0, 0), (0, 3))))
    np.testing.assert_array_equal(longer[..., :9], seen)


@pytest.mark.parametrize("renormalize", [False, True])
def test_gradients_of_the_gaussian_are_the_finite_differences(
    renormalize, oracles, precise, check_gradients
):
    region = regions.LocalP(3, units=5, renormalize=renormalize, dtype=precise[0])
    layer = Attention("dot", region, dtype=precise[0])
    layer.build((2, 3, 4), (2, 6, 4))
    mask = np.array([[1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 0, 0]], bool)

    def formula(query, value, w, v):
        shares = np.zeros((2, 3, 6))
        for b, i in np.ndindex(2, 3):
            centre = oracles.centre(query[b, i], w, v, mask[b].sum())
            sights = [
                oracles.region("local_p", i, j, centre, half_width=3) for j in range(6)
            ]
            seen = np.array([sight[0] for sight in sights]) & mask[b]
            near = np.array([sight[1] for sight in sights])
            row = oracles.softmax(value[b] @ query[b, i], seen) * near
            shares[b, i] = row / row.sum() if renormalize else row
        return oracles.context(shares, value)

    check_gradients(
        lambda q, v: layer(q, v, value_mask=mask),
        formula,
        [draw(2, 3, 4), draw(2, 6, 4, seed=1)],
        [region.hidden_dense.kernel, region.vector],
    )


def test_renormalized_weights_sum_to_1_and_the_others_to_less():
    query, value = (draw(2, 3, 4, seed=n).astype("float32") for n in (0, 1))
    for renormalize in (False, True):
        layer = Attention(region=regions.LocalP(2, renormalize=renormalize))
        _, weights = layer(query, value, return_attention_scores=True)
        sums = numpy(weights).sum(-1)
        if renormalize:
            np.testing.assert_allclose(sums, 1, atol=1e-6)
        else:
            assert (sums < 0.999).all()


def test_regions_are_values():
    assert regions.Local(1, 2) == regions.Local(1, 2) != regions.Local(2, 1)
    assert len({regions.Global(), regions.get("global")}) == 1
    with pytest.raises(AttributeError):
        regions.Global().width = 3
    with pytest.raises(AttributeError):
        regions.Local().left = 3


@pytest.mark.parametrize("name", NAMES)
def test_config_round_trip(name):
    region = made(name)
    again = regions.get(regions.serialize(region))
    assert type(again) is type(region)
    assert again.get_config() == region.get_config()
    assert isinstance(regions.get(name), type(region))


def test_one_learned_region_in_two_layers_is_built_once():
    region, x = regions.LocalP(2), draw(2, 3, 4).astype("float32")
    first, second = Attention(region=region), Attention(region=region)
    before = numpy(first(x, x))
    np.testing.assert_array_equal(before, numpy(second(x, x)))
    np.testing.assert_array_equal(before, numpy(first(x, x)))
    assert len(region.weights) == 2


@pytest.mark.parametrize("size", [-1, 1.5, True, "3", None])
def test_a_window_of_no_size(size):
    with pytest.raises(ValueError, match="left is a number of positions.*Received"):
        regions.Local(left=size)
    with pytest.raises(ValueError, match="right is a number of positions.*Received"):
        regions.Local(right=size)


@pytest.mark.parametrize("half_width", [0, -2, True, "3", None, float("nan")])
@pytest.mark.parametrize("region", [regions.LocalM, regions.LocalP])
def test_a_half_width_that_is_not_positive(region, half_width):
    with pytest.raises(ValueError, match="half_width is a positive number.*Received"):
        region(half_width=half_width)


def test_an_unknown_region():
    with pytest.raises(ValueError, match="Did you mean 'local_p'"):
        regions.get("localp")
    with pytest.raises(ValueError, match="units is at least 1"):
        regions.LocalP(units=0)


def test_the_base_class_hides_that_it_does_not_know():
    with pytest.raises(NotImplementedError):
        regions.Region().view(np.zeros((1, 2, 4)), 5)


def test_policies_reach_the_learned_region():
    layer = Attention(region="local_p", dtype="mixed_float16")
    x = draw(2, 3, 4).astype("float32")
    assert keras.backend.standardize_dtype(layer(x, x).dtype) == "float16"
    assert layer.region.hidden_dense.compute_dtype == "float16"
    _, closeness = layer.region.view(ops.cast(x, "float16"), 3)
    assert keras.backend.standardize_dtype(closeness.dtype) == "float32"
