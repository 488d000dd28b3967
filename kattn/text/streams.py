"""Examples that are read as they are needed: training in memory that does not grow."""

import numpy as np

from kattn.text.batches import BATCHES_PER_SORT, prepared
from kattn.text.libraries import tensorflow
from kattn.text.strings import as_strings


class Stream:
    """Examples that `fit` and `evaluate` of a classifier read in place of lists.

    What an example is on its way to a batch, a subclass says: `elements` are tuples of
    strings and numbers, of which `inputs` makes what a model takes.

    Args:
        size: The number of examples.
        pairs: Whether an example is a pair of texts.
        buffer: Among how many examples the next one is drawn in training.
    """

    def __init__(self, size, pairs, buffer):
        self.size, self.pairs, self.buffer = size, pairs, buffer

    def __len__(self):
        return self.size

    def elements(self, key=None):
        """A `tf.data.Dataset` of all examples.

        Args:
            key: Integers `(2,)` that shuffle the order of files; none if `None`.

        Returns:
            The dataset.
        """
        raise NotImplementedError

    def check(self, preprocessor):
        """Raise a `ValueError` if the examples are not for this preprocessor."""

    def inputs(self, elements, preprocessor):
        """A batch of elements as `(inputs, labels)` of a model."""
        raise NotImplementedError

    def training_batches(self, preprocessor, *, batch_size, seed, first_epoch=0):
        """Endless shuffled batches, as `kattn.text.batches.training_batches`.

        An example is drawn among the next `buffer` ones of the files, which come in
        random order themselves; the order depends on `(seed, epoch)` alone.

        Args:
            preprocessor: Of the classifier that is trained.
            batch_size: Examples a batch; the last batch of an epoch may have fewer.
            seed: Seed of the shuffle.
            first_epoch: The epoch to start with.

        Returns:
            `(dataset, steps_per_epoch)`.
        """
        tf = tensorflow()

        @tf.autograph.experimental.do_not_convert  # what gives texts is Python's
        def epoch(number):
            # The order is of (seed, epoch) alone: `shuffle` lets the seed of the
            # program have a say, and takes no tensor for a seed where that is 0.
            tf.compat.v1.get_default_graph().seed = 1
            key = tf.stack([tf.cast(seed, tf.int64), number])
            draws = tf.random.stateless_uniform(
                [2], key, minval=None, maxval=None, dtype=tf.int64
            )
            shuffled = self.elements(key).shuffle(
                self.buffer, draws[0], reshuffle_each_iteration=False
            )
            blocks = shuffled.batch(batch_size * BATCHES_PER_SORT).enumerate()
            return blocks.flat_map(lambda n, some: batches(draws[1] + n, some))

        def batches(draw, elements):
            # Of similar length side by side, for less padding.
            strings = [x for x in elements if x.dtype == tf.string]
            lengths = sum([tf.strings.length(x) for x in strings])  # (N,)
            order = tf.argsort(lengths, stable=True)
            elements = tuple(tf.gather(x, order) for x in elements)
            some = tf.data.Dataset.from_tensor_slices(elements).batch(batch_size)
            return some.shuffle(BATCHES_PER_SORT, draw, reshuffle_each_iteration=False)

        numbers = tf.data.Dataset.counter(tf.constant(first_epoch, tf.int64))
        steps = -(-self.size // batch_size)
        return self._ready(numbers.flat_map(epoch), preprocessor), steps

    def ordered_batches(self, preprocessor, *, batch_size):
        """One pass over the examples, in their order.

        Args:
            preprocessor: Of the classifier that reads them.
            batch_size: Examples a batch.

        Returns:
            A `tf.data.Dataset` of `(inputs, labels)`.
        """
        steps = -(-self.size // batch_size)
        sized = tensorflow().data.experimental.assert_cardinality(steps)
        batches = self.elements().batch(batch_size).apply(sized)
        return self._ready(batches, preprocessor)

    def _ready(self, batches, preprocessor):
        self.check(preprocessor)
        return prepared(batches, lambda *some: self.inputs(some, preprocessor))


class TextStream(Stream):
    """Texts and labels from chunks that functions give.

    Args:
        shards: Functions without arguments, of a file each, that give chunks: tuples of
            lists, of a text or two and the labels' numbers.
        size: The number of examples.
        pairs: Whether an example is a pair of texts.
        buffer: As for `Stream`.

    Example:
        >>> stream = TextStream([lambda: [(["a film", "a plot"], [0, 1])]], 2)
        >>> list(stream.texts)
        ['a film', 'a plot']
        >>> [int(label) for _, label in stream.elements()]
        [0, 1]
    """

    def __init__(self, shards, size, pairs=False, buffer=10_000):
        super().__init__(size, pairs, buffer)
        self.shards = tuple(shards)

    @property
    def texts(self):
        """The texts one after another, both of pairs: `count_vocabulary` takes them."""
        for shard in self.shards:
            for *fields, _ in shard():
                for field in fields:
                    yield from field

    def elements(self, key=None):
        """A dataset of texts and labels; see `Stream`."""
        tf = tensorflow()
        strings = tf.TensorSpec([None], "string")
        fields = (strings,) * (2 if self.pairs else 1)

        def chunks(*key):
            order = range(len(self.shards))
            if key:
                order = np.random.default_rng(key[0] % 2**32).permutation(order)
            for i in order:
                for *fields, labels in self.shards[i]():
                    yield *map(as_strings, fields), np.asarray(labels, "int32")

        return tf.data.Dataset.from_generator(
            chunks,
            args=() if key is None else (key,),
            output_signature=(*fields, tf.TensorSpec([None], "int32")),
        ).unbatch()

    def inputs(self, elements, preprocessor):
        """A batch of texts and labels as `(inputs, labels)` of a model."""
        *fields, labels = elements
        texts = tuple(fields) if self.pairs else fields[0]
        return preprocessor.pad(preprocessor.ids(texts)), labels
