"""The plain models that trained ones are compared with."""

import numpy as np

from kattn import baseline
from kattn.datasets import Corpus, Split


def corpus(texts, labels):
    """Halves of the examples to learn from and to be tested on."""
    split = Split(texts, np.array(labels, "int32"))
    train, test = (
        split.take(range(0, len(split), 2)),
        split.take(range(1, len(split), 2)),
    )
    return Corpus("made", ("no", "yes"), train, test.take([0, 1]), test)


def test_texts_of_which_pairs_of_words_decide():
    words = "film plot actor scene".split()
    texts = [
        f"{'not good' if i % 4 < 2 else 'good , not bad'} {words[i % 3]}"
        for i in range(80)
    ]
    found = baseline.measure(corpus(texts, [int(i % 4 >= 2) for i in range(80)]))
    assert found["accuracy"] == 1
    assert "TF-IDF" in found["method"]


def test_pairs_of_which_overlap_decides():
    draw = np.random.default_rng(0)
    words = [f"w{i}" for i in range(30)]
    premises = [" ".join(draw.choice(words, 6, replace=False)) for _ in range(200)]
    labels = [i // 2 % 2 for i in range(200)]
    hypotheses = [
        " ".join(text.split()[:4]) if same else "quite another text here"
        for text, same in zip(premises, labels, strict=True)
    ]
    found = baseline.measure(corpus((premises, hypotheses), labels))
    assert found["accuracy"] > 0.95
    assert "gradient boosting" in found["method"]
