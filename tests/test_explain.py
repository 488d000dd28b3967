import errno
import html.parser
import os
import re

import keras
import numpy as np
import pytest

from kattn import models
from kattn.explain import Explanation, explain, weighs_words, write_html

WORDS = "a good bad film plot . ! the actors < > script alert ( ) 1".split()
CLASSES = ["bad & <b>", "good"]
TEXTS = [
    "A good film. The actors were good!",
    "<script>alert(1)</script> & 'a' \"bad\" film",
    " ",
    "好电影。",
    "The plot. " * 40,
]


def make(classes=CLASSES, classifier_class=models.HierarchicalAttentionTextClassifier):
    tokenizer = models.HierarchicalAttentionTokenizer(WORDS)
    classifier = classifier_class(
        models.HierarchicalAttentionBackbone(tokenizer.vocabulary_size(), 4, 3, 3),
        preprocessor=models.HierarchicalAttentionTextClassifierPreprocessor(
            tokenizer, max_sentences=6, max_words=8
        ),
        num_classes=2,
        class_names=classes,
    )
    draw = np.random.default_rng(0).normal
    for weight in classifier.trainable_weights:
        weight.assign(draw(scale=0.7, size=weight.shape))
    return classifier


@pytest.fixture(scope="module")
def classifier():
    return make()


@pytest.fixture(scope="module")
def explanations(classifier):
    return explain(classifier, TEXTS, batch_size=2)


