"""Texts without labels that a corpus brings along."""

import tarfile

import pytest

from kattn.datasets import having_further, load_further

UNSUP = "aclImdb/train/unsup"


@pytest.fixture
def unpacked(tmp_path):
    folder = tmp_path / UNSUP
    folder.mkdir(parents=True)
    for i in range(3):
        (folder / f"{i}_0.txt").write_text(f"film {i}", encoding="utf-8")
    return tmp_path


def test_unpacked_or_the_corpus_folder_itself(unpacked):
    expected = ["film 0", "film 1", "film 2"]
    assert load_further("imdb", unpacked) == expected
    assert load_further("imdb", unpacked / "aclImdb") == expected


def test_from_the_first_archive_that_has_them(unpacked, tmp_path_factory):
    folder = tmp_path_factory.mktemp("archives")
    with tarfile.open(folder / "aclImdb_v1.tar.gz", "w:gz") as archive:
        archive.add(unpacked / UNSUP / "0_0.txt", "aclImdb/train/pos/0_9.txt")
    with pytest.raises(FileNotFoundError, match="no texts without labels of 'imdb'"):
        load_further("imdb", folder)
    with tarfile.open(folder / "aclImdb_unsup.tar.gz", "w:gz") as archive:
        archive.add(unpacked / UNSUP, UNSUP)
    assert load_further("imdb", folder) == ["film 0", "film 1", "film 2"]


def test_a_corpus_without():
    assert having_further() == ["imdb"]
    with pytest.raises(ValueError, match="further texts: imdb. Received: 'trec'"):
        load_further("trec")


@pytest.mark.filterwarnings("ignore:.*from the official file:UserWarning")
def test_imdb_itself(shared_data):
    texts = load_further("imdb", shared_data("imdb"))
    assert len(texts) == 50_000
    assert all(texts)
