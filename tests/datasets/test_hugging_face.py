"""The library `datasets` is stood in for: the tests go without the network."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from kattn.datasets import load


class Table:
    def __init__(self, columns, names=None):
        self.columns, self.column_names = columns, list(columns)
        label = SimpleNamespace(names=names) if names else SimpleNamespace()
        self.features = {"label": label}

    def __getitem__(self, column):
        return self.columns[column]


@pytest.fixture
def hub(monkeypatch):
    calls = SimpleNamespace(splits={}, args=None)
    library = ModuleType("datasets")

    def load_dataset(*args, **kwargs):
        calls.args = args, kwargs
        return calls.splits

    library.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", library)
    return calls


def texts(n, start=0):
    return [f"text {i}" for i in range(start, start + n)]


def test_class_names_and_missing_splits(hub):
    hub.splits = {
        "train": Table({"text": texts(40), "label": [0, 1] * 20}, ["no", "yes"])
    }
    corpus = load("hf://org/name", config="en")
    assert hub.args == (("org/name", "en"), {"cache_dir": None})
    assert corpus.class_names == ("no", "yes") and corpus.name == "hf://org/name"
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [32, 4, 4]


def test_labels_without_names_and_pairs(hub):
    columns = {"a": texts(20), "b": texts(20, 50), "y": ["x", "z"] * 10}
    hub.splits = {
        "train": Table(columns),
        "dev": Table(columns),
        "test": Table(columns),
    }
    corpus = load("hf://org/name", premise="a", hypothesis="b", label="y")
    assert corpus.pairs and corpus.class_names == ("x", "z")
    assert corpus.test.texts == (texts(20), texts(20, 50))


def test_validation_stands_in_for_an_unlabelled_test(hub):
    names = ["no", "yes"]
    hub.splits = {
        "train": Table({"text": texts(40), "label": [0, 1] * 20}, names),
        "validation": Table({"text": texts(4, 90), "label": [1, 0, 1, 0]}, names),
        "test": Table({"text": texts(3, 70), "label": [-1] * 3}, names),
    }
    corpus = load("hf://org/name")
    assert corpus.test.texts == texts(4, 90) and len(corpus.validation) == 4
    assert len(corpus.train) == 36


def test_bad_requests(hub):
    hub.splits = {"train": Table({"text": texts(4), "label": [0, 1] * 2}, ["a", "b"])}
    with pytest.raises(ValueError, match="one of: label, text. Received: 'txt'"):
        load("hf://org/name", text="txt")
    with pytest.raises(ValueError, match="'quoting'"):
        load("hf://org/name", quoting=True)
    hub.splits = {"all": hub.splits["train"]}
    with pytest.raises(ValueError, match="labelled train split.*all"):
        load("hf://org/name")


def test_without_the_library(monkeypatch):
    # What `import datasets` finds in the checkout: the folder of that name, empty.
    monkeypatch.setitem(sys.modules, "datasets", ModuleType("datasets"))
    with pytest.raises(ValueError, match="pip install datasets"):
        load("hf://org/name")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match="pip install datasets"):
        load("hf://org/name")
