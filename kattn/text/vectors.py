"""Word vectors in the GloVe text format."""

import contextlib
import gzip
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kattn.files import replacing
from kattn.text.word_list import SPECIAL_TOKENS


@dataclass(frozen=True, eq=False)
class WordVectors:
    """Vectors for the words of a vocabulary.

    Attributes:
        matrix: float32 `(V, D)`, a row for each word; zeros where none was found.
        found: bool `(V,)`, which words were found.
        num_special: How many of the first rows belong to special tokens.

    Example:
        >>> vectors = WordVectors(np.eye(2, dtype="float32"), np.array([True, False]))
        >>> vectors.coverage
        0.5
    """

    matrix: np.ndarray
    found: np.ndarray
    num_special: int = 0

    @property
    def coverage(self):
        """The fraction of the words that were found; special tokens do not count."""
        words = self.found[self.num_special :]
        return float(words.mean()) if len(words) else 0.0


def read_vectors(path, vocabulary):
    r"""Read the vectors of the words of a vocabulary.

    A line is a word and its numbers, parted by single spaces. A first line of two whole
    numbers is the header of the word2vec text format and passed over. The width of
    every line is checked, and the numbers of the words that are wanted. Where a word
    comes twice, its first vector counts. The file is read line by line: memory is what
    the matrix takes.

    Args:
        path: A text file, plain, `.gz`, or `.zip` with one file in it.
        vocabulary: The words in the order of the rows; `get_vocabulary()` of a
            `WordTokenizer` fits, and its special tokens keep rows of zeros.

    Returns:
        `WordVectors`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty, damaged or not of this format, with the number
            of the line.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> path = Path(tempfile.mkdtemp(), "vectors.txt")
        >>> _ = path.write_text("good 0.5 1\nbad -0.5 1\n")
        >>> vectors = read_vectors(path, ["bad", "worse"])
        >>> vectors.matrix.tolist(), vectors.coverage
        ([[-0.5, 1.0], [0.0, 0.0]], 0.5)
    """
    path = Path(path)
    vocabulary = list(vocabulary)
    special = tuple(vocabulary[: len(SPECIAL_TOKENS)]) == SPECIAL_TOKENS
    num_special = len(SPECIAL_TOKENS) if special else 0
    rows = {}  # the words still wanted, and where they go
    for row, word in enumerate(vocabulary[num_special:], start=num_special):
        rows.setdefault(word.encode("utf-8"), []).append(row)
    found = np.zeros(len(vocabulary), dtype=bool)  # (V,)
    matrix = None  # (V, D)
    width = 0
    for number, line in _lines(path):
        line = line.rstrip()
        if number == 1 and _is_header(line):
            continue
        if matrix is None:
            width = _width(path, number, line)
            matrix = np.zeros((len(vocabulary), width), dtype="float32")
        spaces = line.count(b" ")
        if spaces == width:
            word = line[: line.find(b" ")]
        else:
            word = _spaced_word(path, number, line, width, spaces)
        if word in rows:
            vector = _numbers(path, number, line[len(word) + 1 :])
            for row in rows.pop(word):
                matrix[row] = vector
                found[row] = True
    if matrix is None:
        raise ValueError(f"{path} holds no word vectors: it is empty.")
    return WordVectors(matrix, found, num_special)


def write_vectors(path, vocabulary, vectors):
    """Write vectors in the GloVe text format, whole or not at all.

    Args:
        path: The file; `.gz` is compressed.
        vocabulary: The words in the order of the rows.
        vectors: `WordVectors`; words that were not found are left out.
    """
    path = Path(path)
    with replacing(path) as temporary:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(temporary, "wt", encoding="utf-8") as file:
            for word, row, found in zip(
                vocabulary, vectors.matrix, vectors.found, strict=True
            ):
                if found:
                    file.write(f"{word} {' '.join(f'{x:.6g}' for x in row)}\n")


def _lines(path):
    """Numbered lines as bytes; a damaged archive ends in a `ValueError`."""
    if not path.exists():
        raise FileNotFoundError(f"No word vectors at {path}.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file of word vectors.")
    number = 0
    try:
        with contextlib.ExitStack() as stack:
            if path.suffix == ".gz":
                file = stack.enter_context(gzip.open(path))
            elif path.suffix == ".zip":
                archive = stack.enter_context(zipfile.ZipFile(path))
                file = stack.enter_context(archive.open(_member(path, archive)))
            else:
                file = stack.enter_context(path.open("rb"))
            for number, line in enumerate(file, start=1):  # noqa: B007
                yield number, line
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{path} is damaged or cut off after line {number}: {error}"
        ) from error


def _member(path, archive):
    members = [info for info in archive.infolist() if not info.is_dir()]
    if len(members) != 1:
        raise ValueError(
            f"{path} must hold one file. Received: {len(members)} files, "
            f"{[info.filename for info in members][:5]}. Unpack the one you want."
        )
    return members[0]


def _is_header(line):
    fields = line.split()
    return len(fields) == 2 and all(field.isdigit() for field in fields)


def _width(path, number, line):
    """How many numbers end the first line; its word may hold spaces."""
    fields = line.split(b" ")
    width = 0
    while width < len(fields) - 1 and _is_number(fields[-1 - width]):
        width += 1
    if width == 0:
        raise ValueError(
            f"Line {number} of {path} must be a word and its numbers, parted by "
            f"spaces. Received: {line[:80]!r}"
        )
    return width


def _spaced_word(path, number, line, width, spaces):
    """The word of a line that has not just one space for each number."""
    word = line.rsplit(b" ", width)[0] if spaces > width else b""
    # A word that ends in a number is rarer than a line with a number too many.
    if not word or _is_number(word.rsplit(b" ", 1)[-1]):
        raise ValueError(
            f"Line {number} of {path} must have as many numbers as the first line. "
            f"Expected: {width}. Received: {spaces} in {line[:80]!r}"
        )
    return word


def _numbers(path, number, text):
    try:
        vector = [float(field) for field in text.split(b" ")]
    except ValueError as error:
        raise ValueError(
            f"Line {number} of {path} must be a word and its numbers: {error}."
        ) from error
    if not all(map(math.isfinite, vector)):
        raise ValueError(f"Line {number} of {path} holds a number that is not finite.")
    return vector


def _is_number(field):
    try:
        float(field)
    except ValueError:
        return False
    return True
