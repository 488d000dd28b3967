"""Write down what presets say of the twenty texts: `python tests/frozen/freeze.py`.

What is written down already stays, but for the presets that are named.
"""

import json
import sys
from pathlib import Path

import numpy as np

from kattn.models import TextClassifier, TextPairClassifier
from kattn.models.presets import folders

HERE = Path(__file__).resolve().parent
TEXTS = json.loads((HERE / "texts.json").read_text(encoding="utf-8"))


def said(name, folder):
    """The probabilities `(20, classes)` that a preset gives its kind of texts."""
    classifier = TextClassifier.from_preset(folder)
    kind = "chinese" if name.endswith("_zh") else "english"
    if isinstance(classifier, TextPairClassifier):
        texts = tuple(map(list, zip(*TEXTS[f"{kind}_pairs"], strict=True)))
    else:
        texts = TEXTS[kind]
    return classifier.predict_proba(texts, verbose=0)


if __name__ == "__main__":
    for name, folder in folders().items():
        path = HERE / f"{name}.json"
        if not path.is_file() or name in sys.argv[1:]:
            rows = np.round(said(name, folder).astype("float64"), 6).tolist()
            lines = ",\n".join(f"  {row}" for row in rows)
            path.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
            print(path)
