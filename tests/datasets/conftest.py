import io
import tarfile
import zipfile

import pytest


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """No test touches the cache of whoever runs it."""
    home = tmp_path / "home"
    monkeypatch.setenv("KATTN_HOME", str(home))
    return home / "datasets"


@pytest.fixture
def pack():
    """Writes {member name: text or bytes} to a tar or zip file, or to a folder."""

    def write(path, members):
        path.parent.mkdir(parents=True, exist_ok=True)
        members = {
            name: text if isinstance(text, bytes) else text.encode()
            for name, text in members.items()
        }
        if path.suffix == ".zip":
            with zipfile.ZipFile(path, "w") as archive:
                for name, data in members.items():
                    archive.writestr(name, data)
        elif path.suffix == ".gz":
            with tarfile.open(path, "w:gz") as archive:
                for name, data in members.items():
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))
        else:
            for name, data in members.items():
                file = path / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(data)
        return path

    return write
