"""The README's examples run, and its figures are those of the trained models."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest

import kattn
from kattn.models.families import FAMILIES, family

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {"alignment.html", "attention.html", "attention.png"}
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_python_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = [block for block in BLOCKS if "import ray" not in block]
    assert len(blocks) == len(BLOCKS) - 1 == 6  # Ray's is in tests/test_distribution.py
    names = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert "label='business'" in capsys.readouterr().out
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"my_preset", "model.keras", "exported", *PAGES}
    # The second export became the next version.
    assert {p.name for p in (tmp_path / "exported" / "news").iterdir()} == {"1", "2"}


def rows(heading):
    """The cells of a table's rows, by the heading of its first column."""
    lines = README.splitlines()
    start = next(n for n, x in enumerate(lines) if x.startswith(f"| {heading} |"))
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize("kind", ["score", "region", "normalizer"])
def test_each_part_has_its_row_and_its_use(kind):
    module = getattr(kattn, f"{kind}s")
    listed = set()
    for names, _, paper, use in rows(kind):
        names = re.findall(r'"(\w+)"', names)
        listed.update(names)
        part = eval(use.strip("`"), vars(kattn))
        assert {type(module.get(name)) for name in names} == {type(part)}
        assert paper.startswith("[")
    assert listed == set(module._NAMED)


def test_each_layer_has_its_row_and_its_use():
    given = {
        "text": np.ones((2, 6, 16), "float32"),
        "other": np.ones((2, 4, 16), "float32"),
        "query": np.ones((2, 1, 16), "float32"),
        "vector": np.ones((2, 16), "float32"),
        "document": np.ones((2, 3, 6, 16), "float32"),
        "match": np.ones((2, 6, 6), "float32"),
        "keras": keras,
    }
    listed = set()
    for name, _, paper, use in rows("layer"):
        listed.update(re.findall(r"\[`(\w+)`\]", name))
        outputs = eval(use.strip("`"), {**vars(kattn.layers), **given})
        assert outputs.shape[0] == 2
        assert paper.startswith("[")
    assert listed == set(kattn.layers.__all__) - {"AttentionCell"}


def test_each_family_has_its_row():
    listed = set()
    for name, _, classes, paper in rows("`--model`"):
        kin = family(name.strip("`"))
        listed.add(name.strip("`"))
        kinds = [getattr(kattn.models, x) for x in re.findall(r"`(\w+)`", classes)]
        assert kinds == [kin.classifier.backbone_cls, kin.classifier]
        assert paper.startswith("[")
    assert listed == set(FAMILIES)


def test_the_links_of_the_readme_lead_somewhere():
    for target in re.findall(r"\]\(((?!http)[^)]+)\)", README):
        assert (ROOT / target).exists(), target
