"""Exports that take token ids say what the classifier says."""

import json
import sys
import unicodedata

import keras
import numpy as np
import pytest
import tensorflow as tf

import kattn
from kattn.models.families import FAMILIES
from kattn.text.words import split_words, steps

WORDS = ["a", "good", "bad", "film", "is", "it", "not", "very", "."]
TEXTS = [
    "A very good film. It is not bad.",
    "Bad!",
    "",
    "It is a film. " * 7,
    "unknown words, 好看 😀",
]
OTHERS = ["It is good.", "It is a film.", "Bad.", "", "A film."]
SMALL = {
    "abcnn": {"pair_features": True, "best_matches": True, "own_words": True},
    "apcnn": {"units": 3},
    "attention_encoder": {"num_layers": 1, "num_heads": 2, "feed_forward_dim": 8},
    "bilstm_attention": {"units": 3},
    "han": {"units": 3, "attention_units": 4},
    "reader": {"units": 3},
}
CASES = [
    *((name, {}) for name in SMALL),
    ("bilstm_attention", {"cell": "gru"}),
    ("bilstm_attention", {"pooling": "last"}),
    ("attention_encoder", {"pooling": "attention", "positions": "rotary"}),
    ("reader", {"attention": "dynamic", "cell": "gru"}),
]


@pytest.fixture
def runtime():
    pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
    return pytest.importorskip("onnxruntime", reason="likewise")


def by_onnx(folder, inputs):
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    wanted = [x.name for x in session.get_inputs()]
    (said,) = session.run(["probabilities"], {k: inputs[k] for k in wanted})
    return said


def by_litert(folder, inputs):
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(str(folder / "model.tflite")).get_signature_runner()
    return run(**{k: inputs[k] for k in run.get_input_details()})["probabilities"]


def by_openvino(folder, inputs):
    import openvino

    # What a processor has for 16 bits is quicker, and less exact.
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.compile_model(folder / "model.xml", "CPU", exact)
    return model({x.any_name: inputs[x.any_name] for x in model.inputs})[0]


#: The packages that a format takes, and how its file is asked.
FORMATS = {
    "onnx": (["tf2onnx", "onnxruntime"], by_onnx),
    "openvino": (["tf2onnx", "openvino"], by_openvino),
    "litert": (["ai_edge_litert"], by_litert),
}


@pytest.fixture(params=FORMATS)
def format(request):
    """The name of a format whose packages are here."""
    for package in FORMATS[request.param][0]:
        pytest.importorskip(package, reason="its extra is not installed")
    return request.param


def make(name, options, ngrams=0):
    kin = FAMILIES[name]
    tokenizer = kin.tokenizer(WORDS)
    backbone = kin.classifier.backbone_cls(
        tokenizer.vocabulary_size(), 8, **{**SMALL[name], **options}
    )
    preprocessor = kin.classifier.preprocessor_cls(tokenizer)
    classifier = kin.classifier(
        backbone, preprocessor=preprocessor, class_names=["no", "yes"], ngrams=ngrams
    )
    draw = np.random.default_rng(0)
    for v in classifier.trainable_variables:
        v.assign(draw.normal(size=v.shape, scale=0.5))
    x = (TEXTS, OTHERS) if kin.pairs else TEXTS
    return classifier, x


def is_dynamic(classifier):
    return getattr(classifier.backbone, "attention", None) == "dynamic"


def check(format, classifier, x, folder):
    if format == "openvino" and (classifier.ngrams or is_dynamic(classifier)):
        with pytest.raises(ValueError, match="OpenVINO .*: export .* format='onnx'"):
            kattn.export(classifier, folder, format=format)
        assert not folder.exists()
        return
    kattn.export(classifier, folder, format=format)
    says = FORMATS[format][1]
    given = classifier.preprocessor(x).items()
    inputs = {name: np.array(v) for name, v in given if name.endswith("ids")}
    expected = classifier.predict_proba(x, verbose=0)
    np.testing.assert_allclose(says(folder, inputs), expected, atol=1e-5)
    # Another batch, other lengths: padding changes nothing.
    longer = {
        name: np.pad(v[1:4], [(0, 0)] + [(0, 3)] * (v.ndim - 1))
        for name, v in inputs.items()
    }
    np.testing.assert_allclose(says(folder, longer), expected[1:4], atol=1e-5)


