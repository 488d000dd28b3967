"""From an installed wheel: all presets, one training step, one export."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

import kattn
from kattn.models import manifest
from kattn.models.presets import folders

sys.path.insert(0, "frozen")
import freeze  # noqa: E402

assert "site-packages" in kattn.__file__, kattn.__file__

classifier = kattn.models.HierarchicalAttentionTextClassifier.from_preset("han_bbc_en")
texts = [
    "The central bank raised interest rates. Shares fell after the news.",
    "The striker scored twice. United won the cup final.",
]
predictions = classifier.classify(texts)
assert [p.label for p in predictions] == ["business", "sports"], predictions

classifier.fit(texts, ["business", "sports"], epochs=1, verbose=0)
with tempfile.TemporaryDirectory() as folder:
    version = kattn.export(classifier, Path(folder) / "han")
    served = tf.saved_model.load(str(version))
    outputs = served.signatures["serving_default"](text=tf.constant(texts))
    np.testing.assert_allclose(
        outputs["probabilities"], classifier.predict_proba(texts, verbose=0), atol=1e-5
    )

for name, folder in folders().items():
    manifest.check(folder)
    freeze.check(name, folder)
print("train, preset and export work from the wheel:", predictions)
