"""Data sets of the Hugging Face hub, through the library `datasets`."""

from kattn.datasets.corpus import Corpus
from kattn.datasets.own import classes, split, text_columns
from kattn.datasets.readers import written
from kattn.datasets.rows import Rows
from kattn.names import unknown

SCHEME = "hf://"
_PARTS = {
    "train": ("train",),
    "validation": ("validation", "valid", "dev"),
    "test": ("test",),
}


def load_hugging_face(
    name: str,
    data_dir=None,
    *,
    text: str | None = None,
    label: str = "label",
    premise: str | None = None,
    hypothesis: str | None = None,
    config: str | None = None,
) -> Corpus:
    """Load a data set of the Hugging Face hub.

    Args:
        name: `"hf://org/name"`.
        data_dir: Folder for the library's cache; its own default if `None`.
        text: Column of the text; `"text"` if nothing is named.
        label: Column of the label.
        premise: Column of a pair's first text, instead of `text`.
        hypothesis: Column of a pair's second text.
        config: Configuration of the data set, where it has several.

    Returns:
        The corpus. Splits that the data set lacks, or has without labels, are cut; a
        test split without labels is left out, and validation stands in for it.

    Raises:
        ValueError: If `datasets` is not installed, or a column or the train split is
            not there.
    """
    columns = text_columns(text, premise, hypothesis)
    found = find(name, config, data_dir)
    read, named = {}, class_names(found, label)
    for part, one in found.items():
        rows = _rows(one, columns, label, named, f"{name} ({part})")
        if rows is not None:
            read[part] = rows
    if "train" not in read:
        raise _no_train(name, found)
    if "test" not in read and "validation" in read:
        read["test"] = read.pop("validation")
    labels = read["train"].labels
    return split(name, named or classes(labels, f"column {label!r} of {name}"), read)


def find(name: str, config: str | None, data_dir, **options) -> dict:
    """The splits of a data set, by kattn's names for them.

    Args:
        name: `"hf://org/name"`.
        config: Configuration of the data set, where it has several.
        data_dir: Folder for the library's cache; its own default if `None`.
        **options: As for `datasets.load_dataset`.

    Returns:
        The library's splits: `"train"`, and `"validation"` and `"test"` where they are.

    Raises:
        ValueError: If `datasets` is not installed, or the train split is not there.
    """
    try:
        # In kattn's checkout the folder datasets/ answers to a bare `import datasets`
        # when the library is missing; it has no load_dataset.
        from datasets import load_dataset
    except ImportError as error:
        raise ValueError(
            f"{name} needs the library of Hugging Face: run pip install datasets."
        ) from error
    cache = None if data_dir is None else str(data_dir)
    path = name.removeprefix(SCHEME)
    source = load_dataset(path, config, cache_dir=cache, **options)
    found = {
        part: source[alias]
        for part, aliases in _PARTS.items()
        if (alias := next((one for one in aliases if one in source), None))
    }
    if "train" not in found:
        raise _no_train(name, source)
    return found


def class_names(found: dict, label: str) -> list[str] | None:
    """The names of the classes, where a data set says them.

    Args:
        found: What `find` gives.
        label: Column of the label.

    Returns:
        The names, in the order of their numbers, or `None`.
    """
    features = [(split.features or {}).get(label) for split in found.values()]
    names = (getattr(feature, "names", None) for feature in features)
    return next(filter(None, names), None)


def _no_train(name, splits):
    return ValueError(
        f"Expected a labelled train split in {name}. Received: {', '.join(splits)}."
    )


def _rows(found, columns, label: str, named, at: str) -> Rows | None:
    for column in (*columns, label):
        if column not in found.column_names:
            raise unknown(f"column in {at}", column, found.column_names)
    labels = list(found[label])
    if named:
        # Hugging Face writes -1 for a label that was kept back.
        if set(labels) <= {-1, None}:
            return None
        labels = [named[i] for i in labels]
    else:
        labels = [written(value, at) for value in labels]
    texts = [list(found[column]) for column in columns]
    return Rows(texts[0] if len(texts) == 1 else (texts[0], texts[1]), labels)
