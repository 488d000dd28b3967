"""The two libraries that work on strings, imported when first used."""

_INSTALL = (
    "kattn.text needs TensorFlow and TensorFlow Text for work on strings. "
    "Install them with `pip install tensorflow tensorflow-text`."
)


def tensorflow():
    """The `tensorflow` module; importing `kattn.text` does not need it.

    Returns:
        The module.

    Raises:
        ImportError: If TensorFlow is not installed, with the command that helps.

    Example:
        >>> tensorflow().strings.lower("A").numpy()
        b'a'
    """
    try:
        import tensorflow
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    return tensorflow


def tensorflow_text():
    """The `tensorflow_text` module; importing it registers its graph operations.

    Returns:
        The module.

    Raises:
        ImportError: If TensorFlow Text is not installed, with the command that helps.

    Example:
        >>> tensorflow_text().case_fold_utf8(["A"]).numpy().tolist()
        [b'a']
    """
    try:
        import tensorflow_text
    except ImportError as error:
        raise ImportError(_INSTALL) from error
    return tensorflow_text
