"""The README's examples run, and its figures are those of the trained models."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_python_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(BLOCKS) == 3
    names = {}
    for block in BLOCKS:
        exec(compile(block, "README.md", "exec"), names)
    assert "label='business'" in capsys.readouterr().out
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"my_preset", "model.keras", "exported"}
    # The second export became the next version.
    assert {p.name for p in (tmp_path / "exported" / "news").iterdir()} == {"1", "2"}


@pytest.mark.parametrize("folder", sorted((ROOT / "models").iterdir()))
def test_each_trained_model_has_its_row_and_its_papers(folder):
    metrics = json.loads((folder / "metrics.json").read_text())
    accuracy = f"{100 * metrics['test']['accuracy']:.1f} %"
    (row,) = [line for line in README.splitlines() if f"[`{folder.name}`]" in line]
    assert accuracy in row
    assert accuracy in (folder / "README.md").read_text(encoding="utf-8")
    assert (folder / "recipe.toml").is_file()
    weights = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    assert weights <= 8 * 2**20


def test_the_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / target).exists(), target
