"""Every corpus in every form it is distributed in, small and made up."""

import json

import numpy as np
import pytest

from kattn.datasets import load
from kattn.datasets.description import describe
from kattn.datasets.equality import keys

pytestmark = pytest.mark.filterwarnings("ignore:.*from the official file:UserWarning")


def table(header, rows, end="\n"):
    return "".join("\t".join(map(str, row)) + end for row in [header, *rows] if row)


def sizes(corpus):
    return [len(corpus.train), len(corpus.validation), len(corpus.test)]


def clean(corpus):
    held = set(keys(corpus.validation))
    assert not held & set(keys(corpus.train))
    for split in (corpus.train, corpus.validation, corpus.test):
        assert split.labels.dtype == np.int32 and len(split) == len(split.labels)
        assert split.pairs == corpus.pairs
    return corpus


def imdb_files():
    files = {"aclImdb/README": "x", "aclImdb/train/unsup/0_0.txt": "unseen"}
    for part in ("train", "test"):
        for value in ("pos", "neg"):
            files[f"aclImdb/{part}/{value}/._1_1.txt"] = "a file of macOS"
            for i in range(20):
                text = f"{part} {value} {i}\x85<br />é"
                files[f"aclImdb/{part}/{value}/{i}_9.txt"] = text
    return files


@pytest.mark.parametrize(
    ("packed", "data_dir"),
    [("aclImdb_v1.tar.gz", "."), ("raw", "raw"), ("raw", "raw/aclImdb")],
)
def test_imdb(tmp_path, pack, packed, data_dir):
    pack(tmp_path / packed, imdb_files())
    corpus = clean(load("imdb", tmp_path / data_dir))
    assert corpus.class_names == ("neg", "pos") and not corpus.pairs
    assert sizes(corpus) == [36, 4, 40] and corpus.unlabelled is None
    assert corpus.test.texts[0] == "test neg 0\x85<br />é"
    assert [t.split()[1] for t in corpus.test.texts] == ["neg"] * 20 + ["pos"] * 20
    assert corpus.test.labels.tolist() == [0] * 20 + [1] * 20
    assert any(
        "Size: train has 40" in note and "25,000" in note for note in corpus.notes
    )


def test_a_class_without_files_is_named(tmp_path, pack):
    files = {n: t for n, t in imdb_files().items() if "test/pos" not in n}
    pack(tmp_path / "aclImdb_v1.tar.gz", files)
    with pytest.raises(ValueError, match="files in test/pos/ of imdb"):
        load("imdb", tmp_path)


@pytest.mark.parametrize("packed", ["20news-bydate.tar.gz", "unpacked"])
def test_newsgroups20(tmp_path, pack, packed):
    files = {
        f"20news-bydate-{part}/{group}/{i}": f"From: a\r\n{part} {group} {i} é".encode(
            "latin-1"
        )
        for part in ("train", "test")
        for group in describe("newsgroups20").classes
        for i in range(10)
    }
    path = pack(tmp_path / packed, files)
    corpus = clean(load("newsgroups20", path if path.is_dir() else tmp_path))
    assert sizes(corpus) == [180, 20, 200] and len(corpus.class_names) == 20
    assert corpus.test.texts[0] == "From: a\ntest alt.atheism 0 é"
    assert any("headers" in note for note in corpus.notes)


def test_newsgroups20_stripped(tmp_path, pack):
    lines = ["From: a", "", "In article <1> b writes:", "> {0}?", "{0}!", "--", "a"]
    post = "\r\n".join(lines)
    files = {
        f"20news-bydate-{part}/{group}/{i}": post.format(f"{part} {group} {i}").encode()
        for part in ("train", "test")
        for group in describe("newsgroups20_stripped").classes
        for i in range(10)
    }
    pack(tmp_path / "20news-bydate.tar.gz", files)
    corpus = clean(load("newsgroups20_stripped", tmp_path))
    assert sizes(corpus) == [180, 20, 200]
    assert corpus.test.texts[0] == "test alt.atheism 0!"


@pytest.mark.parametrize("packed", ["SST-2.zip", "unpacked", "unpacked/SST-2"])
def test_sst2(tmp_path, pack, packed):
    sentences = [f'one{i} "two{i} three{i} ' for i in range(40)]
    train = [(s, i % 2) for i, s in enumerate(sentences)]
    train += [(f'"two{i} ', i % 2) for i in range(40)]
    files = {
        "SST-2/train.tsv": table(("sentence", "label"), train),
        "SST-2/dev.tsv": table(("sentence", "label"), [("good ", 1), ("bad ", 0)]),
        "SST-2/test.tsv": table(("index", "sentence"), [(0, "who knows")]),
    }
    pack(tmp_path / packed.split("/")[0], files)
    corpus = clean(
        load(
            "sst2",
            tmp_path / packed
            if "/" in packed
            else tmp_path
            if ".zip" in packed
            else tmp_path / packed,
        )
    )
    assert sizes(corpus) == [72, 8, 2]
    assert corpus.test.texts == ["good ", "bad "]
    assert corpus.test.labels.tolist() == [1, 0]
    assert corpus.unlabelled.texts == ["who knows"] and corpus.unlabelled.labels is None
    for phrase in corpus.train.texts:
        assert not any(phrase in sentence for sentence in corpus.validation.texts)
    assert any("dev is the test split" in note for note in corpus.notes)


