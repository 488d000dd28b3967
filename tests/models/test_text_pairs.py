"""Pairs of texts: the forms they come in, ranking, and counted features."""

import numpy as np
import pytest

from kattn import datasets, ranking
from kattn.models import (
    ABCNNBackbone,
    ABCNNTextPairClassifier,
    ABCNNTextPairClassifierPreprocessor,
    ABCNNTokenizer,
    PairFeatures,
)
from kattn.models.pair_dropout import PairDropout

WORDS = "a dog cat runs not sleeps .".split()
PREMISES = ["A dog runs.", "A cat sleeps.", "a dog", "A cat is not a dog."]
HYPOTHESES = ["A cat runs.", "A cat sleeps.", "a dog not", ""]
LABELS = [0, 1, 0, 1]


def classifier(**options):
    tokenizer = ABCNNTokenizer(WORDS)
    model = ABCNNTextPairClassifier(
        ABCNNBackbone(
            tokenizer.vocabulary_size(), 6, "bcnn", num_layers=1, filters=4, **options
        ),
        preprocessor=ABCNNTextPairClassifierPreprocessor(tokenizer, max_words=12),
        class_names=["no", "yes"],
    )
    model.compile(run_eagerly=True)
    return model


def test_pairs_come_as_tuples_dictionaries_and_datasets():
    import tensorflow as tf

    model = classifier()
    pairs = PREMISES, HYPOTHESES
    named = dict(zip(("premise", "hypothesis"), pairs, strict=True))
    expected = model.predict(pairs, verbose=0)
    forms = [
        named,
        tuple(np.array(part) for part in pairs),
        tf.data.Dataset.from_tensor_slices(named).batch(4),
        {k: np.array(v) for k, v in model.preprocessor(pairs).items()},
    ]
    for form in forms:
        got = model.predict(form, verbose=0)
        np.testing.assert_allclose(got, expected, atol=1e-6)
    figures = model.evaluate(pairs, LABELS, verbose=0)
    batches = tf.data.Dataset.from_tensor_slices((pairs, LABELS)).batch(4)
    got = model.evaluate(batches, verbose=0)
    np.testing.assert_allclose(got, figures, atol=1e-6)
    model.fit(named, LABELS, validation_data=(named, LABELS), verbose=0)
    model.fit(pairs, ["no", "yes"] * 2, validation_split=0.25, verbose=0)


def test_a_single_pair_is_preprocessed_as_in_a_batch():
    preprocessor = classifier().preprocessor
    one = preprocessor(("A dog runs.", "A cat."))
    many = preprocessor((["A dog runs."], ["A cat."]))
    assert {k: tuple(v.shape) for k, v in one.items()} == {
        "premise_token_ids": (4,),
        "premise_padding_mask": (4,),
        "hypothesis_token_ids": (4,),
        "hypothesis_padding_mask": (4,),
    }
    for name, value in one.items():
        np.testing.assert_array_equal(value, many[name][0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.predict(PREMISES), ValueError, "Received: a list of 4"),
        (lambda m: m.predict([PREMISES, HYPOTHESES]), ValueError, "a list of 2"),
        (lambda m: m.predict("text"), ValueError, "a tuple of two lists"),
        (lambda m: m.predict({"premise": PREMISES}), ValueError, r"\['premise'\]"),
        (lambda m: m.predict((PREMISES, [])), ValueError, "At least one text"),
        (lambda m: m.predict((PREMISES, ["a"])), ValueError, "4 premises, 1 hyp"),
        (lambda m: m.predict((["a"], [None])), TypeError, "text number 0"),
        (lambda m: m.predict(("a", "b")), ValueError, "Texts come as a list"),
        (lambda m: m.fit((PREMISES, HYPOTHESES), [1]), ValueError, "4 pairs"),
        (lambda m: m.fit((PREMISES, HYPOTHESES)), ValueError, "need labels"),
    ],
)
def test_wrong_calls_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call(classifier())


# === Ranking ===


def test_ranking_by_hand():
    # Group a: right at places 1 and 3; b: at 2; c has none.
    scores = [0.9, 0.8, 0.7, 0.9, 0.2, 0.5]
    right = [1, 0, 1, 0, 1, 0]
    found = ranking.figures(scores, right, list("aaabbc"))
    assert found["map"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)
    assert found["mrr"] == pytest.approx((1 + 1 / 2) / 2)
    assert (found["groups"], found["left_out"]) == (2, 1)


def test_ties_are_broken_against_the_system():
    found = ranking.figures([0.5] * 4, [1, 0, 0, 0], [7] * 4)
    assert found["mrr"] == found["map"] == 1 / 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.1], [True, False], [1, 1]), "one entry for each"),
        (([float("nan")], [True], [1]), "finite"),
        (([0.1], [False], [1]), "nothing to rank"),
    ],
)
def test_what_cannot_be_ranked(arguments, message):
    with pytest.raises(ValueError, match=message):
        ranking.figures(*arguments)


WIKIQA = """\
QuestionID\tQuestion\tDocumentID\tDocumentTitle\tSentenceID\tSentence\tLabel
Q1\twho runs ?\tD1\tDogs\tD1-0\tA dog "runs.\t1
Q1\twho runs ?\tD1\tDogs\tD1-1\tA cat sleeps.\t0
Q1\twho runs ?\tD1\tDogs\tD1-2\tA dog.\t0
Q2\twho sleeps ?\tD2\tCats\tD2-0\tA dog runs.\t0
Q2\twho sleeps ?\tD2\tCats\tD2-1\tA cat sleeps.\t1
Q3\twho sits ?\tD3\tCats\tD3-0\tA dog.\t0
"""


