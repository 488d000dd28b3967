"""Reading live steps alone gives what Keras's layers give."""

import keras
import numpy as np
import pytest

from kattn.models import live_steps, packed_recurrence
from kattn.models.hierarchical_attention import AttentiveEncoder
from kattn.models.recurrent import RecurrentEncoder
from kattn.text.libraries import tensorflow

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="they are TensorFlow's graphs"
)
LENGTHS = np.array([3, 11, 0, 1, 8, 4])
MASK = np.arange(12) < LENGTHS[:, None]
ROUNDING = {"float32": 1e-6, "float64": 1e-12, "mixed_bfloat16": 0.02}


@pytest.fixture
def inputs():
    return np.random.default_rng(0).normal(size=(6, 12, 4))


@pytest.fixture
def reads(monkeypatch):
    """The calls of the function that reads live steps."""
    calls = []
    read = live_steps.read
    monkeypatch.setattr(live_steps, "read", lambda *x: calls.append(x) or read(*x))
    return calls


def both(layer, *inputs, **masks):
    """What a layer gives by Keras's loops, and by live steps, in a graph."""
    tf = tensorflow()
    made = []
    for alone in (False, True):
        with live_steps.decided(alone):
            made.append(tf.function(layer, autograph=False)(*inputs, **masks))
    return made


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("directions", ["concat", "sum"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_an_encoder_gives_the_same(cell, directions, dtype, inputs, reads):
    keras.utils.set_random_seed(0)
    encoder = RecurrentEncoder(3, cell, directions, dtype=dtype)
    encoder(inputs, MASK)
    for weight in encoder.weights:  # no bias is zero
        weight.assign(np.random.default_rng(1).normal(size=weight.shape))
    reads.clear()
    expected, got = both(encoder, inputs, MASK)
    assert len(reads) == 1
    for a, b in zip(expected, got, strict=True):
        a, b = (keras.ops.convert_to_numpy(x).astype("float64") for x in (a, b))
        np.testing.assert_allclose(b, a, atol=ROUNDING[dtype])


def test_a_level_of_a_hierarchy_gives_the_same(inputs, reads):
    encoder = AttentiveEncoder(3, 5)
    inputs, mask = inputs[MASK[:, 0]], MASK[MASK[:, 0]]
    encoder(inputs, mask=mask)
    reads.clear()
    expected, got = both(encoder, inputs, mask=mask)
    assert len(reads) == 1
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_a_text_with_gaps_is_read_as_one_without(inputs):
    mask = np.random.default_rng(1).random((6, 12)) < 0.6
    encoder = RecurrentEncoder(3, "gru")
    states, last = encoder(inputs, mask)
    for row, seen in enumerate(mask):
        text = inputs[row][seen][None]
        with live_steps.decided(False):
            alone, end = encoder(text, np.ones(text.shape[:2], bool))
        np.testing.assert_allclose(states[row][seen], alone[0], atol=1e-6)
        np.testing.assert_allclose(last[row], end[0], atol=1e-6)


def test_slopes_are_those_of_training(inputs, reads, monkeypatch):
    """Who asks outside of training, as an explanation may, gets them as well."""
    tf = tensorflow()
    encoder = RecurrentEncoder(3, "gru")
    inputs = tf.constant(inputs, tf.float32)
    encoder(inputs, MASK)
    calls = []
    trained = packed_recurrence.read
    monkeypatch.setattr(
        packed_recurrence, "read", lambda *x: calls.append(x) or trained(*x)
    )

    @tf.function(autograph=False)
    def slope(training):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            states, last = encoder(inputs, MASK, training=training)
            loss = tf.reduce_sum(tf.sin(states)) + tf.reduce_sum(tf.sin(last))
        return tape.gradient(loss, inputs)

    reads.clear()
    np.testing.assert_allclose(slope(False), slope(True), atol=1e-6)
    assert len(reads) == len(calls) == 1


def test_a_turn_of_the_loop_takes_the_texts_that_are_live():
    turns = live_steps._Turns.of(tensorflow().constant(MASK))
    np.testing.assert_array_equal(turns.counts, [5, 2, 1])
    assert turns.total == 4 * (5 + 2 + 1)
    for slots in map(np.array, turns.slots):
        assert set(slots[~MASK]) == {int(turns.total)}
        assert len(set(slots[MASK])) == LENGTHS.sum()  # each has one of its own
        assert np.take(MASK, turns.positions(slots)).all()


def test_no_text_at_all():
    with live_steps.decided(True):
        states, last = RecurrentEncoder(3)(np.zeros((0, 5, 4)), np.zeros((0, 5), bool))
    assert states.shape == (0, 5, 6)
    assert last.shape == (0, 6)


@pytest.mark.parametrize("jit_compile", [True, False])
def test_xla_gets_keras_s_loops(jit_compile, reads):
    encoder = RecurrentEncoder(3, "lstm")
    tf = tensorflow()
    inputs = tf.zeros((2, 5, 4))
    mask = tf.ones((2, 5), bool)
    encoder(inputs, mask)
    reads.clear()
    tf.function(encoder, jit_compile=jit_compile, autograph=False)(inputs, mask)
    assert len(reads) == (not jit_compile)