def test_sst2_does_without_the_unlabelled_file(tmp_path, pack):
    rows = [(f"text {i}", i % 2) for i in range(40)]
    content = table(("sentence", "label"), rows)
    pack(tmp_path / "x", {"train.tsv": content, "dev.tsv": content})
    corpus = load("sst2", tmp_path / "x")
    assert corpus.unlabelled is None and len(corpus.test) == 40


LABELS = ("ENTAILMENT", "NEUTRAL", "CONTRADICTION")


def sick_rows(n, start=0):
    for i in range(start, start + n):
        yield i, f"A {i}", f'B "{i}', 3.5, LABELS[i % 3]


SICK = (
    "pair_ID",
    "sentence_A",
    "sentence_B",
    "relatedness_score",
    "entailment_judgment",
)


@pytest.mark.parametrize("zipped", [False, True])
def test_sick_of_semeval(tmp_path, pack, zipped):
    files = {
        "SICK_train.txt": table(SICK, sick_rows(30)),
        "SICK_trial.txt": table(SICK, sick_rows(6, 100)),
        "SICK_test_annotated.txt": table(SICK, sick_rows(9, 200), "\r\n"),
    }
    if zipped:
        for name, text in files.items():
            zip_name = name.replace("SICK", "sick").replace(".txt", ".zip")
            pack(tmp_path / zip_name, {name: text, "readme.txt": ""})
    else:
        pack(tmp_path, files)
    corpus = clean(load("sick", tmp_path))
    assert sizes(corpus) == [30, 6, 9] and corpus.pairs
    assert corpus.class_names == ("entailment", "neutral", "contradiction")
    assert corpus.test.texts[0][0] == "A 200" and corpus.test.texts[1][0] == 'B "200'
    assert corpus.test.labels.tolist() == [i % 3 for i in range(200, 209)]
    assert any("SemEval-2014" in note for note in corpus.notes)


@pytest.mark.parametrize("packed", ["SICK.zip", "unpacked"])
def test_sick_released_again(tmp_path, pack, packed):
    header = ("pair_ID", "sentence_A", "sentence_B", "entailment_label", "SemEval_set")
    parts = ["TRAIN"] * 20 + ["TRIAL"] * 4 + ["TEST"] * 6
    rows = [
        (i, a, b, label, part)
        for part, (i, a, b, _, label) in zip(parts, sick_rows(30), strict=True)
    ]
    files = {"SICK.txt": table(header, rows), "readme.txt": ""}
    path = pack(tmp_path / packed, files)
    corpus = clean(load("sick", path if path.is_dir() else tmp_path))
    assert sizes(corpus) == [20, 4, 6]
    assert corpus.validation.texts[0] == ["A 20", "A 21", "A 22", "A 23"]
    assert any("SICK.txt" in note for note in corpus.notes)


def test_trec(tmp_path, pack):
    fine = describe("trec50").classes
    train = [f"{c} What is {c} {i} ?" for i in range(4) for c in fine]
    test = ["NUM:dist How far is sister\xf0city ?", "LOC:city Which : city ?"]
    files = {
        "train_5500.label": ("\n".join(train) + "\n").encode("latin-1"),
        "TREC_10.label": "\r\n".join(test).encode("latin-1"),
    }
    pack(tmp_path, files)
    corpus = clean(load("trec", tmp_path))
    assert corpus.class_names == ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")
    assert corpus.test.texts == ["How far is sister\xf0city ?", "Which : city ?"]
    assert corpus.test.labels.tolist() == [5, 4]
    assert sum(sizes(corpus)) == 202
    corpus = clean(load("trec50", tmp_path))
    assert [corpus.class_names[i] for i in corpus.test.labels] == [
        "NUM:dist",
        "LOC:city",
    ]
    assert sizes(corpus) == [150, 50, 2]


def test_a_trec_line_without_a_label_is_named(tmp_path, pack):
    pack(
        tmp_path, {"train_5500.label": "NUM:dist Far ?\nWhat ?\n", "TREC_10.label": ""}
    )
    with pytest.raises(ValueError, match=r"train_5500.label, line 2: expected 'LABEL:"):
        load("trec", tmp_path)


