"""Reading members of tar and zip files without unpacking anything to disk."""

import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

_SLASHES = re.compile(r"[/\\]")


def members(path: Path, wanted: Callable[[str], bool]) -> dict[str, bytes]:
    """Read the wanted files of an archive.

    All members are looked at, also those that are not wanted: an archive that reaches
    out of its folder is refused as a whole, and one that ends early is found out.

    Args:
        path: A tar file, compressed or not, or a zip file.
        wanted: Tells by a member's name, without a leading `./`, whether to read it.

    Returns:
        Member name to its bytes, in the archive's order.

    Raises:
        ValueError: If a member is a link, a device, or named with an absolute path or
            `..`, and if the archive is damaged or cut short.
    """
    read = _zip if path.suffix.lower() == ".zip" else _tar
    damaged = (
        EOFError,
        RuntimeError,  # an encryption or a compression that zipfile cannot undo
        OSError,  # what gzip and bz2 raise
        lzma.LZMAError,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
    )
    path.open("rb").close()  # a file that may not be read is not a damaged one
    try:
        return dict(read(path, wanted))
    except damaged as error:
        raise ValueError(
            f"Expected a whole archive. Received: {path}, which is damaged or cut "
            f"short ({error})."
        ) from error


def _tar(path: Path, wanted) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(path) as archive:
        for member in archive:
            regular = member.isfile() or member.isdir()
            name = _checked(path, member.name, regular)
            if member.isfile() and wanted(name):
                yield name, archive.extractfile(member).read()
        # tarfile stops at the end mark; the checksum of the compression stands later.
        while archive.fileobj.read(1 << 20):
            pass


def _zip(path: Path, wanted) -> Iterator[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            kind = stat.S_IFMT(member.external_attr >> 16)
            regular = kind in (0, stat.S_IFREG, stat.S_IFDIR)
            name = _checked(path, member.filename, regular)
            if not member.is_dir() and wanted(name):
                yield name, archive.read(member)


def _checked(path: Path, name: str, regular: bool) -> str:
    parts = _SLASHES.split(name)
    # "" begins an absolute path, "C:" names a drive.
    if not regular or ".." in parts or parts[0] == "" or parts[0][1:2] == ":":
        raise ValueError(
            "Expected an archive of plain files that stay within its folder. Received: "
            f"{path}, whose member {name!r} does not."
        )
    return name.removeprefix("./")
