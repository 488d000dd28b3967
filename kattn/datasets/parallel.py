"""Corpora for models that write: texts, and what may be written for each of them."""

import dataclasses
import os
from pathlib import Path

from kattn.datasets import files, tables
from kattn.datasets.assemble import Rules
from kattn.datasets.cuts import draw, members
from kattn.datasets.description import PARALLEL, describe, names
from kattn.datasets.equality import key
from kattn.datasets.pronunciations import read_pronunciations
from kattn.datasets.rows import decode
from kattn.names import unknown


@dataclasses.dataclass(frozen=True, eq=False)
class ParallelSplit:
    """The examples of one split.

    Args:
        sources: `N` different strings.
        references: For each of them, what may be written: one string or more.
    """

    sources: list[str]
    references: list[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.sources)

    def pairs(self) -> tuple[list[str], list[str]]:
        """Sources and targets, a source once for each of its references."""
        both = [
            (source, target)
            for source, targets in zip(self.sources, self.references, strict=True)
            for target in targets
        ]
        return [source for source, _ in both], [target for _, target in both]


@dataclasses.dataclass(frozen=True, eq=False)
class ParallelCorpus:
    """A corpus of sources and targets.

    Args:
        name: The name or path it was loaded by.
        train: To fit on.
        validation: To choose by.
        test: For the final figure alone.
        notes: Sentences about the splits.
    """

    name: str
    train: ParallelSplit
    validation: ParallelSplit
    test: ParallelSplit
    notes: tuple[str, ...] = ()


def load_parallel(
    name: str | os.PathLike, data_dir=None, source="source", target="target"
) -> ParallelCorpus:
    r"""Load a corpus of sources and targets as train, validation and test splits.

    Which split a source is in, a hash of it decides, and so it is in the same one
    whatever else stands in the file. Sources that are equal but for white space, case
    and punctuation stand on one side.

    Args:
        name: `"cmudict"`, `"cmudict_stress"` or `"tatoeba"`; or a `.csv` or `.tsv`
            file of your own.
        data_dir: Folder that holds the corpus's files, as for `load`.
        source: Of a file of your own, the column of the sources.
        target: Likewise, that of the targets.

    Returns:
        The corpus.

    Raises:
        FileNotFoundError: If files are missing.
        ValueError: If the name is unknown, or a file is not what it should be.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> file = pathlib.Path(folder.name, "pairs.tsv")
        >>> lines = [f"{i}\t{i} again" for i in range(100)]
        >>> _ = file.write_text("\n".join(["source\ttarget", *lines]))
        >>> corpus = load_parallel(file)
        >>> len(corpus.train), corpus.test.references[0][0][-5:]
        (82, 'again')
        >>> folder.cleanup()
    """
    text = os.fspath(name)
    path = Path(data_dir or ".", text).expanduser()
    if text in names(PARALLEL):
        return _described(describe(text, PARALLEL), data_dir)
    if path.suffix not in (".csv", ".tsv"):
        known = names(PARALLEL)
        raise unknown("corpus (and no file that ends in .csv, .tsv)", text, known)
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file. Received: {path}, which is not one.")
    comma = path.suffix == ".csv"
    rows = tables.read_table(
        decode(path.read_bytes(), path.name),
        path.name,
        (source, target),
        None,
        delimiter="," if comma else "\t",
        quoting=comma,
    )
    return split(text, *rows.texts, Rules())


def _described(description, data_dir):
    found = files.find(description, data_dir)
    form = found.form
    (path,) = form.paths
    text = decode(found.read()[path], path, description.encoding)
    text = text.replace("\r\n", "\n")
    if form.format == "pronunciations":
        pairs = read_pronunciations(text, path, form.stress)
    else:
        pairs = tables.read_table(
            text,
            path,
            form.texts,
            None,
            delimiter=form.delimiter,
            quoting=form.quoting,
            columns=form.columns,
        ).texts
    return split(description.name, *pairs, description.rules, description.notes)


def split(name, sources, targets, rules, notes=()) -> ParallelCorpus:
    """Make a corpus of pairs.

    Args:
        name: The corpus's name.
        sources: `N` strings.
        targets: `N` strings.
        rules: The seed of the hash, and the shares that are held out.
        notes: Sentences to stand before those made here.

    Returns:
        The corpus. Pairs that are there twice are there once.
    """
    references: dict[str, dict[str, None]] = {}
    for source, target in zip(sources, targets, strict=True):
        references.setdefault(source, {})[target] = None
    parts = {"train": [], "validation": [], "test": []}
    for equal, rows in members([key(source) for source in references]).items():
        parts[_side(equal, rules)] += rows
    different = list(references)
    splits = {}
    for part, rows in parts.items():
        chosen = [different[row] for row in sorted(rows)]
        splits[part] = ParallelSplit(chosen, [(*references[x],) for x in chosen])
        if not chosen:
            raise ValueError(
                f"The corpus {name!r} is too small to be split: of its "
                f"{len(different)} different sources none is in {part}."
            )
    held = f"{rules.test:.0%} for test, then {rules.validation:.0%} for validation"
    return ParallelCorpus(
        name,
        **splits,
        notes=(
            *notes,
            f"Split: {held}, by a hash of the source, seed {rules.seed}; "
            "sources that differ in white space, case and punctuation alone stand on "
            "one side.",
        ),
    )


def _side(equal, rules):
    share = int.from_bytes(draw(equal, rules.seed)[:8]) / 2**64
    if share < rules.test:
        return "test"
    rest = (share - rules.test) / (1 - rules.test)
    return "validation" if rest < rules.validation else "train"
