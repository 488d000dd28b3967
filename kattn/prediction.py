"""Labels for the rows of a file of any size: streamed, and resumed where it stopped."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from tqdm import tqdm

from kattn.datasets.row_files import ParquetRows, kind_of, long_cells
from kattn.files import replacing
from kattn.models import TextPairClassifier

#: So many are classified and written at a time.
ROWS = 4096


def predict_file(classifier, source, target=None, columns=None, batch_size=64):
    """Classify each row of a file.

    The file is read and written a few thousand rows at a time, so memory does not grow
    with it. What was killed goes on where it stopped when it is run again, Parquet
    files excepted, which begin anew; the target appears when it is complete. Bytes that
    are not UTF-8 part words, and are written as they came.

    Args:
        classifier: A `kattn.models.TextClassifier` with its preprocessor.
        source: A `.csv` or `.tsv` file with a header, in the latter quotation marks
            being text, a `.jsonl` file with an object a line, or a `.parquet` file.
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
    kind = kind_of(source)
    if target is None:
        target = source.with_name(f"{source.stem}-predicted{source.suffix}")
    target = Path(target)
    if target.suffix.lower() != source.suffix.lower():
        raise ValueError(
            f"The target is of the source's kind, {source.suffix}. "
            f"Received: {str(target)!r}"
        )
    if not source.is_file():
        raise FileNotFoundError(f"There is no file {str(source)!r}.")
    if target.exists():
        raise FileExistsError(f"The target {str(target)!r} is there already.")
    columns = columns or columns_of(classifier)
    label = _whole if kind is ParquetRows else _resumable
    with long_cells(), open(source, "rb") as file:
        label(kind(file, source, columns), file, target, classifier, batch_size)
    return target


def columns_of(classifier):
    """The columns that a classifier reads unless told otherwise."""
    pairs = isinstance(classifier, TextPairClassifier)
    return ("premise", "hypothesis") if pairs else ("text",)


def labelled(classifier, texts, batch_size):
    """What a classifier says of some rows.

    Args:
        classifier: The classifier.
        texts: The rows' texts, a list for each field.
        batch_size: Texts a batch.

    Returns:
        A `Prediction` for each row.
    """
    # Of similar length side by side, for less padding.
    lengths = [sum(map(len, row)) for row in zip(*texts, strict=True)]
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    fields = tuple([field[i] for i in order] for field in texts)
    said = classifier.classify(fields if len(fields) > 1 else fields[0], batch_size)
    place = {i: k for k, i in enumerate(order)}
    return [said[place[i]] for i in range(len(order))]


def model_digest(classifier):
    """What tells a model from another: its classes and its weights."""
    digest = hashlib.sha256(json.dumps(classifier.class_names).encode())
    for weight in classifier.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _resumable(reader, file, target, classifier, batch_size):
    """Label lines, with a note of how far it goes."""
    with _Part(target, classifier) as part:
        part.resume(reader)
        with tqdm(
            total=os.fstat(file.fileno()).st_size,
            initial=reader.lines.consumed,
            desc=reader.lines.path.name,
            unit="B",
            unit_scale=True,
            disable=None,
        ) as bar:
            while len((chunk := reader.chunk(ROWS))[0]):
                rows, texts = chunk
                said = labelled(classifier, texts, batch_size)
                part.write(reader, reader.written(rows, said))
                bar.update(reader.lines.consumed - bar.n)
        part.finish()


def _whole(reader, file, target, classifier, batch_size):
    """Label a Parquet file, which has no part that could be gone on with."""
    with (
        replacing(target) as path,
        open(path, "wb") as out,
        reader.sink(out, reader.head()) as write,
        tqdm(
            total=reader.total, desc=reader.where.name, unit="rows", disable=None
        ) as bar,
    ):
        while len((chunk := reader.chunk(ROWS))[0]):
            rows, texts = chunk
            write(reader.written(rows, labelled(classifier, texts, batch_size)))
            bar.update(len(rows))


class _Part:
    """What was written so far, beside the target, with a note of how far it goes."""

    def __init__(self, target, classifier):
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")
        self.model = model_digest(classifier)

    def __enter__(self):
        self.target.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(self.path, "ab")
        return self

    def __exit__(self, *_):
        self.file.close()
        if not self.note.is_file():  # nothing worth to be gone on with
            self.path.unlink(missing_ok=True)

    def resume(self, reader):
        """Go to where the last run stopped, or begin."""
        lines = reader.lines
        if not self.note.is_file():
            self.file.truncate(0)
            self.file.write(reader.head())
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

    def write(self, reader, written):
        self.file.write(written)
        self.file.flush()
        os.fsync(self.file.fileno())
        note = {
            "read": reader.lines.consumed,
            "digest": reader.lines.digest.hexdigest(),
            "written": self.file.tell(),
            "model": self.model,
        }
        with replacing(self.note) as path:
            path.write_text(json.dumps(note), encoding="utf-8")

    def finish(self):
        self.file.close()
        os.replace(self.path, self.target)
        self.note.unlink(missing_ok=True)
