"""Spans: each word is found in the text that it was made of."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kattn.text import head_and_tail, split_words
from kattn.text.spans import find_spans


def split(texts, case_fold=True):
    rows = split_words(texts, case_fold).to_list()
    return [[word.decode() for word in row] for row in rows]


def spans(text, case_fold=True):
    (words,) = split([text], case_fold)
    found = find_spans(text, words, lambda x: split(x, case_fold), len(words))
    assert len(found) == len(words)
    return words, found


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("It's GREAT.<br />Don’t  miss", "It 's GREAT . Do n’t miss"),
        ("3.5 stars, $1,000", "3.5 stars , $ 1,000"),
        ("好看。真的！", "好 看 。 真 的 ！"),
        ("한국어 ㅎㅏ!", "한국어 ㅎㅏ !"),
        ("a👨‍👩‍👧b 👍🏽 🇩🇪!", "a 👨‍ 👩‍ 👧 b 👍🏽 🇩🇪 !"),
        ("wait… Café CAFE\u0301", "wait … Café CAFE\u0301"),
        ("ＦＵＬＬ ｶﾞ Straße ﬁne", "ＦＵＬＬ ｶﾞ Straße ﬁne"),
        ("a\u00adb\u200bc \ufeffd", "a\u00adb\u200bc d"),
        ("", ""),
        (" \n\t", ""),
    ],
)
def test_the_users_own_text_is_found(text, parts):
    _, found = spans(text)
    got = [text[start:end].strip("\ufeff") for start, end in found]
    assert got == parts.split()


def test_of_a_long_text_head_and_tail_are_found():
    text = "the film was good . " * 5 + "THE film was bad ."
    (words,) = split([text])
    read = [word.decode() for word in head_and_tail([words], 7).to_list()[0]]
    found = find_spans(text, read, split, head=4)
    assert [text[start:end] for start, end in found] == (
        "the film was good film was bad".split()[:4] + "was bad .".split()
    )
    assert found[3][1] < 20 and found[4][0] > len("the film was good . " * 5)


@given(st.text(max_size=30), st.booleans())
@example("e\u200d\u0301", True)
@example("＜br＞a", True)
@example("\u1100\u1161\u11a8", True)
@example("ς İ ŉ", True)
def test_of_any_text_each_word_is_found_in_order(text, case_fold):
    words, found = spans(text, case_fold)
    before = 0
    for start, end in found:
        assert 0 <= start < end <= len(text)
        assert start >= before
        before = start
    for word, (start, end) in zip(words, found, strict=True):
        # What it was found in gives the word, unless it shares its character.
        (own,) = split([text[start:end]], case_fold)
        joined = unicodedata.normalize("NFKC", "".join(own))
        assert word in joined or any(mark in text for mark in "\u200d＜")
