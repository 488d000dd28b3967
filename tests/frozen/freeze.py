"""Write down what presets say of the twenty texts: `python tests/frozen/freeze.py`.

What is written down already stays, but for the presets that are named.
"""

import json
import sys
from pathlib import Path

import numpy as np

from kattn import listing
from kattn.models import AttentionSeq2Seq, TextClassifier, TextPairClassifier
from kattn.models.presets import folders

HERE = Path(__file__).resolve().parent
TEXTS = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))


def said(name, folder):
    """What a preset says of its kind of texts.

    A classifier gives probabilities `(20, classes)`; a model that writes gives for each
    text the likeliest one of a beam search, and its score.
    """
    if listing.describe(name, folder).writes:
        kind = "chinese_sentences" if "_zh_" in name else "words"
        found = AttentionSeq2Seq.from_preset(folder).search(TEXTS[kind], beam_width=5)
        return [list(some[0]) for some in found]
    classifier = TextClassifier.from_preset(folder)
    kind = "chinese" if name.endswith("_zh") else "english"
    if isinstance(classifier, TextPairClassifier):
        texts = tuple(map(list, zip(*TEXTS[f"{kind}_pairs"], strict=True)))
    else:
        texts = TEXTS[kind]
    return classifier.predict_proba(texts, verbose=0).astype("float64").tolist()


def check(name, folder):
    """Raise an `AssertionError` if a preset does not say what is written down of it."""
    expected = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    assert len(expected) == 20
    for row, frozen in zip(said(name, folder), expected, strict=True):
        (words, numbers), (as_frozen, near) = map(_parted, (row, frozen))
        assert words == as_frozen, (words, as_frozen)
        np.testing.assert_allclose(numbers, near, atol=1e-4)


def _parted(row):
    words = [x for x in row if isinstance(x, str)]
    return words, [x for x in row if not isinstance(x, str)]


def rounded(row):
    """A row with its numbers to six places."""
    return [x if isinstance(x, str) else round(x, 6) for x in row]


if __name__ == "__main__":
    for name, folder in folders().items():
        path = HERE / f"{name}.json"
        if not path.is_file() or name in sys.argv[1:]:
            rows = map(rounded, said(name, folder))
            lines = ",\n".join(f"  {json.dumps(row)}" for row in rows)
            path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
            print(path)
