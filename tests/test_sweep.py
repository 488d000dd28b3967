"""Every score with every region and every normalizer, as one layer.

CI runs a sample in which every pair of choices meets; `-m sweep` runs the product.
"""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from kattn import normalizers, regions, scores
from kattn.layers import Attention

SCORES = tuple(name for name in scores._NAMED if name != "general")
REGIONS = {
    "global": regions.Global,
    "causal": regions.Causal,
    "local": lambda: regions.Local(1, 2),
    "local_m": lambda: regions.LocalM(2),
    "local_p": lambda: regions.LocalP(2),
}
WINDOW = {"left": 1, "right": 2, "half_width": 2}
NORMALIZERS = ("softmax", "sparsemax", "entmax15", "hard", "monotonic")
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")
AXES = (SCORES, tuple(REGIONS), NORMALIZERS, POLICIES, (False, True))
PRODUCT = list(itertools.product(*AXES))


def pairwise(cases):
    """Few cases in which any two choices meet: the next has the most new pairs."""

    def pairs(case):
        return set(itertools.combinations(enumerate(case), 2))

    missing, sample = set().union(*map(pairs, cases)), []
    while missing:
        best = max(cases, key=lambda case: len(pairs(case) & missing))
        missing -= pairs(best)
        sample.append(best)
    return sample


def numpy(x):
    return ops.convert_to_numpy(x).astype("float64")


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def made(score, region, normalizer, policy="float32", shapes=((2, 4, 3), (2, 6, 3))):
    if normalizer == "monotonic":
        normalizer = normalizers.Monotonic(offset=0.2)
    layer = Attention(score, REGIONS[region](), normalizer, dtype=policy)
    layer.build(*shapes)
    for seed, weight in enumerate(layer.weights):
        if len(weight.shape):
            weight.assign(keras.random.normal(weight.shape, seed=seed))
    return layer


def energies(oracles, layer, query, value):
    score = layer.score
    weights = list(score.weights)
    if isinstance(score, scores.Additive):
        dense = score.key_dense
        weights = [score.query_dense.kernel, dense.kernel, dense.bias, score.vector]
    name = next(n for n, kind in scores._NAMED.items() if type(score) is kind)
    return oracles.energies(name, query, value, [numpy(w) for w in weights])


def formula(oracles, layer, query, value, masks):
    """Context and weights, position by position."""
    table = energies(oracles, layer, query, value)
    region = next(n for n in REGIONS if isinstance(layer.region, regions._NAMED[n]))
    seen, near = np.zeros(table.shape, bool), np.ones(table.shape)
    ends = np.arange(1, table.shape[2] + 1)
    key_mask = masks.get("value_mask", np.ones((len(table), len(ends)), bool))
    for b, i, j in np.ndindex(table.shape):
        centre = None
        if region == "local_p":
            w, v = numpy(layer.region.hidden_dense.kernel), numpy(layer.region.vector)
            length = (ends * key_mask[b]).max()
            centre = oracles.centre(query[b, i].astype("float64"), w, v, length)
        seen[b, i, j], near[b, i, j] = oracles.region(region, i, j, centre, **WINDOW)
        seen[b, i, j] &= bool(key_mask[b, j])
        if "query_mask" in masks:
            seen[b, i, j] &= bool(masks["query_mask"][b, i])
        if "attention_mask" in masks:
            seen[b, i, j] &= bool(masks["attention_mask"][b, i, j])
    weights = np.zeros(table.shape)
    if isinstance(layer.normalizer, normalizers.Monotonic):
        r = numpy(layer.normalizer.r)
        for b in range(len(table)):
            weights[b] = oracles.monotonic(table[b], seen[b], r)
    else:
        name = type(layer.normalizer).__name__.lower()
        for index in np.ndindex(table.shape[:2]):
            row = oracles.NORMALIZERS[name](table[index], seen[index])
            weights[index] = row
    weights = weights * near
    return oracles.context(weights, value), weights


def masks_of(masked, batch=2, queries=4, keys=6):
    if not masked:
        return {}
    rng = np.random.default_rng(5)
    value_mask = np.arange(keys) < np.array([keys - 2, 0])[:, None]
    query_mask = np.arange(queries) < np.array([queries - 1, queries])[:, None]
    attention_mask = rng.random((batch, queries, keys)) < 0.8
    return {
        "query_mask": query_mask,
        "value_mask": value_mask,
        "attention_mask": attention_mask,
    }


