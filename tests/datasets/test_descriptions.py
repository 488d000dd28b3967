import re
from pathlib import Path

import pytest

from kattn.datasets import load, names
from kattn.datasets.description import describe

ROOT = Path(__file__).resolve().parents[2]
FORMATS = {"folders", "posts", "table", "json_lines", "trec"}
EXPECTED = {
    "afqmc",
    "bbc",
    "chnsenticorp",
    "imdb",
    "newsgroups20",
    "newsgroups20_stripped",
    "sick",
    "sst2",
    "trec",
    "trec50",
}


def test_the_corpora_are_there():
    assert set(names()) >= EXPECTED and names() == sorted(names())


@pytest.mark.parametrize("name", names())
def test_a_description_is_whole(name):
    corpus = describe(name)
    assert corpus.title and corpus.licence and corpus.citation
    assert re.match("https?://", corpus.homepage)
    assert len(set(corpus.classes)) == len(corpus.classes) == len(corpus.values) >= 2
    assert corpus.forms and {form.format for form in corpus.forms} <= FORMATS
    for form in corpus.forms:
        assert "train" in form.splits or set(form.splits) == {"all"}
        assert set(form.rows) == set(form.splits)
        assert form.texts or form.format in ("folders", "posts", "trec")
    for file in corpus.files:
        assert re.fullmatch("(sha256:[0-9a-f]{64}|md5:[0-9a-f]{32})", file.checksum)
        assert file.url is None or re.match("https?://", file.url)
    assert len({file.name for file in corpus.files}) == len(corpus.files)


@pytest.mark.parametrize("name", names())
def test_a_card_says_what_users_ask(name):
    card = (ROOT / "datasets" / name / "README.md").read_text(encoding="utf-8")
    for heading in ("Source", "Licence", "Citation", "Splits", "Traps"):
        assert f"## {heading}" in card, heading
    assert f'load("{name}"' in card
    for form in describe(name).forms:
        for rows in form.rows.values():
            assert f"{rows:,}" in card, rows


def test_the_folder_holds_no_python():
    assert not list((ROOT / "datasets").rglob("*.py"))


def test_two_descriptions_share_their_files():
    coarse, fine = describe("trec"), describe("trec50")
    assert coarse.files == fine.files and coarse.cache == fine.cache == "trec"
    assert tuple(sorted({c.split(":")[0] for c in fine.classes})) == coarse.classes
    assert len(coarse.classes) == 6 and len(fine.classes) == 50


def test_a_folder_is_all_a_corpus_needs(tmp_path, monkeypatch):
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "dataset.toml").write_text(
        """
        title = "Weather"
        homepage = "https://example.org"
        licence = "none"
        citation = "none"
        classes = ["dry", "wet"]
        [rules]
        seed = 3
        [[forms]]
        about = "a table"
        format = "table"
        splits = { all = "weather.csv" }
        delimiter = ","
        quoting = true
        texts = ["report"]
        label = "sky"
        """
    )
    here = {"weather": folder, "no_corpus": tmp_path}
    monkeypatch.setattr("kattn.assets.folders", lambda kind: here)
    assert names() == ["weather"]
    rows = [f'"Day {i}, noon",{"dry wet".split()[i % 2]}' for i in range(60)]
    (tmp_path / "weather.csv").write_text("\n".join(["report,sky", *rows]))
    corpus = load("weather", tmp_path)
    assert corpus.class_names == ("dry", "wet") and corpus.name == "weather"
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [48, 6, 6]
    assert (
        "Day 0, noon"
        in corpus.train.texts + corpus.validation.texts + corpus.test.texts
    )


def test_a_misspelt_key_is_named(tmp_path, monkeypatch):
    folder = tmp_path / "weather"
    folder.mkdir()
    (folder / "dataset.toml").write_text(
        'title = "x"\nhomepage = "x"\nlicence = "x"\ncitation = "x"\n'
        'classes = ["a", "b"]\n'
        '[rules]\nsead = 3\n[[forms]]\nabout = "x"\nformat = "table"\nsplits = {}\n'
    )
    monkeypatch.setattr("kattn.assets.folders", lambda kind: {"weather": folder})
    with pytest.raises(ValueError, match="'sead'. Did you mean 'seed'"):
        load("weather")
