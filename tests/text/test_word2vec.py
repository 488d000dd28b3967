"""Vectors learned from texts: words of like company are alike."""

import builtins

import numpy as np
import pytest

from kattn.text import WordTokenizer, learn_vectors, read_vectors, write_vectors

pytest.importorskip("gensim", reason="the extra `vectors` is not installed")


@pytest.fixture(scope="module")
def texts():
    """Animals do other things than numbers do."""
    draw = np.random.default_rng(0)
    worlds = (
        ("cat dog horse".split(), "runs eats sleeps".split()),
        (
            "one two three".split(),
            "adds divides counts".split(),
        ),
    )
    made = []
    for _ in range(400):
        names, verbs = worlds[draw.integers(2)]
        made.append(f"the {draw.choice(names)} {draw.choice(verbs)} .")
    return made


def cosine(a, b):
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_words_of_like_company_are_alike(texts):
    words = ["cat", "dog", "one", "two", "zebra"]
    vectors = learn_vectors(texts, words, width=10, epochs=30, window=2)
    cat, dog, one, two, zebra = vectors.matrix
    assert vectors.found.tolist() == [True] * 4 + [False]
    assert not zebra.any()
    assert min(cosine(cat, dog), cosine(one, two)) > cosine(cat, one) + 0.1


def test_equal_texts_give_equal_vectors_and_another_seed_others(texts):
    first, again, other = (
        learn_vectors(iter(texts), ["cat"], width=4, seed=seed).matrix
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_special_tokens_keep_rows_of_zeros(texts):
    tokenizer = WordTokenizer(["cat", "zebra"])
    vectors = learn_vectors(texts, tokenizer.get_vocabulary(), width=4)
    assert vectors.num_special == 2
    assert vectors.found.tolist() == [False, False, True, False]
    assert vectors.coverage == 0.5


def test_written_they_are_read_again(texts, tmp_path):
    words = ["cat", "zebra", "."]
    vectors = learn_vectors(texts, words, width=4)
    for name in ("vectors.txt", "vectors.txt.gz"):
        write_vectors(tmp_path / name, words, vectors)
        again = read_vectors(tmp_path / name, words)
        np.testing.assert_allclose(again.matrix, vectors.matrix, rtol=1e-5)
        np.testing.assert_array_equal(again.found, vectors.found)
    assert {path.name for path in tmp_path.iterdir()} == {
        "vectors.txt",
        "vectors.txt.gz",
    }


def test_texts_without_a_frequent_word(texts):
    with pytest.raises(ValueError, match="at least 5 times. Received: 2 texts"):
        learn_vectors(texts[:2], ["cat"])


def test_without_gensim_the_extra_is_named(texts, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("gensim"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r'pip install "kattn\[vectors\]"'):
        learn_vectors(texts, ["cat"])