@pytest.mark.parametrize("packed", ["chnsenticorp.tar.gz", "unpacked"])
def test_chnsenticorp(tmp_path, pack, packed):
    train = [(i % 2, f'"酒店 {i}') for i in range(20)]
    files = {
        "chnsenticorp/train.tsv": table(("label", "text_a"), train),
        "chnsenticorp/dev.tsv": table(("label", "text_a"), [(0, "书 a"), (1, "书 b")]),
        "chnsenticorp/test.tsv": table(("label", "text_a"), [(0, "新"), *train[:3]]),
    }
    path = pack(tmp_path / packed, files)
    corpus = clean(load("chnsenticorp", path if path.is_dir() else tmp_path))
    assert sizes(corpus) == [20, 2, 4]
    assert corpus.class_names == ("negative", "positive")
    assert corpus.test.texts[:2] == ["新", '"酒店 0']
    assert any("3 of 4 test examples also stand in train" in n for n in corpus.notes)


def afqmc_rows(n, start=0):
    return [(f"借呗 {i}", f"花呗 {i}", str(i % 2)) for i in range(start, start + n)]


def afqmc_json(rows):
    names = ("sentence1", "sentence2", "label")
    return "\n".join(
        json.dumps(dict(zip(names, row, strict=False)), ensure_ascii=False)
        for row in rows
    )


@pytest.mark.parametrize("form", ["afqmc_public.zip", "json", "tabs"])
def test_afqmc(tmp_path, pack, form):
    parts = {
        "train": afqmc_rows(40),
        "dev": afqmc_rows(6, 100),
        "test": [row[:2] for row in afqmc_rows(3, 200)],
    }
    if form == "tabs":
        pack(tmp_path, {f"{p}.txt": table((), rows) for p, rows in parts.items()})
    else:
        files = {f"{p}.json": afqmc_json(rows) for p, rows in parts.items()}
        pack(tmp_path / form if ".zip" in form else tmp_path, files)
    corpus = clean(load("afqmc", tmp_path))
    assert sizes(corpus) == [36, 4, 6] and corpus.pairs
    assert (
        corpus.test.texts[0][0] == "借呗 100" and corpus.test.texts[1][5] == "花呗 105"
    )
    assert corpus.test.labels.tolist() == [0, 1] * 3
    assert corpus.unlabelled.texts == (
        [f"借呗 {i}" for i in (200, 201, 202)],
        [f"花呗 {i}" for i in (200, 201, 202)],
    )
    assert any("dev is the test split" in note for note in corpus.notes)


def test_bbc_from_a_folder(tmp_path, pack):
    files = {
        f"{c}/{i:03}.txt": f"{c} story {i} \xa3".encode(
            "latin-1" if i == 3 else "utf-8"
        )
        for c in describe("bbc").classes
        for i in range(20)
    }
    files["sports/020.txt"] = "  SPORTS story\n0 £".encode()
    pack(tmp_path, files)
    corpus = clean(load("bbc", tmp_path))
    assert sizes(corpus) == [70, 10, 20]
    texts = corpus.train.texts + corpus.validation.texts + corpus.test.texts
    assert len(texts) == 100 and all("£" in text for text in texts)
    assert any("1 of 101" in note and "removed" in note for note in corpus.notes)


def test_a_table_with_another_label_is_refused(tmp_path, pack):
    rows = table(("label", "text_a"), [(0, "a"), (2, "b")])
    pack(tmp_path, {f"{part}.tsv": rows for part in ("train", "dev", "test")})
    with pytest.raises(ValueError, match=r"labels 0, 1 in chnsenticorp.*also: 2"):
        load("chnsenticorp", tmp_path)


def test_a_table_with_a_stray_tab_is_refused(tmp_path, pack):
    rows = "label\ttext_a\n0\ta\n1\tb\tc\n"
    pack(tmp_path, {f"{part}.tsv": rows for part in ("train", "dev", "test")})
    with pytest.raises(ValueError, match=r"row 2 \(line 3\): expected 2 columns.*3\."):
        load("chnsenticorp", tmp_path)


def test_an_archive_that_lacks_a_file_is_refused(tmp_path, pack):
    pack(tmp_path / "SST-2.zip", {"SST-2/train.tsv": "sentence\tlabel\n"})
    with pytest.raises(ValueError, match="in SST-2.zip. Missing: dev.tsv"):
        load("sst2", tmp_path)


def test_loading_twice_gives_the_same(tmp_path, pack):
    pack(tmp_path / "aclImdb_v1.tar.gz", imdb_files())
    one, two = load("imdb", tmp_path), load("imdb", tmp_path)
    assert one.validation.texts == two.validation.texts and one.notes == two.notes
    assert (one.train.labels == two.train.labels).all()
