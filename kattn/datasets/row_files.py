"""The kinds of files that hold rows of text: read in chunks, and written with labels.

A kind is a class. Made of an open file it gives chunks of rows, as it wants them, with
their texts. `written` makes of a chunk and its predictions what `sink` writes. Where
there is a column of labels, which are then read and not written, its values come after
the texts, as strings.
"""

import contextlib
import csv
import hashlib
import io
import itertools
import json
from pathlib import PurePath

from kattn.datasets.parquet_rows import ADDED, ParquetRows
from kattn.datasets.readers import written
from kattn.datasets.rows import place
from kattn.names import unknown


class Lines:
    """The lines of a file, how much of it was read, and the digest of that."""

    def __init__(self, file, path):
        self.file, self.path = file, path
        self.breaks, self.ends, self.consumed = 0, False, 0
        self.digest = hashlib.sha256()

    def __iter__(self):
        return self

    def __next__(self):
        line = next(self.file)
        self._count(line)
        text = line.decode("utf-8", "surrogateescape")
        return text.removeprefix("\ufeff") if self.consumed == len(line) else text

    def skip_to(self, place):
        """Read on to a place without a use for it; whether the file goes as far."""
        while self.consumed < place:
            data = self.file.read(min(1 << 20, place - self.consumed))
            if not data:
                return False
            self._count(data)
        return True

    def _count(self, data):
        self.breaks += data.count(b"\n")
        self.ends = data.endswith(b"\n")
        self.consumed += len(data)
        self.digest.update(data)

    def error(self, what):
        """The error of the line that was read last."""
        line = self.breaks + (not self.ends)
        return ValueError(f"{self.path}, line {line}: {what}")


class _OfLines:
    """A kind whose files are lines of text."""

    def __init__(self, file, where, columns, label=None):
        self.lines = Lines(file, where)
        self.columns, self.label = columns, label
        self.begin()

    def __iter__(self):
        return self

    def chunk(self, size):
        """At most so many rows, none at the end, and their texts, field by field."""
        read = list(itertools.islice(self, size))
        texts = zip(*(texts for _, texts in read), strict=True)
        return [row for row, _ in read], [list(field) for field in texts]

    def head(self):
        """What stands above the rows."""
        return b""

    @classmethod
    def written(cls, rows, said):
        """The bytes of a chunk's rows with a prediction for each."""
        lines = (cls.line(row, one) for row, one in zip(rows, said, strict=True))
        return _bytes("".join(lines))

    @staticmethod
    @contextlib.contextmanager
    def sink(file, head):
        """A function that writes what `written` gives, after the head."""
        file.write(head)
        yield file.write


class _Table(_OfLines):
    """Rows of a delimited file."""

    def begin(self):
        lines, columns = self.lines, [*self.columns, *filter(None, [self.label])]
        self.reader = self.cells(lines)
        self.header = next(self, None) or []
        taken = [name for name in ADDED if name in self.header]
        if taken and self.label is None:
            raise ValueError(
                f"{lines.path}: the column {taken[0]!r} would be written twice. Give "
                "it another name first."
            )
        self.places = [place(name, self.header, str(lines.path)) for name in columns]

    def __next__(self):
        try:
            cells = next(self.reader)
        except csv.Error as error:
            raise self.lines.error(f"this is no CSV ({error}).") from None
        if not hasattr(self, "header"):
            return cells
        if len(cells) != len(self.header):
            raise self.lines.error(
                f"expected {len(self.header)} columns ({', '.join(self.header)}). "
                f"Received: {len(cells)}"
            )
        return cells, [cells[i] for i in self.places]

    def head(self):
        return _bytes(self.joined([*self.header, *ADDED]))

    @classmethod
    def line(cls, cells, said):
        return cls.joined([*cells, said.label, f"{said.probability:.6f}"])


class _CSV(_Table):
    """Cells with commas between them, and quotation marks by the rules of CSV."""

    def cells(self, lines):
        return filter(None, csv.reader(lines, strict=True))

    @staticmethod
    def joined(cells):
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerow(cells)
        return written.getvalue()


class _TSV(_Table):
    """Cells with tabs between them; quotation marks are text."""

    def cells(self, lines):
        rows = (line.rstrip("\r\n") for line in lines)
        return (row.split("\t") for row in rows if row)

    @staticmethod
    def joined(cells):
        return "\t".join(cells) + "\n"


class _JSONLines(_OfLines):
    """An object a line."""

    def begin(self):
        pass

    def __next__(self):
        line = next(self.lines)
        while not line.strip():
            line = next(self.lines)
        try:
            row = json.loads(line)
        except ValueError as error:
            raise self.lines.error(f"this is no JSON ({error}).") from None
        if not isinstance(row, dict):
            raise self.lines.error(f"expected an object. Received: {line.strip()[:80]}")
        taken = [name for name in ADDED if name in row]
        if taken and self.label is None:
            raise self.lines.error(f"the key {taken[0]!r} would be written twice.")
        for name in self.columns:
            if not isinstance(row.get(name), str):
                raise self.lines.error(
                    f"expected a string under {name!r}. Received: {row.get(name)!r}; "
                    f"the keys are {list(row)}"
                )
        texts = [row[name] for name in self.columns]
        if self.label is not None:
            if self.label not in row:
                raise self.lines.error(f"there is no label under {self.label!r}.")
            texts.append(written(row[self.label], str(self.lines.path)))
        return row, texts

    @staticmethod
    def line(row, said):
        row = {**row, **dict(zip(ADDED, said, strict=True))}
        line = json.dumps(row, ensure_ascii=False)
        try:
            _bytes(line)
        except UnicodeEncodeError:  # half a pair of surrogates, which JSON allows
            line = json.dumps(row)
        return f"{line}\n"


KINDS = {".csv": _CSV, ".tsv": _TSV, ".jsonl": _JSONLines, ".parquet": ParquetRows}


def kind_of(path):
    """The class of a file's kind.

    Args:
        path: The file's path or address.

    Returns:
        The class, to be made of `(file, where, columns)`.

    Raises:
        ValueError: If the name ends in nothing that is known.
    """
    suffix = PurePath(path).suffix.lower()
    if suffix not in KINDS:
        raise unknown("kind of file", suffix, KINDS)
    return KINDS[suffix]


@contextlib.contextmanager
def long_cells():
    """Let a cell of CSV hold a book, which `csv` refuses for all its users at once."""
    limit = csv.field_size_limit(2**31 - 1)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


def _bytes(text):
    return text.encode("utf-8", "surrogateescape")