@pytest.mark.parametrize(
    "format, name, options",
    [
        (format, *case)
        for format in FORMATS
        for case in CASES
        if format == "onnx" or case[1] in ({}, {"cell": "gru"}, CASES[-1][1])
    ],
    indirect=["format"],
    ids=str,
)
def test_a_file_says_what_the_classifier_says(format, tmp_path, name, options):
    classifier, x = make(name, options)
    if getattr(classifier.backbone, "pair_features_layer", None) is not None:
        classifier.adapt(x)
    check(format, classifier, x, tmp_path / "exported")


@pytest.mark.parametrize("name", ["bilstm_attention", "han", "reader"])
def test_ngrams_are_exported(format, tmp_path, name):
    classifier, x = make(name, {}, ngrams=30)
    parts = x if isinstance(x, tuple) else (x,)
    many = tuple(part * 4 for part in parts)
    classifier.adapt(many if len(many) > 1 else many[0], [0, 1, 0, 1, 1] * 4)
    check(format, classifier, x, tmp_path / "exported")


def test_vectors_in_8_bits_are_exported(format, tmp_path):
    classifier, x = make("bilstm_attention", {})
    classifier.quantize("int8", filters="token_embedding")
    check(format, classifier, x, tmp_path / "exported")


def test_a_layer_is_as_it_was_after_an_export(runtime, tmp_path):
    classifier, x = make("reader", {"attention": "dynamic"})
    before = classifier.predict_proba(x, verbose=0)
    kattn.export(classifier, tmp_path / "exported", format="onnx")
    for layer in classifier.backbone._flatten_layers():
        assert not {"call", "scan"} & set(vars(layer))
    np.testing.assert_array_equal(classifier.predict_proba(x, verbose=0), before)


@pytest.mark.parametrize("name", ["bilstm_attention", "han", "abcnn"])
def test_ids_are_described(runtime, tmp_path, name):
    classifier, _ = make(name, {})
    folder = kattn.export(classifier, tmp_path / "exported", format="onnx")
    files = {path.name for path in folder.iterdir()}
    assert files == {"model.onnx", "vocabulary.txt", "ids.json"}
    about = json.loads((folder / "ids.json").read_text("utf-8"))
    names = [given["name"] for given in about["inputs"]]
    assert set(names) < set(classifier.input)
    assert about["output"]["classes"] == ["no", "yes"]
    tokens = (folder / "vocabulary.txt").read_text("utf-8").splitlines()
    assert tokens == classifier.preprocessor.tokenizer.get_vocabulary()
    assert bool(about["sentences"]) == (name == "han")
    assert [tuple(step) for step in about["words"]] == steps()
    assert set(about["files"]) == {"model.onnx", "vocabulary.txt"}


@pytest.mark.parametrize("case_fold", [True, False])
def test_words_are_what_the_steps_make(case_fold):
    texts = [*TEXTS, "Don’t pay $3.5 – U.S. ﬁlms, ＡＢＣ"]
    forms = {
        "NFKC": lambda x: unicodedata.normalize("NFKC", x),
        "NFKC_Casefold": lambda x: unicodedata.normalize("NFKC", x.casefold()),
    }
    done = texts
    for kind, *how in steps(case_fold):
        if kind == "replace":
            done = [x.numpy().decode() for x in tf.strings.regex_replace(done, *how)]
        else:
            done = [forms[how[0]](x) for x in done]
    words = [[word.encode() for word in text.split()] for text in done]
    assert words == split_words(texts, case_fold).to_list()


def test_what_cannot_be_written_is_said(tmp_path):
    classifier, _ = make("bilstm_attention", {})
    with pytest.raises(ValueError, match="Did you mean 'onnx'"):
        kattn.export(classifier, tmp_path / "exported", format="onyx")
    (tmp_path / "taken").mkdir()
    with pytest.raises(FileExistsError, match="new folder"):
        kattn.export(classifier, tmp_path / "taken", format="onnx")


def test_the_missing_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    classifier, _ = make("bilstm_attention", {})
    with pytest.raises(ImportError, match=r'pip install "kattn\[onnx\]"'):
        kattn.export(classifier, tmp_path / "exported", format="onnx")
    assert list(tmp_path.iterdir()) == []


def test_another_recurrence_is_refused(runtime, tmp_path):
    classifier, _ = make("bilstm_attention", {"cell": "gru"})
    recurrent = classifier.backbone.encoder.recurrent.forward_layer
    recurrent.cell.activation = keras.activations.relu
    with pytest.raises(ValueError, match="Keras's own activations"):
        kattn.export(classifier, tmp_path / "exported", format="onnx")
