"""How good written texts are: beside what may be written."""

import importlib.util
from collections.abc import Sequence

import numpy as np

#: What `figures` measures: name to what it is called.
MEASURES = {
    "word_error_rate": "texts that are wrong",
    "token_error_rate": "tokens that are wrong",
    "bleu": "BLEU",
}


def figures(
    written: Sequence[str], references: Sequence[Sequence[str]], bleu: bool = False
) -> dict:
    """Measure written texts.

    Args:
        written: `N` texts, tokens with spaces between.
        references: For each, the texts that are right.
        bleu: Whether to measure BLEU, too.

    Returns:
        `examples`; `accuracy`, the share of texts that are one of their references;
        `word_error_rate`, the share of those that are not; `token_error_rate`, how many
        tokens must be put in, left out or changed, as a share of the nearest
        reference's; with `bleu=True` also `bleu`, of 100.

    Raises:
        ImportError: If BLEU is asked for and sacrebleu not installed.

    Example:
        >>> figures(["K AE T", "D AO G Z"], [["K AE T"], ["D AO G", "D AA G"]])
        {'examples': 2, 'accuracy': 0.5, 'word_error_rate': 0.5,
         'token_error_rate': 0.16666666666666666}
    """
    right, errors, tokens = 0, 0, 0
    for text, options in zip(written, references, strict=True):
        right += text in options
        ours = text.split()
        nearest = min(
            (edit_distance(ours, reference), len(reference))
            for reference in map(str.split, options)
        )
        errors, tokens = errors + nearest[0], tokens + nearest[1]
    found = {
        "examples": len(written),
        "accuracy": right / len(written),
        "word_error_rate": 1 - right / len(written),
        "token_error_rate": errors / tokens,
    }
    if bleu:
        found["bleu"] = _bleu(written, references)
    return found


def by_length(
    sources: Sequence[str],
    written: Sequence[str],
    references: Sequence[Sequence[str]],
    bleu: bool = False,
) -> list[dict]:
    """The figures of each quarter of the texts, from the shortest sources on.

    Args:
        sources: `N` texts that were read.
        written: As for `figures`.
        references: Likewise.
        bleu: Likewise.

    Returns:
        Four dictionaries, as `figures` gives them, each with `longest`, the characters
        of its longest source.

    Example:
        >>> words = ["a", "of", "the", "that"]
        >>> [x["longest"] for x in by_length(words, words, [[word] for word in words])]
        [1, 2, 3, 4]
    """
    order = np.argsort([len(text) for text in sources], kind="stable")
    found = []
    for rows in filter(len, np.array_split(order, 4)):  # of three texts, three
        some = figures([written[i] for i in rows], [references[i] for i in rows], bleu)
        found.append({"longest": max(len(sources[i]) for i in rows), **some})
    return found


def edit_distance(left: Sequence, right: Sequence) -> int:
    """How many items must be put in, left out or changed to make one of the other.

    Args:
        left: Anything that has items.
        right: Likewise.

    Example:
        >>> edit_distance("kitten", "sitting")
        3
    """
    row = np.arange(len(right) + 1)
    places = np.arange(len(right) + 1)
    for number, item in enumerate(left, 1):
        changed = row[:-1] + np.array([item != other for other in right], int)
        best = np.minimum(row + 1, np.concatenate([[number], changed]))
        # What is put in costs 1 each: the least of all that stand before.
        row = np.minimum.accumulate(best - places) + places
    return int(row[-1])


def check_bleu() -> None:
    """Raise an `ImportError` where BLEU cannot be measured: before long work."""
    if importlib.util.find_spec("sacrebleu") is None:
        raise ImportError(
            "BLEU is measured by the package sacrebleu, which is not installed: "
            'pip install "kattn[bleu]"'
        )


def _bleu(written, references):
    check_bleu()
    import sacrebleu

    most = max(map(len, references))
    # Where there are fewer references than most have, sacrebleu takes None.
    columns = [
        [options[i] if i < len(options) else None for options in references]
        for i in range(most)
    ]
    return float(sacrebleu.corpus_bleu(list(written), columns).score)
