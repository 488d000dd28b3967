"""A model that writes, exported: what it says where there is no kattn."""

import json
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kattn import models, warmup
from kattn.__main__ import main
from kattn.served import Served, Unanswerable
from kattn.serving import export
from kattn.text import CharacterTokenizer, WordTokenizer

LETTERS = list("abcd")
TEXTS = ["abca", "", "d", "\t \n", "xyz 😀", "a b", "dcbadcbadcba", "b\x00"]
SEARCH = {"beam_width": 3, "length_penalty": 0.6, "coverage_penalty": 0.2}


def make(words=False, **options):
    """A model whose weights are far from a fresh one's, whose attention is even."""
    tokenizer = WordTokenizer(LETTERS) if words else CharacterTokenizer(LETTERS)
    target_tokenizer = WordTokenizer([*models.TARGET_TOKENS, *LETTERS])
    model = models.AttentionSeq2Seq(
        models.AttentionSeq2SeqBackbone(
            tokenizer.vocabulary_size(),
            target_tokenizer.vocabulary_size(),
            **{"embedding_dim": 8, "units": 12, **options},
        ),
        models.AttentionSeq2SeqPreprocessor(tokenizer, target_tokenizer, 12, 40),
    )
    draw = np.random.default_rng(0)
    model.set_weights([draw.normal(0, 0.6, w.shape) for w in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def model():
    return make()


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    return export(model, tmp_path_factory.mktemp("exported"), **SEARCH)


def answers(version, texts, name="generate"):
    served = tf.saved_model.load(version).signatures[name]
    outputs = served(text=tf.constant(texts, tf.string))
    return {name: x.numpy() for name, x in outputs.items()}


def check(model, texts, outputs, **search):
    """What was served is what the model finds, and what it reads as it writes that."""
    found = model.search(texts, **search)
    for row, some in enumerate(found):
        served = [text.decode() for text in outputs["texts"][row]]
        assert served[: len(some)] == [h.text for h in some]
        scores = outputs["scores"][row]
        np.testing.assert_allclose(
            scores[: len(some)], [h.score for h in some], atol=1e-5
        )
        assert (scores[len(some) :] == np.finfo("float32").min).all()
        assert set(served[len(some) :]) <= {""}
    words = model.preprocessor.tokenizer.words(texts).to_list()
    tokens = [[w for w in row if w] for row in outputs["source_tokens"].tolist()]
    assert tokens == words
    reads = model.backbone.attention_model()
    width = outputs["texts"].shape[1]
    for k in range(width):
        written = [text.decode() for text in outputs["texts"][:, k]]
        tokens = [b" ".join(row).strip() for row in outputs["tokens"][:, k].tolist()]
        assert [token.decode() for token in tokens] == written
        x, _, _ = model.preprocessor({"encoder_text": texts, "decoder_text": written})
        expected = np.array(reads(x, training=False)["alignment"], "float32")
        got = outputs["alignments"][:, k]  # (B, L, Ts)
        sizes = (outputs[name].shape[-1] for name in ("tokens", "source_tokens"))
        assert got.shape[1:] == (*sizes,)
        longest = expected.shape[2]
        assert not got[..., longest:].any()
        got = got[..., :longest]
        for row, text in enumerate(written):
            count = len(text.split())
            np.testing.assert_allclose(
                got[row, :count], expected[row, :count], atol=1e-5
            )
            assert not got[row, count:].any()


SERVE = """
import sys
sys.modules["kattn"] = sys.modules["keras_hub"] = None  # importing either one fails
import json, pickle
import tensorflow as tf
import tensorflow_text
model = tf.saved_model.load(sys.argv[1])
answers = []
for texts in json.load(open(sys.argv[2])):
    outputs = {}
    for name, signature in model.signatures.items():
        given = signature(text=tf.constant(texts, tf.string))
        outputs[name] = {name: x.numpy() for name, x in given.items()}
    answers.append(outputs)
pickle.dump(answers, open(sys.argv[3], "wb"))
"""


def test_where_there_is_no_kattn_it_writes_the_same(model, exported, tmp_path):
    batches = [TEXTS[:n] for n in (0, 1, 2)] + [["", ""], TEXTS]
    (tmp_path / "texts.json").write_text(json.dumps(batches))
    files = [tmp_path / "texts.json", tmp_path / "answers.pickle"]
    command = [sys.executable, "-I", "-c", SERVE, exported, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    served = pickle.loads(files[1].read_bytes())
    for texts, outputs in zip(batches, served, strict=True):
        assert set(outputs) == {"serving_default", "generate"}
        for name, value in outputs["generate"].items():
            np.testing.assert_array_equal(value, outputs["serving_default"][name])
        assert outputs["generate"]["texts"].shape == (len(texts), 3)
        if texts:
            check(model, texts, outputs["generate"], **SEARCH)
    empty = served[3]["generate"]
    assert not empty["texts"].any() and empty["alignments"].shape[2] == 0


@pytest.mark.parametrize(
    "options",
    [
        {"region": "local_p", "num_layers": 2, "coverage": True},
        {"attention": "bahdanau", "cell": "gru", "normalizer": "monotonic"},
        {"words": True, "input_feeding": False},
    ],
    ids=str,
)
def test_variants_write_what_they_find(options, tmp_path):
    model = make(**options)
    outputs = answers(export(model, tmp_path), TEXTS[:4])
    assert outputs["texts"].shape == (4, 5)
    check(model, TEXTS[:4], outputs)


def test_half_precision_is_not_seen_from_outside(tmp_path):
    outputs = answers(export(make(dtype="mixed_bfloat16"), tmp_path), TEXTS)
    assert outputs["alignments"].dtype == outputs["scores"].dtype == "float32"
    written = outputs["tokens"] != b""
    np.testing.assert_allclose(outputs["alignments"].sum(-1), written, atol=0.02)


def test_one_text_is_what_generate_writes(model, tmp_path):
    outputs = answers(export(model, tmp_path, beam_width=1), TEXTS)
    assert outputs["texts"].shape == (len(TEXTS), 1)
    texts = [text.decode() for text in outputs["texts"][:, 0]]
    assert texts == model.generate(TEXTS)


def test_a_source_that_is_too_long_is_refused(exported):
    with pytest.raises(tf.errors.InvalidArgumentError, match="at most 12 tokens"):
        answers(exported, ["a" * 13])
    with pytest.raises(Unanswerable, match="^A source has at most 12 tokens.$"):
        Served(exported).answer("generate", [("a",), ("a" * 13,)])


def test_nothing_in_it_is_bound_to_a_machine(model, graphs, tmp_path, monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    assert graphs.traits(export(model, tmp_path)) == set()


def test_it_is_warmed_up_by_requests_of_its_own(exported):
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    lengths = []
    for record in tf.data.TFRecordDataset(str(exported / warmup.PATH)):
        request = apis.PredictionLog.FromString(record.numpy()).predict_log.request
        texts = tf.make_ndarray(request.inputs["text"])
        outputs = answers(exported, texts, request.model_spec.signature_name)
        lengths.append((len(texts), outputs["source_tokens"].shape[1]))
    assert lengths == [(1, 4), (1, 12), (32, 4), (32, 12)]


def test_kattns_own_server_answers(model, exported):
    (first, nothing) = Served(exported).answer("generate", [("abca",), ("",)])
    json.dumps([first, nothing], allow_nan=False)
    assert first["texts"] == [h.text for h in model.search(["abca"], **SEARCH)[0]]
    assert nothing["texts"] == [""] * 3


def test_the_command_line_exports_a_preset(model, tmp_path, capsys):
    model.save_to_preset(tmp_path / "preset")
    given = [str(tmp_path / "preset"), str(tmp_path / "served"), "--beam-width=2"]
    main(["export", *given, "--coverage-penalty=0.5"])
    assert str(tmp_path / "served" / "1") in capsys.readouterr().out
    outputs = answers(tmp_path / "served" / "1", TEXTS)
    check(model, TEXTS, outputs, beam_width=2, coverage_penalty=0.5)
    model.backbone.save_to_preset(tmp_path / "none")
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path / "none"), str(tmp_path / "more")])
    assert "task.json names a model of kattn" in capsys.readouterr().err


# === Errors ===


@pytest.mark.parametrize("format", ["onnx", "litert", "openvino"])
def test_a_model_that_writes_has_one_format(model, format, tmp_path):
    with pytest.raises(ValueError, match=f"one format, 'saved_model'.*{format}"):
        export(model, tmp_path / "file", format=format)
    assert not any(tmp_path.iterdir())


def test_a_classifier_is_not_told_how_to_search(tmp_path):
    tokenizer = models.BiLSTMAttentionTokenizer(LETTERS)
    classifier = models.BiLSTMAttentionTextClassifier(
        models.BiLSTMAttentionBackbone(tokenizer.vocabulary_size(), 4, units=3),
        preprocessor=models.BiLSTMAttentionTextClassifierPreprocessor(tokenizer, 12),
        num_classes=2,
    )
    with pytest.raises(ValueError, match="beam_width, length_penalty: .*a classifier"):
        export(classifier, tmp_path / "new", beam_width=2, length_penalty=0.0)
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_searched(model, tmp_path):
    with pytest.raises(ValueError, match="beam_width is a positive integer.*0"):
        export(model, tmp_path / "new", beam_width=0)
    with pytest.raises(ValueError, match="a classifier's SavedModel alone.*compiled="):
        export(model, tmp_path / "new", compiled=True)
    bare = models.AttentionSeq2Seq(model.backbone)
    with pytest.raises(ValueError, match="preprocessor=None"):
        export(bare, tmp_path / "new")
    with pytest.raises(TypeError, match="AttentionSeq2Seq.*Received"):
        export(keras.Sequential(), tmp_path / "new")
    assert not any(tmp_path.iterdir())
