"""A window in bands: equal to all pairs behind a mask, in room that grows linearly."""

import keras
import numpy as np
import pytest
from keras import ops

import kattn
from kattn import layers, regions, scores
from kattn.bands import Band

TENSORFLOW = keras.backend.backend() == "tensorflow"
NAMES = ("scaled_dot", "cosine", "bilinear", "concat", "additive", "proximity")
WINDOWS = {
    "both ways": regions.Local(left=3, right=5),
    "back": regions.Local(left=9, right=0),
    "ahead": regions.Local(left=0, right=2),
    "itself": regions.Local(left=0, right=0),
    "wide": regions.Local(left=50, right=40),
    "luong": regions.LocalM(2.5),
}


def made(name):
    score = scores.get(name)
    score.build((2, None, 4), (2, None, 4))
    for seed, weight in enumerate(score.weights):
        weight.assign(keras.random.normal(weight.shape, seed=seed))
    return score


def case(queries=150, keys=150):
    rng = np.random.default_rng(0)
    sizes = (2, queries, 4), (2, keys, 4), (2, keys, 3)
    arrays = [rng.normal(size=size).astype("float32") for size in sizes]
    masks = {
        "query_mask": rng.random((2, queries)) < 0.8,
        "key_mask": rng.random((2, keys)) < 0.5,
    }
    return arrays, masks


def both(gradients, arrays, score, **options):
    """Context and gradients, once from all pairs and once in bands."""

    def run(return_weights):
        def loss(*tensors):
            context, weights = kattn.attend(
                *tensors, score=score, return_weights=return_weights, **options
            )
            assert (weights is None) != return_weights
            return ops.sum(ops.sin(context)), [context]

        outputs, slopes = gradients(loss, arrays, score.trainable_weights)
        return [*keras.tree.flatten(outputs), *slopes]

    return zip(run(True), run(False), strict=True)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_equal_whatever_the_score(name, masked, gradients):
    arrays, masks = case()
    options = {"region": regions.Local(3, 5), **(masks if masked else {})}
    for whole, band in both(gradients, arrays, made(name), **options):
        np.testing.assert_allclose(band, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("lengths", [(150, 150), (130, 200), (200, 130), (129, 97)])
@pytest.mark.parametrize("window", WINDOWS)
def test_equal_whatever_the_window_and_the_lengths(window, lengths, gradients):
    arrays, masks = case(*lengths)
    options = {"region": WINDOWS[window], **masks}
    for whole, band in both(gradients, arrays, made("scaled_dot"), **options):
        np.testing.assert_allclose(band, whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalizer", ["sparsemax", "entmax15"])
def test_equal_whatever_the_normalizer(normalizer, gradients):
    arrays, masks = case()
    options = {
        "region": regions.Local(3, 5),
        "normalizer": kattn.normalizers.get(normalizer),
    }
    for whole, band in both(gradients, arrays, made("dot"), **options, **masks):
        np.testing.assert_allclose(band, whole, rtol=1e-4, atol=1e-5)


def test_a_band_says_which_keys_stand_where():
    band = Band((2, 1), 70, 70)
    places = np.arange(1, 71, dtype="float32")[:, None]  # 0 stands for no key
    keys = ops.convert_to_numpy(band.of_keys(places))[..., 0]
    queries = ops.convert_to_numpy(band.of_queries(places))[..., 0]
    visible = ops.convert_to_numpy(band.visible())
    assert visible.shape == (3, 32, 35)
    for block, s in np.ndindex(*queries.shape):
        i = queries[block, s]
        seen = set(keys[block][visible[block, s]])
        assert i == 0 or seen == {j for j in range(1, 71) if i - 2 <= j <= i + 1}


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Attention("additive", region=regions.Local(4, 4)),
        lambda: layers.MultiHeadAttention(2, 3, region=regions.Local(4, 4)),
        lambda: layers.MultiHeadAttention(2, 3, region="local", normalizer="sparsemax"),
    ],
    ids=["additive", "heads", "sparse heads"],
)
def test_asking_for_the_weights_changes_nothing(layer):
    arrays, masks = case()
    text, mask = arrays[0], masks["query_mask"]
    mask[1] = False  # a text without a word
    layer = layer()
    context = ops.convert_to_numpy(layer(text, text, query_mask=mask, value_mask=mask))
    seen, weights = layer(
        text, text, query_mask=mask, value_mask=mask, return_attention_scores=True
    )
    assert weights.shape[-2:] == (150, 150)
    np.testing.assert_allclose(context, ops.convert_to_numpy(seen), atol=1e-5)
    assert (context[~mask] == 0).all()


def test_dropout_drops_in_a_band_what_it_should():
    layer = layers.Attention("dot", region=regions.Local(8, 8), dropout=0.5, seed=0)
    text = np.zeros((4, 200, 6), "float32")
    value = np.ones((4, 200, 1), "float32")
    got = ops.convert_to_numpy(layer(text, value, key=text, training=True))
    # Sums of 17 shares of 1/17, of which half are dropped and half are doubled.
    assert 0.95 < got.mean() < 1.05
    assert 0.15 < got.std() < 0.35
    still = ops.convert_to_numpy(layer(text, value, key=text))
    np.testing.assert_allclose(still, 1, atol=1e-6)


@pytest.mark.skipif(not TENSORFLOW, reason="graphs are TensorFlow's")
@pytest.mark.parametrize("known", [True, False])
def test_no_tensor_of_the_graph_holds_all_pairs(known, graphs):
    layer = layers.MultiHeadAttention(2, 4, region=regions.Local(8, 8))
    layer.build((None, None, 8), (None, None, 8))
    step = graphs.training_step(layer, 2048 if known else None)
    assert graphs.largest(step) <= 2 * 2048 * 48  # two heads, T / 32 blocks of 32 by 48
    assert np.isfinite(step(ops.ones((1, 2048, 8)))).all()


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX says what it costs")
def test_the_work_grows_with_the_length_and_not_with_its_square():
    import jax

    layer = layers.MultiHeadAttention(2, 4, region=regions.Local(8, 8))
    layer.build((1, None, 8), (1, None, 8))

    def loss(x):
        return ops.sum(ops.square(layer(x, x)))

    def flops(length):
        x = np.ones((1, length, 8), "float32")
        return jax.jit(jax.grad(loss)).lower(x).compile().cost_analysis()["flops"]

    assert flops(2048) < 2.1 * flops(1024)


def test_what_goes_by_place_or_is_given_for_all_pairs_is_made_whole():
    text = np.random.default_rng(0).normal(size=(1, 150, 4)).astype("float32")
    region = regions.Local(4, 4)
    keep = (np.random.default_rng(1).random((1, 150, 150)) < 0.5).astype("float32")
    for score, options in (
        (scores.Location(), {}),
        (scores.ScaledDot(), {"keep": keep}),
        (scores.ScaledDot(), {"keep": ops.convert_to_tensor(keep)}),
    ):
        score.build(text.shape, text.shape)
        parts = {"score": score, "region": region, **options}
        expected, _ = kattn.attend(text, text, text, **parts)
        got, _ = kattn.attend(text, text, text, return_weights=False, **parts)
        np.testing.assert_allclose(
            ops.convert_to_numpy(got), ops.convert_to_numpy(expected), atol=1e-6
        )