def test_questions_and_answers_as_wikiqa_has_them(tmp_path):
    for part in ("train", "dev", "test"):
        (tmp_path / f"WikiQA-{part}.tsv").write_text(WIKIQA, encoding="utf-8")
    corpus = datasets.load(
        "WikiQA-train.tsv",
        data_dir=tmp_path,
        premise="Question",
        hypothesis="Sentence",
        label="Label",
        validation="WikiQA-dev.tsv",
        test="WikiQA-test.tsv",
    )
    model = classifier()
    model.fit(corpus.train.texts, corpus.train.labels, verbose=0)
    found = model.evaluate_ranking(corpus.test.texts, corpus.test.labels)
    assert (found["groups"], found["left_out"]) == (2, 1)
    assert 1 / 3 <= found["mrr"] <= 1
    scores = model.predict_proba(corpus.test.texts, verbose=0)[:, 1]
    by_hand = ranking.figures(scores, corpus.test.labels == 1, list("111223"))
    assert found == by_hand
    one = model.evaluate_ranking(
        corpus.test.texts, corpus.test.labels, groups=["x"] * 6, positive="yes"
    )
    assert one["groups"] == 1
    with pytest.raises(ValueError, match="'perhaps'"):
        model.evaluate_ranking(
            corpus.test.texts, corpus.test.labels, positive="perhaps"
        )


# === Dropout ===


def test_equal_words_stay_equal_when_features_are_dropped():
    words = np.random.default_rng(0).normal(size=(2, 5, 40)).astype("float32")
    layer = PairDropout(0.5)
    left, right = (np.array(x) for x in layer(words, words[:, 1:3], training=True))
    np.testing.assert_array_equal(left[:, 1:3], right)
    dropped = (left == 0).all(axis=1)  # (B, D)
    assert 0.2 < dropped.mean() < 0.8 and (dropped[0] != dropped[1]).any()
    np.testing.assert_allclose(left[:, 0][~dropped], 2 * words[:, 0][~dropped])
    np.testing.assert_array_equal(layer(words, words)[0], words)


# === Counted features ===


def counted(premise, hypothesis, idf, denies):
    """The features of one pair of lists of ids, by their definitions."""

    def of_one(text, other):
        weight = np.where(np.array(text) < 2, idf.max(), idf[text])
        found = np.array([w >= 2 and w in other for w in text], bool)
        pairs = set(zip(other, other[1:], strict=False))
        both = [p in pairs and min(p) >= 2 for p in zip(text, text[1:], strict=False)]
        return [
            np.log1p(len(text)),
            found.mean() if len(text) else 0,
            (weight * found).sum() / weight.sum() if weight.sum() else 0,
            sum(both) / (len(text) - 1) if len(text) > 1 else 0,
            np.log1p((~found).sum()),
            max([*(weight * ~found), 0]) / idf.max(),
            max([*denies[text], 0]),
        ]

    left, right = of_one(premise, hypothesis), of_one(hypothesis, premise)
    return [*left, *right, abs(left[6] - right[6])]


def test_features_are_counted_as_they_are_defined():
    tokens = ["[PAD]", "[UNK]", *WORDS]
    layer = PairFeatures(len(tokens))
    texts = [[2, 3, 5], [2, 4], [2, 6, 7], [2, 3], []]
    layer.adapt(texts, tokens)
    idf = np.zeros(len(tokens))
    for word in range(2, len(tokens)):
        idf[word] = np.log(5 / max(sum(word in text for text in texts), 1))
    np.testing.assert_allclose(layer.idf, idf, rtol=1e-6)
    denies = np.array([token == "not" for token in tokens], float)
    np.testing.assert_array_equal(layer.denies, denies)
    premises = [[2, 3, 5], [2, 3, 1, 6], [], [8]]
    hypotheses = [[2, 3, 4, 5], [1, 2, 3], [4], [8]]
    ids = [np.zeros((4, 6), "int32") for _ in range(2)]
    for rows, table in zip((premises, hypotheses), ids, strict=True):
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
    masks = [np.arange(6) < [[len(r)] for r in x] for x in (premises, hypotheses)]
    got = layer(*ids, premise_mask=masks[0], hypothesis_mask=masks[1])
    for i, pair in enumerate(zip(premises, hypotheses, strict=True)):
        expected = counted(*map(list, pair), idf, denies)
        np.testing.assert_allclose(got[i], expected, atol=1e-5)


def test_words_are_counted_by_the_first_fit_and_kept_with_the_model(tmp_path):
    import tensorflow as tf

    model = classifier(pair_features=True)
    pairs = PREMISES, HYPOTHESES
    batches = tf.data.Dataset.from_tensor_slices((pairs, LABELS)).batch(2)
    with pytest.raises(ValueError, match=r"Call `adapt\(texts, labels\)`"):
        model.fit(batches)
    model.fit(pairs, LABELS, verbose=0)
    layer = model.backbone.pair_features_layer
    before = np.array(layer.idf)
    assert layer.adapted and before[WORDS.index("runs") + 2] > 0
    model.fit((["a a"], ["a"]), [1], verbose=0)  # another fit counts nothing anew
    model.fit(batches, verbose=0)
    np.testing.assert_array_equal(layer.idf, before)
    model.save_to_preset(tmp_path / "p")
    again = ABCNNTextPairClassifier.from_preset(tmp_path / "p")
    np.testing.assert_array_equal(again.backbone.pair_features_layer.idf, before)
