"""OpenVINO: a network for Intel's processors, by way of ONNX."""

import tempfile
from pathlib import Path

from kattn.formats import onnx
from kattn.formats.gates import gated
from kattn.layers import AttentionRNN
from kattn.models.weighed_keys import WeighedKeys
from kattn.text.libraries import tensorflow

FILE = "model.xml"
# Layers whose export was seen to fail, or to say something else (OpenVINO 2026.4).
_NOT = {
    AttentionRNN: "does not convert the loop of dynamic attention",
    WeighedKeys: "computes integers as float32, which makes other n-grams of them",
}


def write(classifier, folder):
    """Write a classifier from token ids to probabilities, in 32 bits.

    The batch and all lengths are free.

    Args:
        classifier: A `kattn.models.TextClassifier`.
        folder: The folder that gets `model.xml` and `model.bin`.

    Returns:
        The names of the files.

    Raises:
        ImportError: If OpenVINO or tf2onnx is not installed.
        ValueError: For n-grams, and for dynamic attention.
    """
    for layer in tensorflow().train.TrackableView(classifier).descendants():
        for kind, reason in _NOT.items():
            if isinstance(layer, kind):
                raise ValueError(
                    f"OpenVINO {reason}: export this classifier with "
                    f"format='onnx'. Received: {layer.name!r} ({kind.__name__})"
                )
    try:
        import openvino
    except ImportError as error:
        raise ImportError(
            "OpenVINO's format needs openvino, which is not installed: "
            'pip install "kattn[openvino]"'
        ) from error
    with tempfile.TemporaryDirectory() as work:
        onnx.write(classifier, Path(work), gated)
        model = openvino.convert_model(Path(work, onnx.FILE))
        openvino.save_model(model, folder / FILE, compress_to_fp16=False)
    return [FILE, Path(FILE).with_suffix(".bin").name]
