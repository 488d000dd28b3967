"""How fast are exports? From strings to probabilities, one text at a time and 32.

    python tests/benchmarks/serving.py [--rounds 40] [--only WORDS]

Each exported form of a preset, and the same model in PyTorch, eager, has a process of
its own; they answer in turn, a burst each, in one run. What takes token ids is given
them by Hugging Face's `tokenizers`, with the preset's words. Every side is checked
before it is timed: the labels, and, where it takes ids, the probabilities of kattn's
own. It needs `pip install "kattn[bench,onnx,openvino]"`; who is not installed is left
out.
"""

import argparse
import json
import os
import re
import statistics
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import measure  # noqa: E402
import numpy as np  # noqa: E402
from rich import box  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

PRESETS = "bilstm_attention_sst2_en", "han_imdb_en"
SIZES = 1, 32
BURST = 10
THREADS = 2
TEXTS = Path(__file__).parent.parent / "frozen" / "texts.json"


def texts_for(preset):
    """32 texts: sentences, or, of what reads documents, reviews of some 230 words."""
    sentences = json.loads(TEXTS.read_text(encoding="utf-8"))["english"][:16]
    if not preset.startswith("han"):
        return 2 * sentences
    return [
        " ".join(sentences[i:] + sentences[:i] + sentences[:4]) for i in range(16)
    ] * 2


class Words:
    """Strings to ids by `tokenizers`, sentences by a regular expression."""

    def __init__(self, preset):
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
        import tokenizers
        from tokenizers import models, normalizers, pre_tokenizers

        from kattn.models import TextClassifier

        classifier = TextClassifier.from_preset(preset)
        tokens = classifier.preprocessor.tokenizer.get_vocabulary()
        ids = {word: i for i, word in enumerate(tokens)}
        self.levels = classifier.preprocessor.levels
        self.tokenizer = tokenizers.Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
        self.tokenizer.normalizer = normalizers.Sequence(
            [normalizers.NFKC(), normalizers.Lowercase()]
        )
        self.tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Whitespace(), pre_tokenizers.Punctuation()]
        )
        self.sentence = re.compile(r"[^.!?]+[.!?]*\s*")

    def __call__(self, texts):
        """Ids `(B, T)`, or `(B, S, T)`, 0 for padding."""
        if self.levels == 1:
            return _padded([self._ids(text) for text in texts])
        documents = [self.sentence.findall(text) for text in texts]
        rows = _padded([self._ids(one) for text in documents for one in text])
        ids = np.zeros((len(texts), max(map(len, documents)), rows.shape[1]), "int32")
        row = iter(rows)
        for document, sentences in zip(ids, documents, strict=True):
            for place in range(len(sentences)):
                document[place] = next(row)
        return ids

    def _ids(self, text):
        return self.tokenizer.encode(text).ids


def _padded(rows):
    ids = np.zeros((len(rows), max(map(len, rows))), "int32")
    for padded, row in zip(ids, rows, strict=True):
        padded[: len(row)] = row
    return ids


class SavedModel:
    """The SavedModel, from strings.

    Its two directions are read side by side. That each of them splits its products
    again, over the same two cores, costs a fifth.
    """

    def __init__(self, preset, folder):
        import tensorflow as tf
        import tensorflow_text  # noqa: F401

        tf.config.threading.set_intra_op_parallelism_threads(1)
        self.tf = tf
        self.loaded = tf.saved_model.load(str(Path(folder, "saved_model", "1")))
        self.signature = self.loaded.signatures["serving_default"]

    def __call__(self, texts):
        return self.signature(text=self.tf.constant(texts))["probabilities"].numpy()


class Onnx:
    """The file of ONNX in ONNX Runtime, behind `tokenizers`."""

    def __init__(self, preset, folder):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        path = str(Path(folder, "onnx", "model.onnx"))
        self.session = onnxruntime.InferenceSession(path, options)
        self.words = Words(preset)

    def __call__(self, texts):
        return self.of_ids(self.words(texts))

    def of_ids(self, ids):
        """Probabilities of token ids."""
        return self.session.run(None, {"token_ids": ids})[0]


class OpenVino:
    """OpenVINO's files in 32 bits, behind `tokenizers`."""

    precision = "f32"
    rounding = 1e-3

    def __init__(self, preset, folder):
        import openvino

        path = Path(folder, "openvino", "model.xml")
        options = {
            "INFERENCE_PRECISION_HINT": self.precision,
            "INFERENCE_NUM_THREADS": THREADS,
        }
        self.model = openvino.compile_model(path, "CPU", options)
        self.words = Words(preset)

    def __call__(self, texts):
        return self.of_ids(self.words(texts))

    def of_ids(self, ids):
        """Probabilities of token ids."""
        return self.model({"token_ids": ids})[0]


