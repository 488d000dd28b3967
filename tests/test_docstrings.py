"""The examples in the docstrings run and print what they say."""

import doctest
import importlib
import pkgutil

import keras
import numpy as np
import pytest

import kattn

MODULES = ["kattn"] + sorted(
    module.name
    for module in pkgutil.walk_packages(kattn.__path__, "kattn.")
    if not any(part.startswith("_") for part in module.name.split("."))
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    )
    said = []
    for test in doctest.DocTestFinder().find(module, name):
        test.globs = {**vars(module), "kattn": kattn, "np": np, "keras": keras}
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)
