"""Every preset says what it said when it was made."""

import importlib.util
import json
from pathlib import Path

import keras
import numpy as np
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
    expected = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert len(expected) == 20
    np.testing.assert_allclose(freeze.said(name, folder), expected, atol=1e-4)
    assert {path.stem for path in FOLDER.glob("*_*.json")} == set(folders())
