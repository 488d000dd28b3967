"""Texts to words: the one rule that tokenising, counting and serving share."""

from kattn.text.libraries import tensorflow, tensorflow_text
from kattn.text.strings import map_texts, valid_utf8

# RE2 has no look-ahead, so nothing here says "not followed by". Instead, what must stay
# in one piece is an alternative that stands before the one that would break it up, and
# every match gets a space on both sides; a split at spaces then gives the words.

_BREAKS = r"(?i:<\s*/?\s*br\s*/?\s*>)"  # line breaks of reviews that were web pages
_BLANKS = _BREAKS + r"|[\pC\p{Zl}\p{Zp}\x{1680}]"  # and other things that part words
_APOSTROPHES = "[‘’‛ʼ´`′]"
_QUOTES = "[“”„‟″]"

# Characters that have no width or no look of their own; case folding drops them too.
_IGNORED = (
    r"[\x{AD}\x{34F}\x{61C}\x{115F}\x{1160}\x{17B4}\x{17B5}\x{180B}-\x{180F}"
    r"\x{200B}-\x{200F}\x{202A}-\x{202E}\x{2060}-\x{206F}\x{3164}\x{FE00}-\x{FE0F}"
    r"\x{FEFF}\x{FFA0}\x{FFF0}-\x{FFF8}\x{1BCA0}-\x{1BCA3}\x{1D173}-\x{1D17A}"
    r"\x{E0000}-\x{E0FFF}]"
)

_CONTRACTIONS = r"(?i:n't|'(?:s|re|ve|ll|d|m))\b"

# Scripts written without spaces give a word a character. Planes 2 and 3 are named by
# number, because they are all Han and newer than some tables of Unicode.
_UNSPACED = r"\p{Han}\x{20000}-\x{3FFFF}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
# Letters, marks and digits of the other scripts: `[^\PL...]` reads "a letter, and not".
_WORD = rf"(?:[^\PL{_UNSPACED}]|[^\PM{_UNSPACED}]|[^\PN{_UNSPACED}])"
_LETTER = rf"[^\PL{_UNSPACED}]"

_UNITS = "|".join(
    [
        r"\p{Nd}+(?:[.,:]\p{Nd}+)+",  # 3.5  1,000  10:30
        r"\b[A-Za-z](?:\.[A-Za-z])+\b\.?",  # U.S.  e.g.  a.m
        rf"{_WORD}+(?:'{_LETTER}{_WORD}*)+",  # o'clock, and n't, now that it is apart
        _CONTRACTIONS,
        r"\.\.\.|--",
        rf"[{_UNSPACED}]\pM*",
        r"[\x{1F1E6}-\x{1F1FF}]{2}",  # a flag is two letters
        r"[0-9#*]\x{20E3}",  # a key cap
        r"[^\pL\pM\pN\pZ\pC\s][\x{1F3FB}-\x{1F3FF}]?",  # punctuation; emoji, their skin
    ]
)


def split_words(texts, case_fold=True):
    r"""Split texts into words.

    In this order: bytes that are not UTF-8 become spaces. Curly apostrophes and quotes
    become straight ones. The text is brought to Unicode's NFKC form and, with
    `case_fold`, to one case; characters without width are dropped. Line breaks of HTML
    and control characters part words. Then a word is

    - a number with its inner dots, commas and colons (`3.5`, `1,000`, `10:30`),
    - single letters with dots (`u.s.`, `e.g.`), an ellipsis `...`, a dash `--`,
    - the end of an English contraction (`do` `n't`, `it` `'s`, `we` `'ll`), as the Penn
      Treebank and GloVe have them; any other word keeps the apostrophe within
      (`o'clock`),
    - one character of a script without spaces (Han, Hiragana, Thai, Lao, Khmer,
      Myanmar), while Katakana and Hangul make words like any alphabet,
    - one emoji, with its skin tone; a flag; joined emoji come apart into their members,
    - any other run of letters, marks and digits,
    - any other character that is seen, by itself.

    The words of a text, joined by spaces, split into the same words again.

    Args:
        texts: Strings of any rank: a `str`, a list nested to any depth, a string tensor
            or a `tf.RaggedTensor`.
        case_fold: Whether upper and lower case are one.

    Returns:
        A `tf.RaggedTensor` of strings with one more axis than `texts`; a string tensor
        `(T,)` for a single text.

    Raises:
        ValueError: If `texts` does not hold strings.
        ImportError: If TensorFlow or TensorFlow Text is not installed.

    Example:
        >>> split_words(["It's 3.5 stars.<br />Don’t", ""]).to_list()
        [[b'it', b"'s", b'3.5', b'stars', b'.', b'do', b"n't"], []]
    """
    return map_texts(lambda flat: _split(flat, case_fold), texts)


def steps(case_fold=True):
    """What is done to a text before it is split at white space, in turn.

    Args:
        case_fold: Whether upper and lower case are one.

    Returns:
        Tuples: `("normalize", form)`, where the form is `"NFKC"` or Unicode's
        `"NFKC_Casefold"`, and `("replace", pattern, replacement)`.

    Example:
        >>> steps()[2]
        ('normalize', 'NFKC_Casefold')
    """
    # Before NFKC, which makes the acute accent a space and a combining mark.
    quotes = [("replace", _APOSTROPHES, "'"), ("replace", _QUOTES, '"')]
    if case_fold:  # normalises before and after, and drops what is ignored
        form = [("normalize", "NFKC_Casefold")]
    else:
        form = [("normalize", "NFKC"), ("replace", _IGNORED, "")]
    return [
        *quotes,
        *form,
        ("replace", _BLANKS, " "),
        ("replace", _CONTRACTIONS, r" \0 "),
        ("replace", _UNITS, r" \0 "),
    ]


def _split(texts, case_fold):
    tf, tf_text = tensorflow(), tensorflow_text()
    texts = valid_utf8(texts)  # (N,)
    for kind, *how in steps(case_fold):
        if kind == "replace":
            texts = tf.strings.regex_replace(texts, *how)
        elif how == ["NFKC"]:
            texts = tf_text.normalize_utf8(texts, "NFKC")
        else:
            texts = tf_text.case_fold_utf8(texts)
    return tf.strings.split(texts)  # (N, T)