class Page(html.parser.HTMLParser):
    """A page's elements, checked to be nested as they must, and its text."""

    VOID = {"meta"}

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.titles, self.text = [], [], [], ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.titles += [value for name, value in attributes if name == "title"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


# === The data ===


def test_labels_are_those_of_classify(classifier, explanations):
    predictions = classifier.classify(TEXTS)
    assert [e.label for e in explanations] == [p.label for p in predictions]
    np.testing.assert_allclose(
        [e.probability for e in explanations],
        [p.probability for p in predictions],
        atol=1e-5,
    )


def test_words_are_those_that_the_model_read(classifier, explanations):
    read = [
        [[word.encode() for word, _ in words] for _, words in e.sentences]
        for e in explanations
    ]
    assert read == classifier.preprocessor.words(TEXTS).to_list()
    assert explanations[2].sentences == []


def test_weights_are_those_of_the_attention_model(classifier, explanations):
    outputs = classifier.attention_model()(classifier.preprocessor(TEXTS))
    for i, explanation in enumerate(explanations):
        for s, (p_s, words) in enumerate(explanation.sentences):
            np.testing.assert_allclose(
                p_s, outputs["sentence_weights"][i, s], atol=1e-5
            )
            p_w = [p for _, p in words]
            expected = outputs["word_weights"][i, s, : len(p_w)]
            np.testing.assert_allclose(p_w, expected, atol=1e-5)
            np.testing.assert_allclose(sum(p_w), 1, atol=1e-5)
        if explanation.sentences:
            total = sum(p_s for p_s, _ in explanation.sentences)
            np.testing.assert_allclose(total, 1, atol=1e-5)


@pytest.mark.parametrize(
    "texts, message",
    [
        ("one text", "Received: 'one text'"),
        ([], "at least one"),
        ([["nested"]], "not lists"),
        ([1], "must be strings"),
    ],
)
def test_what_is_no_list_of_texts(classifier, texts, message):
    with pytest.raises(ValueError, match=message):
        explain(classifier, texts)


def test_what_cannot_be_explained(classifier):
    with pytest.raises(TypeError, match=r"\(Sequential\)"):
        explain(keras.Sequential(), TEXTS)
    bare = models.HierarchicalAttentionTextClassifier(classifier.backbone, 2)
    with pytest.raises(ValueError, match="preprocessor=None"):
        explain(bare, TEXTS)


class WithoutWords(models.HierarchicalAttentionTextClassifier):
    def attention_model(self):
        return keras.Model(self.input, {"logits": self.output})


def test_a_model_that_does_not_weigh_words(classifier):
    assert weighs_words(classifier)
    assert not weighs_words(make(classifier_class=WithoutWords))
    with pytest.raises(ValueError, match=r"Received: a model that gives \['logits'\]"):
        explain(make(classifier_class=WithoutWords), TEXTS)


# === The page ===


@pytest.fixture(scope="module")
def page(classifier, explanations, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "new" / "attention.html"
    labels = [explanations[0].label, *[0] * (len(TEXTS) - 1)]
    assert write_html(classifier, np.array(TEXTS), str(path), labels) == path
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return Page(path)


def test_the_page_is_whole(page, explanations):
    right = 1 + sum(e.label == CLASSES[0] for e in explanations[1:])
    assert f"5 texts, {right} of them predicted as labelled." in page.text
    assert page.tags[0] == ("html", {"lang": "en"})
    assert page.source.startswith("<!DOCTYPE html>")
    tags = [tag for tag, _ in page.tags]
    assert tags.count("article") == len(TEXTS)
    assert tags.count("h1") == 1
    assert tags.count("h2") == 1 + len(TEXTS)
    assert '<meta charset="utf-8">' in page.source
    assert "prefers-color-scheme: dark" in page.source
    assert "$" not in page.source


def test_the_page_says_what_was_predicted(page, explanations):
    first = explanations[0]
    assert f"Text 1 · predicted {first.label}, {first.probability:.1%} · ✓" in page.text
    for number, e in enumerate(explanations[1:], start=2):
        verdict = (
            "✓ as labelled" if e.label == CLASSES[0] else f"✗ labelled {CLASSES[0]}"
        )
        said = f"Text {number} · predicted {e.label}, {e.probability:.1%} · {verdict}"
        assert said in page.text
    assert "The model read no word in this text." in page.text


def test_the_page_needs_nothing_and_runs_nothing(page):
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "a"}
    assert "default-src 'none'" in page.source
    assert not re.search(r"https?:|url\(|@import", page.source)
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        assert "src" not in attributes and "href" not in attributes


def test_texts_and_labels_are_escaped(classifier, tmp_path):
    path = write_html(
        classifier, TEXTS, tmp_path / "a.html", labels=[0] * 5, title="<i>$title & co"
    )
    page = Page(path)
    assert "script" not in {tag for tag, _ in page.tags}
    for raw in (CLASSES[0], "<i>$title", "<script"):
        assert raw not in page.source
    assert "&lt;i&gt;$title &amp; co</title>" in page.source
    assert "bad &amp; &lt;b&gt;" in page.source
    marks = re.findall(r"<mark[^>]*>([^<]*)</mark>", page.source)
    assert {"&lt;", "&gt;", "&amp;", "&quot;"} <= set(marks)


def test_shades_are_those_of_the_paper(page, explanations):
    first = page.source.split("<article")[1]
    shades = [float(x) for x in re.findall(r'<mark style="--w:([\d.]+)"', first)]
    expected = [p_s**0.5 * p for p_s, ws in explanations[0].sentences for _, p in ws]
    np.testing.assert_allclose(shades, np.divide(expected, max(expected)), atol=0.006)
    assert max(shades) == 1
    weights = [p for e in explanations for _, ws in e.sentences for _, p in ws]
    np.testing.assert_allclose([float(x) for x in page.titles], weights, atol=6e-4)
    bars = re.findall(r'--w:([\d.]+)"></i></span>([\d.]+)', first)
    p_s = [weight for weight, _ in explanations[0].sentences]
    np.testing.assert_allclose([float(n) for _, n in bars], p_s, atol=0.006)
    widths = [float(width) for width, _ in bars]
    np.testing.assert_allclose(widths, np.divide(p_s, max(p_s)), atol=0.006)


def test_words_stand_as_in_a_text(page):
    text = re.sub(r"\s+", " ", page.text)
    assert "a good film. " in text
    assert "(1)" in text
    assert "好电影。" in text


def test_a_model_of_one_level(tmp_path):
    tokenizer = models.BiLSTMAttentionTokenizer(WORDS)
    flat = models.BiLSTMAttentionTextClassifier(
        models.BiLSTMAttentionBackbone(tokenizer.vocabulary_size(), 4, units=3),
        2,
        models.BiLSTMAttentionTextClassifierPreprocessor(tokenizer, max_words=8),
    )
    draw = np.random.default_rng(0).normal
    flat.set_weights([draw(size=w.shape) for w in flat.get_weights()])
    explained = explain(flat, TEXTS)
    assert isinstance(explained[0], Explanation)
    assert explained[0].label in {"0", "1"}
    [(weight, words)] = explained[0].sentences
    assert weight == 1
    assert [word for word, _ in words] == "a good film . actors were good !".split()
    np.testing.assert_allclose(sum(weight for _, weight in words), 1, atol=1e-5)
    assert explained[2].sentences == []
    page = Page(write_html(flat, TEXTS, tmp_path / "flat.html", [0, 1, 0, 1, 0]))
    assert 'class="bar"' not in page.source
    assert "sentence" not in page.text.split("How to read")[1]
    shades = re.findall(r'<mark style="--w:([\d.]+)"', page.source.split("<article")[1])
    expected = [weight for _, weight in words]
    np.testing.assert_allclose(
        [float(x) for x in shades], np.divide(expected, max(expected)), atol=0.006
    )


def test_a_model_of_pairs(tmp_path):
    tokenizer = models.ReaderTokenizer(WORDS)
    reader = models.ReaderTextPairClassifier(
        models.ReaderBackbone(tokenizer.vocabulary_size(), 4, units=3),
        preprocessor=models.ReaderTextPairClassifierPreprocessor(tokenizer),
        class_names=CLASSES,
    )
    texts = ["A good film.", "", "Bad!"], ["The actors.", "<b>bad</b>", ""]
    explained = explain(reader, texts)
    assert [e.label for e in explained] == [p.label for p in reader.classify(texts)]
    premise, hypothesis = explained[0].pair.values()
    assert [word for word, _ in premise] == ["a", "good", "film", "."]
    np.testing.assert_allclose(sum(weight for _, weight in premise), 1, atol=1e-5)
    # The reader weighs the premise alone.
    assert hypothesis == [("the", 0.0), ("actors", 0.0), (".", 0.0)]
    assert explained[1].pair["premise"] == []
    page = Page(write_html(reader, texts, tmp_path / "pairs.html", ["good"] * 3))
    assert page.text.count("premise") == page.text.count("hypothesis") == 3
    assert "either text's words" in page.text
    assert "3 pairs" in page.text and "Pair 3 · predicted" in page.text
    with pytest.raises(ValueError, match="3 premises, 2 hypotheses"):
        explain(reader, (texts[0], texts[1][:2]))
    with pytest.raises(ValueError, match="tuple of two lists"):
        explain(reader, texts[0])


def test_without_labels_nothing_is_said_of_them(classifier, tmp_path):
    page = Page(write_html(classifier, TEXTS[:1], tmp_path / "a.html"))
    assert "1 text." in page.text
    assert "labelled" not in page.text


@pytest.mark.parametrize(
    "labels, message",
    [
        ([0], "Received: 1 labels"),
        ([0, 1, 2, 0, 0], "0 to 1, or among .*Received: 2"),
        (["god"] * 5, "Received: 'god'"),
    ],
)
def test_wrong_labels(classifier, tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        write_html(classifier, TEXTS, tmp_path / "a.html", labels)


def test_a_failed_write_leaves_the_former_page(classifier, tmp_path, monkeypatch):
    path = tmp_path / "a.html"
    path.write_text("former")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_html(classifier, TEXTS[:1], path)
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]
