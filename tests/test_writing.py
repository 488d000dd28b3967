"""Figures of what was written, and train.py for models that write."""

import json

import numpy as np
import pytest

from kattn import recipes, writing
from kattn.models import AttentionSeq2Seq
from kattn.seq2seq_recipe import Seq2SeqRecipe


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
    (tmp_path / "recipe.toml").write_text(recipe + "embedding_dim = 3\n")
    folder = recipes.run({"recipe": "recipe.toml", "output": "run", "beam_width": 2})
    metrics = json.loads((folder / "metrics.json").read_text())
    assert 0 <= metrics["test"]["word_error_rate"] <= 1
    assert {path.name for path in folder.iterdir()} == {
        *("preset", "metrics.json", "history.csv", "recipe.toml", "written.tsv"),
        "learning_curves.png",
    }
    model = AttentionSeq2Seq.from_preset(folder / "preset")
    assert len(model.generate(["101", "11"])) == 2
    with pytest.raises(ValueError, match="is finished"):
        recipes.run({"resume": "run"})


def test_keys_that_are_none_of_a_recipe():
    with pytest.raises(ValueError, match="Did you mean 'units'"):
        recipes.run({"model": "attention_seq2seq", "unit": 3})
    with pytest.raises(ValueError, match="Did you mean 'word'"):
        Seq2SeqRecipe(target_tokens="words")
    with pytest.raises(ValueError, match="'dropout' is less than 1"):
        Seq2SeqRecipe(dropout=1.0)
