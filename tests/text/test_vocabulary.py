import random
from collections import Counter

import pytest
import tensorflow as tf

from kattn.text import WordTokenizer, count_vocabulary

TEXTS = ["The cat; the DOG!", "a cat.", "", "The end", "zebra Ärger äpfel 猫"]


def test_counts_and_order():
    assert count_vocabulary(TEXTS)[:3] == ["the", "cat", "!"]
    # Once each: by code point.
    once = ["!", ".", ";", "a", "dog", "end", "zebra", "äpfel", "ärger", "猫"]
    assert count_vocabulary(TEXTS)[2:] == once


def test_limits():
    assert count_vocabulary(TEXTS, min_count=2) == ["the", "cat"]
    assert count_vocabulary(TEXTS, max_size=1) == ["the"]
    assert count_vocabulary(TEXTS, case_fold=False, max_size=2) == ["The", "cat"]
    assert count_vocabulary([]) == []
    assert count_vocabulary(["", " "]) == []


def test_order_of_texts_and_chunks_make_no_difference():
    draw = random.Random(0)
    texts = [" ".join(draw.choices("abcdefghij", k=5)) for _ in range(2500)]
    oracle = Counter(word for text in texts for word in text.split())
    expected = [w for w, _ in sorted(oracle.items(), key=lambda p: (-p[1], p[0]))]
    assert count_vocabulary(iter(texts)) == expected
    draw.shuffle(texts)
    assert count_vocabulary(text for text in texts) == expected


def test_counting_equals_tokenising():
    vocabulary = count_vocabulary(TEXTS)
    tokenizer = WordTokenizer(vocabulary)
    assert 1 not in tokenizer.tokenize(TEXTS).flat_values.numpy()
    assert tokenizer.vocabulary_size() == len(vocabulary) + 2


def test_other_iterables():
    data = tf.data.Dataset.from_tensor_slices(TEXTS)
    assert count_vocabulary(data) == count_vocabulary(TEXTS)
    assert count_vocabulary(text.encode() for text in TEXTS) == count_vocabulary(TEXTS)


@pytest.mark.parametrize("wrong", ["text", b"text", 3, [["a"]], [1], ["a", None]])
def test_wrong_texts(wrong):
    with pytest.raises(ValueError):
        count_vocabulary(wrong)


def test_wrong_limits():
    with pytest.raises(ValueError, match="max_size must be a positive integer"):
        count_vocabulary(TEXTS, max_size=0)
    with pytest.raises(ValueError, match="min_count must be a positive integer"):
        count_vocabulary(TEXTS, min_count=None)
