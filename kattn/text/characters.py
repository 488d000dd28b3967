"""Texts to characters, for models that read or write letter by letter."""

from kattn.text.libraries import tensorflow, tensorflow_text
from kattn.text.strings import map_texts, valid_utf8

#: What stands for the white space between words: no blank can be in a vocabulary.
SPACE = "▁"


def split_characters(texts, case_fold=True):
    """Split texts into characters.

    Bytes that are not UTF-8 become spaces. The text is brought to Unicode's NFKC form
    and, with `case_fold`, to one case. White space at both ends goes, and any other is
    one `"▁"`.

    Args:
        texts: Strings of any rank, as for `split_words`.
        case_fold: Whether upper and lower case are one.

    Returns:
        A `tf.RaggedTensor` of strings with one more axis than `texts`; a string tensor
        `(T,)` for a single text.

    Raises:
        ValueError: If `texts` does not hold strings.
        ImportError: If TensorFlow or TensorFlow Text is not installed.

    Example:
        >>> [c.decode() for c in split_characters(" Up  to ").numpy()]
        ['u', 'p', '▁', 't', 'o']
    """
    return map_texts(lambda flat: _split(flat, case_fold), texts)


def join_characters(characters):
    """Join characters, `"▁"` being a space again.

    Args:
        characters: A `tf.RaggedTensor` or tensor of strings.

    Returns:
        Strings with one axis less.

    Example:
        >>> join_characters(split_characters(["Up to"])).numpy().tolist()
        [b'up to']
    """
    tf = tensorflow()
    joined = tf.strings.reduce_join(characters, axis=-1)
    return tf.strings.regex_replace(joined, SPACE, " ")


def _split(texts, case_fold):
    tf, tf_text = tensorflow(), tensorflow_text()
    texts = valid_utf8(texts)  # (N,)
    if case_fold:  # normalises, too
        texts = tf_text.case_fold_utf8(texts)
    else:
        texts = tf_text.normalize_utf8(texts, "NFKC")
    texts = tf.strings.regex_replace(texts, r"[\pC\pZ]+", " ")
    texts = tf.strings.regex_replace(tf.strings.strip(texts), " ", SPACE)
    return tf.strings.unicode_split(texts, "UTF-8")  # (N, T)
