"""From the splits as read to the three splits of a corpus, with notes on the way."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kattn.datasets.corpus import Corpus, Split
from kattn.datasets.cuts import check_both_sides, cut
from kattn.datasets.equality import count_in, firsts, keys
from kattn.datasets.phrases import cut_sentences

_STRATIFIED = "stratified, equal texts on one side"


@dataclass(frozen=True)
class Rules:
    """How a corpus is split where it is not split already.

    Args:
        seed: Of the cuts; part of the corpus, so that every run sees the same splits.
        test: Share of all examples.
        validation: Share of what the test split left over.
        duplicates: `"keep"`, or `"remove"` all but the first of equal texts.
        phrases: Whether to hold sentences out together with their phrases.
    """

    seed: int = 20160612
    test: float = 0.1
    validation: float = 1 / 9  # of the nine tenths that are left: 80/10/10
    duplicates: str = "keep"
    phrases: bool = False


def assemble(
    name: str,
    class_names: Sequence[str],
    splits: dict[str, Split],
    rules: Rules,
    notes: Sequence[str] = (),
) -> Corpus:
    """Cut the splits that are missing and report on all of them.

    Args:
        name: The corpus's name.
        class_names: Name of class `i` at position `i`.
        splits: `"train"`, and of `"validation"`, `"test"` and `"unlabelled"` those
            that exist.
        rules: How to cut the others.
        notes: Sentences to stand before those made here.

    Returns:
        The corpus.

    Raises:
        ValueError: If a class has too few different texts to be split.
    """
    splits, notes = dict(splits), list(notes)
    key_of = {part: keys(split) for part, split in splits.items()}

    def keep(part: str, source: str, rows: Sequence[int]) -> None:
        splits[part], examples = splits[source].take(rows), key_of[source]
        key_of[part] = [examples[i] for i in rows]

    def hold_out(part: str, held: np.ndarray, source: str, how=_STRATIFIED) -> None:
        check_both_sides(held, splits["train"].labels, class_names)
        keep(part, "train", np.flatnonzero(held))
        keep("train", "train", np.flatnonzero(~held))
        notes.append(
            f"Split: {part} is {held.sum():,} examples, {100 * held.mean():.0f} % of "
            f"{source}: {how}, seed {rules.seed}."
        )

    rows, once = len(splits["train"]), firsts(key_of["train"])
    if len(once) < rows:
        done = "left in"
        if rules.duplicates == "remove":
            keep("train", "train", once)
            done = f"removed, {len(once):,} remain"
        where = "train examples" if "test" in splits else "examples"
        notes.append(
            f"Duplicates: {rows - len(once):,} of {rows:,} {where} repeat an earlier "
            f"one; {done}."
        )

    if "test" not in splits:
        train, left = splits["train"], 1 if "validation" in splits else 2
        held = cut(
            key_of["train"], train.labels, rules.test, rules.seed, class_names, left
        )
        hold_out("test", held, "all")
    if "validation" not in splits:
        train, share = splits["train"], rules.validation
        if rules.phrases:
            held = cut_sentences(
                train.texts, key_of["train"], train.labels, share, rules.seed
            )
            hold_out("validation", held, "train", "whole sentences with their phrases")
        else:
            held = cut(key_of["train"], train.labels, share, rules.seed, class_names)
            hold_out("validation", held, "train")

    pairs = ("validation", "train"), ("test", "train"), ("test", "validation")
    for part, other in pairs:
        both = count_in(key_of[part], key_of[other])
        if both:
            notes.append(
                f"Overlap: {both:,} of {len(splits[part]):,} {part} examples also "
                f"stand in {other}; left in."
            )
    if any(note.startswith(("Duplicates", "Overlap")) for note in notes):
        notes.append(
            "Texts count as the same if they differ in white space, case and "
            "punctuation alone."
        )
    return Corpus(
        name,
        tuple(class_names),
        splits["train"],
        splits["validation"],
        splits["test"],
        tuple(notes),
        splits.get("unlabelled"),
    )