class OpenVino16(OpenVino):
    """The same in 16 bits, which some processors have matrix products for."""

    precision = "bf16"
    rounding = 0.05


class Torch:
    """The same model in PyTorch, eager, behind `tokenizers`."""

    def __init__(self, preset, folder):
        import torch
        import torch_models

        from kattn.models import TextClassifier

        torch.set_num_threads(THREADS)
        self.torch = torch
        self.words = Words(preset)
        self.model = torch_models.served(TextClassifier.from_preset(preset)).eval()

    def __call__(self, texts):
        return self.of_ids(self.words(texts))

    def of_ids(self, ids):
        """Probabilities of token ids."""
        with self.torch.inference_mode():
            ids = self.torch.from_numpy(ids)
            return self.model(ids, ids != 0).softmax(-1).numpy()


FORMATS = "saved_model", "onnx", "openvino"
SIDES = {
    "saved_model": SavedModel,
    "onnx": Onnx,
    "openvino": OpenVino,
    "openvino, bf16": OpenVino16,
    "torch": Torch,
}


class Side:
    """What one process does: it answers, and times itself."""

    def __init__(self, name, preset, folder):
        self.answer = SIDES[name](preset, folder)
        self.texts = texts_for(preset)

    def probabilities(self):
        """What it says of all texts."""
        return np.asarray(self.answer(self.texts))

    def of_ids(self, ids):
        """What it says of ids; `None` if it takes strings."""
        return self.answer.of_ids(ids) if hasattr(self.answer, "of_ids") else None

    def burst(self, size):
        """Seconds of a few answers to as many texts."""
        seconds = []
        for i in range(BURST):
            start = (i * size) % len(self.texts)
            some = self.texts[start : start + size]
            began = time.perf_counter()
            self.answer(some)
            seconds.append(time.perf_counter() - began)
        return seconds


def checked(name, process, expected, ids):
    """Raise an `AssertionError` where a side says something else than kattn."""
    agree = (process.ask("probabilities").argmax(-1) == expected.argmax(-1)).mean()
    assert agree >= 0.9, f"{name}: {agree:.0%} of the labels are kattn's"
    said = process.ask("of_ids", ids)
    if said is not None:
        off = np.abs(said - expected).max()
        most = getattr(SIDES[name], "rounding", 1e-3)
        assert off < most, f"{name}: probabilities are off by {off:.2g}"


def compare(preset, rounds, console):
    """Seconds of all sides at each batch size."""
    import kattn

    classifier = kattn.models.TextClassifier.from_preset(preset)
    texts = texts_for(preset)
    expected = classifier.predict_proba(texts, verbose=0)
    inputs = classifier.preprocessor(texts)
    ids = np.array(inputs["token_ids"])
    with tempfile.TemporaryDirectory() as folder:
        left_out = set()
        for name in FORMATS:
            try:
                kattn.export(classifier, Path(folder, name), format=name)
            except (ImportError, ValueError) as error:
                console.print(f"{name} is left out: {error}")
                left_out.add(name)
        processes = {}
        for name in SIDES:
            if name.split(",")[0] in left_out:
                continue
            processes[name] = measure.Process(Side, name, preset, folder)
            try:
                checked(name, processes[name], expected, ids)
            except ImportError as error:
                console.print(f"{name} is left out: {error}")
                processes.pop(name)
        found = {size: {name: [] for name in processes} for size in SIZES}
        for size in SIZES:
            for turn in range(rounds + 2):
                for name, process in processes.items():
                    seconds = process.ask("burst", size)
                    if turn > 1:  # the first ones warm up
                        found[size][name] += seconds
        for process in processes.values():
            process.end()
    return found


def show(preset, found, console):
    """Print a row for every side."""
    table = Table(title=preset, box=box.SIMPLE)
    for heading in ("", "p50 ms", "p99 ms", "p50 ms of 32", "texts/s at 32"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, single in found[1].items():
        many = statistics.median(found[32][name])
        table.add_row(
            name,
            f"{1000 * statistics.median(single):.2f}",
            f"{1000 * np.quantile(single, 0.99):.2f}",
            f"{1000 * many:.1f}",
            f"{32 / many:,.0f}",
        )
    console.print(table)


def main():
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=40, help=f"of {BURST} answers")
    parser.add_argument("--only", default="", help="presets whose name has these words")
    arguments = parser.parse_args()
    console = Console(width=100)
    console.print(measure.machine())
    for preset in PRESETS:
        if arguments.only in preset:
            show(preset, compare(preset, arguments.rounds, console), console)


if __name__ == "__main__":
    main()