def check(oracles, gradients, tmp_path, score, region, normalizer, policy, masked):
    query, value = draw(2, 4, 3), draw(2, 6, 3, seed=1)
    masks = masks_of(masked)
    layer = made(score, region, normalizer, policy)

    def run(layer, query=query, value=value):
        outputs = layer(query, value, return_attention_scores=True, **masks)
        assert all(x.dtype == layer.compute_dtype for x in map(_standard, outputs))
        return [numpy(x) for x in outputs]

    context, weights = run(layer)
    expected = formula(oracles, layer, query, value, masks)
    if policy == "float32":
        np.testing.assert_allclose(weights, expected[1], atol=1e-5)
        np.testing.assert_allclose(context, expected[0], atol=1e-5)
    elif normalizer == "softmax" and region != "local_p":
        # The others choose, and a rounding chooses otherwise.
        np.testing.assert_allclose(weights, expected[1], atol=0.06)
    assert np.isfinite(context).all() and np.isfinite(weights).all()
    assert (weights >= 0).all() and (weights.sum(-1) <= 1.01).all()
    # To see the weights changes nothing beyond rounding.
    unseen = numpy(layer(query, value, **masks))
    rounding = {"float32": 1e-5, "mixed_float16": 3e-3}.get(policy, 2e-2)
    np.testing.assert_allclose(context, unseen, rtol=rounding, atol=rounding)
    if masked:
        assert not context[1].any() and not context[0, -1].any()
        # What padding holds changes no bit, nor a gradient.
        dirty = [
            np.where(masks[f"{name}_mask"][..., None], x, np.nan).astype("float32")
            for name, x in (("query", query), ("value", value))
        ]
        for clean, other in zip((context, weights), run(layer, *dirty), strict=True):
            np.testing.assert_array_equal(clean, other)
    else:
        dirty = [query, value]

    def loss(*tensors):
        drawn = layer(*tensors, training=True, **masks)
        return ops.sum(ops.square(ops.cast(drawn, "float32")))

    _, slopes = gradients(loss, dirty, layer.trainable_variables)
    assert all(x is None or np.isfinite(x.astype("float32")).all() for x in slopes)
    if region == "global" and normalizer != "monotonic" and score != "location":
        order = np.random.default_rng(3).permutation(6)
        moved = {
            name: mask if name == "query_mask" else mask[..., order]
            for name, mask in masks.items()
        }
        got = layer(query, value[:, order], return_attention_scores=True, **moved)
        tolerance = 1e-5 if policy == "float32" else 0.02
        np.testing.assert_allclose(numpy(got[0]), context, atol=tolerance)
        np.testing.assert_allclose(numpy(got[1]), weights[..., order], atol=tolerance)
    # Saved and loaded.
    inputs = [keras.Input(x.shape[1:]) for x in (query, value)]
    given = {k: keras.Input(x.shape[1:], dtype="bool") for k, x in masks.items()}
    outputs = layer(*inputs, return_attention_scores=True, **given)
    keras.Model([*inputs, *given.values()], outputs).save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    for a, b in zip(again([query, value, *masks.values()]), run(layer), strict=True):
        np.testing.assert_array_equal(numpy(a), b)


def _standard(x):
    return keras.KerasTensor(x.shape, keras.backend.standardize_dtype(x.dtype))


@pytest.mark.parametrize("case", pairwise(PRODUCT), ids=str)
def test_a_sample_of_the_sweep(case, oracles, gradients, tmp_path):
    check(oracles, gradients, tmp_path, *case)


@pytest.mark.sweep
@pytest.mark.parametrize("case", PRODUCT, ids=str)
def test_the_whole_sweep(case, oracles, gradients, tmp_path):
    check(oracles, gradients, tmp_path, *case)


@settings(deadline=None, derandomize=True)
@given(data=st.data())
def test_any_shapes_and_masks(data, oracles):
    choice = [data.draw(st.sampled_from(tuple(axis))) for axis in AXES[:3]]
    batch, queries, keys, width = (data.draw(st.integers(1, 5)) for _ in range(4))
    seed = data.draw(st.integers(0, 99))
    query, value = draw(batch, queries, width, seed=seed), draw(batch, keys, width)
    masks = {}
    for name, shape in (
        ("query_mask", (batch, queries)),
        ("value_mask", (batch, keys)),
        ("attention_mask", (batch, queries, keys)),
    ):
        if data.draw(st.booleans()):
            rng = np.random.default_rng(data.draw(st.integers(0, 99)))
            masks[name] = rng.random(shape) < 0.7
    layer = made(*choice, shapes=(query.shape, value.shape))
    got = layer(query, value, return_attention_scores=True, **masks)
    for a, b in zip(got, formula(oracles, layer, query, value, masks), strict=True):
        np.testing.assert_allclose(numpy(a), b, atol=2e-5)
