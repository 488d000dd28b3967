"""Lengths made fit: long sentences cut, long documents thinned, batches padded."""

from numbers import Integral

from kattn.text.libraries import tensorflow


def cut(sentences, max_words):
    """Cut long sentences into consecutive pieces, so that no word is lost.

    A sentence of more than `max_words` words becomes as few as will do, all of about
    the same length: a full piece and a rest of two words would be read as two sentences
    of equal standing. Sentences without words are dropped.

    Args:
        sentences: A `tf.RaggedTensor` `(B, S, T)` of words or ids, or a nested list.
        max_words: The longest a piece may be.

    Returns:
        A `tf.RaggedTensor` `(B, S', T')` of the same words in the same order.

    Raises:
        ValueError: If `max_words` is not a positive integer or `sentences` has not
            three axes.

    Example:
        >>> cut([[[1, 2, 3, 4, 5], []], [[6]]], max_words=4).to_list()
        [[[1, 2, 3], [4, 5]], [[6]]]
    """
    tf = tensorflow()
    _check_positive("max_words", max_words)
    sentences = _ragged("sentences", sentences, 2)
    lengths = sentences.values.row_lengths()  # (B*S,)
    pieces = -(-lengths // max_words)  # (B*S,), 0 for an empty sentence
    before = tf.cumsum(pieces, exclusive=True)  # (B*S,)
    number = tf.range(tf.reduce_sum(pieces)) - tf.repeat(before, pieces)  # (B*S',)
    parts = tf.maximum(pieces, 1)
    shorter = tf.repeat(lengths // parts, pieces)  # (B*S',)
    longer = number < tf.repeat(lengths % parts, pieces)  # the first ones of a sentence
    # The words stay where they are: only the borders between them are drawn anew.
    cut_up = tf.RaggedTensor.from_row_lengths(
        sentences.values.values,
        shorter + tf.cast(longer, lengths.dtype),
        validate=False,
    )  # (B*S', T')
    ends = tf.concat([[0], tf.cumsum(pieces)], axis=0)  # (B*S + 1,)
    return tf.RaggedTensor.from_row_splits(
        cut_up, tf.gather(ends, sentences.row_splits), validate=False
    )


def head_and_tail(documents, max_sentences):
    """Keep the beginning and the end of what is too long.

    A row of more than `max_sentences` items keeps the first half of that number,
    rounded up, and the last half, rounded down; a shorter row is kept whole. It serves
    for the sentences of documents and for the words of texts alike.

    Args:
        documents: A `tf.RaggedTensor` `(B, S, ...)`, or a nested list.
        max_sentences: The most items a row may have.

    Returns:
        A `tf.RaggedTensor` `(B, S', ...)` with `S' <= max_sentences`.

    Raises:
        ValueError: If `max_sentences` is not a positive integer or `documents` has
            fewer than two axes.

    Example:
        >>> head_and_tail([[1, 2, 3, 4, 5, 6], [7, 8]], max_sentences=3).to_list()
        [[1, 2, 6], [7, 8]]
    """
    tf = tensorflow()
    _check_positive("max_sentences", max_sentences)
    documents = _ragged("documents", documents, 1, exactly=False)
    starts, ends = documents.row_starts(), documents.row_limits()  # (B,)
    head = tf.minimum(starts + (max_sentences + 1) // 2, ends)
    tail = tf.maximum(ends - max_sentences // 2, head)
    # Two ranges a row, one after the other: those of places in documents.values.
    kept = tf.ragged.range(
        tf.reshape(tf.stack([starts, tail], axis=1), [-1]),
        tf.reshape(tf.stack([head, ends], axis=1), [-1]),
        row_splits_dtype=starts.dtype,
    )  # (2 B, S'')
    return tf.RaggedTensor.from_row_splits(
        tf.gather(documents.values, kept.values), kept.row_splits[::2], validate=False
    )


def pad_to_bucket(ragged, *buckets):
    """Pad a batch with zeros to one of few lengths, so that XLA compiles few shapes.

    Each ragged axis gets the smallest length of its buckets that holds the longest row
    of the batch. An empty batch gets the first bucket.

    Args:
        ragged: A `tf.RaggedTensor` `(B, T)`, `(B, S, T)` and so on, or a nested list.
        *buckets: For each ragged axis, its lengths as a tuple of increasing positive
            integers.

    Returns:
        A dense tensor `(B, bucket)`, `(B, bucket, bucket)` and so on.

    Raises:
        ValueError: If the buckets are not such tuples, one for each ragged axis.
        tf.errors.InvalidArgumentError: If a row is longer than the last bucket. `cut`
            and `head_and_tail` make rows fit.

    Example:
        >>> pad_to_bucket([[1, 2, 3], [4]], (2, 4, 8)).numpy().tolist()
        [[1, 2, 3, 0], [4, 0, 0, 0]]
    """
    tf = tensorflow()
    _check_buckets(buckets)
    ragged = _ragged("ragged", ragged, len(buckets))
    sizes = [ragged.nrows()]
    for axis, lengths in enumerate(buckets, start=1):
        longest = ragged.bounding_shape(axis=axis)
        choices = tf.constant(lengths, longest.dtype)
        # A dense tensor of a smaller shape would lose words without a sound.
        fits = tf.debugging.Assert(
            longest <= choices[-1],
            [f"A row of axis {axis} is longer than its last bucket:", longest, choices],
        )
        with tf.control_dependencies([fits] if fits is not None else []):
            sizes.append(tf.reduce_min(tf.boolean_mask(choices, choices >= longest)))
    inner = tf.shape(ragged.flat_values, longest.dtype)[1:]
    dense = ragged.to_tensor(shape=tf.concat([tf.stack(sizes), inner], axis=0))
    dense.set_shape([None] * (1 + len(buckets)) + ragged.flat_values.shape[1:])
    return dense


def _check_positive(name, value):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a positive integer. Received: {value!r}")


def _check_buckets(buckets):
    for lengths in buckets:
        good = isinstance(lengths, list | tuple) and len(lengths) > 0
        good = good and all(isinstance(n, Integral) and n > 0 for n in lengths)
        if not good or list(lengths) != sorted(set(lengths)):
            raise ValueError(
                "Buckets must be a tuple of increasing positive integers for each "
                f"ragged axis. Received: {lengths!r}"
            )
    if not buckets:
        raise ValueError("Give a tuple of bucket lengths for each ragged axis.")


def _ragged(name, values, axes, exactly=True):
    """`values` as a ragged tensor with that many ragged axes, or (not exactly) more."""
    tf = tensorflow()
    message = f"{name} must have {'' if exactly else 'at least '}{axes} ragged axes."
    if isinstance(values, list | tuple):
        try:
            values = tf.ragged.constant(values, ragged_rank=axes if exactly else None)
        except ValueError as error:
            raise ValueError(f"{message} Received: {str(values)[:200]}") from error
    else:
        values = values if tf.is_tensor(values) else tf.convert_to_tensor(values)
    ragged_rank = getattr(values, "ragged_rank", 0)
    if values.shape.rank is None or values.shape.rank < axes + 1:
        raise ValueError(f"{message} Received: a tensor of shape {values.shape}.")
    if exactly and ragged_rank > axes:
        raise ValueError(f"{message} Received: one with {ragged_rank}.")
    if ragged_rank == 0:
        return tf.RaggedTensor.from_tensor(values, ragged_rank=axes)
    if ragged_rank < axes:  # axes of one length stand within the flat values
        flat = values.flat_values
        flat = tf.RaggedTensor.from_tensor(flat, ragged_rank=axes - ragged_rank)
        return values.with_flat_values(flat)
    return values
