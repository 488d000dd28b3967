"""What is packed gives what Keras's layers give, without work on padding."""

import keras
import numpy as np
import pytest

from kattn.layers import AttentionPooling
from kattn.models import (
    HierarchicalAttentionBackbone,
    HierarchicalAttentionTextClassifier,
    HierarchicalAttentionTextClassifierPreprocessor,
    HierarchicalAttentionTokenizer,
    packed,
    packed_recurrence,
)
from kattn.models.recurrent import RecurrentEncoder
from kattn.text.libraries import tensorflow

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's graphs are packed"
)
LENGTHS = np.array([3, 7, 1, 7, 5])


CELLS = pytest.mark.parametrize("cell", [keras.layers.GRU, keras.layers.LSTM])


def made(dtype="float32", width=4, units=3, cell=keras.layers.GRU):
    """Keras's layer, and inputs `(N, T, D)`."""
    keras.utils.set_random_seed(0)
    layer = keras.layers.Bidirectional(
        cell(
            units,
            return_sequences=True,
            bias_initializer="random_normal",
            dtype=dtype,
        ),
        dtype=dtype,
    )
    layer.build((None, None, width))
    inputs = np.random.default_rng(0).normal(size=(5, 8, width))
    return layer, inputs.astype(layer.compute_dtype)


def ours(layer, inputs, mask):
    live = packed.Live.of(mask)
    cells = layer.forward_layer.cell, layer.backward_layer.cell
    return live.padded(packed_recurrence.read(live.packed(inputs), live, *cells))


def slopes(function, layer, inputs, mask):
    """Of the live states, and by everything, in one graph."""
    tf = tensorflow()

    @tf.function(autograph=False)
    def run(inputs, mask):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            states = tf.where(mask[..., None], function(layer, inputs, mask), 0)
            loss = tf.reduce_sum(tf.sin(tf.cast(states, "float32")))
        sources = [inputs, *[v.value for v in layer.trainable_variables]]
        return states, tape.gradient(loss, sources)

    return run(tf.constant(inputs), tf.constant(mask))


def of_keras(layer, inputs, mask):
    return layer(inputs, mask=mask)


@CELLS
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_float16"])
def test_it_is_what_keras_gives_and_so_are_the_slopes(dtype, cell):
    layer, inputs = made(dtype, cell=cell)
    mask = np.arange(8) < LENGTHS[:, None]
    expected, expected_slopes = slopes(of_keras, layer, inputs, mask)
    got, got_slopes = slopes(ours, layer, inputs, mask)
    rounding = {"float32": 1e-5, "float64": 1e-12}.get(dtype, 1e-2)
    np.testing.assert_allclose(got, expected, atol=rounding)
    assert len(got_slopes) == 7
    for a, b in zip(got_slopes, expected_slopes, strict=True):
        np.testing.assert_allclose(a, b, rtol=rounding, atol=rounding)


@CELLS
def test_padding_is_zero_and_reaches_nothing(cell):
    layer, inputs = made(cell=cell)
    mask = np.arange(8) < LENGTHS[:, None]
    states, clean = slopes(ours, layer, inputs, mask)
    assert not np.asarray(ours(layer, inputs, mask))[~mask].any()
    dirty, others = slopes(
        ours, layer, np.where(mask[..., None], inputs, np.float32(np.nan)), mask
    )
    np.testing.assert_array_equal(states, dirty)
    for a, b in zip(clean, others, strict=True):
        np.testing.assert_array_equal(a, b)


@CELLS
def test_a_text_with_gaps_is_read_as_one_without(cell):
    layer, inputs = made(cell=cell)
    mask = np.random.default_rng(1).random((5, 8)) < 0.6
    mask[3] = True
    states = np.asarray(ours(layer, inputs, mask))
    for text, seen, got in zip(inputs, mask, states, strict=True):
        np.testing.assert_allclose(got[seen], layer(text[seen][None])[0], atol=1e-6)


def test_the_loop_takes_live_steps_alone():
    tf = tensorflow()
    layer, inputs = made()
    mask = np.arange(8) < LENGTHS[:, None]
    live = packed.Live.of(tf.constant(mask))
    np.testing.assert_array_equal(live.counts, [5, 4, 4, 3, 3, 2, 2])
    assert live.places.shape == (LENGTHS.sum(), 2)
    assert ours(layer, inputs, mask).shape == (5, 8, 6)


