"""Texts without labels that a corpus brings along, to learn words from."""

from pathlib import Path

from kattn.datasets import archives
from kattn.datasets.description import describe, names
from kattn.datasets.files import cache_folder
from kattn.datasets.rows import decode


def load_further(name: str, data_dir=None) -> list[str]:
    """Load the texts without labels of a corpus, which are part of none of its splits.

    Args:
        name: One of `kattn.datasets.names()` that brings such texts along: `"imdb"`.
        data_dir: Folder that holds the corpus's files, as for `load`.

    Returns:
        The texts, by the names of their files.

    Raises:
        FileNotFoundError: If they are not there.
        ValueError: If the corpus has none, or a file is not what it should be.

    Example:
        >>> try:
        ...     load_further("bbc")
        ... except ValueError as error:
        ...     print(error)
        Expected a corpus with further texts: imdb. Received: 'bbc'.
    """
    if name not in having_further():
        raise ValueError(
            f"Expected a corpus with further texts: {', '.join(having_further())}. "
            f"Received: {name!r}."
        )
    description = describe(name)
    folder = cache_folder(description) if data_dir is None else Path(data_dir)
    contents = _contents(folder.expanduser(), description)
    encodings = description.encoding, description.fallback
    return [
        decode(contents[path], path, *encodings).replace("\r\n", "\n")
        for path in sorted(contents)
    ]


def having_further() -> list[str]:
    """Names of the corpora that bring texts without labels along."""
    return [name for name in names() if describe(name).further]


def _contents(folder, description):
    """Path to bytes."""
    further = description.further
    prefix = f"{further.folder}/"
    # Unpacked, they lie in the archive's folder or, where that is given, beside it.
    for base in (folder / further.folder, folder / Path(*Path(prefix).parts[1:])):
        if base.is_dir() and (files := sorted(base.glob("*.txt"))):
            return {file.name: file.read_bytes() for file in files}
    for name in further.archives:
        if (folder / name).is_file():
            found = archives.members(
                folder / name, lambda path: path.startswith(prefix)
            )
            if found:
                return found
    raise FileNotFoundError(
        f"Found no texts without labels of {description.name!r} in {folder}. Looked "
        f"for: {prefix}; or {', or '.join(further.archives)} with such a folder. Get "
        f"them from {description.homepage} and pass the folder as data_dir."
    )
