"""Ids are written once and trained on, by models of the same tokenizer alone."""

import json

import numpy as np
import pytest

from kattn import models
from kattn.__main__ import main
from kattn.datasets import load
from kattn.text.records import MANIFEST, write_records

WORDS = "a good bad film plot .".split()
FAMILIES = [
    models.BiLSTMAttentionTextClassifier,
    models.HierarchicalAttentionTextClassifier,
    models.ReaderTextPairClassifier,
]


def rows(path, pairs):
    kinds = ("bad", "good")
    texts = [f"A {kinds[i % 2]} film {i}. " * (1 + i % 4) for i in range(60)]
    fields = ("premise", "hypothesis") if pairs else ("text",)
    lines = [{**dict.fromkeys(fields, t), "label": i % 2} for i, t in enumerate(texts)]
    path.write_text("\n".join(map(json.dumps, lines)))
    return {name: name for name in fields} if pairs else {}


@pytest.mark.parametrize("cls", FAMILIES, ids=lambda cls: cls.__name__)
def test_ids_train_as_the_texts_do(tiny, tmp_path, cls):
    pairs = cls is models.ReaderTextPairClassifier
    columns = rows(tmp_path / "rows.jsonl", pairs)
    classifier = tiny(cls, WORDS, ["0", "1"])
    files = {"validation": "rows.jsonl", "test": "rows.jsonl"}
    corpus = load("rows.jsonl", tmp_path, streaming=True, **files, **columns)
    splits = {part: getattr(corpus, part) for part in ("train", *files)}
    target = tmp_path / "ids"
    write_records(classifier.preprocessor, splits, corpus.class_names, target, 25)
    names = [f"train-0000{i}-of-00003.tfrecord" for i in range(3)]
    assert sorted(path.name for path in target.glob("train*")) == names

    ids = load(target, streaming=True)
    assert ids.class_names == ("0", "1") and ids.pairs == pairs
    assert [len(ids.train), len(ids.validation), len(ids.test)] == [60, 60, 60]
    batches = [
        list(
            some.ordered_batches(
                classifier.preprocessor, batch_size=7
            ).as_numpy_iterator()
        )
        for some in (corpus.train, ids.train)
    ]
    for (x, y), (of_ids, labels) in zip(*batches, strict=True):
        np.testing.assert_array_equal(y, labels)
        for name, value in x.items():
            np.testing.assert_array_equal(value, of_ids[name])
    figures = [
        classifier.evaluate(some.test, verbose=0, return_dict=True)["loss"]
        for some in (corpus, ids)
    ]
    assert figures[0] == pytest.approx(figures[1], rel=1e-6)
    shuffled, steps = ids.train.training_batches(
        classifier.preprocessor, batch_size=7, seed=0
    )
    read = [len(y) for _, y in shuffled.take(steps).as_numpy_iterator()]
    assert steps == 9 and sum(read) == 60


@pytest.fixture
def written(tiny, tmp_path):
    rows(tmp_path / "rows.jsonl", False)
    classifier = tiny(FAMILIES[0], WORDS, ["0", "1"])
    classifier.save_to_preset(tmp_path / "preset")
    main(
        ["tokenize", str(tmp_path / "preset"), str(tmp_path / "rows.jsonl")]
        + [str(tmp_path / "ids"), "--shard-size", "20"]
    )
    return tmp_path / "ids"


def test_another_tokenizer_is_refused(tiny, written):
    corpus = load(written, streaming=True)
    same = tiny(models.AttentionEncoderTextClassifier, WORDS, ["0", "1"])
    other = tiny(FAMILIES[0], [*WORDS, "!"], ["0", "1"])
    same.evaluate(corpus.test, verbose=0)
    with pytest.raises(ValueError, match="another tokenizer than the model's"):
        other.fit(corpus.train, verbose=0)
    shorter = FAMILIES[0].preprocessor_cls(same.preprocessor.tokenizer, max_words=5)
    with pytest.raises(ValueError, match="other limits of length"):
        corpus.train.check(shorter)


def test_damage_is_found(written, tiny):
    path = next(written.glob("train-00000*"))
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"?")
    with pytest.raises(ValueError, match="is damaged: it differs"):
        load(written, streaming=True)
    path.unlink()
    with pytest.raises(ValueError, match=f"missing: {MANIFEST} lists it"):
        load(written, streaming=True)
    preprocessor = tiny(FAMILIES[0], WORDS, ["0", "1"]).preprocessor
    with pytest.raises(FileExistsError, match="not empty"):
        write_records(preprocessor, {}, [], written)
    with pytest.raises(ValueError, match="at least one example"):
        write_records(preprocessor, {}, [], written, shard_size=0)
