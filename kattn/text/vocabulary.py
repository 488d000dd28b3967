"""Counting the words of a corpus."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from numbers import Integral

from kattn.text.libraries import tensorflow
from kattn.text.words import split_words

_CHUNK = 1000  # texts at a time: enough for the graph to be fast, little in memory


def count_vocabulary(
    texts, max_size=None, min_count=1, case_fold=True, split=split_words
):
    """Count the words of texts and list them, the most frequent first.

    Words are what `split` makes of the texts, so that counting and tokenising
    agree. Words of equal count stand in the order of their code points, and the list
    does not depend on the order of the texts.

    Args:
        texts: An iterable of strings, which is read once: a list, a generator, a
            `tf.data.Dataset` of single strings.
        max_size: The most words to list, or `None` for all.
        min_count: How often a word must occur to be listed.
        case_fold: Whether upper and lower case are one.
        split: `split_words`, or `split_characters` for a `CharacterTokenizer`.

    Returns:
        A list of words for `WordTokenizer(vocabulary)`, without the special tokens.

    Raises:
        ValueError: If `texts` is a single string, holds something that is not a string,
            or if a number is not positive.

    Example:
        >>> count_vocabulary(["a good movie", "A bad movie"], max_size=3)
        ['a', 'movie', 'bad']
    """
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        raise ValueError(
            f"texts must be an iterable of strings. Received: {str(texts)[:80]!r}"
        )
    for name, value in {"max_size": max_size, "min_count": min_count}.items():
        if value is None and name == "max_size":
            continue
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be a positive integer. Received: {value!r}")
    tf = tensorflow()
    counter = Counter()
    remaining = iter(texts)
    while chunk := list(islice(remaining, _CHUNK)):
        words = split(chunk, case_fold)  # (N, T)
        if words.shape.rank != 2:
            raise ValueError("texts must hold strings, not lists of strings.")
        unique, _, counts = tf.unique_with_counts(words.flat_values)
        for word, count in zip(
            unique.numpy().tolist(), counts.numpy().tolist(), strict=True
        ):
            counter[word] += count
    kept = [(word, n) for word, n in counter.items() if n >= min_count]
    # UTF-8 sorts as the code points do.
    kept.sort(key=lambda pair: (-pair[1], pair[0]))
    return [word.decode("utf-8") for word, _ in kept[:max_size]]
