"""Rows of Parquet files, read in chunks and written with labels, through pyarrow."""

import contextlib

from kattn.datasets.readers import written
from kattn.datasets.rows import place

ADDED = ("label", "probability")


def pyarrow():
    """The module `pyarrow`, and its parts for files.

    Returns:
        The module.

    Raises:
        ImportError: If it is not installed, with the command that helps.
    """
    try:
        import pyarrow
        import pyarrow.fs
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            "Folders and Parquet files need pyarrow, which is not installed: "
            'pip install "kattn[parquet]"'
        ) from error
    return pyarrow


class ParquetRows:
    """Columns with types; a kind as `kattn.datasets.row_files` has them."""

    def __init__(self, file, where, columns, label=None):
        pa = pyarrow()
        self.where, self.columns, self.label, self.read = where, columns, label, 0
        try:
            self.file = pa.parquet.ParquetFile(file)
        except pa.ArrowInvalid as error:
            raise ValueError(f"{where}: this is no Parquet file ({error}).") from None
        schema = self.schema = self.file.schema_arrow
        self.total = self.file.metadata.num_rows
        if label is not None:
            place(label, schema.names, str(where))
        for name in ADDED:
            if name in schema.names and label is None:
                raise ValueError(
                    f"{where}: the column {name!r} would be written twice. Give it "
                    "another name first."
                )
        for name in columns:
            kind = schema.types[place(name, schema.names, str(where))]
            if kind not in (pa.string(), pa.large_string()):
                raise ValueError(
                    f"{where}: expected strings in the column {name!r}. "
                    f"Received: {kind}"
                )
        self.chunks = None

    def chunk(self, size):
        """At most so many rows, none at the end, and their texts, field by field."""
        pa = pyarrow()
        if self.chunks is None:
            self.chunks = self.file.iter_batches(batch_size=size)
        try:
            rows = next(self.chunks, None)
        except (OSError, pa.ArrowException) as error:
            raise ValueError(
                f"{self.where}, after row {self.read}: this is damaged ({error})."
            ) from None
        if rows is None:
            return [], []
        for name in self.columns:
            missing = rows.column(name).is_null().to_pylist()
            if any(missing):
                row = self.read + missing.index(True) + 1
                raise ValueError(
                    f"{self.where}, row {row}: expected a string in the column "
                    f"{name!r}. Received: none"
                )
        self.read += len(rows)
        texts = [rows.column(name).to_pylist() for name in self.columns]
        if self.label is not None:
            labels = rows.column(self.label).to_pylist()
            texts.append([written(label, str(self.where)) for label in labels])
        return rows, texts

    def head(self):
        """The schema of what is written."""
        pa = pyarrow()
        types = (pa.string(), pa.float32())
        return pa.schema([*self.schema, *map(pa.field, ADDED, types)])

    @staticmethod
    def written(rows, said):
        """A chunk's rows with a prediction for each."""
        pa = pyarrow()
        labels = pa.array([one.label for one in said], pa.string())
        probabilities = pa.array([one.probability for one in said], pa.float32())
        names = [*rows.schema.names, *ADDED]
        return pa.record_batch([*rows.columns, labels, probabilities], names)

    @staticmethod
    @contextlib.contextmanager
    def sink(file, head):
        """A function that writes what `written` gives."""
        with pyarrow().parquet.ParquetWriter(file, head) as writer:
            yield lambda rows: writer.write_batch(rows.cast(head))
