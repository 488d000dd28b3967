"""The script that labels words for g2p_en to learn from."""

import importlib.util
import math
from pathlib import Path


def script():
    path = Path(__file__).with_name("benchmarks") / "labelling.py"
    spec = importlib.util.spec_from_file_location("labelling", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_opinions_are_multiplied():
    likeliest = script().likeliest
    one = {"a": math.log(0.6), "b": math.log(0.4)}
    other = {"a": math.log(0.2), "b": math.log(0.8)}
    assert likeliest(one) == "a"
    assert likeliest(one, other) == "b"  # 0.32 to 0.12
    # What one of them did not find is less likely than all that it did.
    assert likeliest({"a": -1.0, "b": -1.5}, {"c": -0.5, "b": -2.0}) == "b"
    assert likeliest({"a": -1.0, "b": -9.0}, {"c": -0.5, "b": -9.0}) == "c"
    assert likeliest(one, {}) is None
