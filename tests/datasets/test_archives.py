import io
import stat
import tarfile
import zipfile

import pytest

from kattn.datasets import load
from kattn.datasets.archives import members

OUTSIDE = ["../x.txt", "a/../../x.txt", "/etc/x.txt", "C:/x.txt", "a\\..\\..\\x.txt"]


def everything(name):
    return True


@pytest.mark.parametrize("file", ["a.tar.gz", "a.zip"])
def test_wanted_members_are_read(tmp_path, pack, file):
    path = pack(tmp_path / file, {"./d/a.txt": "é", "d/b.txt": "b", "c.txt": "c"})
    found = members(path, lambda name: name.startswith("d/"))
    assert found == {"d/a.txt": "é".encode(), "d/b.txt": b"b"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("file", ["a.tar.gz", "a.zip"])
@pytest.mark.parametrize("name", OUTSIDE)
def test_a_member_outside_is_refused(tmp_path, pack, file, name):
    path = pack(tmp_path / file, {"ok.txt": "", name: "x"})
    with pytest.raises(ValueError, match="stay within") as error:
        members(path, lambda name: False)
    assert repr(name) in str(error.value) and str(path) in str(error.value)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_in_a_tar_is_refused(tmp_path, kind):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        info = tarfile.TarInfo("link.txt")
        info.type, info.linkname = kind, "elsewhere"
        archive.addfile(info)
    with pytest.raises(ValueError, match="'link.txt'"):
        members(path, everything)


def test_a_link_in_a_zip_is_refused(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        info = zipfile.ZipInfo("link.txt")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(ValueError, match="'link.txt'"):
        members(path, everything)


@pytest.mark.parametrize("file", ["a.tar.gz", "a.zip"])
@pytest.mark.parametrize("keep", [0.999, 0.6, 0.02, 0])
def test_a_truncated_archive_is_named(tmp_path, pack, file, keep):
    noise = bytes((i * i * 7919 >> 5) % 256 for i in range(50_000))
    path = pack(tmp_path / file, {"a.txt": noise, "b.txt": noise[::-1]})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(ValueError, match="damaged or cut short") as error:
        members(path, lambda name: name == "a.txt")
    assert str(path) in str(error.value)


def test_a_flipped_bit_is_found(tmp_path, pack):
    path = pack(tmp_path / "a.tar.gz", {"a.txt": "text"})
    data = bytearray(path.read_bytes())
    data[-8] ^= 1  # the checksum gzip writes at the end
    path.write_bytes(data)
    with pytest.raises(ValueError, match="damaged or cut short"):
        members(path, everything)


@pytest.mark.filterwarnings("ignore:.*from the official file:UserWarning")
def test_load_passes_the_refusal_on(tmp_path):
    path = tmp_path / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for name in ("aclImdb/train/pos/0_9.txt", "aclImdb/../../evil.txt"):
            info = tarfile.TarInfo(name)
            info.size = 1
            archive.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(ValueError, match="evil.txt"):
        load("imdb", tmp_path)
    assert not (tmp_path.parent / "evil.txt").exists()
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(ValueError, match="aclImdb_v1.tar.gz, which is damaged"):
        load("imdb", tmp_path)
