"""When two texts are equal, so that none stands on both sides of a split."""

import dataclasses
import re
from collections.abc import Iterable, Sequence

from kattn.datasets.corpus import Split

# White space and punctuation: ASCII, general, CJK and full-width. Symbols such as
# emoji count as content, and so do the combining marks of Indic scripts, which the
# regular expression \W would throw away.
_SEPARATORS = re.compile(
    r"[\s!-/:-@\[-`{-~\u2000-\u206f\u3000-\u303f"
    r"\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+"
)


def key(text: str) -> str:
    """What equal texts have in common: their words, without case and punctuation.

    Args:
        text: Any text.

    Returns:
        The case-folded words with single spaces between; of a text of punctuation
        alone, that punctuation.

    Example:
        >>> key("A $100m-share  Sale!") == key("a $100m share sale")
        True
    """
    text = text.casefold()
    return _SEPARATORS.sub(" ", text).strip() or " ".join(text.split())


def keys(split: Split) -> list[str]:
    """The key of every example; of a pair, both keys in their order.

    Args:
        split: `N` texts or pairs.

    Returns:
        `N` strings, equal where the examples are.
    """
    if split.pairs:
        return [f"{key(a)}\n{key(b)}" for a, b in zip(*split.texts, strict=True)]
    return [key(text) for text in split.texts]


def firsts(examples: Sequence[str]) -> list[int]:
    """Positions of the examples that do not repeat an earlier one.

    Args:
        examples: Keys.

    Returns:
        Positions in ascending order.
    """
    seen: dict[str, int] = {}
    for i, example in enumerate(examples):
        seen.setdefault(example, i)
    return list(seen.values())


def unseen(corpus) -> list[int]:
    """Rows of the test split whose texts do not also stand in the training split.

    Args:
        corpus: A `kattn.datasets.Corpus`.

    Returns:
        Positions in ascending order.
    """
    seen = set(keys(corpus.train))
    return [i for i, example in enumerate(keys(corpus.test)) if example not in seen]


def apart(corpus, other):
    """A corpus whose training split has no text that another's held-out splits have.

    Args:
        corpus: A `kattn.datasets.Corpus`.
        other: The one whose validation and test splits must stay unseen.

    Returns:
        A corpus.
    """
    held = {*keys(other.validation), *keys(other.test)}
    examples = enumerate(keys(corpus.train))
    rows = [i for i, example in examples if example not in held]
    return dataclasses.replace(corpus, train=corpus.train.take(rows))


def count_in(examples: Iterable[str], others: Iterable[str]) -> int:
    """How many of the examples also stand among others.

    Args:
        examples: Keys of one split.
        others: Keys of another one.

    Returns:
        The number of examples, repeated ones counted each time.
    """
    others = set(others)
    return sum(example in others for example in examples)
