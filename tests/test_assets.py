"""`kattn.assets`: folders in the wheel or the checkout."""

import pytest

from kattn import assets


@pytest.fixture
def tree(tmp_path, monkeypatch):
    package = tmp_path / "kattn"
    package.mkdir()
    monkeypatch.setattr(assets, "_PACKAGE", package)
    return tmp_path


def test_a_checkout(tree):
    (tree / "pyproject.toml").touch()
    for name in ("b", "a", ".hidden", "__pycache__"):
        (tree / "models" / name).mkdir(parents=True)
    (tree / "models" / "README.md").touch()
    assert assets.folders("models") == {n: tree / "models" / n for n in ("a", "b")}


def test_a_wheel_comes_first(tree):
    (tree / "pyproject.toml").touch()
    (tree / "models" / "a").mkdir(parents=True)
    inside = tree / "kattn" / "_assets" / "models" / "b"
    inside.mkdir(parents=True)
    assert assets.folders("models") == {"b": inside}


def test_another_packages_folder_is_not_ours(tree):
    (tree / "datasets" / "arrow_dataset").mkdir(parents=True)
    assert assets.folders("datasets") == {}
