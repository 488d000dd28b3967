"""Rows as a file gives them, before labels become indices."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kattn.datasets.corpus import Texts
from kattn.names import unknown


@dataclass(frozen=True)
class Rows:
    """What a file says.

    Args:
        texts: `N` strings, or a tuple of two lists of `N` strings.
        labels: `N` strings as the file writes them, or `None` where it has no labels.
        parts: `N` values of the column that names the split, or `None` without one.
    """

    texts: Texts
    labels: list[str] | None
    parts: list[str] | None = None


def decode(
    data: bytes, where: str, encoding: str = "utf-8", fallback: str | None = None
) -> str:
    """Decode a file.

    Args:
        data: Its bytes.
        where: Its name, for the error.
        encoding: Its encoding; of UTF-8, a byte order mark is dropped.
        fallback: Used for the whole file where `encoding` does not fit.

    Returns:
        The text.

    Raises:
        ValueError: If it is not in that encoding, with the line where it is not.
    """
    try:
        return data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
    except UnicodeDecodeError as error:
        if fallback:
            return data.decode(fallback)
        line = data[: error.start].count(b"\n") + 1
        raise ValueError(
            f"Expected a text file in {encoding.upper()}. Received: {where}, whose "
            f"line {line} holds the byte 0x{data[error.start]:02x}."
        ) from None


def place(name: str, header: Sequence[str], where: str) -> int:
    """Where a column stands.

    Args:
        name: The column.
        header: All columns.
        where: What they are columns of, for the error.

    Returns:
        Its position.

    Raises:
        ValueError: If there is no such column, or two.
    """
    if header.count(name) > 1:
        raise ValueError(f"{where}: expected one column {name!r}. Received: two.")
    if name not in header:
        raise unknown(f"column in {where}", name, header)
    return header.index(name)


def gather(
    records: Iterable[tuple[str, list[str]]],
    where: str,
    *,
    pair: bool = False,
    labelled: bool = True,
    parts: bool = False,
) -> Rows:
    """Collect records column by column.

    Args:
        records: `N` tuples of the place in the file, for errors, and the values: one
            text or two, the label if there is one, the split's value if there is one.
        where: The file, for errors.
        pair: Whether there are two texts.
        labelled: Whether there is a label.
        parts: Whether there is a value for the split.

    Returns:
        The rows; labels without the white space round them.

    Raises:
        ValueError: If a label is empty, or there are no rows.
    """
    texts, read = 1 + pair, []
    for at, values in records:
        if labelled and not values[texts].strip():
            raise ValueError(f"{at}: expected a label. Received: an empty one.")
        read.append(values)
    if not read:
        raise ValueError(f"Expected rows of text in {where}. Received: none.")
    columns = [list(column) for column in zip(*read, strict=True)]
    return Rows(
        (columns[0], columns[1]) if pair else columns[0],
        [value.strip() for value in columns[texts]] if labelled else None,
        columns[-1] if parts else None,
    )
