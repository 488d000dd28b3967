"""Logits of the n-grams of pairs, against sets written out and in a classifier."""

import keras
import numpy as np
import pytest
from keras import ops
from sklearn.linear_model import LogisticRegression

import kattn
from kattn.models import PairNgramLogits
from kattn.models.families import FAMILIES

PREMISES = [[5, 3, 9], [5, 3, 4], [3, 5], [9, 9, 3], [40_000, 3], [7, 40_000, 3]]
HYPOTHESES = [[5, 3, 7], [5, 3, 7], [3, 4, 9], [3, 9], [], [39_999, 3]]
LABELS = [0, 0, 1, 1, 2, 2]


def ngrams(text, order):
    """The set of n-grams of a text."""
    return {
        tuple(text[i : i + n])
        for n in range(1, order + 1)
        for i in range(len(text) - n + 1)
    }


def things(premise, hypothesis, order):
    """What both have, what one has, and what meets what."""
    p, h = ngrams(premise, order), ngrams(hypothesis, order)
    return (
        {("both", g) for g in p & h}
        | {("one", g) for g in p ^ h}
        | {("cross", *sorted((a, b))) for a in p - h for b in h - p}
    )


def formula(order, classes):
    """The logits of the pairs, things as sets."""
    pairs = zip(PREMISES, HYPOTHESES, strict=True)
    sets = [things(*pair, order) for pair in pairs]
    everything = sorted(set().union(*sets), key=str)
    has = np.array([[g in s for g in everything] for s in sets], float)  # (B, N)
    known = has.sum(axis=0) > 1
    logits = np.zeros((len(sets), classes))
    for c in range(classes):
        right = np.array(LABELS) == c
        p, q = (has[which].sum(axis=0) + 1 for which in (right, ~right))
        features = (has * np.log(p / p.sum() / (q / q.sum())))[:, known]
        model = LogisticRegression(C=0.1, solver="liblinear", max_iter=1000)
        logits[:, c] = model.fit(features, right).decision_function(features)
    return logits


def padded(texts, length=5):
    ids = np.zeros((len(texts), length), "int32")
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    return ids


def said(layer, premises, hypotheses, **masks):
    masks = {
        "premise_mask": premises > 0,
        "hypothesis_mask": hypotheses > 0,
        **masks,
    }
    return ops.convert_to_numpy(layer(premises, hypotheses, **masks))


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_formula_and_that_neither_padding_nor_order_changes_it(order):
    layer = PairNgramLogits(200, num_classes=3, order=order)
    layer.adapt(PREMISES, HYPOTHESES, LABELS)
    ids = padded(PREMISES), padded(HYPOTHESES, 4)
    got = said(layer, *ids)
    np.testing.assert_allclose(got, formula(order, 3), atol=1e-3)
    np.testing.assert_allclose(said(layer, *ids[::-1]), got, atol=1e-6)
    other = np.where(ids[0] == 0, 7, ids[0])  # what stands at padding reaches nothing
    same = said(layer, other, ids[1], premise_mask=ids[0] > 0)
    np.testing.assert_array_equal(same, got)
    wide = padded(PREMISES, 9), padded(HYPOTHESES, 7)
    np.testing.assert_allclose(said(layer, *wide), got, atol=1e-6)


def test_different_things_have_different_keys():
    """Also where the sums of their words are equal."""
    rng = np.random.default_rng(0)
    pairs = [rng.integers(2, 30, (2, 6)).tolist() for _ in range(300)]
    premises, hypotheses = ([pair[side] for pair in pairs] for side in (0, 1))
    # Each pair twice, so that all its things are known, and none by chance of another.
    labels = list(range(2)) * 150
    layer = PairNgramLogits(200_000, num_classes=2, order=2)
    layer.adapt(premises * 2, hypotheses * 2, labels * 2)
    known = (ops.convert_to_numpy(layer.keys) != 2**31 - 1).sum()
    every = set().union(*(things(*pair, 2) for pair in pairs))
    # A thing in as many pairs of either class says nothing and is left out.
    inside = np.zeros((len(every), 2), int)
    row = {thing: i for i, thing in enumerate(every)}
    for pair, label in zip(pairs, labels, strict=True):
        for thing in things(*pair, 2):
            inside[row[thing], label] += 2
    shares = (inside + 1) / (inside + 1).sum(axis=0)
    assert known == (shares[:, 0] != shares[:, 1]).sum()


