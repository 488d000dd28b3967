"""Labels for files by actors of Ray Data, each of which holds the model.

The files are read by a task of the pipeline with pyarrow, on which Ray's own readers
stand, and not by these: they count no rows, guess at the types of columns, and one
corrupt file would end the job for all.
"""

import contextlib
import itertools
import logging
import os
import pickle
import posixpath
from io import BufferedReader

import keras
from tqdm import tqdm

from kattn import prediction
from kattn.datasets.parquet_rows import ParquetRows, pyarrow
from kattn.datasets.row_files import kind_of, long_cells
from kattn.models import TextClassifier
from kattn.text.libraries import tensorflow

_BLOCK = 1 << 18  # bytes of rows, or more, that go to an actor at once
_STORE = 1 << 29  # bytes of rows that wait at once, on one machine


def predict_files(filesystem, pairs, preset, columns, batch_size, actors):
    """Classify each row of some files.

    Args:
        filesystem: The `pyarrow.fs.FileSystem` they are in.
        pairs: Each file and where its rows go, with a label each.
        preset: A preset's name, folder or handle, on every machine of the cluster.
        columns: The column of the text, or the two of a pair.
        batch_size: Texts a batch.
        actors: How many actors.

    Returns:
        A sentence for each file that could not be read; the others are done.

    Raises:
        ImportError: If Ray is not installed.
    """
    with running(actors) as data:
        context = data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        context.target_max_block_size = _BLOCK
        files = [{"file": i} for i in range(len(pairs))]
        messages = data.from_items(files, override_num_blocks=len(files))
        # One reader, for the order is kept: more would fill the memory with files whose
        # turn has not come. It shares the core of an actor.
        messages = messages.map_batches(
            _read,
            batch_size=1,
            fn_args=(filesystem, pairs, columns),
            num_cpus=0,
            concurrency=1,
        )
        messages = messages.map_batches(
            _Label,
            batch_size=1,
            batch_format="pyarrow",
            compute=data.ActorPoolStrategy(size=actors),
            fn_constructor_args=(pairs, preset, batch_size),
            num_cpus=1,
        )
        return _write(filesystem, pairs, messages.iter_rows())


@contextlib.contextmanager
def running(actors):
    """A context in which Ray runs: the cluster of `RAY_ADDRESS`, or on this machine.

    Args:
        actors: The cores it has on this machine.

    Yields:
        The module `ray.data`.
    """
    # Read when Ray is imported: else it tells its makers of its use, and listens to
    # the network even where it is alone.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    cluster = "RAY_ADDRESS" in os.environ
    if not cluster:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ImportError(
            '--engine ray needs Ray, which is not installed: pip install "kattn[ray]"'
        ) from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield ray.data
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if cluster:
        ray.init(**quiet)
    else:
        ray.init(
            "local",
            num_cpus=actors,
            object_store_memory=_STORE,
            include_dashboard=False,
            **quiet,
        )
    try:
        yield ray.data
    finally:
        ray.shutdown()


def _read(batch, filesystem, pairs, columns):
    """Files as messages: its head, its rows in chunks, its end; or what is wrong."""
    for number in batch["file"]:
        for message in _messages(filesystem, pairs[number][0], columns):
            yield _table(number, message)


def _messages(filesystem, source, columns):
    kind = kind_of(source)
    try:
        with long_cells(), _opened(filesystem, kind, source) as file:
            reader, count = kind(file, source, columns), 0
            yield "head", reader.head()
            while len((chunk := reader.chunk(prediction.ROWS))[0]):
                yield "rows", count, *chunk
                count += len(chunk[0])
            yield "end", count
    except (ValueError, OSError) as error:
        yield "error", str(error)


def _opened(filesystem, kind, source):
    if kind is ParquetRows:  # which is read from its end
        return filesystem.open_input_file(source)
    return BufferedReader(filesystem.open_input_stream(source))


def _table(number, message):
    """A file's message, as a row of Ray Data."""
    pa = pyarrow()
    pickled = pa.array([pickle.dumps(message)], pa.large_binary())
    return pa.table({"file": pa.array([number], pa.int64()), "message": pickled})


class _Label:
    """An actor: a message's rows become what is written of them."""

    def __init__(self, pairs, preset, batch_size):
        if keras.backend.backend() == "tensorflow":  # on the one core that Ray gave
            tensorflow().config.threading.set_intra_op_parallelism_threads(1)
            tensorflow().config.threading.set_inter_op_parallelism_threads(1)
        self.classifier = TextClassifier.from_preset(preset)
        self.pairs, self.batch_size = pairs, batch_size

    def __call__(self, batch):
        (number,), (message,) = (column.to_pylist() for column in batch.columns)
        what, *content = pickle.loads(message)
        if what == "rows":
            first, rows, texts = content
            said = prediction.labelled(self.classifier, texts, self.batch_size)
            kind = kind_of(self.pairs[number][0])
            content = first, len(rows), kind.written(rows, said)
        return _table(number, (what, *content))


class _Unreadable(Exception):
    """What is wrong with a file."""


def _write(filesystem, pairs, messages):
    """Write the files, each whole or not at all; a sentence for each that is not."""
    failed = []
    with tqdm(unit="rows", disable=None) as bar:
        for number, of_file in itertools.groupby(messages, lambda row: row["file"]):
            source, target = pairs[number]
            received = (pickle.loads(row["message"]) for row in of_file)
            try:
                with _replacing(filesystem, target) as file:
                    _fill(file, kind_of(source), received, bar)
            except _Unreadable as error:
                failed.append(str(error))
    return failed


def _fill(file, kind, received, bar):
    what, head = next(received)
    if what == "error":
        raise _Unreadable(head)
    with kind.sink(file, head) as write:
        count = 0
        for what, *content in received:
            if what == "error":
                raise _Unreadable(*content)
            if content[0] != count:
                raise RuntimeError(f"Expected row {count}. Received: row {content[0]}")
            if what == "end":
                return
            _, rows, written = content
            write(written)
            count += rows
            bar.update(rows)
    raise RuntimeError(f"Expected the end of a file. Received: {count} rows of it")


@contextlib.contextmanager
def _replacing(filesystem, target):
    """A file to write, which takes the target's place if all goes well."""
    filesystem.create_dir(posixpath.dirname(target), recursive=True)
    part = f"{target}.part"
    file = filesystem.open_output_stream(part)
    try:
        with file:
            yield file
    except BaseException:
        filesystem.delete_file(part)
        raise
    filesystem.move(part, target)
