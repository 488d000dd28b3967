import errno
import html.parser
import os
import re

import keras
import numpy as np
import pytest

from kattn import models
from kattn.explanation import Explanation, Explanations
from kattn.models.rollout import rollout
from kattn.models.word_embedding import NAME

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
    return classifier.explain(TEXTS, batch_size=2)


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
    words = classifier.preprocessor.words(TEXTS).to_list()
    for text, explanation, expected in zip(TEXTS, explanations, words, strict=True):
        assert explanation.texts == {"text": text}
        sentences = explanation.sentences["text"]
        read = [
            [token.text.lower().encode() for token in sentence.tokens]
            for sentence in sentences
        ]
        assert read == expected
        for token in explanation.tokens():
            assert token.text == text[token.start : token.end]
    assert explanations[2].sentences == {"text": []}
    starts = [token.start for token in explanations[4].tokens()]
    assert starts == sorted(starts) and starts[-1] == len(TEXTS[4]) - 2


def test_weights_are_those_of_the_attention_model(classifier, explanations):
    outputs = classifier.attention_model()(classifier.preprocessor(TEXTS))
    for i, explanation in enumerate(explanations):
        sentences = explanation.sentences["text"]
        for s, sentence in enumerate(sentences):
            np.testing.assert_allclose(
                sentence.weight, outputs["sentence_weights"][i, s], atol=1e-5
            )
            p_w = [token.weight for token in sentence.tokens]
            expected = outputs["word_weights"][i, s, : len(p_w)]
            np.testing.assert_allclose(p_w, expected, atol=1e-5)
            np.testing.assert_allclose(sum(p_w), 1, atol=1e-5)
        if sentences:
            total = sum(sentence.weight for sentence in sentences)
            np.testing.assert_allclose(total, 1, atol=1e-5)


def test_erasing_reads_the_text_without_its_strongest_words(classifier, explanations):
    first = explanations[0]
    tokens = first.tokens()
    assert first.erasure.count == 1  # of nine words
    strongest = max(tokens, key=lambda token: token.weight)
    text = first.texts["text"]
    less = f"{text[: strongest.start]} {text[strongest.end :]}"
    number = CLASSES.index(first.label)
    kept = classifier.predict_proba([less], verbose=0)[0, number]
    assert first.erasure.drop == pytest.approx(first.probability - kept, abs=1e-5)
    assert first.erasure.random_drop != first.erasure.drop
    assert explanations[2].erasure is None
    assert explanations[4].erasure.count == 2  # of the 18 words read
    again = classifier.explain(TEXTS[:1])[0].erasure
    assert again.random_drop == pytest.approx(first.erasure.random_drop, abs=1e-5)
    assert classifier.explain(TEXTS[:1], erasure=False)[0].erasure is None


@pytest.mark.parametrize(
    "texts, error, message",
    [
        ("one text", ValueError, "as a list"),
        ([], ValueError, "empty list"),
        ([["nested"]], TypeError, "as text number 0"),
        ([1], TypeError, "Texts are strings"),
    ],
)
def test_what_is_no_list_of_texts(classifier, texts, error, message):
    with pytest.raises(error, match=message):
        classifier.explain(texts)


class WithoutWords(models.HierarchicalAttentionTextClassifier):
    def attention_model(self):
        return keras.Model(self.input, {"logits": self.output})


def test_it_is_said_what_ngrams_have_to_do_with_it(classifier, tmp_path):
    assert classifier.explain(TEXTS[:1])[0].opinions == {}
    speaking = models.HierarchicalAttentionTextClassifier(
        classifier.backbone,
        preprocessor=classifier.preprocessor,
        class_names=CLASSES,
        ngrams=8,
    )
    speaking.adapt(["a good film", "a bad film"] * 2, [1, 0] * 2)
    made = speaking.explain(TEXTS[:2])
    inputs = speaking.preprocessor(TEXTS[:2])
    for name, logits in speaking.opinions_model()(inputs).items():
        powers = np.exp(np.array(logits))
        expected = powers / powers.sum(axis=1, keepdims=True)
        for row, one in zip(expected, made, strict=True):
            said = row[CLASSES.index(one.label)]
            assert one.opinions[name] == pytest.approx(said, abs=1e-5)
    page = Page(made.to_html(tmp_path / "a.html"))
    said = made[0].opinions
    assert f"by n-grams alone: {said['ngrams']:.1%}" in page.text
    assert f"pays this attention: {said['network']:.1%}" in page.text


