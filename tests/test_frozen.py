"""Every preset says what it said when it was made."""

import importlib.util
from pathlib import Path

import keras
import pytest

from kattn.models import manifest
from kattn.models.presets import folders

FOLDER = Path(__file__).resolve().parent / "frozen"


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's figures are frozen"
)
@pytest.mark.parametrize("name", folders())
def test_a_preset_says_what_it_said(name):
    spec = importlib.util.spec_from_file_location("freeze", FOLDER / "freeze.py")
    freeze = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(freeze)
    folder = folders()[name]
    manifest.check(folder)
    freeze.check(name, folder)
    assert {path.stem for path in FOLDER.glob("*_*.json")} == set(folders())
