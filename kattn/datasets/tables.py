"""Delimited tables: CSV, and tab-separated text with quotation marks or without."""

import csv
import io
from collections.abc import Iterator, Sequence

from kattn.datasets.rows import Rows, gather, place


def read_table(
    text: str,
    where: str,
    texts: Sequence[str],
    label: str | None,
    *,
    delimiter: str = "\t",
    quoting: bool = False,
    columns: Sequence[str] = (),
    part: str | None = None,
) -> Rows:
    """Read a delimited table.

    Args:
        text: The decoded file.
        where: Its name, for errors.
        texts: The text column, or the two of a pair.
        label: The label column; `None` for a file without labels.
        delimiter: Between columns.
        quoting: Whether quotation marks quote, by the rules of CSV.
        columns: Column names, if the file has no header.
        part: The column that says which split a row belongs to.

    Returns:
        The rows.

    Raises:
        ValueError: If a column is not there, a row has too few or too many columns, a
            label is empty, or there are no rows.
    """
    lines = _quoted(text, where, delimiter) if quoting else _plain(text, delimiter)
    header = list(columns) if columns else next(lines, (0, []))[1]
    if not header:
        raise ValueError(f"Expected a header and rows in {where}. Received: none.")
    wanted = [*texts, *filter(None, (label, part))]
    places = [place(name, header, where) for name in wanted]

    def records() -> Iterator[tuple[str, list[str]]]:
        for number, (line, cells) in enumerate(lines, 1):
            at = f"{where}, row {number} (line {line})"
            if len(cells) != len(header):
                hint = "" if quoting else " Quotation marks are read as text here."
                raise ValueError(
                    f"{at}: expected {len(header)} columns ({', '.join(header)}). "
                    f"Received: {len(cells)}.{hint}"
                )
            yield at, [cells[i] for i in places]

    return gather(
        records(),
        where,
        pair=len(texts) == 2,
        labelled=label is not None,
        parts=part is not None,
    )


def _plain(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if line:
            yield number, line.split(delimiter)


def _quoted(text: str, where: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    # csv refuses cells of more than 128 KiB unless told otherwise, for all its users
    # at once; a book is longer than that.
    limit = csv.field_size_limit(len(text) + 1)
    try:
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, strict=True
        )
        return iter([(reader.line_num, cells) for cells in reader if cells])
    except csv.Error as error:
        raise ValueError(
            f"{where}, line {reader.line_num}: expected quoted cells to end with a "
            f"quotation mark and a {delimiter!r} or the end of the line ({error})."
        ) from None
    finally:
        csv.field_size_limit(limit)
