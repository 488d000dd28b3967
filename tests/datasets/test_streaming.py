"""Corpora that are read as they are needed."""

import collections
import json
import sys
from types import ModuleType, SimpleNamespace

import keras
import numpy as np
import pytest

from kattn import models
from kattn.datasets import load
from kattn.text import count_vocabulary

ROWS = [(f"text {i} of {'good' if i % 2 else 'bad'} words", i % 2) for i in range(400)]


@pytest.fixture
def folder(tmp_path):
    """The rows in files of three kinds; every text of the first stands twice."""
    path = tmp_path / "corpus"
    path.mkdir()
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS[:100]]
    (path / "a.jsonl").write_text("\n".join(lines))
    rows = [f"{label},{text.upper()}" for text, label in ROWS[:200]]
    (path / "b.csv").write_text("\n".join(["label,text", *rows]))
    rows = [f"{text}\t{label}" for text, label in ROWS[200:]]
    (path / "c.tsv").write_text("\n".join(["text\tlabel", *rows]))
    return path


def seen(stream):
    return [
        (text.decode(), int(y)) for text, y in stream.elements().as_numpy_iterator()
    ]


def epochs(stream, seed, first_epoch=0, count=1):
    """The texts of each epoch of training, batch by batch."""

    class AsTheyAre:
        def ids(self, texts):
            return texts

        pad = ids

    batches, steps = stream.training_batches(
        AsTheyAre(), batch_size=32, seed=seed, first_epoch=first_epoch
    )
    read = [x.tolist() for x, _ in batches.take(steps * count).as_numpy_iterator()]
    return [sum(read[i * steps : (i + 1) * steps], []) for i in range(count)]


def test_splits_are_drawn_by_text_and_nothing_is_lost(folder):
    corpus = load(folder, streaming=True)
    parts = corpus.train, corpus.validation, corpus.test
    assert corpus.class_names == ("0", "1")
    assert [len(part) for part in parts] == [len(seen(part)) for part in parts]
    assert 20 < len(corpus.test) < 80 and 20 < len(corpus.validation) < 80
    found = [{text.lower() for text, _ in seen(part)} for part in parts]
    assert not found[0] & found[1] and not found[0] & found[2]
    assert set.union(*found) == {text for text, _ in ROWS}
    assert sum(len(part) for part in parts) == 500
    assert "drawn by a hash" in corpus.notes[0]


def test_an_epoch_has_every_example_once_in_an_order_of_its_own(folder):
    stream = load(folder, streaming=True, buffer=50).train
    first, second = epochs(stream, seed=3, count=2)
    everything = collections.Counter(text.encode() for text, _ in seen(stream))
    assert collections.Counter(first) == collections.Counter(second) == everything
    assert first != second
    keras.utils.set_random_seed(0)
    assert epochs(stream, seed=3, first_epoch=1) == [second]
    assert epochs(stream, seed=4) != [first]


def test_files_of_their_own_for_splits_and_patterns(folder):
    corpus = load(
        "*.csv", folder, streaming=True, validation="a.jsonl", test=folder / "c.tsv"
    )
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [
        200,
        100,
        200,
    ]
    assert not corpus.notes


def test_a_classifier_learns_from_a_stream(folder):
    corpus = load(folder, streaming=True)
    words = count_vocabulary(corpus.train.texts, max_size=20)
    assert {"good", "bad"} < set(words)
    keras.utils.set_random_seed(0)
    cls = models.BiLSTMAttentionTextClassifier
    tokenizer = cls.preprocessor_cls.tokenizer_cls(words)
    classifier = cls(
        cls.backbone_cls(tokenizer.vocabulary_size(), 8, units=8),
        preprocessor=cls.preprocessor_cls(tokenizer),
        class_names=corpus.class_names,
    )
    classifier.compile(keras.optimizers.Adam(0.03))
    history = classifier.fit(
        corpus.train, validation_data=corpus.validation, epochs=2, verbose=0
    )
    assert history.history["val_accuracy"][-1] == 1.0
    assert (
        classifier.evaluate(corpus.test, verbose=0, return_dict=True)["accuracy"] == 1
    )


def test_streams_of_the_hub(monkeypatch):
    class Rows:
        def __init__(self, labels, names=None):
            self.rows = [
                {"text": f"text {i}", "label": y} for i, y in enumerate(labels)
            ]
            self.features = {"label": SimpleNamespace(names=names)}

        def __iter__(self):
            return iter(self.rows)

        def iter(self, batch_size):
            for i in range(0, len(self.rows), 7):
                some = self.rows[i : i + 7]
                yield {name: [row[name] for row in some] for name in some[0]}

    names = ["no", "yes"]
    library, asked = ModuleType("datasets"), []
    splits = {"train": Rows([0, 1] * 50, names), "test": Rows([-1] * 5, names)}
    library.load_dataset = lambda *args, **kwargs: asked.append(kwargs) or splits
    monkeypatch.setitem(sys.modules, "datasets", library)
    corpus = load("hf://org/name", streaming=True)
    assert asked == [{"cache_dir": None, "streaming": True}]
    assert corpus.class_names == ("no", "yes")
    parts = corpus.train, corpus.validation, corpus.test
    assert sum(map(len, parts)) == 100
    for part in parts:
        assert all(y == int(text.split()[1]) % 2 for text, y in seen(part))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"name": "bbc"}, ValueError, "fits into memory"),
        ({"name": "none/*.csv"}, FileNotFoundError, "where there are none"),
        ({"text": "txt"}, ValueError, "Did you mean 'text'"),
        ({"label": "lab"}, ValueError, "lab"),
        ({"quoting": True}, ValueError, "'quoting'"),
        ({"test": "d.csv"}, ValueError, "'maybe'"),
    ],
)
def test_bad_requests(folder, options, error, message):
    (folder / "d.csv").write_text("text,label\na,maybe\n")
    with pytest.raises(error, match=message):
        load(**{"name": "b.csv", "data_dir": folder, "streaming": True, **options})


def test_pairs(tmp_path):
    lines = [{"p": f"a {i}", "h": f"b {i}", "label": i % 3} for i in range(90)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    corpus = load(path, streaming=True, premise="p", hypothesis="h")
    assert corpus.pairs
    rows = list(corpus.train.elements().as_numpy_iterator())
    assert all(p[2:] == h[2:] and int(p[2:]) % 3 == y for p, h, y in rows)
    assert np.asarray([y for *_, y in rows]).dtype == "int32"
