"""Loading a corpus that comes with kattn, by its description."""

import warnings
from collections.abc import Sequence

import numpy as np

from kattn.datasets import files, readers, tables
from kattn.datasets.assemble import assemble
from kattn.datasets.corpus import Corpus, Split
from kattn.datasets.description import FOLDERS, Description, Form
from kattn.datasets.posts import body
from kattn.datasets.rows import Rows, decode


def load_official(description: Description, data_dir=None) -> Corpus:
    """Find, read and split a corpus.

    Args:
        description: The corpus.
        data_dir: Folder that holds its files; `None` to use the cache or download.

    Returns:
        The corpus.

    Raises:
        FileNotFoundError: If its files are not there, or cannot be downloaded.
        ValueError: If a file is not what the description says.
    """
    found = files.find(description, data_dir)
    if others := found.unofficial():
        warnings.warn(
            f"{description.name}: {', '.join(others)} in {found.folder} "
            f"{'differs' if len(others) == 1 else 'differ'} from the official file by "
            "checksum; used all the same.",
            stacklevel=3,  # at the line that called load()
        )
    form, contents = found.form, found.read()
    notes = list(description.notes)
    if len(description.forms) > 1:
        notes.append(f"Source: {form.about}.")
    splits = {}
    for part, rows in _read(form, contents, description).items():
        splits[part] = Split(rows.texts, _indices(rows, description, part))
        expected = form.rows.get(part, len(splits[part]))
        if len(splits[part]) != expected:
            notes.append(
                f"Size: {part} has {len(splits[part]):,} examples; the official "
                f"release has {expected:,}."
            )
    if "all" in splits:
        splits["train"] = splits.pop("all")
    return assemble(
        description.name, description.classes, splits, description.rules, notes
    )


def _read(form: Form, contents: dict[str, bytes], description: Description):
    def decoded(data: bytes, where: str) -> str:
        encodings = description.encoding, description.fallback
        return decode(data, where, *encodings).replace("\r\n", "\n")

    def post(data: bytes, where: str) -> str:
        return body(decoded(data, where))

    if form.format in FOLDERS:
        read = post if form.format == "posts" else decoded
        return {
            part: readers.read_folders(
                contents, folder, description.values, description.name, read
            )
            for part, folder in form.splits.items()
        }
    missing = [path for path in form.paths if path not in contents]
    if missing:
        raise ValueError(
            f"Expected the files {', '.join(form.paths)} of {description.name!r} in "
            f"{', '.join(form.archives)}. Missing: {', '.join(missing)}."
        )
    if form.split_column:
        text = decoded(contents[form.file], form.file)
        return _by_part(_rows(form, text, form.file, form.label), form)
    return {
        part: _rows(
            form,
            decoded(contents[path], path),
            path,
            None if part == "unlabelled" else form.label,
        )
        for part, path in form.splits.items()
        if path in contents
    }


def _rows(form: Form, text: str, where: str, label: str | None) -> Rows:
    if form.format == "trec":
        return readers.read_trec(text, where, form.level)
    if form.format == "json_lines":
        return readers.read_json_lines(text, where, form.texts, label)
    if form.format == "table":
        # A table without header and labels lacks the label's column.
        columns = [name for name in form.columns if label or name != form.label]
        return tables.read_table(
            text,
            where,
            form.texts,
            label,
            delimiter=form.delimiter,
            quoting=form.quoting,
            columns=columns,
            part=form.split_column,
        )
    raise ValueError(
        "Expected the format folders, json_lines, posts, table or trec. "
        f"Received: {form.format!r}."
    )


def _by_part(rows: Rows, form: Form) -> dict[str, Rows]:
    everything = Split(rows.texts, np.arange(len(rows.parts)))
    splits = {}
    for part, value in form.splits.items():
        chosen = everything.take(i for i, p in enumerate(rows.parts) if p == value)
        if not len(chosen):
            raise ValueError(
                f"Expected rows of {form.file} with {form.split_column} {value!r}. "
                "Received: none."
            )
        labels = [rows.labels[i] for i in chosen.labels]
        splits[part] = Rows(chosen.texts, labels)
    return splits


def _indices(rows: Rows, description: Description, part: str) -> np.ndarray | None:
    if rows.labels is None:
        return None
    return to_indices(rows.labels, description.values, f"{description.name} ({part})")


def to_indices(labels: Sequence[str], values: Sequence[str], where: str) -> np.ndarray:
    """Labels as class indices.

    Args:
        labels: `N` labels.
        values: The labels there are, in the order of their indices.
        where: What is being read, for the error.

    Returns:
        int32 of shape `(N,)`.

    Raises:
        ValueError: If a label is not among the values.
    """
    index = {value: i for i, value in enumerate(values)}
    others = sorted(set(labels) - set(index))
    if others:
        raise ValueError(
            f"Expected the labels {', '.join(values)} in {where}. "
            f"Received also: {', '.join(others[:5])}."
        )
    return np.array([index[label] for label in labels], np.int32)