def test_empty_texts_and_a_layer_before_adapt():
    layer = PairNgramLogits(10, num_classes=3)
    empty = np.zeros((2, 4), "int32")
    np.testing.assert_array_equal(said(layer, empty, empty), np.zeros((2, 3)))
    layer.adapt(PREMISES, HYPOTHESES, LABELS)
    got = said(layer, empty, empty[:, :1])
    np.testing.assert_allclose(got, np.stack([layer.bias, layer.bias]), atol=1e-6)


WORDS = "a man woman dog runs sleeps".split()
PAIRS = (
    ["a man runs", "a woman runs", "a man sleeps", "a dog runs"] * 4,
    ["a woman runs", "a man runs", "a man sleeps", "a dog runs"] * 4,
)
NAMES = ["no", "no", "yes", "yes"] * 4


@pytest.fixture(params=[("abcnn", {"filters": 3}), ("reader", {"units": 3})])
def classifier(request):
    keras.utils.set_random_seed(0)
    name, options = request.param
    cls, tokenizer = FAMILIES[name].classifier, FAMILIES[name].tokenizer(WORDS)
    size = tokenizer.vocabulary_size()
    return cls(
        cls.backbone_cls(size, 4, pair_features=True, **options),
        preprocessor=cls.preprocessor_cls(tokenizer),
        class_names=["no", "yes"],
        ngrams=64,
        ngram_order=2,
    )


def test_a_classifier_of_pairs_fits_them_once_and_saves_them(classifier, tmp_path):
    classifier.compile(keras.optimizers.SGD(1e-5))  # the network learns nothing
    classifier.fit(PAIRS, NAMES, verbose=0)
    assert classifier.ngram_logits.adapted
    assert classifier.backbone.pair_features_layer.adapted
    inputs = classifier.preprocessor(PAIRS)
    opinions = classifier.opinions_model()(inputs)
    network, alone = (
        ops.convert_to_numpy(opinions[name]) for name in ("network", "ngrams")
    )
    assert alone.argmax(axis=1).tolist() == [0, 0, 1, 1] * 4
    for training, logits in ((True, network), (False, (network + alone) / 2)):
        got = ops.convert_to_numpy(classifier(inputs, training=training))
        np.testing.assert_allclose(got, logits, atol=1e-6)
    expected = classifier.predict(PAIRS, verbose=0)
    got = ops.convert_to_numpy(classifier.attention_model()(inputs)["logits"])
    np.testing.assert_allclose(got, expected, atol=1e-5)
    classifier.save_to_preset(tmp_path / "preset")
    again = type(classifier).from_preset(tmp_path / "preset")
    np.testing.assert_allclose(again.predict(PAIRS, verbose=0), expected, atol=1e-6)


def test_exported_they_have_their_say(classifier, tmp_path):
    import tensorflow as tf

    classifier.adapt(PAIRS, NAMES)
    served = tf.saved_model.load(str(kattn.export(classifier, tmp_path)))
    given = zip(("premise", "hypothesis"), map(tf.constant, PAIRS), strict=True)
    outputs = served.signatures["serving_default"](**dict(given))
    expected = classifier.predict_proba(PAIRS, verbose=0)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    alone = classifier.opinions_model()(classifier.preprocessor(PAIRS))["network"]
    alone = ops.convert_to_numpy(ops.softmax(alone))
    assert np.abs(alone - expected).max() > 0.01


def test_adapt_wants_labels_for_them(classifier):
    with pytest.raises(ValueError, match="need labels"):
        classifier.adapt(PAIRS)
    classifier.adapt(PAIRS, NAMES)
    assert classifier.ngram_logits.adapted
