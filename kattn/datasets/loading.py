"""The one function that loads every corpus."""

import inspect
import os
from pathlib import PurePath

from kattn.datasets.corpus import Corpus
from kattn.datasets.description import describe, names
from kattn.datasets.hugging_face import SCHEME, load_hugging_face
from kattn.datasets.official import load_official
from kattn.datasets.own import SUFFIXES, load_own
from kattn.datasets.streaming import load_streaming
from kattn.names import unknown


def load(
    name: str | os.PathLike, data_dir=None, *, streaming=False, **options
) -> Corpus:
    r"""Load a corpus as train, validation and test splits.

    The same call always gives the same splits: those the corpus's authors published,
    and where they published none, splits cut by a seed that belongs to the corpus and
    follows no other. A cut is stratified and keeps texts that are equal but for white
    space, case and punctuation on one side. What was cut, removed or found to overlap
    stands in `corpus.notes`.

    Args:
        name: One of `kattn.datasets.names()`; or a `.csv`, `.tsv` or `.jsonl` file of
            your own; or `"hf://org/name"` for a data set of the Hugging Face hub.
        data_dir: Folder that holds the corpus's files, as archives or unpacked. Without
            it kattn looks in `$KATTN_HOME/datasets/<name>` (KATTN_HOME is `~/.kattn`
            unless set), and downloads the files to there if their address is known. For
            a file of your own, the folder its name is relative to; for Hugging Face,
            the folder of its cache.
        streaming: Whether to read examples as training needs them, of a corpus larger
            than memory. The name is then also a folder of files, a pattern such as
            `"reviews/*.jsonl"`, or a folder that `python -m kattn tokenize` wrote.
            `fit` and `evaluate` take the splits, which are `kattn.text.Stream`s,
            as they are.
        **options: For files of your own and Hugging Face: `text` and `label`, names of
            columns (`"text"` and `"label"` unless given), or `premise`, `hypothesis`
            and `label` for pairs. For files: `validation` and `test`, further files
            (without them a tenth of the examples each is cut), and `quoting`, whether
            quotation marks quote (by default in `.csv`, not in `.tsv`). For Hugging
            Face: `config`. The corpora by name take none. With `streaming`: those of
            `kattn.datasets.streaming.load_streaming`.

    Returns:
        The corpus.

    Raises:
        FileNotFoundError: If files are missing, or cannot be downloaded.
        ValueError: If the name or an option is unknown, or a file is not what it should
            be: the message says what was expected, what came, and where.

    Example:
        >>> import pathlib, tempfile
        >>> folder = tempfile.TemporaryDirectory()
        >>> lines = [f"{i} stars,{i % 2}" for i in range(40)]
        >>> file = pathlib.Path(folder.name, "reviews.csv")
        >>> _ = file.write_text("\n".join(["review,good", *lines]))
        >>> corpus = load(file, text="review", label="good")
        >>> corpus.class_names, len(corpus.train), len(corpus.test)
        (('0', '1'), 32, 4)
        >>> folder.cleanup()
    """
    if not isinstance(name, str | os.PathLike):
        raise ValueError(f"Expected the name of a corpus or file. Received: {name!r}.")
    text = os.fspath(name)
    if isinstance(name, str) and name in names():
        if streaming:
            raise ValueError(
                f"The corpus {name!r} fits into memory: load it without `streaming`."
            )
        _check(options, ["data_dir"], text)
        return load_official(describe(name), data_dir)
    if streaming:
        loader = load_streaming
    elif text.startswith(SCHEME):
        loader = load_hugging_face
    elif PurePath(text).suffix or PurePath(text).name != text:
        loader = load_own
    else:
        raise unknown(
            f"dataset (and no file that ends in {', '.join(SUFFIXES)})", text, names()
        )
    known = [p for p in inspect.signature(loader).parameters if p != "name"]
    _check(options, known, text)
    return loader(text, data_dir, **options)


def _check(options: dict, known: list[str], name: str) -> None:
    for option in options:
        if option not in known:
            raise unknown(f"option for {name!r}", option, known)
