"""What `load` returns: a corpus of three splits."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Texts = list[str] | tuple[list[str], list[str]]


@dataclass(frozen=True, eq=False)
class Split:
    """The texts and labels of one split.

    Args:
        texts: `N` strings; for a pair corpus a tuple `(premises, hypotheses)` of two
            lists of `N` strings.
        labels: Class indices, int32 of shape `(N,)`; `None` where a corpus publishes
            texts without their labels.

    Raises:
        ValueError: If texts and labels differ in number.

    Example:
        >>> split = Split(["a fine film", "a poor film"], np.array([1, 0], "int32"))
        >>> len(split)
        2
    """

    texts: Texts
    labels: np.ndarray | None

    def __post_init__(self):
        lengths = [len(part) for part in self._parts()]
        if self.labels is not None:
            lengths.append(len(self.labels))
        if len(set(lengths)) != 1:
            raise ValueError(
                f"Expected as many labels as texts. Received: {lengths} of each."
            )

    def __len__(self) -> int:
        return len(self._parts()[0])

    @property
    def pairs(self) -> bool:
        """Whether an example is a pair of texts."""
        return isinstance(self.texts, tuple)

    def take(self, indices: Iterable[int]) -> "Split":
        """The examples at some positions.

        Args:
            indices: Positions in this split, in the order wanted.

        Returns:
            A new `Split`.
        """
        indices = [int(i) for i in indices]
        parts = tuple([part[i] for i in indices] for part in self._parts())
        labels = None if self.labels is None else self.labels[indices]
        return Split(parts if self.pairs else parts[0], labels)

    def _parts(self) -> tuple[list[str], ...]:
        return self.texts if self.pairs else (self.texts,)


@dataclass(frozen=True, eq=False)
class Corpus:
    """A corpus: its classes, its splits, and what was found or done on loading.

    Args:
        name: The name or path it was loaded by.
        class_names: Name of class `i` at position `i`.
        train: To fit on. This and the next two are `kattn.text.Stream`s of a corpus
            that was loaded with `streaming=True`.
        validation: To choose by, e.g. when to stop.
        test: For the final figure alone.
        notes: Sentences about the splits: duplicates, overlaps, where the validation
            split comes from. Whoever prints a summary of the corpus shows them.
        unlabelled: The published test texts whose labels are kept back (GLUE, CLUE),
            where the corpus has them; `None` otherwise.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    notes: tuple[str, ...] = ()
    unlabelled: Split | None = None

    @property
    def pairs(self) -> bool:
        """Whether an example is a pair `(premise, hypothesis)`."""
        return self.train.pairs
