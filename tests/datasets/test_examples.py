import doctest
import importlib
import pkgutil
from pathlib import Path

import pytest

import kattn.datasets

MODULES = [
    f"kattn.datasets.{m.name}" for m in pkgutil.iter_modules(kattn.datasets.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    module = importlib.import_module(name)
    results = doctest.testmod(module)
    assert results.failed == 0


def test_load_has_an_example():
    assert ">>> corpus = load(" in kattn.datasets.load.__doc__


def test_nothing_here_imports_a_framework():
    for file in Path(kattn.datasets.__file__).parent.glob("*.py"):
        source = file.read_text(encoding="utf-8")
        for name in ("tensorflow", "keras", "torch", "jax"):
            assert f"import {name}" not in source and f"from {name}" not in source
