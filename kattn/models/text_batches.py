"""Strings and labels as batches of what a classifier reads."""

import contextlib

import numpy as np

from kattn.models.examples import checked, count
from kattn.text.batches import ordered_batches
from kattn.text.libraries import tensorflow
from kattn.text.shares import share
from kattn.text.strings import as_strings

_TOKENIZED_AT_ONCE = 1024


class TextBatches:
    """Mixin of a classifier with a preprocessor: its examples become batches."""

    #: What an example is called in messages.
    _unit = "texts"

    def _tokenizes(self, x):
        """Whether `x` is strings for the preprocessor, and not inputs of the model."""
        return self.preprocessor is not None and isinstance(
            x, str | bytes | list | tuple | np.ndarray
        )

    def _checked(self, x):
        """The texts as a list of strings, or an error that says what is wrong."""
        return checked(x)

    def _preprocessed(self, dataset):
        if self.preprocessor is None:
            return dataset
        tf = tensorflow()
        return dataset.map(
            self.preprocess_samples, num_parallel_calls=tf.data.AUTOTUNE
        ).prefetch(tf.data.AUTOTUNE)

    def _streamed(self, stream, batch_size):
        batch_size = batch_size or 32
        batches = stream.ordered_batches(self.preprocessor, batch_size=batch_size)
        return share(batches, len(stream), batch_size)[0]

    def _examined(self, texts, batch_size, labels, weights=None):
        batches = self._ordered(texts, batch_size, labels, weights)
        return share(batches, count(texts), batch_size or 32)[0]

    def _ids(self, texts):
        """Ragged ids of all texts, made once."""
        tf = tensorflow()
        parts = texts if isinstance(texts, tuple) else (texts,)
        chunks = []
        with tf.device("cpu"):
            for start in range(0, count(texts), _TOKENIZED_AT_ONCE):
                rows = slice(start, start + _TOKENIZED_AT_ONCE)
                batch = tuple(as_strings(part[rows]) for part in parts)
                chunks.append(
                    self.preprocessor.ids(batch if texts is parts else batch[0])
                )
            return tf.nest.map_structure(lambda *ids: tf.concat(ids, axis=0), *chunks)

    def _batch(self, texts):
        """The inputs of one batch of texts."""
        tf = tensorflow()
        with tf.device("cpu"):
            inputs = self.preprocessor.pad(self._ids(texts))
        return tf.nest.map_structure(np.asarray, inputs)

    def _ordered(self, texts, batch_size, labels=None, weights=None):
        return ordered_batches(
            self._ids(texts),
            self.preprocessor.pad,
            batch_size=batch_size or 32,
            labels=labels,
            weights=weights,
        )

    def _labels(self, texts, labels):
        """Labels as integers."""
        if labels is None:
            raise ValueError("Training and evaluation need labels. Received: None")
        labels = np.asarray(labels)
        if labels.shape != (count(texts),):
            raise ValueError(
                f"There is one label for each of the {count(texts)} {self._unit}. "
                f"Received: labels of shape {labels.shape}"
            )
        if labels.dtype.kind in "iub":
            wrong = labels[(labels < 0) | (labels >= self.num_classes)]
            if wrong.size:
                raise ValueError(
                    f"Labels are integers from 0 to {self.num_classes - 1}. "
                    f"Received: {wrong[0]}"
                )
            return labels.astype("int32")
        labels = [str(label) for label in labels]
        if self.class_names is None:
            self.class_names = sorted(set(labels))
        number = {name: i for i, name in enumerate(self.class_names)}
        unknown = sorted(set(labels) - set(number))
        if unknown:
            raise ValueError(
                f"Labels are among the class names {self.class_names}. "
                f"Received: {unknown[0]!r}"
            )
        return np.array([number[label] for label in labels], "int32")


def is_dataset(x) -> bool:
    """Whether `x` is a `tf.data.Dataset`; without TensorFlow nothing is."""
    with contextlib.suppress(ImportError):
        return isinstance(x, tensorflow().data.Dataset)
    return False
