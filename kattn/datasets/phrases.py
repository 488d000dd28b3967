"""Cutting a treebank: held-out sentences are kept apart from their own phrases."""

from collections.abc import Iterator, Sequence

import numpy as np

from kattn.datasets.cuts import draw, members


def cut_sentences(
    texts: Sequence[str],
    keys: Sequence[str],
    labels: np.ndarray,
    fraction: float,
    seed: int,
) -> np.ndarray:
    """Hold out whole sentences together with every row that is a phrase of them.

    A sentence is a row that is no phrase of another row; a phrase is a run of a row's
    tokens. Sentences are drawn in seeded order, each time for the class that lacks
    most, until the sentences and their phrases are the wanted share of all rows.

    Args:
        texts: `N` rows, tokens apart by white space.
        keys: `N` strings; rows with equal keys stay together.
        labels: int32 of shape `(N,)`.
        fraction: Share of all rows to hold out.
        seed: Decides which sentences.

    Returns:
        bool of shape `(N,)`, true for the rows held out.

    Example:
        >>> rows = ["a fine film", "fine", "so dull", "dull"]
        >>> cut_sentences(rows, rows, np.array([1, 1, 0, 0]), 0.5, seed=4).tolist()
        [False, False, True, True]
    """
    tokens = [tuple(text.casefold().split()) for text in texts]
    rows_of = members(tokens)
    same_text = members(keys)
    held = np.zeros(len(texts), bool)
    wanted = fraction * np.bincount(labels)
    waiting = {label: [] for label in range(len(wanted))}
    for sentence in _sentences(rows_of):
        waiting[int(labels[rows_of[sentence][0]])].append(sentence)
    for sentences in waiting.values():
        sentences.sort(key=lambda s: draw(" ".join(s), seed), reverse=True)
    while held.sum() < wanted.sum() and any(waiting.values()):
        lacks = wanted - np.bincount(labels[held], minlength=len(wanted))
        label = max((c for c in waiting if waiting[c]), key=lambda c: lacks[c])
        for phrase in _phrases(waiting[label].pop()):
            for row in rows_of.get(phrase, ()):
                held[same_text[keys[row]]] = True
    return held


def _sentences(rows_of: dict[tuple[str, ...], list[int]]) -> list[tuple[str, ...]]:
    # From the longest row on: the phrases of a phrase are the sentence's phrases too,
    # so a row that was met as a phrase need not be taken apart again.
    inside, sentences = set(), []
    for row in sorted(rows_of, key=len, reverse=True):
        if row not in inside:
            sentences.append(row)
            inside.update(p for p in _phrases(row) if p in rows_of)
    return sentences


def _phrases(row: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    n = len(row)
    return (row[i:j] for i in range(n) for j in range(i + 1, n + 1))
