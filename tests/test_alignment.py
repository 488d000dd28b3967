"""What a model read as it wrote: the weights, the page and the picture of them."""

import re

import keras
import numpy as np
import pytest

from kattn.alignment import Alignment, Alignments, compare
from kattn.models import (
    TARGET_TOKENS,
    AttentionSeq2Seq,
    AttentionSeq2SeqBackbone,
    AttentionSeq2SeqPreprocessor,
)
from kattn.text import CharacterTokenizer, WordTokenizer

SOURCES = ["a<b>c", "", "cab ab", "b"]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    letters = CharacterTokenizer(list("abc"))
    sounds = WordTokenizer([*TARGET_TOKENS, "x", "y", "z"], case_fold=False)
    sizes = letters.vocabulary_size(), sounds.vocabulary_size()
    model = AttentionSeq2Seq(
        AttentionSeq2SeqBackbone(*sizes, 4, units=8),
        AttentionSeq2SeqPreprocessor(letters, sounds),
    )
    draw = np.random.default_rng(0).normal
    model.set_weights([draw(size=w.shape) for w in model.get_weights()])
    bias = np.zeros(sizes[1], "float32")
    bias[model.preprocessor.end_id] = -30  # or it would write nothing
    model.output_dense.bias.assign(bias)
    return model


@pytest.fixture(scope="module")
def alignments(model):
    return model.explain(SOURCES, beam_width=3)


def test_what_is_explained_is_what_a_search_finds(model, alignments):
    found = model.search(SOURCES, beam_width=3)
    assert [one.text for one in alignments] == [some[0].text for some in found]
    for one, some in zip(alignments, found, strict=True):
        assert one.score == pytest.approx(some[0].score, abs=1e-5)
        assert " ".join(one.tokens) == one.text
    assert [one.source for one in alignments] == SOURCES


def test_weights_are_those_of_a_teacher_forced_pass(model, alignments):
    pre = model.preprocessor
    reader = model.backbone.attention_model()
    for one in alignments:
        assert one.weights.shape == (len(one.tokens), len(one.source_tokens))
        if not one.tokens:
            continue
        x, _, _ = pre({"encoder_text": [one.source], "decoder_text": [one.text]})
        expected = np.asarray(reader(x)["alignment"])[0]
        rows, columns = one.weights.shape
        np.testing.assert_allclose(one.weights, expected[:rows, :columns], atol=1e-5)
        np.testing.assert_allclose(one.weights.sum(axis=1), 1, atol=1e-5)


def test_without_attention_nothing_is_told(model):
    sizes = model.backbone.source_vocabulary_size, model.backbone.target_vocabulary_size
    blind = AttentionSeq2Seq(
        AttentionSeq2SeqBackbone(*sizes, 4, units=8, attention="none"),
        model.preprocessor,
    )
    assert len(blind.generate(SOURCES, beam_width=2)) == len(SOURCES)
    with pytest.raises(ValueError, match="told by attention"):
        blind.explain(SOURCES)


def test_a_page_shows_every_weight_and_says_it_when_pointed_at(alignments, tmp_path):
    text = alignments.to_html(tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<article>") == len(SOURCES)
    weights = np.concatenate([one.weights.ravel() for one in alignments])
    shown = [float(x) for x in re.findall(r"<td [^>]*>([0-9.]+)</td>", text)]
    np.testing.assert_allclose(shown, weights, atol=0.0051)
    assert ">a&lt;b&gt;c</h2>" in text and "a<b>c" not in text
    assert re.search(r'title="[xyz] ← [abc]: [01]\.\d{3}"', text)
    assert "<script" not in text and "http" not in text.split("</style>")[-1]
    assert alignments[0].to_html(tmp_path / "one.html").is_file()
    assert "<!DOCTYPE" not in alignments._repr_html_()
    assert "<table>" in alignments[0]._repr_html_()


def test_models_are_compared_on_the_same_sources(alignments, tmp_path):
    path = compare({"this": alignments, "that": alignments}, tmp_path / "both.html")
    text = path.read_text(encoding="utf-8")
    assert text.count("<article>") == len(SOURCES)
    assert text.count("this: <b") == text.count("that: <b") == len(SOURCES)
    with pytest.raises(ValueError, match="the same sources.*'that' with \\['b'\\]"):
        compare({"this": alignments, "that": alignments[-1:]}, tmp_path / "no.html")
    assert not (tmp_path / "no.html").exists()


def test_the_picture(alignments, tmp_path):
    figure = alignments[0].plot()
    axes, _ = figure.axes
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == alignments[0].source_tokens
    np.testing.assert_array_equal(axes.images[0].get_array(), alignments[0].weights)
    figure.savefig(tmp_path / "picture.png")
    empty = Alignment("", "", 0.0, [], [], np.zeros((0, 0)))
    empty.plot().savefig(tmp_path / "empty.png")
    assert "Nothing was written" in Alignments([empty])._repr_html_()
