"""The user's own CSV, TSV and JSON-lines files."""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from kattn.datasets.assemble import Rules, assemble
from kattn.datasets.corpus import Corpus, Split
from kattn.datasets.official import to_indices
from kattn.datasets.readers import read_json_lines
from kattn.datasets.rows import Rows, decode
from kattn.datasets.tables import read_table

SUFFIXES = (".csv", ".tsv", ".jsonl")


def load_own(
    name,
    data_dir=None,
    *,
    text: str | None = None,
    label: str = "label",
    premise: str | None = None,
    hypothesis: str | None = None,
    validation=None,
    test=None,
    quoting: bool | None = None,
) -> Corpus:
    """Read files of the user's own.

    Args:
        name: The file of the training examples, or of all examples.
        data_dir: Folder that file names are relative to; the working folder if `None`.
        text: Column (JSON key) of the text; `"text"` if nothing is named.
        label: Column of the label.
        premise: Column of a pair's first text, instead of `text`.
        hypothesis: Column of a pair's second text.
        validation: File of the validation examples.
        test: File of the test examples.
        quoting: Whether quotation marks quote. By default they do in `.csv` files, and
            are part of the text in `.tsv` files.

    Returns:
        The corpus. Its classes are the labels found, as strings, in the order of
        numbers if all of them are numbers. Without `test` a tenth of the examples is
        cut for it, without `validation` another tenth.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not as described.
    """
    columns = text_columns(text, premise, hypothesis)
    read = {}
    for part, file in (("train", name), ("validation", validation), ("test", test)):
        if file is not None:
            path = Path(data_dir or ".").expanduser() / Path(file).expanduser()
            read[part] = _read(path, columns, label, quoting)
    class_names = classes(read["train"].labels, f"column {label!r} of {name}")
    return split(str(name), class_names, read)


def text_columns(
    text: str | None, premise: str | None, hypothesis: str | None
) -> tuple[str, ...]:
    """The column of the text, or the two of a pair.

    Args:
        text: Name of the one column.
        premise: Name of a pair's first column.
        hypothesis: Name of a pair's second column.

    Returns:
        One name or two.

    Raises:
        ValueError: If one of a pair is missing, or both ways are used.
    """
    pair = premise, hypothesis
    if pair == (None, None):
        return (text or "text",)
    if None in pair or text is not None:
        raise ValueError(
            "Expected text, or premise and hypothesis. "
            f"Received: text={text!r}, premise={premise!r}, hypothesis={hypothesis!r}."
        )
    return pair


def classes(labels: Iterable[str], where: str) -> tuple[str, ...]:
    """The distinct labels, sorted: as numbers if all of them are numbers.

    Args:
        labels: Labels as strings.
        where: What they were read from, for the error.

    Returns:
        The class names.

    Raises:
        ValueError: If there is only one.

    Example:
        >>> classes(["10", "9", "10", "1"], "stars")
        ('1', '9', '10')
    """
    found = sorted(set(labels))
    if len(found) < 2:
        raise ValueError(
            f"Expected at least two classes in {where}. Received: only {found[0]!r}."
        )
    try:
        numbers = {label: float(label) for label in found}
    except ValueError:
        return tuple(found)
    if not all(math.isfinite(number) for number in numbers.values()):
        return tuple(found)
    return tuple(sorted(found, key=numbers.get))


def split(name: str, class_names: Sequence[str], read: dict[str, Rows]) -> Corpus:
    """Make a corpus of what was read, cutting the splits that are missing.

    Args:
        name: The corpus's name.
        class_names: The labels, in the order of their indices.
        read: `"train"`, and `"validation"` and `"test"` where they exist.

    Returns:
        The corpus.

    Raises:
        ValueError: If a label is not among the class names, or a class too small.
    """
    splits = {}
    for part, rows in read.items():
        labels = to_indices(rows.labels, class_names, f"{name} ({part})")
        splits[part] = Split(rows.texts, labels)
    # A tenth of everything: of all rows, or of the nine tenths a test file leaves over.
    rules = Rules() if "test" not in read else Rules(validation=0.1)
    return assemble(name, class_names, splits, rules)


def _read(path: Path, columns: tuple[str, ...], label: str, quoting) -> Rows:
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"Expected a file whose name ends in {', '.join(SUFFIXES)}. "
            f"Received: {str(path)!r}."
        )
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file. Received: {path}, which is not one.")
    text = decode(path.read_bytes(), path.name)
    if suffix == ".jsonl":
        return read_json_lines(text, path.name, columns, label)
    comma = suffix == ".csv"
    return read_table(
        text,
        path.name,
        columns,
        label,
        delimiter="," if comma else "\t",
        quoting=comma if quoting is None else quoting,
    )
