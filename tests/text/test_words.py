import keras_hub  # noqa: F401 (its import warnings, if any, at collection time)
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from kattn.text import WordTokenizer, split_words


def words(text, **kwargs):
    return [word.decode("utf-8") for word in split_words(text, **kwargs).numpy()]


CASES = {
    "english": ("Hello, World!", ["hello", ",", "world", "!"]),
    "brackets": ('He said: "(no)"', ["he", "said", ":", '"', "(", "no", ")", '"']),
    "contraction n't": ("Don't can't WON'T", "do n't ca n't wo n't".split()),
    "contraction 's": (
        "It's she'd they'll we've I'm you're",
        "it 's she 'd they 'll we 've i 'm you 're".split(),
    ),
    "two contractions": ("she'd've shouldn't've", "she 'd 've should n't 've".split()),
    "curly": ("Don’t “quote” it‘s", ["do", "n't", '"', "quote", '"', "it", "'s"]),
    "acute and backtick": ("don´t don`t", ["do", "n't", "do", "n't"]),
    "apostrophe within": ("O'Brien at 5 o'clock", ["o'brien", "at", "5", "o'clock"]),
    "apostrophe at an end": (
        "'tis the dogs' rock 'n' roll",
        ["'", "tis", "the", "dogs", "'", "rock", "'", "n", "'", "roll"],
    ),
    "apostrophe of numbers": ("5'10 1990's", ["5", "'", "10", "1990", "'s"]),
    "numbers": ("3.5 1,000,000 10:30 1.2.3", ["3.5", "1,000,000", "10:30", "1.2.3"]),
    "numbers that end": ("In 1999. 7/10, -3", "in 1999 . 7 / 10 , - 3".split()),
    "letters and digits": ("mp3 3.5mm B2B", ["mp3", "3.5", "mm", "b2b"]),
    "single letters": ("The U.S. and e.g. U.K", ["the", "u.s.", "and", "e.g.", "u.k"]),
    "no single letters": ("end.A cat.", ["end", ".", "a", "cat", "."]),
    "runs": ("wait... what....", ["wait", "...", "what", "...", "."]),
    "ellipsis": ("wait…", ["wait", "..."]),
    "exclamations": ("no!!! ?!", ["no", "!", "!", "!", "?", "!"]),
    "dashes": ("well-known -- yes", ["well", "-", "known", "--", "yes"]),
    "underscore": ("a_b @x #y", ["a", "_", "b", "@", "x", "#", "y"]),
    "html": ("a<br />b<BR>c< br / >d</br>e", ["a", "b", "c", "d", "e"]),
    "other html": ("<i>x</i>", ["<", "i", ">", "x", "<", "/", "i", ">"]),
    "whitespace": (" \t\n\r\x0b\x0c\u00a0\u3000\u1680 x \u2028y", ["x", "y"]),
    "control": ("a\x00b\x07c\u0096d\x7f", ["a", "b", "c", "d"]),
    "no width": ("zero\u200bwidth soft\u00adhyphen", ["zerowidth", "softhyphen"]),
    "nfkc": ("Ｆｕｌｌ ﬁne ① ²", ["full", "fine", "1", "2"]),
    "composed": ("cafe\u0301 CAFÉ", ["café", "café"]),
    "folding": ("Straße STRASSE ΑΣ ας", ["strasse", "strasse", "ασ", "ασ"]),
    "dotted capital": ("İstanbul", ["i̇stanbul"]),
    "han": ("我爱 NLP。", ["我", "爱", "nlp", "。"]),
    "han, extensions": ("𠮷\U00031350\U0003347b", ["𠮷", "\U00031350", "\U0003347b"]),
    "han and digits": ("价格3.5元", ["价", "格", "3.5", "元"]),
    "japanese": ("テレビを見た", ["テレビ", "を", "見", "た"]),
    "half-width kana": ("ﾃﾚﾋﾞ", ["テレビ"]),
    "korean": ("한국어 텍스트", ["한국어", "텍스트"]),
    "thai": ("ไทย", ["ไ", "ท", "ย"]),
    "arabic": ("مرحبا، عالم", ["مرحبا", "،", "عالم"]),
    "cyrillic": ("Привет, Мир", ["привет", ",", "мир"]),
    "hindi keeps its marks": ("हिन्दी।", ["हिन्दी", "।"]),
    "emoji": ("ok😀😀 👍🏽!", ["ok", "😀", "😀", "👍🏽", "!"]),
    "emoji, joined": ("👩‍💻❤️", ["👩", "💻", "❤"]),
    "flags, key caps": ("🇺🇸🇩🇪 1️⃣#️⃣", ["🇺🇸", "🇩🇪", "1⃣", "#⃣"]),
    "new emoji": ("\U0001fae8\U0001fadf", ["\U0001fae8", "\U0001fadf"]),
    "latin-1 bytes": (b"caf\xe9 noir \xff\xfe", ["caf", "noir"]),
    "surrogate": ("a\ud800 b", ["a", "b"]),
    "empty": ("", []),
    "blank": (" \n ", []),
}


