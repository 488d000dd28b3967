"""Where words stand in the text that they were made of."""

import re
import unicodedata
from difflib import SequenceMatcher

# A line break of HTML parts words, and is none.
_BREAK = re.compile(r"<\s*/?\s*br\s*/?\s*>", re.IGNORECASE)
# Letters of Hangul, whole and half ones, which Unicode joins to syllables; half-width
# voicing marks, which it joins to Katakana.
_HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff\uffa0-\uffdc"
_JOINED = re.compile(rf"[{_HANGUL}]+|.[\uff9e\uff9f]?", re.DOTALL)


def find_spans(text, words, split, head):
    """Where each word stands in a text.

    Splitting folds case, drops what has no width and joins what Unicode joins, but it
    keeps the order of what it keeps. So the text is cut into clusters, a character with
    the marks on it, each of which is split by itself; the letters of the words are then
    told off against those of the clusters.

    Args:
        text: A string.
        words: The words that were read of it, in order: all of them, or, as
            `kattn.text.head_and_tail` leaves them, the first and the last ones.
        split: What splits a list of strings into lists of words, as it split the text.
        head: How many of the words are first ones, where some are left out.

    Returns:
        A list of `(start, end)`, characters of `text` as Python counts them. Words of
        one character, as `...` is of an ellipsis, share its span.

    Example:
        >>> def split(texts):
        ...     return [text.lower().split() for text in texts]
        >>> find_spans("GO  on", ["go", "on"], split, head=2)
        [(0, 2), (4, 6)]
    """
    spans = _clusters(text)
    different = sorted({text[start:end] for start, end in spans})
    rows = split(different) if different else []
    folded = {x: "".join(row) for x, row in zip(different, rows, strict=True)}
    # The letters that the clusters give, and the cluster of each.
    letters = "".join(folded[text[start:end]] for start, end in spans)
    owner = [i for i, (start, end) in enumerate(spans) for _ in folded[text[start:end]]]
    places = _places(words, letters, head)
    found, at = [], 0
    for word in words:
        first, last = owner[places[at]], owner[places[at + len(word) - 1]]
        found.append((spans[first][0], spans[last][1]))
        at += len(word)
    return found


def _clusters(text):
    """Spans of a character with the marks on it, or of a break."""
    spans, start = [], 0
    while start < len(text):
        match = _BREAK.match(text, start) or _JOINED.match(text, start)
        end = match.end()
        while end < len(text) and unicodedata.category(text[end])[0] == "M":
            end += 1
        while end < len(text) and unicodedata.category(text[end]) == "Cf":
            end += 1
        spans.append((start, end))
        start = end
    return spans


def _places(words, letters, head):
    """For each letter of the words, its place among the text's letters."""
    front, back = "".join(words[:head]), "".join(words[head:])
    rest = len(letters) - len(back)
    if letters.startswith(front) and letters[len(front) :].endswith(back):
        return [*range(len(front)), *range(rest, len(letters))]
    # Unicode joins some rare things across clusters: what agrees leads.
    matcher = SequenceMatcher(None, front + back, letters, autojunk=False)
    places = []
    for _, i, j, first, last in matcher.get_opcodes():
        along = range(first, last)
        places += [
            along[min(k, len(along) - 1)] if along else first for k in range(j - i)
        ]
    return [min(place, len(letters) - 1) for place in places]
