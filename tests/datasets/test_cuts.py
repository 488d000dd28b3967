import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kattn.datasets.assemble import Rules, assemble
from kattn.datasets.corpus import Split
from kattn.datasets.cuts import cut
from kattn.datasets.equality import keys
from kattn.datasets.phrases import cut_sentences

NAMES = ("no", "yes")


def corpus(rules, texts, labels, **splits):
    labels = np.array(labels, np.int32)
    return assemble("toy", NAMES, {"train": Split(texts, labels), **splits}, rules)


def on_both_sides(corpus):
    train, validation, test = (
        set(keys(s)) for s in (corpus.train, corpus.validation, corpus.test)
    )
    return len(train & validation) + len(train & test) + len(validation & test)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), max_size=80),
    st.integers(0, 5),
)
def test_equal_texts_stay_together(rows, seed):
    rows = [*rows, *((100 + i, i % 2) for i in range(8))]
    texts = [
        ("Text %d", "text  %d.", " TEXT %d")[i % 3] % n for i, (n, _) in enumerate(rows)
    ]
    made = corpus(Rules(seed=seed), texts, [label for _, label in rows])
    assert on_both_sides(made) == 0
    parts = made.train, made.validation, made.test
    assert sorted(t for p in parts for t in p.texts) == sorted(texts)
    assert all(set(part.labels.tolist()) == {0, 1} for part in parts)


def test_sizes_are_exact_and_stratified():
    labels = [0] * 700 + [1] * 300
    made = corpus(Rules(), [f"text {i}" for i in range(1000)], labels)
    parts = made.train, made.validation, made.test
    assert [len(p) for p in parts] == [800, 100, 100]
    assert [np.bincount(p.labels).tolist() for p in parts] == [
        [560, 240],
        [70, 30],
        [70, 30],
    ]


def test_sizes_are_exact_though_one_text_repeats():
    texts = ["same"] * 40 + [f"text {i}" for i in range(60)]
    held = cut(texts, np.zeros(100, int), 0.2, 3, ["all"])
    assert held.sum() == 20 and not held[:40].any()


def test_a_seed_decides_and_row_order_does_not():
    texts = [f"text {i}" for i in range(200)]
    labels = np.arange(200) % 2
    one, same, other = (cut(texts, labels, 0.2, seed, NAMES) for seed in (1, 1, 2))
    assert (one == same).all() and (one != other).any()
    turned = cut(texts[::-1], labels[::-1], 0.2, 1, NAMES)
    assert (turned[::-1] == one).all()


def test_the_cut_is_the_same_everywhere():
    # Written down on purpose: published figures rest on the order of the draw.
    held = cut([f"text {i}" for i in range(20)], np.zeros(20, int), 0.2, 7, ["all"])
    assert np.flatnonzero(held).tolist() == [4, 11, 15, 16]


def test_the_text_that_repeats_least_goes_if_none_fits():
    held = cut(list("aaabb"), np.zeros(5, int), 0.1, 0, ["all"])
    assert held.tolist() == [False] * 3 + [True] * 2


def test_the_other_side_keeps_what_it_needs():
    held = cut(list("abcd"), np.zeros(4, int), 0.9, 0, ["all"], keep=2)
    assert held.sum() == 2


def test_a_class_too_small_to_split_is_named():
    texts = [f"text {i}" for i in range(20)] + ["rare", "Rare!"]
    with pytest.raises(
        ValueError, match=r"class 'yes': expected at least 3 different.*Received: 1\."
    ):
        corpus(Rules(), texts, [0] * 20 + [1] * 2)


def test_a_class_that_would_stand_on_one_side_is_named():
    texts = ["a b c", "a", "b", "x y", "z w"]  # "yes" has phrases of one sentence only
    with pytest.raises(ValueError, match="class 'yes'.*on one side"):
        corpus(
            Rules(phrases=True, test=0.3),
            texts,
            [0, 1, 1, 0, 0],
            test=Split(["t"], None),
        )


def test_duplicates_are_removed_on_request():
    texts = [f"text {i}" for i in range(40)] * 2
    labels = [i % 2 for i in range(40)] * 2
    removed = corpus(Rules(duplicates="remove"), texts, labels)
    parts = removed.train, removed.validation, removed.test
    assert sum(len(p) for p in parts) == 40
    assert any("40 of 80" in note and "40 remain" in note for note in removed.notes)
    kept = corpus(Rules(), texts, labels)
    assert sum(len(p) for p in (kept.train, kept.validation, kept.test)) == 80
    assert any("40 of 80" in note and "left in" in note for note in kept.notes)


def test_official_overlaps_are_reported_and_left():
    texts = [f"text {i}" for i in range(40)]
    labels = [i % 2 for i in range(40)]
    test = Split(["TEXT 1", "text 1", "new"], np.array([1, 1, 0], np.int32))
    made = corpus(Rules(), texts, labels, test=test, validation=test)
    assert made.test is test
    notes = " ".join(made.notes)
    assert "2 of 3 test examples also stand in train" in notes
    assert "3 of 3 test examples also stand in validation" in notes
    assert "Split:" not in notes  # nothing was cut


def sentences(n):
    rows, labels = [], []
    for i in range(n):
        words = [f"w{i}x{j}" for j in range(5)] + ["shared"]
        rows += [
            " ".join(words),
            " ".join(words[:3]),
            words[0],
            " ".join(words[2:]) + " ",
        ]
        labels += [i % 2] * 4
    return [*rows, "shared"], [*labels, 0]


def test_sentences_leave_with_their_phrases():
    rows, labels = sentences(50)
    held = cut_sentences(rows, rows, np.array(labels), 0.2, 5)
    out = [" ".join(r.split()) for r, h in zip(rows, held, strict=True) if h]
    left = [" ".join(r.split()) for r, h in zip(rows, held, strict=True) if not h]
    assert 40 <= len(out) <= 45 and "shared" in out
    assert not [r for r in left if any(f" {r} " in f" {o} " for o in out)]
    of_yes = np.array(labels)[held].mean()
    assert 0.4 <= of_yes <= 0.6


def test_equal_texts_leave_with_a_phrase():
    rows = ["a b c", "B C", "b, c", "d e f", "d", "g h", "g"]
    labels = np.array([0, 0, 0, 1, 1, 1, 1])
    spelled = [r.casefold().replace(",", "") for r in rows]
    for seed in range(20):
        held = cut_sentences(rows, spelled, labels, 0.4, seed)
        assert held[1] == held[2] and held[1] >= held[0]
        assert held[3] == held[4] and held[5] == held[6]
