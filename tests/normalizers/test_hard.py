"""`kattn.normalizers.Hard` and `kattn.losses.Reinforce`."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from kattn.layers import Attention
from kattn.losses import Reinforce
from kattn.normalizers import Hard, get, serialize

ESTIMATORS = ("straight_through", "gumbel", "reinforce")
LOSS = keras.losses.SparseCategoricalCrossentropy


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def watched(estimator, **kwargs):
    hard = Hard(estimator, **kwargs)
    hard.watched = True  # as Reinforce does
    return hard


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_inference_reads_the_key_of_the_largest_energy(estimator, oracles):
    energies = draw(2, 3, 5)
    visible = np.random.default_rng(1).random(energies.shape) < 0.6
    visible[0, 0] = False
    hard = watched(estimator)
    assert hard.draw(energies.shape, training=False) == ()
    weights = ops.convert_to_numpy(hard(energies, visible))
    for index in np.ndindex(2, 3):
        expected = oracles.hard(energies[index], visible[index])
        np.testing.assert_array_equal(weights[index], expected)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_training_reads_one_key_too_and_only_a_visible_one(estimator):
    energies = draw(6, 3, 5)
    visible = np.random.default_rng(1).random(energies.shape) < 0.6
    visible[0, 0] = False
    hard = watched(estimator, seed=0, soft_probability=0.0)
    drawn = hard.draw(energies.shape, training=True)
    weights = ops.convert_to_numpy(hard(energies, visible, *drawn))
    assert set(np.unique(weights)) == {0, 1}
    assert not weights[~visible].any()
    np.testing.assert_array_equal(weights.sum(-1), visible.any(-1))


@pytest.mark.parametrize("estimator", ["gumbel", "reinforce"])
def test_samples_are_drawn_from_softmax(estimator, oracles):
    row = np.array([0.0, 1.0, 2.0, -1.0], "float32")
    energies = np.tile(row, (20000, 1, 1))
    hard = watched(estimator, seed=0, soft_probability=0.0)
    drawn = hard.draw(energies.shape, training=True)
    share = ops.convert_to_numpy(hard(energies, None, *drawn)).mean((0, 1))
    np.testing.assert_allclose(share, oracles.softmax(row, row > -9), atol=0.01)


def test_straight_through_learns_by_the_slope_of_softmax(gradients):
    energies, towards = draw(2, 5), draw(2, 5, seed=1)

    def slope(normalizer):
        part = get(normalizer)
        return gradients(lambda x: ops.sum(part(x) * towards_tensor), [energies])[1][0]

    towards_tensor = ops.convert_to_tensor(towards)
    np.testing.assert_allclose(slope("hard"), slope("softmax"), atol=1e-6)


def test_gumbel_learns_by_the_slope_of_warm_noisy_softmax(gradients):
    energies, towards = draw(2, 5), ops.convert_to_tensor(draw(2, 5, seed=1))
    hard, soft = Hard("gumbel", temperature=0.5, seed=0), get("softmax")
    noise, temperature = hard.draw(energies.shape, training=True)
    _, (got,) = gradients(
        lambda x: ops.sum(hard(x, None, noise, temperature) * towards), [energies]
    )
    _, (expected,) = gradients(
        lambda x: ops.sum(soft((x + noise) / 0.5) * towards), [energies]
    )
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_schedule_anneals_the_temperature_call_by_call():
    schedule = keras.optimizers.schedules.ExponentialDecay(2.0, 1, 0.5)
    hard = Hard("gumbel", temperature=schedule, seed=0)
    seen = [float(hard.draw((1, 1, 2), training=True)[1]) for _ in range(3)]
    np.testing.assert_allclose(seen, [2, 1, 0.5])
    hard.draw((1, 1, 2), training=False)
    assert float(ops.convert_to_numpy(hard.calls)) == 3
    again = get(json.loads(json.dumps(serialize(hard))))
    assert again.get_config() == hard.get_config()
    assert float(again.draw((1, 1, 2), training=True)[1]) == 2


@pytest.mark.parametrize("masked", [False, True])
def test_reinforce_has_the_papers_gradient(masked, gradients, oracles):
    """(loss - baseline) d log p(sample) - bonus d entropy, by hand."""
    energies, visible = draw(3, 2, 4), np.ones((3, 2, 4), bool)
    visible[0, 0, 2:] = visible[1, 1] = not masked
    losses = np.array([1.0, -2.0, 0.5], "float32")
    hard = watched("reinforce", seed=0, soft_probability=0.5, entropy_bonus=0.3)
    noise, _ = hard.draw(energies.shape, training=True)
    soft = np.array([True, False, False])
    drawn = noise, soft[:, None, None]
    loss = Reinforce.__new__(Reinforce)  # alone, without a model
    loss.loss, loss.hard = lambda y_true, y_pred: y_pred, [hard]
    constant = ops.convert_to_tensor(losses)

    def run(x):
        weights = hard(x, visible, *drawn)
        return ops.sum(loss.call(None, constant)), weights

    (value, weights), (slope,) = gradients(run, [energies])
    np.testing.assert_allclose(value, losses.sum(), rtol=1e-6)
    baseline = losses.mean()  # the first moving average, corrected for its start
    for b, i in np.ndindex(3, 2):
        seen = visible[b, i]
        if not seen.any():
            assert not slope[b, i].any()
            continue
        p = oracles.softmax(energies[b, i].astype("float64"), seen)
        logs = np.log(np.where(p > 0, p, 1))
        expected = -0.3 * (-p * (logs - (p * logs).sum()))
        if not soft[b]:
            expected += (losses[b] - baseline) * (weights[b, i] - p)
        np.testing.assert_allclose(slope[b, i], expected, atol=1e-5)
        if soft[b]:
            np.testing.assert_allclose(weights[b, i], p, atol=1e-6)
    assert hard.sampled == [], "what was sampled is looked at once"


def test_the_baseline_is_the_moving_average():
    hard = watched("reinforce", seed=0)
    loss = Reinforce.__new__(Reinforce)
    loss.loss, loss.hard = lambda y_true, y_pred: y_pred, [hard]
    average = 0.0
    for n, value in enumerate([3.0, 1.0, 4.0], 1):
        hard(draw(2, 1, 3), None, *hard.draw((2, 1, 3), training=True))
        loss.call(None, ops.convert_to_tensor(np.full(2, value, "float32")))
        average = 0.9 * average + 0.1 * value
        assert np.isclose(float(ops.convert_to_numpy(hard.loss_average)), average)
        assert float(ops.convert_to_numpy(hard.losses_seen)) == n


def model_of(hard):
    text = keras.Input((None, 4))
    context = Attention("additive", normalizer=hard)(text, text)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(context))
    return keras.Model(text, outputs)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_trains_by_fit_and_is_saved(estimator, tmp_path):
    keras.utils.set_random_seed(0)
    model = model_of(Hard(estimator, seed=0))
    loss = LOSS(from_logits=True)
    if estimator == "reinforce":
        loss = Reinforce(loss, model)
    model.compile("adam", loss, metrics=["accuracy"])
    x, y = draw(8, 5, 4), np.arange(8) % 2
    before = [ops.convert_to_numpy(w) for w in model.trainable_weights]
    history = model.fit(x, y, epochs=2, batch_size=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    for weight, old in zip(model.trainable_weights, before, strict=True):
        # A bias that is the same for all keys is softmax's, and has no gradient.
        assert np.abs(ops.convert_to_numpy(weight) - old).max() > 0
    if estimator == "reinforce":
        hard = model.layers[1].normalizer
        assert float(ops.convert_to_numpy(hard.losses_seen)) == 4
    expected = model.evaluate(x, y, verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(again.evaluate(x, y, verbose=0), expected, rtol=1e-6)
    np.testing.assert_array_equal(
        again.predict(x, verbose=0), model.predict(x, verbose=0)
    )
    if estimator == "reinforce":
        with pytest.raises(ValueError, match=r"kattn.losses.Reinforce\(loss, model\)"):
            again.fit(x, y, verbose=0)
        # On JAX, an error within fit costs a model its weights.
        again = keras.saving.load_model(tmp_path / "model.keras")
        again.compile("adam", Reinforce(again.loss, again))
        again.fit(x, y, verbose=0)


def test_reported_loss_is_the_given_loss():
    model = model_of(Hard("reinforce", seed=0))
    y_true, y_pred = np.arange(4) % 2, draw(4, 2)
    loss = LOSS(from_logits=True)
    lesson = Reinforce(loss, model)
    model.layers[1](draw(4, 3, 4), draw(4, 3, 4), training=True)
    assert len(model.layers[1].normalizer.sampled) == 1
    np.testing.assert_allclose(
        ops.convert_to_numpy(lesson(y_true, y_pred)),
        ops.convert_to_numpy(loss(y_true, y_pred)),
        rtol=1e-6,
    )


def test_bad_input():
    with pytest.raises(ValueError, match="Did you mean 'gumbel'"):
        Hard("gumbl")
    for temperature in (0, -1.0):
        with pytest.raises(ValueError, match="temperature is a positive number"):
            Hard("gumbel", temperature=temperature)
    for probability in (-0.1, 1.5):
        with pytest.raises(ValueError, match="soft_probability is between 0 and 1"):
            Hard("reinforce", soft_probability=probability)
    layer = Attention(normalizer=Hard("reinforce"))
    x = draw(2, 3, 4)
    layer(x, x)  # inference asks for nothing
    with pytest.raises(ValueError, match="learns from the model's loss"):
        layer(x, x, training=True)
    for model in (keras.Sequential([layer.score]), None, model_of("hard")):
        with pytest.raises(ValueError, match="Reinforce trains a model that holds"):
            Reinforce("mse", model)
    lesson = Reinforce(lambda a, b: ops.mean(a - b), model_of(Hard("reinforce")))
    lesson.hard[0](x, None, *lesson.hard[0].draw(x.shape, training=True))
    with pytest.raises(ValueError, match=r"one number for each example.*shape \(\)"):
        lesson.call(ops.ones(2), ops.ones(2))