@pytest.mark.parametrize("normalizer", ["softmax", "sparsemax", "hard"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_pooling_reads_live_states_as_padded_ones(normalizer, dtype):
    tf = tensorflow()
    keras.utils.set_random_seed(0)
    pooling = AttentionPooling(
        4, normalizer=normalizer, query_initializer="glorot_uniform", dtype=dtype
    )
    states = np.random.default_rng(0).normal(size=(5, 8, 3))
    states = tf.constant(states, pooling.compute_dtype)
    pooling.build(states.shape)
    mask = tf.constant(np.random.default_rng(1).random((5, 8)) < 0.6)

    def of_padded(states):
        return pooling(states, mask=mask, return_attention_scores=True, training=False)

    def of_live(states):
        live = packed.Live.of(mask)
        states = live.packed(states)
        hidden = live.padded(pooling.hidden(states))
        return pooling.read(hidden, live.padded(states), mask, training=False)

    def run(function):
        with tf.GradientTape() as tape:
            tape.watch(states)
            vectors, weights = function(states)
            loss = tf.reduce_sum(tf.sin(tf.cast(vectors, "float32")))
        sources = [states, *[v.value for v in pooling.trainable_variables]]
        return vectors, weights, *tape.gradient(loss, sources)

    rounding = {"float32": 1e-6, "float64": 1e-12}.get(pooling.compute_dtype, 0.02)
    for got, expected in zip(run(of_live), run(of_padded), strict=True):
        np.testing.assert_allclose(
            tf.cast(got, "float64"), tf.cast(expected, "float64"), atol=rounding
        )


def test_the_model_packs_in_training_alone(monkeypatch, tmp_path):
    backbone = HierarchicalAttentionBackbone(20, 8, 3, 4)
    ids = np.array([[[3, 4, 5, 0], [6, 0, 0, 0]], [[7, 8, 0, 0], [0, 0, 0, 0]]])
    inputs = {"token_ids": ids.astype("int32"), "padding_mask": ids > 0}
    calls = []
    read = packed_recurrence.read
    monkeypatch.setattr(
        packed_recurrence, "read", lambda *x: calls.append(x) or read(*x)
    )
    vectors = backbone(inputs)
    backbone.export(tmp_path / "model", verbose=False)  # a SavedModel takes no packed
    assert not calls
    np.testing.assert_allclose(backbone(inputs, training=True), vectors, atol=1e-6)
    assert len(calls) == 2  # words and sentences


def test_where_xla_is_asked_for_keras_says_that_there_is_none():
    backbone = HierarchicalAttentionBackbone(20, 8, 3, 4)
    with pytest.warns(UserWarning, match="jit_compile"):
        backbone.compile("adam", "mse", jit_compile=True)
    assert not backbone.jit_compile


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("directions", ["concat", "sum"])
def test_an_encoder_in_training_gives_what_it_gives_else(directions, cell, monkeypatch):
    encoder = RecurrentEncoder(3, cell, directions)
    _, inputs = made()
    mask = np.arange(8) < np.array([3, 7, 0, 8, 1])[:, None]
    states, last = encoder(inputs, mask=mask)
    calls = []
    read = packed_recurrence.read
    monkeypatch.setattr(
        packed_recurrence, "read", lambda *x: calls.append(x) or read(*x)
    )
    trained_states, trained_last = encoder(inputs, mask=mask, training=True)
    assert len(calls) == 1
    np.testing.assert_allclose(trained_states, states, atol=1e-6)
    np.testing.assert_allclose(trained_last, last, atol=1e-6)
    assert not np.asarray(trained_last)[2].any()


def test_a_training_traces_once_for_texts_of_all_lengths(monkeypatch):
    """Nothing is compiled for a length: a new bucket costs nothing."""
    tokenizer = HierarchicalAttentionTokenizer(["good", "bad"])
    model = HierarchicalAttentionTextClassifier(
        HierarchicalAttentionBackbone(tokenizer.vocabulary_size(), 8, 3, 4),
        preprocessor=HierarchicalAttentionTextClassifierPreprocessor(tokenizer),
        class_names=["no", "yes"],
    )
    texts = ["good " * n + ". " + "bad. " * n for n in range(1, 33)]
    calls = []
    read = packed_recurrence.read
    monkeypatch.setattr(
        packed_recurrence, "read", lambda *x: calls.append(x) or read(*x)
    )
    model.fit(texts, [0, 1] * 16, batch_size=2, epochs=1, verbose=0)
    shapes = {model.preprocessor([text])["token_ids"].shape for text in texts}
    assert len(shapes) >= 4
    assert len(calls) == 2  # words and sentences, each traced once
