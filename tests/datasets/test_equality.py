import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kattn.datasets.corpus import Corpus, Split
from kattn.datasets.equality import apart, count_in, firsts, key, keys, unseen


@settings(deadline=None)
@given(st.text())
def test_white_space_and_case_do_not_matter(text):
    folded = " ".join(text.casefold().split())
    assert key(f"\n {text}\t") == key(text) == key(folded)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "ab"),
        ("good", "bad"),
        ("好", "坏"),
        ("!", "?"),
        ("की", "का"),
        ("a 😀", "a 😡"),
    ],
)
def test_different_texts_stay_different(one, other):
    assert key(one) != key(other)


def test_punctuation_does_not_matter():
    assert (
        key("酒店，不错。") == key("酒店 不错") and key("$100m-share!") == "100m share"
    )


def test_a_pair_is_equal_in_its_order():
    pairs = Split((["a", "b", "A "], ["b", "a", "B."]), None)
    first, swapped, again = keys(pairs)
    assert first == again != swapped


def test_firsts_and_counts():
    assert firsts(["a", "b", "a", "c", "b"]) == [0, 1, 3]
    assert count_in(["a", "a", "b"], ["a", "c"]) == 2


def test_unseen_is_what_does_not_stand_in_train():
    train, test = (
        Split(texts, np.zeros(len(texts), np.int32))
        for texts in (["A good film.", "bad"], ["bad?", "good", "a good film", "fair"])
    )
    assert unseen(Corpus("x", ("a", "b"), train, test, test, ())) == [1, 3]


def test_apart_is_without_what_another_corpus_holds_out():
    def corpus(train, validation, test):
        splits = (
            Split(texts, np.arange(len(texts), dtype="int32"))
            for texts in (train, validation, test)
        )
        return Corpus("x", ("a", "b", "c"), *splits, ())

    first = corpus(["Good.", "fair", "bad", "poor"], ["good"], ["bad"])
    other = corpus(["fair"], ["a new one", "good!"], ["Bad"])
    left = apart(first, other)
    assert left.train.texts == ["fair", "poor"] and left.train.labels.tolist() == [1, 3]
    assert left.test is first.test


def test_split_takes_and_counts():
    split = Split((["a", "b", "c"], ["x", "y", "z"]), np.array([0, 1, 0], np.int32))
    part = split.take([2, 0])
    assert part.texts == (["c", "a"], ["z", "x"])
    assert part.labels.tolist() == [0, 0] and part.labels.dtype == np.int32
    assert len(split) == 3 and len(part) == 2 and part.pairs
    assert Split(["a"], None).take([0]).labels is None


def test_split_refuses_unequal_lengths():
    with pytest.raises(
        ValueError, match=r"as many labels as texts. Received: \[2, 1\]"
    ):
        Split(["a", "b"], np.array([0], np.int32))


def test_records_are_frozen():
    split = Split(["a"], None)
    with pytest.raises(AttributeError):
        split.texts = []
    with pytest.raises(AttributeError):
        Corpus("x", ("a",), split, split, split).name = "y"
