"""`datasets/<name>/dataset.toml`: what a corpus is and how its files are read."""

import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from kattn import assets
from kattn.datasets.assemble import Rules
from kattn.names import unknown

#: The description of a corpus with labels, and that of one with targets.
LABELLED, PARALLEL = "dataset.toml", "parallel.toml"
#: The formats of one file an example, one folder a class.
FOLDERS = ("folders", "posts")


@dataclass(frozen=True)
class File:
    """A file that the corpus's authors distribute.

    Args:
        name: File name.
        url: Where it can be downloaded, if that is known.
        sha256: Checksum of the official file, if known.
        md5: The same, where only the MD5 sum was published.
    """

    name: str
    url: str | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def checksum(self) -> str | None:
        """`"sha256:..."` or `"md5:..."`, as pooch writes them."""
        for kind in ("sha256", "md5"):
            if getattr(self, kind):
                return f"{kind}:{getattr(self, kind)}"
        return None


@dataclass(frozen=True)
class Form:
    """One form in which the corpus is distributed.

    Args:
        about: The form in words.
        format: `"folders"` (one file an example, one folder a class), `"posts"` (the
            same, of Usenet posts, whose bodies alone are read), `"table"`,
            `"json_lines"` or `"trec"` (`LABEL:sublabel text`); of a parallel corpus
            `"table"` or `"pronunciations"`.
        splits: Split name to its file, or its folder for `"folders"`. `"all"` is a
            corpus without splits; `"unlabelled"` may be absent.
        archives: Tar or zip files the splits lie in; without them in the folder, the
            splits are looked for unpacked.
        root: Folder within the archive that everything lies in; optional when unpacked.
        package: Installed Python package that carries the files, in its folder `root`.
        extra: kattn's extra that installs the package.
        texts: The column of the text, or the two columns of a pair.
        label: The column of the label.
        columns: Names of the columns where the file has no header.
        delimiter: Between columns.
        quoting: Whether quotation marks quote; otherwise they are text.
        split_column: Column that says which split a row belongs to; `splits` then gives
            its values, and `file` the one file.
        file: The file of a form with a `split_column`.
        stress: Whether the vowels of pronunciations keep their marks of stress.
        level: Of a TREC label: `"coarse"` or `"fine"`.
        rows: Split name to its official number of rows.
    """

    about: str
    format: str
    splits: dict[str, str]
    archives: tuple[str, ...] = ()
    root: str = ""
    package: str | None = None
    extra: str | None = None
    texts: tuple[str, ...] = ()
    label: str | None = None
    columns: tuple[str, ...] = ()
    delimiter: str = "\t"
    quoting: bool = False
    split_column: str | None = None
    file: str | None = None
    level: str | None = None
    stress: bool = False
    rows: dict[str, int] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """Files or folders that must be there, within `root`."""
        if self.file:
            return (self.file,)
        return tuple(p for part, p in self.splits.items() if part != "unlabelled")


@dataclass(frozen=True)
class Further:
    """Texts without labels that a corpus brings along: part of no split.

    Args:
        archives: Tar or zip files, of which the first that has such texts counts.
        folder: Where they lie in it, one file a text; or unpacked, in `data_dir`.
    """

    archives: tuple[str, ...]
    folder: str


@dataclass(frozen=True)
class Description:
    """A corpus as its `dataset.toml` describes it.

    Args:
        name: Name of its folder, and of the corpus in `load`.
        title: Its full name.
        homepage: Where its authors present it and users get it.
        licence: Licence or terms, as far as they are known.
        citation: The publication to cite.
        classes: Name of class `i` at position `i`.
        forms: In the order in which they are looked for.
        files: The official files, with addresses and checksums.
        values: The labels as the files write them, in the order of `classes`.
        encoding: Of all files.
        fallback: Encoding of those files that `encoding` cannot decode.
        cache: Name of the cache folder, where two descriptions share their files.
        rules: How missing splits are cut.
        notes: Sentences that every user of the corpus should see.
        further: Texts without labels to learn from; `None` where there are none.
    """

    name: str
    title: str
    homepage: str
    licence: str
    citation: str
    classes: tuple[str, ...]
    forms: tuple[Form, ...]
    files: tuple[File, ...] = ()
    values: tuple[str, ...] = ()
    encoding: str = "utf-8"
    fallback: str | None = None
    cache: str = ""
    rules: Rules = Rules()
    notes: tuple[str, ...] = ()
    further: Further | None = None

    def file(self, name: str) -> File:
        """The official file of a name.

        Args:
            name: File name.

        Returns:
            What is known of it, at the least its name.
        """
        known = {file.name: file for file in self.files}
        return known.get(name, File(name))


def names(kind: str = LABELLED) -> list[str]:
    """Names of the corpora that come with kattn.

    Args:
        kind: `LABELLED` or `PARALLEL`.

    Returns:
        The names `load`, or `load_parallel`, knows, sorted.

    Example:
        >>> "bbc" in names()
        True
    """
    return sorted(_folders(kind))


def describe(name: str, kind: str = LABELLED) -> Description:
    """Read the description of a corpus.

    Args:
        name: One of `names(kind)`.
        kind: `LABELLED` or `PARALLEL`.

    Returns:
        Its description.

    Raises:
        ValueError: If there is no such corpus, or its description has a key that
            kattn does not know.
    """
    folders = _folders(kind)
    if name not in folders:
        raise unknown("dataset", name, folders)
    path = folders[name] / kind
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    table["forms"] = tuple(_made(Form, form, path) for form in table["forms"])
    table["files"] = tuple(_made(File, file, path) for file in table.pop("files", ()))
    table["rules"] = _made(Rules, table.pop("rules"), path)
    if "further" in table:
        table["further"] = _made(Further, table["further"], path)
    table = {"classes": (), **table}
    table = {"values": table["classes"], "cache": name, **table, "name": name}
    return _made(Description, table, path)


def _folders(kind: str) -> dict[str, Path]:
    folders = assets.folders("datasets")
    return {n: f for n, f in folders.items() if (f / kind).is_file()}


def _made(cls, table: dict, path: Path):
    known = [f.name for f in fields(cls)]
    for key in table:
        if key not in known:
            where = f"key of {cls.__name__.lower()} in {path.parent.name}/{path.name}"
            raise unknown(where, key, known)
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in table.items()})