@pytest.mark.parametrize("case", CASES)
def test_words(case):
    text, expected = CASES[case]
    assert words(text) == expected


@pytest.mark.parametrize("case", CASES)
def test_without_folding_the_same_borders(case):
    text, expected = CASES[case]
    kept = words(text, case_fold=False)
    assert [w for word in kept for w in words(word)] == expected


def test_case_is_kept():
    assert words("Don't SHOUT, Straße", case_fold=False) == [
        "Do",
        "n't",
        "SHOUT",
        ",",
        "Straße",
    ]


def test_every_rank():
    one = [b"a", b"b"]
    assert split_words("a b").shape.rank == 1
    assert split_words("a b").numpy().tolist() == one
    assert split_words([]).to_list() == []
    assert split_words(["a b", ""]).to_list() == [one, []]
    assert split_words((("a b",), ("", "a b"))).to_list() == [[one], [[], one]]
    assert split_words([["a b"], ["a b"]]).to_list() == [[one], [one]]
    dense = tf.constant([[["a b"], [""]], [["a b"], ["a b"]]])
    assert split_words(dense).to_list() == [[[one], [[]]], [[one], [one]]]
    ragged = tf.ragged.constant([[["a b"], []], []])
    assert split_words(ragged).to_list() == [[[one], []], []]
    uniform = tf.ragged.constant([[["a b"]], []], ragged_rank=1, inner_shape=(1,))
    assert split_words(uniform).to_list() == [[[one]], []]
    assert split_words([tf.constant("a b")]).to_list() == [one]


@pytest.mark.parametrize("wrong", [[1, 2], 3.5, ["a", 1], ["a", ["b"]], None])
def test_texts_must_be_strings(wrong):
    with pytest.raises((ValueError, TypeError)):
        split_words(wrong)


def test_a_megabyte():
    assert split_words("Nice film. " * 100_000).shape == (300_000,)


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_any_text_splits_and_splits_again_alike(text):
    first = words(text)
    assert all(word and not any(c.isspace() for c in word) for word in first)
    assert words(" ".join(first)) == first


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="abn't's.,:3-…é漢の👍🏽🇺 \u0301'", max_size=30))
def test_awkward_texts_split_again_alike(text):
    first = words(text)
    assert words(" ".join(first)) == first
    tokenizer = WordTokenizer(sorted(set(first)))
    assert tokenizer.detokenize(tokenizer.tokenize(text)).numpy().decode() == " ".join(
        first
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1))
def test_any_bytes_give_utf8(texts):
    for word in split_words(texts).flat_values.numpy():
        word.decode("utf-8")


def test_bad_bytes_change_no_other_text():
    assert (
        split_words(["Café", b"\xff"]).to_list() == split_words(["Café", ""]).to_list()
    )
