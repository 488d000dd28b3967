"""How a classifier does on texts that are not as those it learned from."""

import numpy as np

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def measure(classifier, split) -> dict:
    """Accuracy on changed texts, and on texts by their length.

    Args:
        classifier: A `kattn.models.TextClassifier`.
        split: A `kattn.datasets.Split` of single texts.

    Returns:
        A dictionary for metrics.json: accuracies `length_quartiles`, from the shortest
        quarter of the texts, in characters, to the longest; and, where most letters are
        of the Latin alphabet, `typos` (5 % of the characters, see `typos`), `lower` and
        `upper` case.
    """

    def right(texts):
        predicted = classifier.predict(texts, batch_size=64, verbose=0).argmax(-1)
        return predicted == split.labels  # (N,)

    order = np.argsort([len(text) for text in split.texts], kind="stable")
    plain = right(split.texts)
    quartiles = [float(plain[rows].mean()) for rows in np.array_split(order, 4)]
    found = {"length_quartiles": quartiles}
    if not _latin(split.texts):
        return found
    return {
        "typos": float(right(typos(split.texts)).mean()),
        "lower": float(right([text.lower() for text in split.texts]).mean()),
        "upper": float(right([text.upper() for text in split.texts]).mean()),
        **found,
    }


def _latin(texts):
    """Whether most letters are of the Latin alphabet."""
    letters = [c.isascii() for text in texts for c in text if c.isalpha()]
    return sum(letters) > len(letters) / 2


def typos(texts, rate=0.05, seed=0):
    """Texts with slips of the keyboard.

    A letter of the Latin alphabet is with probability `rate` left out, doubled,
    replaced by another letter or swapped with the character after it, one as likely as
    the other.

    Args:
        texts: Strings.
        rate: Which fraction of the letters.
        seed: Of what is drawn.

    Returns:
        A list of as many strings.

    Example:
        >>> typos(["the film was good"], rate=0.2)
        ['th film wac ggoood']
    """
    draw = np.random.default_rng(seed)
    return [_slipped(text, draw, rate) for text in texts]


def _slipped(text, draw, rate):
    characters = list(text)
    for i in np.flatnonzero(draw.random(len(text)) < rate):
        one = text[i]
        if not (one.isascii() and one.isalpha()):
            continue
        kind = draw.integers(4)
        if kind == 0:
            characters[i] = ""
        elif kind == 1:
            characters[i] = one + one
        elif kind == 2:
            other = _LETTERS[draw.integers(len(_LETTERS))]
            characters[i] = other.upper() if one.isupper() else other
        elif i + 1 < len(text):
            characters[i], characters[i + 1] = characters[i + 1], characters[i]
    return "".join(characters)
