"""Texts with slips of the keyboard, and what is measured on them."""

import numpy as np
import pytest

from kattn import robustness
from kattn.datasets import Split

TEXT = "The quick brown fox jumps over the lazy dog, 12 times. 很好！" * 40


def test_slips_are_as_frequent_as_asked():
    (slipped,) = robustness.typos([TEXT], rate=0.05)
    letters = sum(c.isascii() and c.isalpha() for c in TEXT)
    assert slipped != TEXT
    # A quarter is left out, a quarter doubled: both are seen in the counts.
    gone = sum(TEXT.count(c) - slipped.count(c) for c in " ,.1很好！2")
    assert gone == 0, "only letters slip"
    changed = sum(a != b for a, b in zip(TEXT.split(), slipped.split(), strict=False))
    assert 0.02 * letters < changed < 0.07 * letters


def test_the_seed_decides_and_nothing_slips_at_rate_0():
    assert robustness.typos([TEXT]) == robustness.typos([TEXT])
    assert robustness.typos([TEXT]) != robustness.typos([TEXT], seed=1)
    assert robustness.typos([TEXT, ""], rate=0) == [TEXT, ""]


class Reader:
    """Says 1 where it finds "good", as it is written."""

    def predict(self, texts, **kwargs):
        return np.array([[1, 0] if "good" not in text else [0, 1] for text in texts])


def test_accuracies():
    texts = ["good", "poor film", "a film that is good", "rather " * 9 + "poor"] * 25
    split = Split(texts, np.array([1, 0, 1, 1] * 25, "int32"))
    found = robustness.measure(Reader(), split)
    assert found["lower"] == 0.75
    assert found["upper"] == 0.25
    assert found["length_quartiles"] == [1, 1, 1, 0]
    assert 0.5 < found["typos"] < 0.75
    assert found["typos"] == pytest.approx(
        (Reader().predict(robustness.typos(texts)).argmax(-1) == split.labels).mean()
    )


def test_texts_of_other_letters_have_no_slips():
    texts = ["很好 DVD", "不好", "还可以", "good 不错不错不错"]
    split = Split(texts, np.array([0, 0, 0, 1], "int32"))
    assert set(robustness.measure(Reader(), split)) == {"length_quartiles"}
