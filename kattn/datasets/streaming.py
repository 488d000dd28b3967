"""Corpora larger than memory: read once to know what there is, and then as needed."""

import collections
import functools
import glob
from pathlib import Path

import numpy as np

from kattn.datasets import hugging_face
from kattn.datasets.assemble import Rules
from kattn.datasets.corpus import Corpus
from kattn.datasets.cuts import draw
from kattn.datasets.equality import key
from kattn.datasets.own import classes, text_columns
from kattn.datasets.readers import written
from kattn.datasets.row_files import KINDS, kind_of, long_cells
from kattn.names import unknown
from kattn.text.records import MANIFEST, read_records
from kattn.text.streams import TextStream

_ROWS = 4096  # are read at a time
_SHARE = 0.1  # of the examples, for each split that is missing


def load_streaming(
    name,
    data_dir=None,
    *,
    text: str | None = None,
    label: str = "label",
    premise: str | None = None,
    hypothesis: str | None = None,
    validation=None,
    test=None,
    config: str | None = None,
    buffer: int = 10_000,
) -> Corpus:
    """Open files of the user's own, or a data set of the Hugging Face hub, as streams.

    All of it is read once, to count examples and classes, and kept nowhere.

    Args:
        name: A file, a folder of them, a pattern such as `"reviews/2024-*.jsonl"`, or
            `"hf://org/name"`. Files are as for `kattn.datasets.load`, or `.parquet`. Or
            a folder that `python -m kattn tokenize` wrote, whose files are compared
            with their checksums.
        data_dir: Folder that names of files are relative to; of Hugging Face, its
            cache.
        text: Column of the text; `"text"` if nothing is named.
        label: Column of the label.
        premise: Column of a pair's first text, instead of `text`.
        hypothesis: Column of a pair's second text.
        validation: Files of the validation examples, as `name`.
        test: Files of the test examples, as `name`.
        config: Configuration of the Hugging Face data set, where it has several.
        buffer: Among how many examples the next one is drawn in training.

    Returns:
        The corpus, its splits `kattn.text.TextStream`s, or `RecordStream`s of ids. A
        split that is missing is a tenth of the examples, drawn by a hash of their
        texts.

    Raises:
        FileNotFoundError: If there are no such files.
        ValueError: If a file is not as described, or an option not one of these.
    """
    columns = text_columns(text, premise, hypothesis)
    name, class_names = str(name), None
    folder = Path(data_dir or ".").expanduser() / Path(name).expanduser()
    if (folder / MANIFEST).is_file():
        splits, class_names = read_records(folder, buffer)
        return Corpus(name, class_names, **splits)
    if name.startswith(hugging_face.SCHEME):
        for option in (validation, test):
            if option is not None:
                raise ValueError(
                    f"{name} has splits of its own. Received: the file {option!r}"
                )
        found = hugging_face.find(name, config, data_dir, streaming=True)
        class_names = hugging_face.class_names(found, label)
        found = {part: [one] for part, one in found.items() if _labelled(one, label)}
        read = functools.partial(
            _of_hub, columns=columns, label=label, class_names=class_names
        )
    else:
        given = {"train": name, "validation": validation, "test": test}
        found = {
            part: _files(Path(data_dir or ".").expanduser(), str(files))
            for part, files in given.items()
            if files is not None
        }
        read = functools.partial(_of_file, columns=columns, label=label)
    shards = {
        part: [functools.partial(read, one) for one in some]
        for part, some in found.items()
    }
    return _corpus(name, shards, class_names, len(columns) == 2, buffer)


def _corpus(name, shards, class_names, pairs, buffer):
    """Count what functions give, and make streams of them."""
    missing = [part for part in ("test", "validation") if part not in shards]
    counts = collections.defaultdict(collections.Counter)
    for part, some in shards.items():
        for shard in some:
            for *fields, labels in shard():
                for to, label in zip(
                    _parts(part, fields, missing), labels, strict=True
                ):
                    counts[to][label] += 1
    class_names = class_names or classes(counts["train"], name)
    for part, count in counts.items():
        for label in count:
            if label not in class_names:
                raise unknown(f"label in {name} ({part})", label, class_names)
    number = {label: i for i, label in enumerate(class_names)}

    def examples(shard, source, part):
        for *fields, labels in shard():
            parts = _parts(source, fields, missing)
            rows = [i for i, to in enumerate(parts) if to == part]
            kept = [[field[i] for i in rows] for field in fields]
            yield *kept, np.array([number[labels[i]] for i in rows], "int32")

    streams = {}
    for part in ("train", "validation", "test"):
        source = part if part in shards else "train"
        if not counts[part]:
            raise ValueError(f"{name} has no examples for {part}.")
        streams[part] = TextStream(
            [functools.partial(examples, one, source, part) for one in shards[source]],
            counts[part].total(),
            pairs,
            buffer,
        )
    notes = [
        f"Split: {part} is {len(streams[part]):,} examples of train, drawn by a hash "
        f"of their texts, seed {Rules.seed}."
        for part in missing
    ]
    return Corpus(name, tuple(class_names), **streams, notes=tuple(notes))


def _parts(part, fields, missing):
    """The split of each example: equal texts on one side, whatever their order."""
    if part != "train" or not missing:
        return [part] * len(fields[0])
    parts = []
    for texts in zip(*fields, strict=True):
        number = draw("\n".join(map(key, texts)), Rules.seed)
        place = int.from_bytes(number[:8]) / 2**64 / _SHARE
        parts.append(missing[int(place)] if place < len(missing) else part)
    return parts


def _files(folder, pattern):
    """The files of a name, a folder or a pattern, in their order."""
    path = folder / Path(pattern).expanduser()
    if path.is_dir():
        paths = [one for one in path.rglob("*") if one.suffix.lower() in KINDS]
    else:
        paths = [Path(one) for one in glob.glob(str(path), recursive=True)]
    if not paths:
        raise FileNotFoundError(
            f"Expected files that end in {', '.join(KINDS)}. Received: {str(path)!r}, "
            "where there are none."
        )
    for one in paths:
        kind_of(one)
    return sorted(paths)


def _of_file(path, columns, label):
    with long_cells(), open(path, "rb") as file:
        reader = kind_of(path)(file, path, columns, label)
        while len((chunk := reader.chunk(_ROWS))[0]):
            _, fields = chunk
            yield fields


def _of_hub(split, columns, label, class_names):
    for rows in split.iter(batch_size=_ROWS):
        for column in (*columns, label):
            if column not in rows:
                raise unknown("column", column, rows)
        labels = rows[label]
        if class_names:
            labels = [class_names[i] for i in labels]
        labels = [written(value, label) for value in labels]
        yield *(rows[column] for column in columns), labels


def _labelled(split, label):
    """Whether labels were not kept back, for which Hugging Face writes -1."""
    return next(iter(split), {}).get(label, "") not in (-1, None)
