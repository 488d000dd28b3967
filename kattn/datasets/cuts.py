"""Cutting one split in two: stratified, seeded, equal texts on one side.

scikit-learn's `StratifiedGroupKFold` is near, but it only cuts 1/k, balances classes
approximately and follows NumPy's random stream. Here the order in which texts are
drawn is a hash of seed and text: the same cut under every version of every library.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence

import numpy as np


def cut(
    keys: Sequence[str],
    labels: np.ndarray,
    fraction: float,
    seed: int,
    class_names: Sequence[str],
    keep: int = 1,
) -> np.ndarray:
    """Choose the examples that leave for the held-out side.

    Args:
        keys: `N` strings; examples with equal keys stay together.
        labels: int32 of shape `(N,)`.
        fraction: Share of each class to hold out, of which every class gets at least
            one example.
        seed: Decides which examples.
        class_names: Named in errors.
        keep: Different texts that each class must keep on the other side.

    Returns:
        bool of shape `(N,)`, true for the examples held out.

    Raises:
        ValueError: If a class has too few different texts.

    Example:
        >>> keys = ["a", "b", "c", "c", "d", "e"]
        >>> held = cut(keys, np.array([0, 0, 0, 0, 1, 1]), 0.25, 7, ["no", "yes"])
        >>> int(held.sum())
        2
    """
    groups = members(keys)
    of_class = defaultdict(list)
    for text, rows in groups.items():
        # Annotators may disagree on equal texts; the group counts for its first label.
        of_class[int(labels[rows[0]])].append(text)
    check_enough(of_class, keep + 1, class_names)
    held = np.zeros(len(keys), bool)
    for texts in of_class.values():
        # A text that fills more than what is left of the quota stays, so that the
        # sizes come out right even where one text repeats hundreds of times.
        quota = max(1, round(fraction * sum(len(groups[t]) for t in texts)))
        room = len(texts) - keep
        texts = sorted(texts, key=lambda t: draw(t, seed))
        # ... but one text has to go, if only the one that repeats least.
        quota = max(quota, min(len(groups[text]) for text in texts))
        for text in texts:
            if len(groups[text]) <= quota and room:
                held[groups[text]] = True
                quota -= len(groups[text])
                room -= 1
    return held


def members(keys: Sequence[str]) -> dict[str, list[int]]:
    """Positions of each key.

    Args:
        keys: `N` strings.

    Returns:
        Key to its positions in ascending order.
    """
    groups = defaultdict(list)
    for i, text in enumerate(keys):
        groups[text].append(i)
    return dict(groups)


def draw(text: str, seed: int) -> bytes:
    """A text's place in the order in which texts are drawn.

    Args:
        text: A key.
        seed: Another seed gives another order.

    Returns:
        16 bytes to sort by.
    """
    data = f"{seed}\n{text}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).digest()


def check_enough(of_class, needed: int, class_names: Sequence[str]) -> None:
    """Refuse a class with too few different texts to be split.

    Args:
        of_class: Class index to its different texts.
        needed: How many each class must have.
        class_names: Named in the error.

    Raises:
        ValueError: For the first class that has fewer.
    """
    for label, name in enumerate(class_names):
        found = len(of_class.get(label, ()))
        if found < needed:
            raise ValueError(
                f"Cannot split class {name!r}: expected at least {needed} different "
                f"texts, so that every split has one. Received: {found}."
            )


def check_both_sides(
    held: np.ndarray, labels: np.ndarray, class_names: Sequence[str]
) -> None:
    """Refuse a cut that leaves one side without examples of a class.

    Args:
        held: bool of shape `(N,)`.
        labels: int32 of shape `(N,)`.
        class_names: Named in the error.

    Raises:
        ValueError: For the first class that stands on one side only.
    """
    for label, name in enumerate(class_names):
        sides = set(held[labels == label].tolist())
        if len(sides) == 1:
            raise ValueError(
                f"Cannot split class {name!r}: its texts repeat so often, or hang "
                "together so closely, that all of them would stand on one side."
            )
