"""Labels for the rows of a file of any size: streamed, and resumed where it stopped."""

import csv
import hashlib
import io
import itertools
import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kattn.datasets.rows import place
from kattn.files import replacing
from kattn.models import TextPairClassifier
from kattn.names import unknown

_ROWS = 4096  # are classified and written at a time
ADDED = ("label", "probability")


def predict_file(classifier, source, target=None, columns=None, batch_size=64):
    """Classify each row of a file.

    The file is read and written a few thousand rows at a time, so memory does not grow
    with it. What was killed goes on where it stopped when it is run again; the target
    appears when it is complete. Bytes that are not UTF-8 part words, and are written as
    they came.

    Args:
        classifier: A `kattn.models.TextClassifier` with its preprocessor.
        source: A `.csv` or `.tsv` file with a header, in the latter quotation marks
            being text, or a `.jsonl` file with an object a line.
        target: The file to write, of the same kind: the rows of `source`, and with them
            `label` and `probability`. If `None` it is called `<source>-predicted`.
        columns: The column of the text, or the two of a pair; if `None` they are
            `text`, or `premise` and `hypothesis`.
        batch_size: Texts a batch.

    Returns:
        The `pathlib.Path` of the target.

    Raises:
        FileNotFoundError: If there is no such source.
        FileExistsError: If the target is there already.
        ValueError: If a file is of no such kind, lacks a column or has one of those
            that are added, or if a row is not as the header says: its line is named,
            and what was written before is gone on with once it is mended.
    """
    source = Path(source)
    kind = source.suffix.lower()
    if kind not in _KINDS:
        raise unknown("kind of file", kind, list(_KINDS))
    if target is None:
        target = source.with_name(f"{source.stem}-predicted{source.suffix}")
    target = Path(target)
    if target.suffix.lower() != kind:
        raise ValueError(
            f"The target is of the source's kind, {kind}. Received: {str(target)!r}"
        )
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {str(source)!r}.")
    if target.exists():
        raise FileExistsError(f"The target {str(target)!r} is there already.")
    if columns is None:
        pairs = isinstance(classifier, TextPairClassifier)
        columns = ("premise", "hypothesis") if pairs else ("text",)
    limit = csv.field_size_limit(2**31 - 1)  # a cell may hold a book
    try:
        with open(source, "rb") as file, _Part(target, classifier) as part:
            rows = _KINDS[kind](_Lines(file, source), columns)
            part.resume(rows)
            with tqdm(
                total=os.fstat(file.fileno()).st_size,
                initial=rows.lines.consumed,
                desc=source.name,
                unit="B",
                unit_scale=True,
                disable=None,
            ) as bar:
                while chunk := list(itertools.islice(rows, _ROWS)):
                    part.write(rows, _labelled(classifier, chunk, batch_size))
                    bar.update(rows.lines.consumed - bar.n)
            part.finish()
    finally:
        csv.field_size_limit(limit)
    return target


def _labelled(classifier, chunk, batch_size):
    """Rows with what the classifier says of each."""
    texts = [texts for _, texts in chunk]
    # Of similar length side by side, for less padding.
    order = sorted(range(len(texts)), key=lambda i: sum(map(len, texts[i])))
    fields = tuple([texts[i][k] for i in order] for k in range(len(texts[0])))
    said = classifier.classify(fields if len(fields) > 1 else fields[0], batch_size)
    place = {i: k for k, i in enumerate(order)}
    return [(row, said[place[i]]) for i, (row, _) in enumerate(chunk)]


class _Lines:
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
        line = self.breaks + (not self.ends)  # the one read last
        return ValueError(f"{self.path}, line {line}: {what}")


class _Table:
    """Rows of a delimited file, and how rows with more columns are written."""

    def __init__(self, lines, columns):
        self.lines = lines
        self.reader = self.cells(lines)
        self.header = next(self, None) or []
        taken = [name for name in ADDED if name in self.header]
        if taken:
            raise ValueError(
                f"{lines.path}: the column {taken[0]!r} would be written twice. Give "
                "it another name first."
            )
        self.places = [place(name, self.header, str(lines.path)) for name in columns]

    def __iter__(self):
        return self

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
        return self.line([*self.header, *ADDED])

    def tail(self, cells, prediction):
        return self.line([*cells, prediction.label, f"{prediction.probability:.6f}"])


class _CSV(_Table):
    """Cells with commas between them, and quotation marks by the rules of CSV."""

    def cells(self, lines):
        return filter(None, csv.reader(lines, strict=True))

    def line(self, cells):
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerow(cells)
        return written.getvalue()


class _TSV(_Table):
    """Cells with tabs between them; quotation marks are text."""

    def cells(self, lines):
        rows = (line.rstrip("\r\n") for line in lines)
        return (row.split("\t") for row in rows if row)

    def line(self, cells):
        return "\t".join(cells) + "\n"


class _JSONLines:
    """An object a line."""

    def __init__(self, lines, columns):
        self.lines, self.columns = lines, columns

    def __iter__(self):
        return self

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
        if taken:
            raise self.lines.error(f"the key {taken[0]!r} would be written twice.")
        for name in self.columns:
            if not isinstance(row.get(name), str):
                raise self.lines.error(
                    f"expected a string under {name!r}. Received: {row.get(name)!r}; "
                    f"the keys are {list(row)}"
                )
        return row, [row[name] for name in self.columns]

    def head(self):
        return ""

    def tail(self, row, prediction):
        row = {**row, **dict(zip(ADDED, prediction, strict=True))}
        line = json.dumps(row, ensure_ascii=False)
        try:
            line.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:  # half a pair of surrogates, which JSON allows
            line = json.dumps(row)
        return f"{line}\n"


_KINDS = {".csv": _CSV, ".tsv": _TSV, ".jsonl": _JSONLines}


class _Part:
    """What was written so far, beside the target, with a note of how far it goes."""

    def __init__(self, target, classifier):
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        self.model = _digest(classifier)

    def __enter__(self):
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "ab")
        return self

    def __exit__(self, *_):
        self.file.close()
        if not self.note.is_file():  # nothing worth to be gone on with
            self.path.unlink(missing_ok=True)

    def resume(self, rows):
        """Go to where the last run stopped, or begin."""
        lines = rows.lines
        if not self.note.is_file():
            self.file.truncate(0)
            self._put(rows.head())
            return
        note = json.loads(self.note.read_text(encoding="utf-8"))
        again = lines.skip_to(note["read"]) and lines.digest.hexdigest()
        if again != note["digest"] or note["model"] != self.model:
            what = "model" if again == note["digest"] else "source"
            raise ValueError(
                f"{str(self.path)!r} was begun with another {what}. To begin anew, "
                f"delete it and {str(self.note)!r}."
            )
        self.file.truncate(note["written"])

    def write(self, rows, labelled):
        self._put("".join(rows.tail(*one) for one in labelled))
        self.file.flush()
        os.fsync(self.file.fileno())
        note = {
            "read": rows.lines.consumed,
            "digest": rows.lines.digest.hexdigest(),
            "written": self.file.tell(),
            "model": self.model,
        }
        with replacing(self.note) as path:
            path.write_text(json.dumps(note), encoding="utf-8")

    def _put(self, text):
        self.file.write(text.encode("utf-8", "surrogateescape"))

    def finish(self):
        self.file.close()
        os.replace(self.path, self.target)
        self.note.unlink(missing_ok=True)


def _digest(classifier):
    """What tells a model from another: its classes and its weights."""
    digest = hashlib.sha256(json.dumps(classifier.class_names).encode())
    for weight in classifier.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()
