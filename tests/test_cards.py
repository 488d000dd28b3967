"""The cards of presets and the README's table say what metrics.json says."""

import json
import re
import shutil
from pathlib import Path

import pytest

import kattn
from kattn import cards
from kattn.models import HierarchicalAttentionTextClassifier
from kattn.models.presets import folders

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = [p for p in kattn.presets() if p.deviation is not None]


def test_the_table_of_the_readme_is_in_step():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert cards.table(kattn.presets()) in readme


def test_every_folder_of_models_is_a_preset():
    made = {path.name for path in (ROOT / "models").iterdir()}
    assert made == {preset.name for preset in kattn.presets()}


@pytest.mark.parametrize("preset", SHIPPED, ids=lambda preset: preset.name)
def test_the_card_of_each_preset_is_in_step(preset):
    folder = folders()[preset.name]
    made = cards.card(preset.name, folder)
    assert (folder / "README.md").read_text(encoding="utf-8") == made


@pytest.mark.parametrize("preset", SHIPPED, ids=lambda preset: preset.name)
def test_the_example_of_each_card_runs(preset):
    text = (folders()[preset.name] / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    names = {}
    exec(compile(block, preset.name, "exec"), names)
    if preset.writes:
        assert names["model"].count_params() > 0
    else:
        assert names["classifier"].class_names


def test_presets_are_small():
    sizes = [preset.megabytes for preset in kattn.presets()]
    assert max(sizes) <= 8 and sum(sizes) <= 64


@pytest.fixture
def run(tmp_path):
    """A finished run: a shipped preset with figures of two seeds beside it."""
    folder = tmp_path / "run"
    shipped = folders()["han_bbc_en"]
    shutil.copytree(shipped, folder / "preset")
    for name in ("metrics.json", "recipe.toml", "README.md"):
        (folder / "preset" / name).unlink()
    metrics = json.loads((shipped / "metrics.json").read_text())
    metrics |= {
        "seed": 1,
        "seeds": {
            "0": {"test": 0.5, "unseen": 0.375, "validation": 0.25},
            "1": {"test": 0.75, "unseen": 0.625, "validation": 0.5},
        },
        "unseen": {"examples": 414, "accuracy": 0.625},
        "mean": 0.625,
        "standard_deviation": 0.125,
        "alone": {"network": 0.375, "ngrams": 0.125},
        "baseline": {"method": "Tossing a coin", "accuracy": 0.2, "seconds": 1.0},
        "robustness": {
            **{"typos": 0.125, "lower": 0.25, "upper": 0.375},
            "length_quartiles": [0.1, 0.2, 0.3, 0.4],
        },
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    recipe = shipped.joinpath("recipe.toml").read_text()
    recipe = re.sub(r'vectors = ".*"', 'vectors = "/home/me/glove.txt.gz"', recipe)
    recipe += 'data_dir = "/home/me"\n'
    (folder / "recipe.toml").write_text(recipe)
    return folder


def test_a_run_is_published(run, tmp_path):
    folder = tmp_path / "models" / "han_bbc_en"
    folder.mkdir(parents=True)
    (folder / "notes.md").write_text("## Limits\n\nNone that are known.\n")
    (folder / "stale.h5").write_text("of a former one")
    assert cards.publish(run, folder) == folder
    assert [path.name for path in folder.parent.iterdir()] == ["han_bbc_en"]
    assert not (folder / "stale.h5").exists()
    classifier = HierarchicalAttentionTextClassifier.from_preset(folder)
    assert classifier.class_names[0] == "business"
    recipe = (folder / "recipe.toml").read_text()
    assert "/home/me" not in recipe and 'vectors = "glove.txt.gz"' in recipe
    card = (folder / "README.md").read_text()
    for said in (
        "# han_bbc_en\n",
        "| 0 | 25.0 % | 50.0 % |",
        "| 1 (this one) | 50.0 % | 75.0 % |",
        "62.5 %, 12.5 |",
        "| Tossing a coin | | 20.0 % |",
        "without the 10 test examples that also stand in train | | 50.0 % |",
        "network of this seed alone gets 37.5 %, the n-grams alone 12.5 %",
        "letters: 12.5 %; in lower case 25.0 %, in upper case 37.5 %",
        "10.0 %, 20.0 %, 30.0 %, 40.0 %.",
        "None that are known.",
        "non-commercial research",
    ):
        assert said in card


def test_a_card_of_texts_that_have_no_slips(run, tmp_path):
    metrics = json.loads((run / "metrics.json").read_text())
    metrics["robustness"] = {"length_quartiles": [0.1, 0.2, 0.3, 0.4]}
    (run / "metrics.json").write_text(json.dumps(metrics))
    folder = cards.publish(run, tmp_path / "models" / "han_bbc_en")
    card = (folder / "README.md").read_text()
    assert "\nBy length, from" in card and "slips" not in card


def test_an_unfinished_run_is_not_published(tmp_path):
    with pytest.raises(FileNotFoundError, match="no finished run"):
        cards.publish(tmp_path, tmp_path / "models" / "x")
    assert list(tmp_path.iterdir()) == []


def test_only_what_stands_between_the_marks_is_written(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- presets -->\nold\n<!-- /presets -->\nb\n")
    cards.refresh(readme, kattn.presets())
    table = cards.table(kattn.presets())
    expected = f"a\n<!-- presets -->\n{table}<!-- /presets -->\nb\n"
    assert readme.read_text() == expected
