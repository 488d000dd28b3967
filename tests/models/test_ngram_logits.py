"""Logits of n-grams, against naive Bayes written out and in a classifier."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import optimize

from kattn.models import (
    BiLSTMAttentionBackbone,
    BiLSTMAttentionTextClassifier,
    BiLSTMAttentionTextClassifierPreprocessor,
    BiLSTMAttentionTokenizer,
    NgramLogits,
)

DOCUMENTS = [  # each of sentences of word ids
    [[5, 3], [9]],
    [[5, 3, 9, 5]],
    [[3, 5]],
    [[9, 9], [3, 9]],
    [[40_000, 39_999, 3]],
    [[40_000, 39_999], [5, 3]],
]
LABELS = [0, 0, 1, 1, 2, 2]


def ngrams(document, order):
    """The set of n-grams of a document."""
    return {
        tuple(sentence[i : i + n])
        for sentence in document
        for n in range(1, order + 1)
        for i in range(len(sentence) - n + 1)
    }


def formula(order, classes):
    """The logits of `DOCUMENTS`, as the paper has them, by another solver."""
    sets = [ngrams(document, order) for document in DOCUMENTS]
    known = sorted(g for g in set().union(*sets) if sum(g in s for s in sets) > 1)
    everything = sorted(set().union(*sets))
    logits = np.zeros((len(sets), classes))
    for c in range(classes):
        right = np.array(LABELS) == c

        def count(g, which):
            return 1 + sum(g in s for s, yes in zip(sets, which, strict=True) if yes)

        p, q = ({g: count(g, which) for g in everything} for which in (right, ~right))
        ratio = [
            np.log(p[g] / sum(p.values())) - np.log(q[g] / sum(q.values()))
            for g in known
        ]
        features = np.array([[g in s for g in known] for s in sets]) * ratio
        sign = np.where(right, 1, -1)

        def loss(w, features=features, sign=sign):
            # liblinear's: the intercept is one more feature, and shrinks as well.
            margins = sign * (features @ w[:-1] + w[-1])
            return w @ w / 2 + np.logaddexp(0, -margins).sum()

        best = optimize.minimize(loss, np.zeros(len(known) + 1)).x
        logits[:, c] = features @ best[:-1] + best[-1]
    return logits


def padded(documents):
    ids = np.zeros((len(documents), 3, 6), "int32")
    for row, document in zip(ids, documents, strict=True):
        for line, sentence in zip(row, document, strict=False):
            line[: len(sentence)] = sentence
    return ids


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_formula_and_that_padding_changes_nothing(order):
    layer = NgramLogits(100, num_classes=3, order=order)
    layer.adapt(DOCUMENTS, LABELS)
    ids = padded(DOCUMENTS)
    got = ops.convert_to_numpy(layer(ids, mask=ids > 0))
    np.testing.assert_allclose(got, formula(order, 3), atol=2e-3)
    other = np.where(ids == 0, 5, ids)  # what stands at padding reaches nothing
    same = ops.convert_to_numpy(layer(other, mask=ids > 0))
    np.testing.assert_array_equal(same, got)
    # A sentence that fills its row does not run on into the next one.
    narrow = ids[:, :, :4]
    same = ops.convert_to_numpy(layer(narrow, mask=narrow > 0))
    np.testing.assert_array_equal(same, got)


def test_two_classes_are_one_question():
    layer = NgramLogits(100, num_classes=2, order=2)
    layer.adapt(DOCUMENTS[:4], LABELS[:4])
    ids = padded(DOCUMENTS[:4])
    got = ops.convert_to_numpy(layer(ids, mask=ids > 0))
    np.testing.assert_allclose(got[:, 0], -got[:, 1], atol=1e-6)
    assert got.argmax(axis=1).tolist() == LABELS[:4]


def test_the_most_telling_ngrams_are_known():
    layer = NgramLogits(1, num_classes=2, order=1)
    layer.adapt([[[5]]] * 5 + [[[3]], [[3, 9]], [[9]]], [0] * 6 + [1, 1])
    assert ops.convert_to_numpy(layer.keys).tolist() == [5]


def test_texts_that_share_nothing_are_told():
    layer = NgramLogits(10, num_classes=2)
    with pytest.raises(ValueError, match="2 texts without an n-gram in two"):
        layer.adapt([[[5]], [[3]]], [0, 1])


def test_an_empty_text_and_one_before_adapt_give_what_is_known_without():
    layer = NgramLogits(10, num_classes=3)
    empty = np.zeros((2, 4), "int32")
    np.testing.assert_array_equal(layer(empty, mask=empty > 0), np.zeros((2, 3)))
    layer.adapt(DOCUMENTS, LABELS)
    got = ops.convert_to_numpy(layer(empty, mask=empty > 0))
    np.testing.assert_allclose(got, np.stack([layer.bias, layer.bias]), atol=1e-6)
    assert layer(empty[:, :1], mask=empty[:, :1] > 0).shape == (2, 3)


@pytest.fixture
def classifier():
    keras.utils.set_random_seed(0)
    tokenizer = BiLSTMAttentionTokenizer("not very good bad film".split())
    return BiLSTMAttentionTextClassifier(
        BiLSTMAttentionBackbone(tokenizer.vocabulary_size(), 4, units=3),
        preprocessor=BiLSTMAttentionTextClassifierPreprocessor(tokenizer),
        class_names=["no", "yes"],
        ngrams=64,
    )


TEXTS = ["not good film", "very good film", "not bad film", "very bad film"] * 4
NAMES = ["no", "yes", "yes", "no"] * 4


def test_a_classifier_fits_them_once_and_saves_them(classifier, tmp_path):
    classifier.compile(keras.optimizers.SGD(1e-4))  # the network learns nothing
    classifier.fit(TEXTS, NAMES, verbose=0)
    assert [one.label for one in classifier.classify(TEXTS[:4])] == NAMES[:4]
    table = ops.convert_to_numpy(classifier.ngram_logits.table)
    classifier.fit(TEXTS, NAMES[::-1], verbose=0)
    np.testing.assert_array_equal(classifier.ngram_logits.table, table)

    expected = classifier.predict(TEXTS, verbose=0)
    attention = classifier.attention_model()
    inputs = classifier.preprocessor(TEXTS)
    got = ops.convert_to_numpy(attention(inputs)["logits"])
    np.testing.assert_allclose(got, expected, atol=1e-5)
    # In training the network learns as if alone.
    opinions = classifier.opinions_model()(inputs)
    network, ngrams = (
        ops.convert_to_numpy(opinions[name]) for name in ("network", "ngrams")
    )
    for training, logits in ((True, network), (False, (network + ngrams) / 2)):
        said = ops.convert_to_numpy(classifier(inputs, training=training))
        np.testing.assert_allclose(said, logits, atol=1e-6)

    classifier.save_to_preset(tmp_path / "preset")
    again = BiLSTMAttentionTextClassifier.from_preset(tmp_path / "preset")
    assert again.ngrams == 64
    np.testing.assert_allclose(again.predict(TEXTS, verbose=0), expected, atol=1e-6)
    other = BiLSTMAttentionTextClassifier.from_preset(
        tmp_path / "preset", num_classes=5
    )
    assert other.predict(TEXTS, verbose=0).shape == (16, 5)


def test_a_dataset_needs_them_fitted_before(classifier):
    tf = pytest.importorskip("tensorflow")
    batches = tf.data.Dataset.from_tensor_slices((TEXTS, [0, 1, 1, 0] * 4)).batch(4)
    with pytest.raises(ValueError, match=r"Call `adapt\(texts, labels\)`"):
        classifier.fit(batches, verbose=0)
    classifier.adapt(TEXTS, NAMES)
    classifier.fit(batches, verbose=0)
