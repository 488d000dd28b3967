"""Logits of words and pairs of words, against the formula and in a classifier."""

import keras
import numpy as np
import pytest

from kattn.models import (
    ABCNNBackbone,
    ABCNNTextPairClassifier,
    BiLSTMAttentionBackbone,
    BiLSTMAttentionTextClassifier,
    BiLSTMAttentionTextClassifierPreprocessor,
    BiLSTMAttentionTokenizer,
    NgramLogits,
)

BUCKETS = 97


def made(dropout=0.0):
    layer = NgramLogits(BUCKETS, num_classes=3, dropout=dropout)
    layer.build((None, None))
    draw = np.random.default_rng(0)
    layer.table.assign(draw.normal(size=(BUCKETS, 3)))
    return layer


def formula(table, text):
    """The logits of one text of word ids, with the numbers of a 32 bit machine."""
    rows = list(text)
    for left, right in zip(text, text[1:], strict=False):
        number = (left * 31337 + right * 7919) % 2**32
        rows.append(number - 2**32 if number >= 2**31 else number)
    if not rows:
        return np.zeros(3)
    return 10 / np.sqrt(len(rows)) * sum(table[row % BUCKETS] for row in rows)


def test_the_formula_and_that_padding_changes_nothing():
    layer = made()
    texts = [[5, 3, 9, 5], [70_000, 90_001], [4], []]  # products beyond 2^31, too
    ids = np.zeros((4, 7), "int32")
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    table = np.asarray(keras.ops.convert_to_numpy(layer.table), "float64")
    got = layer(ids, mask=ids > 0)
    expected = [formula(table, text) for text in texts]
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(got), expected, rtol=1e-4, atol=1e-5
    )
    ids[ids == 0] = 8  # what stands at padding reaches nothing
    mask = np.arange(7) < np.array([[len(text)] for text in texts])
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(layer(ids, mask=mask)),
        keras.ops.convert_to_numpy(got),
    )


def test_words_on_both_sides_of_padding_are_no_pair():
    layer = made()
    apart = np.array([[[5, 3, 0], [9, 0, 0]]])  # two sentences
    table = np.asarray(keras.ops.convert_to_numpy(layer.table), "float64")
    rows = [5, 3, 9, (5 * 31337 + 3 * 7919)]
    expected = 10 / np.sqrt(4) * sum(table[row % BUCKETS] for row in rows)
    got = keras.ops.convert_to_numpy(layer(apart, mask=apart > 0))[0]
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_dropout_leaves_out_and_keeps_the_mean():
    layer = made(dropout=0.5)
    ids = np.tile(np.arange(2, 60), (400, 1))
    plain = keras.ops.convert_to_numpy(layer(ids, mask=ids > 0))
    dropped = keras.ops.convert_to_numpy(layer(ids, mask=ids > 0, training=True))
    assert dropped.std(axis=0).min() > 0.1
    np.testing.assert_allclose(dropped.mean(axis=0), plain[0], atol=3.0)


@pytest.fixture(scope="module")
def classifier():
    keras.utils.set_random_seed(0)
    tokenizer = BiLSTMAttentionTokenizer("not good bad film".split())
    return BiLSTMAttentionTextClassifier(
        BiLSTMAttentionBackbone(tokenizer.vocabulary_size(), 4, units=3),
        preprocessor=BiLSTMAttentionTextClassifierPreprocessor(tokenizer),
        class_names=["no", "yes"],
        ngrams=64,
    )


TEXTS = ["not good film", "good film", "not bad film", "bad film"] * 4
LABELS = ["no", "yes", "yes", "no"] * 4


def test_a_classifier_learns_by_pairs_alone(classifier, tmp_path):
    classifier.backbone.trainable = False
    classifier.output_dense.trainable = False
    classifier.compile(keras.optimizers.Adam(0.01))
    classifier.fit(TEXTS, LABELS, epochs=20, verbose=0)
    assert [one.label for one in classifier.classify(TEXTS[:4])] == LABELS[:4]

    expected = classifier.predict(TEXTS, verbose=0)
    attention = classifier.attention_model()
    inputs = classifier.preprocessor(TEXTS)
    got = keras.ops.convert_to_numpy(attention(inputs)["logits"])
    np.testing.assert_allclose(got, expected, atol=1e-5)

    classifier.save_to_preset(tmp_path / "preset")
    again = BiLSTMAttentionTextClassifier.from_preset(tmp_path / "preset")
    assert again.ngrams == 64
    np.testing.assert_allclose(again.predict(TEXTS, verbose=0), expected, atol=1e-6)
    other = BiLSTMAttentionTextClassifier.from_preset(
        tmp_path / "preset", num_classes=5
    )
    assert other.predict(TEXTS, verbose=0).shape == (16, 5)


def test_pairs_of_texts_have_none():
    with pytest.raises(ValueError, match="N-grams are of single texts.*ngrams=8"):
        ABCNNTextPairClassifier(ABCNNBackbone(10), num_classes=2, ngrams=8)
