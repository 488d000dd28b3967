import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from kattn.text import WordTokenizer, WordVectors, read_vectors

LINES = "the 0.5 -1 2e-1\ncat 1 2 3\n. . . 7 8 9\n猫 4 5 6\ncat 9 9 9\n"
GLOVE = Path(__file__).parents[2].parent / "shared/data/glove"


@pytest.fixture
def write(tmp_path):
    def write(text, name="vectors.txt"):
        path = tmp_path / name
        data = text if isinstance(text, bytes) else text.encode("utf-8")
        if name.endswith(".gz"):
            data = gzip.compress(data)
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("inside.txt", data)
        else:
            path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize("name", ["v.txt", "v.txt.gz", "v.zip", "v.vec"])
def test_reading(write, name):
    vectors = read_vectors(write(LINES, name), ["cat", "dog", "the", "猫", ". . ."])
    assert vectors.matrix.dtype == np.float32
    np.testing.assert_allclose(
        vectors.matrix,
        [[1, 2, 3], [0, 0, 0], [0.5, -1, 0.2], [4, 5, 6], [7, 8, 9]],
        rtol=1e-6,
    )
    assert vectors.found.tolist() == [True, False, True, True, True]
    assert vectors.coverage == 0.8


@pytest.mark.parametrize("change", ["5 3\n{}", "{}", "5 3 \n{}"])
def test_header_and_ends_of_lines(write, change):
    text = change.format(LINES)
    for ending in ("\n", "\r\n", " \n"):
        path = write(text.replace("\n", ending))
        assert read_vectors(path, ["the"]).matrix.shape == (1, 3)
    path = write(text.rstrip("\n"))
    assert read_vectors(path, ["猫"]).found.all()


def test_special_tokens_do_not_count(write):
    vocabulary = WordTokenizer(["cat", "dog"]).get_vocabulary()
    vectors = read_vectors(write(LINES + "[UNK] 1 1 1\n"), vocabulary)
    assert vectors.found.tolist() == [False, False, True, False]
    assert vectors.coverage == 0.5
    assert not vectors.matrix[:2].any()


def test_coverage_of_nothing(write):
    assert read_vectors(write(LINES), []).coverage == 0.0
    assert read_vectors(write(LINES), ["[PAD]", "[UNK]"]).coverage == 0.0


def test_a_word_twice_in_the_vocabulary(write):
    assert read_vectors(write(LINES), ["cat", "cat"]).found.all()


def test_frozen(write):
    vectors = read_vectors(write(LINES), ["cat"])
    assert isinstance(vectors, WordVectors)
    with pytest.raises(AttributeError):
        vectors.matrix = None


def test_first_word_with_a_space(write):
    assert read_vectors(write("at home 1 2\nx 3 4\n"), ["at home"]).found.all()


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "it is empty"),
        ("5 3\n", "it is empty"),
        ("word\n", "Line 1 .* must be a word and its numbers"),
        ("the 1 2 three\n", "Line 1 .* must be a word and its numbers"),
        (LINES + "dog 1 2\n", "Line 6 .* Expected: 3. Received: 2"),
        (LINES + "dog 1 2 3 4\n", "Line 6 .* Expected: 3. Received: 4"),
        (LINES + "dog\n", "Line 6 .* Expected: 3. Received: 0"),
        (LINES + "\n" + LINES, "Line 6 .* Expected: 3. Received: 0"),
        ("7 3\nthe 1 2 3\ncat 1 2\n", "Line 3 .* Expected: 3. Received: 2"),
        (LINES + "dog 1 x 3\n", "Line 6 .* word and its numbers: .*x"),
        (LINES + "dog 1 nan 3\n", "Line 6 .* not finite"),
        (LINES + "dog 1  3\n", "Line 6 .* word and its numbers"),
    ],
)
def test_broken_lines(write, text, message):
    with pytest.raises(ValueError, match=message):
        read_vectors(write(text), ["dog"])


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="No word vectors at"):
        read_vectors(tmp_path / "none.txt", ["a"])
    with pytest.raises(ValueError, match="is a folder"):
        read_vectors(tmp_path, ["a"])


def big():
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(500, 5))
    return "".join(
        f"w{i} " + " ".join(f"{x:.5f}" for x in row) + "\n"
        for i, row in enumerate(rows)
    )


@pytest.mark.parametrize("name", ["v.gz", "v.zip"])
@pytest.mark.parametrize("fault", ["cut", "spoilt", "other", "empty"])
def test_damaged_archives(write, name, fault):
    path = write(big(), name)
    data = bytearray(path.read_bytes())
    if fault == "cut":
        data = data[: len(data) // 2]
    elif fault == "spoilt":
        data[1000:1100] = bytes(100)
    elif fault == "other":
        data = b"plain text 1 2 3\n"
    else:
        data = b""
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged or cut off|it is empty"):
        read_vectors(path, ["w1", "w499"])


def test_zip_of_two(write, tmp_path):
    path = write(LINES, "v.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.txt", LINES)
    with pytest.raises(ValueError, match="must hold one file. Received: 2 files"):
        read_vectors(path, ["cat"])


@pytest.mark.skipif(
    not GLOVE.is_dir(), reason="the real vectors are not beside the root"
)
def test_real_vectors():
    path = next(GLOVE.glob("*.txt.gz"))
    vectors = read_vectors(path, ["[PAD]", "[UNK]", "the", "movie", ",", "qwxzzk"])
    assert vectors.matrix.shape == (6, 100)
    assert vectors.found.tolist() == [False, False, True, True, True, False]
    assert vectors.coverage == 0.75
