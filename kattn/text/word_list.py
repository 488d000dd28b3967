"""The list behind the ids: two special tokens, then the words, each once."""

from pathlib import Path

PAD = "[PAD]"
UNK = "[UNK]"
SPECIAL_TOKENS = (PAD, UNK)


class WordList:
    """Tokens by id and ids by token.

    A class of its own, because Keras copies a bare list or dictionary that is an
    attribute of a layer, word by word.

    Args:
        words: Strings, with or without the special tokens in front.

    Raises:
        ValueError: If a word is no string, is blank, is there twice or holds a line
            break.

    Example:
        >>> WordList(["good"]).tokens
        ['[PAD]', '[UNK]', 'good']
    """

    def __init__(self, words):
        words = list(words)
        given = tuple(words[: len(SPECIAL_TOKENS)]) == SPECIAL_TOKENS
        self.tokens = words if given else [*SPECIAL_TOKENS, *words]
        self.ids = {}
        for place, token in enumerate(self.tokens):
            fault = self._fault(token)
            if fault:
                number = place + 1 if given else place + 1 - len(SPECIAL_TOKENS)
                raise ValueError(
                    f"A vocabulary must hold {fault}. "
                    f"Received: {token!r} as word number {number}."
                )
            self.ids[token] = place

    def __len__(self):
        return len(self.tokens)

    def _fault(self, token):
        if not isinstance(token, str):
            return "strings"
        if not token.strip():
            return "no blank word"
        if "\n" in token or "\r" in token:
            return "words without line breaks, for it is saved one word a line"
        if token in self.ids:
            return "each word once, and the special tokens only as its first two"
        return None


def read_word_list(path):
    """Read a text file of one word a line.

    Args:
        path: The file, in UTF-8.

    Returns:
        A list of strings, as they stand there.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not UTF-8.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "vocabulary.txt")
        >>> _ = path.write_bytes(b"good" + bytes([10]) + b"bad")
        >>> read_word_list(path)
        ['good', 'bad']
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"No vocabulary file at {path}.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"The vocabulary file {path} is not UTF-8: {error}") from error
    # Not splitlines(), which breaks at characters that a word may hold.
    return text.removesuffix("\n").split("\n") if text else []