def test_what_cannot_be_explained(classifier):
    bare = models.HierarchicalAttentionTextClassifier(classifier.backbone, 2)
    with pytest.raises(ValueError, match="preprocessor=None"):
        bare.explain(TEXTS)
    assert classifier.weighs_words
    without = make(classifier_class=WithoutWords)
    assert not without.weighs_words
    with pytest.raises(ValueError, match=r"Received: a model that gives \['logits'\]"):
        without.explain(TEXTS)


def test_bytes_that_are_no_utf8_are_spaces(classifier, tmp_path):
    (explanation,) = made = classifier.explain([b"A good\xff film."])
    assert [token.text for token in explanation.tokens()] == ["A", "good", "film", "."]
    assert "film" in Page(made.to_html(tmp_path / "a.html")).text


def test_rollout_by_hand():
    draw = np.random.default_rng(0)
    blocks = [draw.dirichlet(np.ones(3), size=(2, 3)) for _ in range(2)]
    first, second = ((x[0] + x[1]) / 4 + np.eye(3) / 2 for x in blocks)
    np.testing.assert_allclose(rollout(blocks), second @ first)
    np.testing.assert_allclose(rollout(blocks).sum(axis=1), 1)


# === The page ===


@pytest.fixture(scope="module")
def page(classifier, explanations, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "new" / "attention.html"
    labels = [explanations[0].label, *[0] * (len(TEXTS) - 1)]
    made = classifier.explain(np.array(TEXTS), batch_size=2)
    assert made.to_html(str(path), labels) == path
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


def test_texts_and_labels_are_escaped(explanations, tmp_path):
    path = explanations.to_html(
        tmp_path / "a.html", labels=[0] * 5, title="<i>$title & co"
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
    sentences = explanations[0].sentences["text"]
    expected = [s.weight**0.5 * t.weight for s in sentences for t in s.tokens]
    assert [token.weight for token in explanations[0].tokens()] == expected
    np.testing.assert_allclose(shades, np.divide(expected, max(expected)), atol=0.006)
    assert max(shades) == 1
    weights = [
        t.weight for e in explanations for s in e.sentences["text"] for t in s.tokens
    ]
    np.testing.assert_allclose([float(x) for x in page.titles], weights, atol=6e-4)
    bars = re.findall(r'--w:([\d.]+)"></i></span>([\d.]+)', first)
    p_s = [sentence.weight for sentence in sentences]
    np.testing.assert_allclose([float(n) for _, n in bars], p_s, atol=0.006)
    widths = [float(width) for width, _ in bars]
    np.testing.assert_allclose(widths, np.divide(p_s, max(p_s)), atol=0.006)


def test_words_stand_as_the_user_wrote_them(page):
    text = re.sub(r"\s+", " ", page.text)
    assert "A good film." in text and "The actors were good!" in text
    assert "<script>alert(1)" in text
    assert "好电影。" in text
    # The middle of the long text was not read.
    assert page.source.count('class="left"') == 1


def test_the_page_says_whether_attention_mattered(page, explanations):
    erasure = explanations[0].erasure
    kept = explanations[0].probability - erasure.drop
    said = f"Without its strongest word: {explanations[0].label} {kept:.1%}"
    assert said in page.text
    assert "Without its 2 strongest words" in page.text


def flat_model(cls=models.BiLSTMAttentionTextClassifier, **options):
    tokenizer = cls.preprocessor_cls.tokenizer_cls(WORDS)
    flat = cls(
        cls.backbone_cls(tokenizer.vocabulary_size(), 4, **options),
        num_classes=2,
        preprocessor=cls.preprocessor_cls(tokenizer, max_words=8),
    )
    draw = np.random.default_rng(0).normal
    flat.set_weights([draw(size=w.shape) for w in flat.get_weights()])
    return flat


def test_a_model_of_one_level(tmp_path):
    flat = flat_model(units=3)
    explained = flat.explain(TEXTS)
    assert isinstance(explained[0], Explanation)
    assert explained[0].label in {"0", "1"}
    (sentence,) = explained[0].sentences["text"]
    assert sentence.weight == 1
    words = [token.text for token in sentence.tokens]
    assert words == "A good film . actors were good !".split()
    weights = [token.weight for token in sentence.tokens]
    np.testing.assert_allclose(sum(weights), 1, atol=1e-5)
    assert explained[2].sentences["text"] == []
    page = Page(explained.to_html(tmp_path / "flat.html", [0, 1, 0, 1, 0]))
    assert 'class="bar"' not in page.source
    assert "sentence" not in page.text.split("How to read")[1]
    shades = re.findall(r'<mark style="--w:([\d.]+)"', page.source.split("<article")[1])
    np.testing.assert_allclose(
        [float(x) for x in shades], np.divide(weights, max(weights)), atol=0.006
    )


def test_an_encoder_shows_every_head_and_what_reaches_the_end():
    encoder = flat_model(
        models.AttentionEncoderTextClassifier, num_layers=2, num_heads=2
    )
    explanation = encoder.explain(TEXTS)[0]
    blocks = [explanation.weights[f"block_{i}_weights"] for i in range(2)]
    for weights in blocks:
        assert weights.shape == (2, 8, 8)
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
    np.testing.assert_allclose(explanation.weights["rollout"], rollout(blocks))


@pytest.mark.parametrize(
    ("cls", "options", "name", "rows"),
    [
        (
            models.BiLSTMAttentionTextClassifier,
            {"pooling": "structured", "hops": 3},
            "hop_weights",
            3,
        ),
        (models.APCNNTextClassifier, {"kernel_sizes": (2, 3)}, "width_weights", 2),
    ],
)
def test_all_other_weights_are_given(cls, options, name, rows):
    explanation = flat_model(cls, **options).explain(TEXTS)[1]
    weights = explanation.weights[name]
    assert weights.shape == (rows, len(explanation.tokens()))
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


PAIRS = ["A good film.", "", "Bad!"], ["The actors.", "<b>bad</b>", ""]


def pair_model(cls, **options):
    keras.utils.set_random_seed(0)
    tokenizer = cls.preprocessor_cls.tokenizer_cls(WORDS)
    return cls(
        cls.backbone_cls(tokenizer.vocabulary_size(), 4, **options),
        preprocessor=cls.preprocessor_cls(tokenizer),
        class_names=CLASSES,
    )


def test_a_model_of_pairs(tmp_path):
    reader = pair_model(models.ReaderTextPairClassifier, units=3)
    explained = reader.explain(PAIRS)
    assert [e.label for e in explained] == [p.label for p in reader.classify(PAIRS)]
    premise, hypothesis = (explained[0].tokens(x) for x in ("premise", "hypothesis"))
    assert [token.text for token in premise] == ["A", "good", "film", "."]
    np.testing.assert_allclose(sum(t.weight for t in premise), 1, atol=1e-5)
    # The reader weighs the premise alone.
    assert [t.text for t in hypothesis] == ["The", "actors", "."]
    assert [t.weight for t in hypothesis] == [0, 0, 0]
    assert explained[1].tokens("premise") == []
    with pytest.raises(ValueError, match="one of .*'premise', 'hypothesis'.*None"):
        explained[0].tokens()
    page = Page(explained.to_html(tmp_path / "pairs.html", ["good"] * 3))
    assert page.text.count("premise") == page.text.count("hypothesis") == 3
    assert "either text's words" in page.text
    assert "3 pairs" in page.text and "Pair 3 · predicted" in page.text
    with pytest.raises(ValueError, match="premises"):
        reader.explain((PAIRS[0], PAIRS[1][:2]))
    with pytest.raises(ValueError, match="tuple of two lists"):
        reader.explain(PAIRS[0])


@pytest.mark.parametrize("variant", ["abcnn1", "abcnn2", "abcnn3"])
def test_pairs_that_are_matched_show_how(variant, tmp_path):
    abcnn = pair_model(
        models.ABCNNTextPairClassifier, filters=3, max_length=16, variant=variant
    )
    explained = abcnn.explain(PAIRS)
    matrix = explained[0].weights["match"]
    assert matrix.shape == (4, 3)
    assert (0 < matrix).all() and (matrix <= 1).all()
    page = Page(explained.to_html(tmp_path / "pairs.html"))
    assert page.source.count("<table>") == 1  # the others have an empty side
    cells = re.findall(r"<td style[^>]*>([\d.]+)</td>", page.source)
    np.testing.assert_allclose(
        np.reshape(np.array(cells, float), (4, 3)), matrix, atol=0.006
    )


def test_dynamic_readers_show_what_each_word_read():
    reader = pair_model(
        models.ReaderTextPairClassifier, units=3, attention="dynamic", own_words=True
    )
    matrix = reader.explain(PAIRS)[0].weights["alignment"]
    assert matrix.shape == (3, 4)  # for each word of the hypothesis
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)


def test_notebooks_get_a_part_of_a_page(explanations):
    for shown in (explanations, explanations[0]):
        fragment = shown._repr_html_()
        assert "<html" not in fragment and "<mark" in fragment
        # Nothing of the notebook's own is styled.
        style = fragment.split("</style>")[0].removeprefix("<style>")
        for selector in re.findall(r"^(?! |\}|@)(.*?)\{", style, re.MULTILINE):
            assert all(".kattn" in one for one in selector.split(","))


def test_pictures(explanations, tmp_path):
    abcnn = pair_model(models.ABCNNTextPairClassifier, filters=3, max_length=16)
    encoder = flat_model(models.AttentionEncoderTextClassifier, num_heads=2)
    pairs, heads = abcnn.explain(PAIRS), encoder.explain(TEXTS)[0]
    figures = {
        "strip": (explanations[0].plot(), 1),
        "nothing": (explanations[2].plot(), 1),
        "match": (pairs[0].plot(), 2),
        "half": (pairs[1].plot(), 2),
        "heads": (heads.plot("block_0_weights"), 4),
        "rollout": (heads.plot("rollout"), 2),
    }
    for name, (figure, parts) in figures.items():
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 1000
        assert len(figure.axes) == parts  # scales of colours are some
    words = [text.get_text() for text in figures["strip"][0].axes[0].texts]
    assert words == [token.text for token in explanations[0].tokens()]
    np.testing.assert_array_equal(
        figures["match"][0].axes[0].images[0].get_array(), pairs[0].weights["match"]
    )
    with pytest.raises(ValueError, match="among .*'match'.*Received: 'mtch'"):
        pairs[0].plot("mtch")


def test_without_labels_nothing_is_said_of_them(classifier, tmp_path):
    page = Page(classifier.explain(TEXTS[:1])[0].to_html(tmp_path / "a.html"))
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
def test_wrong_labels(explanations, tmp_path, labels, message):
    with pytest.raises(ValueError, match=message):
        explanations.to_html(tmp_path / "a.html", labels)


def test_a_failed_write_leaves_the_former_page(explanations, tmp_path, monkeypatch):
    path = tmp_path / "a.html"
    path.write_text("former")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        Explanations(explanations[:1]).to_html(path)
    assert path.read_text() == "former"
    assert list(tmp_path.iterdir()) == [path]


def test_explanations_are_of_the_weights_as_they_are_now():
    classifier = make()

    def chances():
        explained = classifier.explain(TEXTS, erasure=False)
        np.testing.assert_allclose(
            [list(one.probabilities.values()) for one in explained],
            classifier.predict_proba(TEXTS, verbose=0),
            atol=1e-5,
        )
        return explained[0].probability

    first = chances()
    for weight in classifier.trainable_weights:
        weight.assign(-1.5 * np.array(weight))
    second = chances()
    classifier.quantize("int8", filters=NAME)
    assert len({first, second, chances()}) == 3
