"""The list of a preset's files with their digests, so that none is missing unnoticed.

KerasHub loads a preset whose task weights are missing with a random head and no word.
"""

import hashlib
import json
import warnings
from pathlib import Path

from kattn.version import __version__

NAME = "kattn.json"

# Written beside the model by hand or by training, and free to change after it.
_NOT_LISTED = {NAME, "README.md", "notes.md", "recipe.toml", "metrics.json"}


def digest(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write(folder: Path) -> None:
    """List the files of a preset in `kattn.json`.

    Args:
        folder: The preset's folder, complete.
    """
    files = {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in _NOT_LISTED
    }
    content = {"kattn_version": __version__, "files": files}
    (folder / NAME).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def confine(folder: Path) -> None:
    """Refuse a preset whose files lie elsewhere, by way of links.

    Args:
        folder: The preset's folder. Where it is one of Hugging Face's cache, its files
            lie among that repository's `blobs`.

    Raises:
        ValueError: If a link leads out of the folder.
    """
    home = folder.resolve()
    homes = [home]
    if home.parent.name == "snapshots":
        homes.append(home.parent.parent / "blobs")
    for path in folder.rglob("*"):
        if not any(path.resolve().is_relative_to(one) for one in homes):
            raise ValueError(
                f"The files of a preset lie in its folder. Received: {str(path)!r}, a "
                f"link to {str(path.resolve())!r}"
            )


def check(folder: Path) -> None:
    """Compare a preset's files with their list.

    Args:
        folder: The preset's folder.

    Raises:
        ValueError: If a listed file is missing or differs from what was saved, or if
            the list itself cannot be read or names a file outside the folder.

    Warns:
        UserWarning: If there is no list, as in presets that KerasHub saved.
    """
    path = folder / NAME
    if not path.is_file():
        warnings.warn(
            f"The preset {str(folder)!r} has no {NAME}, so its files cannot be "
            "checked; a missing one may leave weights at random. Save it with kattn "
            "to get one.",
            stacklevel=4,
        )
        return
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        files = {str(name): str(sha256) for name, sha256 in files.items()}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(
            f"The preset's list of files {str(path)!r} cannot be read: {error}"
        ) from error
    for name, expected in files.items():
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ValueError(
                f"The files of a preset lie in its folder. Received: {name!r} in "
                f"{str(path)!r}"
            )
        file = folder / name
        if not file.is_file():
            raise ValueError(
                f"The preset {str(folder)!r} is incomplete: {name!r} is missing."
            )
        if digest(file) != expected:
            raise ValueError(
                f"The preset {str(folder)!r} is damaged: {name!r} differs from what "
                f"was saved (expected sha256 {expected}, received {digest(file)})."
            )
