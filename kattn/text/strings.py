"""Python strings, lists and tensors of any rank, seen as one axis of texts."""

from kattn.text.libraries import tensorflow

# Spelled without the surrogates: RE2 reads a plain dot less strictly than UTF-8 is.
_VALID = r"[\x{0}-\x{D7FF}\x{E000}-\x{10FFFF}]*"


def as_strings(texts):
    """Turn what a user hands over into a tensor of strings.

    Args:
        texts: A string, `bytes`, a list of them nested to any depth, a NumPy array,
            a string tensor, or a `tf.RaggedTensor` of strings.

    Returns:
        A string tensor, or a `tf.RaggedTensor` where the lists have unequal lengths.

    Raises:
        ValueError: If there is something in it that is not a string, or if the number
            of axes is not known.

    Example:
        >>> as_strings([["a", "b"], ["c"]]).to_list()
        [[b'a', b'b'], [b'c']]
    """
    tf = tensorflow()
    if isinstance(texts, list | tuple):
        texts = _from_list(list(texts))
    elif isinstance(texts, str):
        texts = tf.constant(_encode(texts))
    elif not isinstance(texts, tf.RaggedTensor):
        texts = tf.convert_to_tensor(texts)
    if texts.dtype != tf.string:
        raise ValueError(
            f"Texts must be strings. Received: a tensor of {texts.dtype.name}."
        )
    if texts.shape.rank is None:
        raise ValueError(
            "The number of axes of the texts must be known. Received: a tensor of "
            "unknown rank; give it one with `ensure_shape`."
        )
    return texts


def map_texts(split, texts):
    """Split every text, whatever the number of axes the texts are arranged in.

    Args:
        split: A function of a string tensor `(N,)` to a `tf.RaggedTensor` `(N, P)`.
        texts: As for `as_strings`, with `R` axes.

    Returns:
        A `tf.RaggedTensor` with `R + 1` axes; for a single text a tensor `(P,)`.

    Raises:
        ValueError: If `texts` does not hold strings.

    Example:
        >>> import tensorflow as tf
        >>> map_texts(tf.strings.split, [["a b"], ["c", "d e"]]).to_list()
        [[[b'a', b'b']], [[b'c'], [b'd', b'e']]]
    """
    tf = tensorflow()
    texts = as_strings(texts)
    rank = texts.shape.rank
    if rank == 0:
        return split(texts[tf.newaxis])[0]  # (P,)
    if not isinstance(texts, tf.RaggedTensor):
        if rank == 1:
            return split(texts)  # (N, P)
        texts = tf.RaggedTensor.from_tensor(texts, ragged_rank=rank - 1)
    flat = texts.flat_values
    if flat.shape.rank > 1:  # inner axes of one length are ragged axes as well
        flat = tf.RaggedTensor.from_tensor(flat, ragged_rank=flat.shape.rank - 1)
        texts = texts.with_flat_values(flat)
    return texts.with_flat_values(split(texts.flat_values))  # (..., N, P)


def valid_utf8(texts):
    r"""Replace bytes that are not UTF-8, which other encodings bring, by spaces.

    Args:
        texts: A string tensor `(N,)`.

    Returns:
        A string tensor `(N,)` that the regular expressions can read.

    Example:
        >>> valid_utf8([b"caf\xe9 noir"]).numpy().tolist()
        [b'caf  noir']
    """
    tf = tensorflow()
    valid = tf.strings.regex_full_match(texts, _VALID)  # (N,)
    # The repair takes longer than all the rest of the splitting: only where it is due.
    return tf.cond(
        tf.reduce_all(valid),
        lambda: texts,
        lambda: tf.strings.unicode_transcode(
            texts, "UTF-8", "UTF-8", errors="replace", replacement_char=ord(" ")
        ),
    )


def _from_list(texts):
    tf = tensorflow()
    leaves = [tf.is_tensor(text) for text in texts]
    if any(leaves):  # scalar tensors, as iterating over a tf.data.Dataset gives them
        return tf.stack(texts)
    texts = _encode(texts)
    if not texts:
        return tf.constant([], tf.string)
    try:
        return tf.constant(texts, tf.string)
    except (TypeError, ValueError):
        pass
    try:
        return tf.ragged.constant(texts, tf.string)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "Texts must be strings, or lists of strings of one depth. "
            f"Received: {str(texts)[:200]}"
        ) from error


def _encode(texts):
    # A lone surrogate, which Python's `errors="surrogateescape"` leaves behind, has no
    # UTF-8 form; its bytes are passed on and fall to `valid_utf8`.
    if isinstance(texts, str):
        return texts.encode("utf-8", "surrogatepass")
    if isinstance(texts, list | tuple):
        return [_encode(text) for text in texts]
    return texts
