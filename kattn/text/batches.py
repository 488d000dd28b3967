"""Batches of similar length, shuffled by (seed, epoch): the same after a resume."""

from kattn.text.libraries import tensorflow

#: Texts are sorted by length within this many batches at a time: enough for little
#: padding, and still a shuffle.
BATCHES_PER_SORT = 4
_BATCHES_AHEAD = 4


def prepared(batches, prepare):
    """Batches made ready for a model while it works on those before.

    Args:
        batches: A `tf.data.Dataset`.
        prepare: Function that makes a model's batch of one of them.

    Returns:
        A `tf.data.Dataset` of what `prepare` gives, in the same order.
    """
    options = tensorflow().data.Options()
    # Where TensorFlow 2.21 tunes, the end of an iterator now and then waits for the
    # tuner, which sleeps for as long as it has run: `fit` would take up to twice its
    # time, at most a minute.
    options.autotune.enabled = False
    ahead = batches.map(prepare, num_parallel_calls=_BATCHES_AHEAD)
    return ahead.prefetch(_BATCHES_AHEAD).with_options(options)


def training_batches(
    documents, labels, pad, *, batch_size, seed, weights=None, first_epoch=0
):
    """An endless dataset of training batches, epoch after epoch.

    Each epoch is a new permutation, drawn from `(seed, epoch)` alone: a run that is
    resumed at epoch 3 sees what an uninterrupted one sees there. Batches hold documents
    of similar length and come in random order.

    Args:
        documents: `tf.RaggedTensor` of ids, `(N, ...)`, or a tuple of several.
        labels: Integers `(N,)`; `None` where `pad` makes the targets, too.
        pad: Function that makes a model's inputs of some of the documents.
        batch_size: Documents a batch; the last batch of an epoch may have fewer.
        seed: Seed of the shuffle.
        weights: Weights of the examples `(N,)`, or `None`.
        first_epoch: The epoch to start with.

    Returns:
        `(dataset, steps_per_epoch)`: a `tf.data.Dataset` of `(inputs, labels)`, of
        `(inputs, labels, weights)`, or of what `pad` makes, and the number of batches
        of an epoch.

    Example:
        >>> ids = tensorflow().ragged.constant([[1], [1, 2, 3], [1, 2]])
        >>> batches, steps = training_batches(
        ...     ids, [0, 1, 0], lambda x: x.to_tensor(), batch_size=2, seed=0
        ... )
        >>> steps, sum(len(y) for x, y in batches.take(steps))
        (2, 3)
    """
    tf = tensorflow()
    parts = tf.nest.flatten(documents)
    total = int(parts[0].nrows())
    lengths = sum(part.row_lengths() for part in parts)  # (N,)
    targets = [] if labels is None else [tf.convert_to_tensor(labels)]
    if weights is not None:
        targets.append(tf.convert_to_tensor(weights, "float32"))
    steps = -(-total // batch_size)

    def batch(rows):
        some = tf.nest.map_structure(lambda part: tf.gather(part, rows), documents)
        given = [tf.gather(y, rows) for y in targets]
        return (pad(some), *given) if given else pad(some)

    def epoch(number):
        shuffle = tf.random.experimental.stateless_shuffle
        key = tf.stack([tf.cast(seed, tf.int64), number])
        order = shuffle(tf.range(total, dtype=tf.int64), seed=key)  # (N,)
        # Sorted by (block of batches, length); the sort is stable, ties stay shuffled.
        block = tf.range(total, dtype=tf.int64) // (batch_size * BATCHES_PER_SORT)
        length = tf.cast(tf.gather(lengths, order), tf.int64)
        rank = block * (tf.reduce_max(length) + 1) + length
        order = tf.gather(order, tf.argsort(rank, stable=True))  # (N,)
        starts = tf.range(0, total, batch_size, dtype=tf.int64)
        starts = shuffle(starts, seed=key + [0, 1 << 32])
        rows = tf.data.Dataset.from_tensor_slices(starts)
        return rows.map(lambda start: order[start : start + batch_size])

    dataset = tf.data.Dataset.counter(tf.constant(first_epoch, tf.int64)).flat_map(
        epoch
    )
    return prepared(dataset, batch), steps


def ordered_batches(documents, pad, *, batch_size, labels=None, weights=None):
    """One pass over the documents, in their order.

    Args:
        documents: `tf.RaggedTensor` of ids, `(N, ...)`, or a tuple of several.
        pad: Function that makes a model's inputs of some of the documents.
        batch_size: Documents a batch.
        labels: Integers `(N,)`, or `None`.
        weights: Weights of the examples `(N,)`, or `None`.

    Returns:
        A `tf.data.Dataset` of `(inputs,)`, `(inputs, labels)` or
        `(inputs, labels, weights)`.

    Example:
        >>> ids = tensorflow().ragged.constant([[1], [1, 2, 3]])
        >>> batches = ordered_batches(ids, lambda x: x.to_tensor(), batch_size=2)
        >>> [x.shape for (x,) in batches]
        [TensorShape([2, 3])]
    """
    tf = tensorflow()
    targets = [tf.convert_to_tensor(y) for y in (labels, weights) if y is not None]
    dataset = tf.data.Dataset.from_tensor_slices((documents, *targets)).batch(
        batch_size
    )
    return prepared(dataset, lambda x, *rest: (pad(x), *rest))
