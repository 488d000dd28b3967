"""Corpora of ids in TFRecord files: tokenized once, trained on again and again."""

import hashlib
import json
from pathlib import Path

from kattn.files import replacing
from kattn.text.libraries import tensorflow
from kattn.text.streams import Stream

#: Lists the files of a folder, what they hold and what made their ids.
MANIFEST = "tokens.json"
_AT_ONCE = 1024  # examples are tokenized
_FILES_AT_ONCE = 16  # are read by turns in training, for a better shuffle


def tokenizer_digest(preprocessor) -> str:
    """What tells ids that a preprocessor makes from those that another one makes.

    Args:
        preprocessor: A `kattn.models.preprocessors.Preprocessor`.

    Returns:
        The sha256, in hexadecimal, of its vocabulary, its rules and its limits.
    """
    limits = {
        name: value
        for name, value in preprocessor.get_config().items()
        if name not in ("name", "dtype", "trainable", "tokenizer")
    }
    made_by = {
        "vocabulary": preprocessor.tokenizer.get_vocabulary(),
        "case_fold": preprocessor.tokenizer.case_fold,
        "levels": preprocessor.levels,
        **limits,
    }
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


def write_records(preprocessor, splits, class_names, folder, shard_size=100_000):
    """Tokenize a corpus and write its ids.

    Args:
        preprocessor: Makes the ids; see `kattn.models`.
        splits: Name to `kattn.text.Stream` of texts.
        class_names: Name of class `i` at position `i`.
        folder: Is made, and gets files of TFRecords and, when all are complete, a
            list of them with their checksums and the tokenizer's digest.
        shard_size: Examples a file.

    Returns:
        The `pathlib.Path` of the folder.

    Raises:
        FileExistsError: If there is something in the folder.
        ValueError: If the shard size is not positive.
    """
    folder = Path(folder)
    if shard_size < 1:
        raise ValueError(f"A file has at least one example. Received: {shard_size}")
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"The folder {str(folder)!r} is not empty.")
    files = {}
    for part, stream in splits.items():
        number = -(-len(stream) // shard_size)
        names = (f"{part}-{i:05}-of-{number:05}.tfrecord" for i in range(number))
        examples = _examples(preprocessor, stream)
        files[part] = [_file(folder / name, examples, shard_size) for name in names]
    content = {
        "tokenizer": tokenizer_digest(preprocessor),
        "fields": list(preprocessor.fields),
        "levels": preprocessor.levels,
        "class_names": list(class_names),
        "files": files,
    }
    with replacing(folder / MANIFEST) as path:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return folder


def _examples(preprocessor, stream):
    """The examples of a stream, serialized."""
    tf = tensorflow()

    def feature(values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    for *texts, labels in stream.elements().batch(_AT_ONCE):
        ids = preprocessor.ids(tuple(texts) if stream.pairs else texts[0])
        fields = [part.to_list() for part in (ids if stream.pairs else (ids,))]
        for *parts, label in zip(*fields, labels.numpy().tolist(), strict=True):
            features = {"label": feature([label])}
            for name, part in zip(preprocessor.fields, parts, strict=True):
                if preprocessor.levels == 2:
                    features[f"{name}_lengths"] = feature([len(some) for some in part])
                    part = [number for some in part for number in some]
                features[name] = feature(part)
            features = tf.train.Features(feature=features)
            yield tf.train.Example(features=features).SerializeToString()


def _file(path, examples, size):
    """Write the next examples; what the list says of the file."""
    with replacing(path) as temporary:
        with tensorflow().io.TFRecordWriter(str(temporary)) as writer:
            count = 0
            while count < size and (example := next(examples, None)) is not None:
                writer.write(example)
                count += 1
        sha256 = _sha256(temporary)
    return {"name": path.name, "examples": count, "sha256": sha256}


def read_records(folder, buffer=10_000):
    """Open a corpus of ids.

    Args:
        folder: What `write_records` wrote.
        buffer: Among how many examples the next one is drawn in training.

    Returns:
        `(splits, class_names)`: name to `RecordStream`, and the names of the classes.

    Raises:
        ValueError: If a file is missing or damaged, or the list cannot be read.
    """
    folder = Path(folder)
    content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    splits = {}
    for part, files in content["files"].items():
        paths = [folder / file["name"] for file in files]
        for path, file in zip(paths, files, strict=True):
            if not path.is_file():
                raise ValueError(f"{str(path)!r} is missing: {MANIFEST} lists it.")
            if (found := _sha256(path)) != file["sha256"]:
                raise ValueError(
                    f"{str(path)!r} is damaged: it differs from what was written "
                    f"(expected sha256 {file['sha256']}, received {found})."
                )
        size = sum(file["examples"] for file in files)
        splits[part] = RecordStream(paths, size, content, buffer)
    return splits, tuple(content["class_names"])


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class RecordStream(Stream):
    """Ids and labels from files of TFRecords.

    Args:
        paths: The files.
        size: The number of examples.
        content: The list that stands beside them.
        buffer: As for `Stream`.
    """

    def __init__(self, paths, size, content, buffer=10_000):
        super().__init__(size, len(content["fields"]) == 2, buffer)
        self.paths = [str(path) for path in paths]
        self.content = content

    def check(self, preprocessor):
        """Refuse a preprocessor that would have made other ids."""
        digest = tokenizer_digest(preprocessor)
        if digest != self.content["tokenizer"]:
            raise ValueError(
                "These ids were made by another tokenizer than the model's, or with "
                f"other limits of length (digest {self.content['tokenizer'][:12]}..., "
                f"the model's is {digest[:12]}...). Tokenize the corpus with the model."
            )

    def elements(self, key=None):
        """A dataset of serialized examples; see `Stream`."""
        tf = tensorflow()
        paths = tf.constant(self.paths)
        files = 1 if key is None else _FILES_AT_ONCE
        if key is not None:
            paths = tf.random.experimental.stateless_shuffle(paths, key)
        return (
            tf.data.Dataset.from_tensor_slices(paths)
            .interleave(
                tf.data.TFRecordDataset,
                cycle_length=files,
                num_parallel_calls=files,
                deterministic=True,
            )
            .map(lambda record: (record,))
        )

    def inputs(self, elements, preprocessor):
        """A batch of serialized examples as `(inputs, labels)` of a model."""
        tf = tensorflow()
        features = {"label": tf.io.FixedLenFeature([], tf.int64)}
        for name in self.content["fields"]:
            partitions = []
            if self.content["levels"] == 2:
                partitions = [tf.io.RaggedFeature.RowLengths(f"{name}_lengths")]
            features[name] = tf.io.RaggedFeature(
                tf.int64, name, partitions, row_splits_dtype=tf.int64
            )
        read = tf.io.parse_example(*elements, features)
        ids = [tf.cast(read[name], "int32") for name in self.content["fields"]]
        inputs = preprocessor.pad(tuple(ids) if self.pairs else ids[0])
        return inputs, tf.cast(read["label"], "int32")
