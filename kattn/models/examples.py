"""Texts and labels as users give them, checked and split."""

import numpy as np


def count(texts):
    """How many examples there are, in a list of texts or a tuple of several lists."""
    return len(texts[0] if isinstance(texts, tuple) else texts)


def split(texts, labels, weights, fraction, seed):
    """Draw validation examples from all of them.

    Args:
        texts: A list of texts, or a tuple of several.
        labels: Their labels, or `None`.
        weights: Their weights, or `None`.
        fraction: How many of them to hold out, between 0 and 1.
        seed: Seed of the draw.

    Returns:
        `(texts, labels, weights, held_out)`, the last a tuple of the held-out texts,
        labels and weights that there are.

    Raises:
        ValueError: If the fraction is none.
    """
    if not 0 < fraction < 1:
        raise ValueError(
            "`validation_split` is a fraction of the texts, between 0 and 1. "
            f"Received: {fraction}"
        )
    order = np.random.default_rng(seed).permutation(count(texts))
    cut = round(count(texts) * (1 - fraction))

    def some(values, rows):
        if isinstance(values, tuple):
            return tuple(some(part, rows) for part in values)
        return None if values is None else [values[i] for i in rows]

    train, held = order[:cut], order[cut:]
    validation = [some(v, held) for v in (texts, labels, weights) if v is not None]
    return *(some(v, train) for v in (texts, labels, weights)), tuple(validation)


def checked(texts):
    """Make a list of texts, or say what is wrong with them.

    Args:
        texts: A list or array of strings.

    Returns:
        A list of strings.

    Raises:
        ValueError: If there is none, or a single text without a list.
        TypeError: If one is not a string; its number is named.
    """
    if isinstance(texts, str | bytes):
        raise ValueError(
            "Texts come as a list, even a single one: [text]. "
            f"Received: a {type(texts).__name__}"
        )
    texts = list(texts)
    if not texts:
        raise ValueError("At least one text is needed. Received: an empty list")
    for i, text in enumerate(texts):
        if not isinstance(text, str | bytes):
            raise TypeError(
                f"Texts are strings. Received: {text!r} ({type(text).__name__}) "
                f"as text number {i}"
            )
    return texts
