"""`kattn.normalizers.Monotonic`: the recursion, and the walk it is the mean of."""

import numpy as np
import pytest
from keras import ops

from kattn.layers import Attention
from kattn.normalizers import Monotonic


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def formula(oracles, energies, visible, offset, noise=None):
    return np.array(
        [
            oracles.monotonic(x, sees, offset, None if noise is None else noise[n])
            for n, (x, sees) in enumerate(zip(energies, visible, strict=True))
        ]
    )


@pytest.mark.parametrize("queries", [1, 4])
@pytest.mark.parametrize("training", [False, True])
def test_equals_the_formula(queries, training, oracles):
    energies = draw(3, queries, 6) * 2
    visible = np.random.default_rng(1).random(energies.shape) < 0.8
    monotonic = Monotonic(offset=0.3, seed=0)
    (noise,) = monotonic.draw(energies.shape, training)
    weights = ops.convert_to_numpy(monotonic(energies, visible, noise))
    noise = None if noise is None else ops.convert_to_numpy(noise)
    expected = formula(oracles, energies, visible, 0.3, noise)
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    assert expected.any() and (expected.sum(-1) <= 1 + 1e-6).all()


def test_gradients_are_the_finite_differences(oracles, precise, check_gradients):
    monotonic = Monotonic(offset=0.3, dtype=precise[0])
    noise = draw(2, 3, 5, seed=1)
    visible = np.ones((2, 3, 5), bool)
    visible[0, :, 3:] = False
    check_gradients(
        lambda x: monotonic(x, visible, noise),
        lambda x, r: formula(oracles, x, visible, r, noise),
        [draw(2, 3, 5).astype("float64")],
        [monotonic.r],
    )


def test_long_texts_lose_no_mass():
    """The closed form divides by products that underflow; the recursion does not."""
    energies = np.full((1, 2, 3000), -6.0, "float32")
    energies[:, :, -1] = 60
    monotonic = Monotonic(offset=0.0, noise=0.0)
    weights = monotonic(energies, None, np.zeros(energies.shape, "float32"))
    sums = ops.convert_to_numpy(weights).sum(-1)
    np.testing.assert_allclose(sums, 1, atol=1e-4)


def test_query_by_query_equals_all_at_once():
    energies = draw(2, 5, 6)
    monotonic = Monotonic(offset=0.0)
    for noise in (None, draw(2, 5, 6, seed=1)):
        whole = ops.convert_to_numpy(monotonic(energies, None, noise))
        before = None
        for i in range(5):
            step = None if noise is None else noise[:, i : i + 1]
            before = monotonic(energies[:, i : i + 1], None, step, before)
            np.testing.assert_allclose(
                ops.convert_to_numpy(before), whole[:, i : i + 1], atol=1e-6
            )


def test_inference_walks_on_and_never_back():
    x, text = draw(2, 6, 4), draw(2, 9, 4, seed=1)
    layer = Attention(normalizer=Monotonic(offset=0.0))
    _, weights = layer(x, text, return_attention_scores=True)
    weights = ops.convert_to_numpy(weights)
    assert set(np.unique(weights)) == {0, 1}
    for rows in weights:
        found = rows.any(-1)
        assert (np.diff(rows[found].argmax(-1)) >= 0).all()
        assert not found[np.argmin(found) :].any() or found.all()


def test_free_lengths():
    import keras

    inputs = keras.Input((None, 4)), keras.Input((None, 4))
    layer = Attention(normalizer="monotonic")
    model = keras.Model(inputs, layer(*inputs, return_attention_scores=True))
    x, text = draw(2, 3, 4) * 3, draw(2, 5, 4, seed=1)
    expected = layer(x, text, return_attention_scores=True)
    for got in (model([x, text]), model.predict([x, text], verbose=0)):
        for a, b in zip(got, expected, strict=True):
            a, b = (ops.convert_to_numpy(ops.convert_to_tensor(c)) for c in (a, b))
            np.testing.assert_allclose(a, b, atol=1e-6)
    dense = keras.Model(inputs, keras.layers.Dense(1)(layer(*inputs)))
    dense.compile("adam", "mse")
    history = dense.fit([x, text], np.ones((2, 3, 1)), epochs=2, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_a_live_nan_is_passed_on_and_a_masked_one_is_not():
    energies = draw(1, 1, 4)
    energies[0, 0, 1] = np.nan
    monotonic = Monotonic(offset=-9.0)
    assert np.isnan(ops.convert_to_numpy(monotonic(energies))).any()
    seen = np.array([True, False, True, True])
    assert not np.isnan(ops.convert_to_numpy(monotonic(energies, seen))).any()


def test_config_and_bad_input():
    monotonic = Monotonic(offset=-1.0, noise=0.5, seed=3)
    again = Monotonic.from_config(monotonic.get_config())
    assert again.get_config() == monotonic.get_config()
    assert float(ops.convert_to_numpy(again.r)) == -1
    with pytest.raises(ValueError, match="noise is 0 or more.*Received"):
        Monotonic(noise=-1)
