"""The formats corpora are written in, tables apart: folders, JSON lines, TREC's own."""

import json
from collections.abc import Callable, Iterator, Sequence

from kattn.datasets.rows import Rows, gather, place


def read_folders(
    contents: dict[str, bytes],
    folder: str,
    classes: Sequence[str],
    where: str,
    decoded: Callable[[bytes, str], str],
) -> Rows:
    """Read one file an example from one folder a class.

    Args:
        contents: Path to bytes.
        folder: The split's folder; `"."` if the class folders lie at the top.
        classes: Names of the class folders.
        where: The corpus, for errors.
        decoded: Decodes bytes, given the file's name.

    Returns:
        The rows, class by class, by file name within a class.

    Raises:
        ValueError: If a class has no files.
    """
    texts, labels = [], []
    for value in classes:
        prefix = f"{folder}/{value}/".removeprefix("./")
        paths = sorted(path for path in contents if path.startswith(prefix))
        if not paths:
            raise ValueError(f"Expected files in {prefix} of {where}. Received: none.")
        texts += [decoded(contents[path], path) for path in paths]
        labels += [value] * len(paths)
    return Rows(texts, labels)


def read_json_lines(
    text: str, where: str, texts: Sequence[str], label: str | None
) -> Rows:
    """Read one JSON object a line.

    Args:
        text: The decoded file.
        where: Its name, for errors.
        texts: The key of the text, or the two of a pair.
        label: The key of the label; `None` for a file without labels.

    Returns:
        The rows.

    Raises:
        ValueError: If a line is no JSON object, lacks a key, has no string for a text
            or nothing for a label, or if there are no rows.
    """

    def records() -> Iterator[tuple[str, list[str]]]:
        # Only "\n" ends a line: JSON strings may hold the others that splitlines knows.
        lines = ((n, s) for n, s in enumerate(text.split("\n"), 1) if s.strip())
        for number, (line, string) in enumerate(lines, 1):
            at = f"{where}, row {number} (line {line})"
            try:
                record = json.loads(string)
            except json.JSONDecodeError as error:
                raise ValueError(f"{at}: expected a JSON object ({error}).") from None
            if not isinstance(record, dict):
                raise ValueError(f"{at}: expected a JSON object. Received: {record!r}.")
            for key in (*texts, *filter(None, (label,))):
                place(key, list(record), at)
            values = [record[key] for key in texts]
            for key, value in zip(texts, values, strict=True):
                if not isinstance(value, str):
                    raise ValueError(
                        f"{at}: expected a string for {key!r}. Received: {value!r}."
                    )
            if label:
                values.append(written(record[label], at))
            yield at, values

    return gather(records(), where, pair=len(texts) == 2, labelled=label is not None)


def read_trec(text: str, where: str, level: str) -> Rows:
    """Read the lines `LABEL:sublabel text` of the TREC question corpus.

    Args:
        text: The decoded file.
        where: Its name, for errors.
        level: `"coarse"` for `LABEL`, `"fine"` for `LABEL:sublabel`.

    Returns:
        The rows.

    Raises:
        ValueError: If a line is written otherwise, or there are no rows.
    """

    def records() -> Iterator[tuple[str, list[str]]]:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            fine, _, question = line.rstrip("\r").partition(" ")
            coarse, colon, _ = fine.partition(":")
            at = f"{where}, line {number}"
            if not (coarse and colon):
                raise ValueError(
                    f"{at}: expected 'LABEL:sublabel question'. Received: {line!r}."
                )
            yield at, [question, coarse if level == "coarse" else fine]

    return gather(records(), where)


def written(label: object, at: str) -> str:
    """A label as a string.

    Args:
        label: A string, a number or a truth value.
        at: Where it stands, for the error.

    Returns:
        The string; `"true"` and `"false"` for truth values.

    Raises:
        ValueError: If it is anything else.
    """
    if isinstance(label, bool):
        return "true" if label else "false"
    if label is None:
        return ""  # reported as an empty label
    if isinstance(label, str | int | float):
        return str(label)
    raise ValueError(
        f"{at}: expected a string or number as label. Received: {label!r}."
    )
