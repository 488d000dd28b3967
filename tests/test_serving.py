import contextlib
import errno
import functools
import json
import pickle
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from kattn import models, serving, serving_classification, warmup
from kattn.__main__ import main
from kattn.attend import attend
from kattn.serving import export

WORDS = "a good bad film very long plot . ! ? the actors don n't 好 电 影 🎬".split()
TEXTS = [
    "A good film. The actors were good!",
    "",
    " \t\n ",
    "🎬🎬 好电影。好！",
    "A very long plot. " * 300,
    "very " * 5000,
    "Don't! <br/>A bad film?",
    "\x00\u200b unseen wörds only",
]
CLASSES = ["bad", "gut 好", "so-so"]


def make(policy="float32", classes=CLASSES, words=WORDS):
    tokenizer = models.HierarchicalAttentionTokenizer(words)
    classifier = models.HierarchicalAttentionTextClassifier(
        models.HierarchicalAttentionBackbone(
            tokenizer.vocabulary_size(), 6, 5, 4, dropout=0.5, dtype=policy
        ),
        preprocessor=models.HierarchicalAttentionTextClassifierPreprocessor(
            tokenizer, max_sentences=9, max_words=10
        ),
        num_classes=3,
        class_names=classes,
        dropout=0.5,
    )
    return shaken(classifier)


def shaken(classifier):
    """Weights far from a fresh model's, whose attention is nearly even."""
    draw = np.random.default_rng(0).normal
    for weight in classifier.trainable_weights:
        weight.assign(draw(scale=0.7, size=weight.shape))
    return classifier


@pytest.fixture(scope="module")
def classifier():
    return make()


@pytest.fixture(scope="module")
def exported(classifier, tmp_path_factory):
    return export(classifier, tmp_path_factory.mktemp("exported"))


SERVE = """
import sys
sys.modules["kattn"] = sys.modules["keras_hub"] = None  # importing either one fails
import json, pickle
import tensorflow as tf
import tensorflow_text
model = tf.saved_model.load(sys.argv[1])
answers = []
for texts in json.load(open(sys.argv[2])):
    answers.append({})
    for name in ("serving_default", "attend"):
        outputs = model.signatures[name](text=tf.constant(texts, tf.string))
        answers[-1][name] = {name: x.numpy() for name, x in outputs.items()}
pickle.dump(answers, open(sys.argv[3], "wb"))
from tensorflow.python.tools.saved_model_cli import main
options = "--tag_set serve --signature_def serving_default --dir".split()
inputs = ["--input_exprs", "text=[b'A good film.', b'']"]
sys.argv = ["saved_model_cli", "run", *options, sys.argv[1], *inputs]
main()
"""

BATCHES = [TEXTS[:n] for n in range(6)] + [TEXTS]


@pytest.fixture(scope="module")
def elsewhere(exported, tmp_path_factory):
    """What a process that knows TensorFlow alone gets for each batch, and prints."""
    folder = tmp_path_factory.mktemp("answers")
    (folder / "texts.json").write_text(json.dumps(BATCHES))
    files = [folder / "texts.json", folder / "answers.pickle"]
    command = [sys.executable, "-I", "-c", SERVE, exported, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = pickle.loads(files[1].read_bytes())
    return list(zip(BATCHES, answers, strict=True)), done.stdout


def test_it_is_laid_out_for_tensorflow_serving(exported):
    assert exported.name == "1"
    assert {"saved_model.pb", "variables"} <= {p.name for p in exported.iterdir()}
    assert [p.name for p in exported.parent.iterdir()] == ["1"]


def test_strings_give_what_predict_gives(classifier, elsewhere):
    expected = classifier.predict_proba(TEXTS, verbose=0)
    labels = [prediction.label for prediction in classifier.classify(TEXTS)]
    for texts, answer in elsewhere[0]:
        default = answer["serving_default"]
        assert set(default) == {"probabilities", "label"}
        assert default["probabilities"].dtype == "float32"
        assert default["probabilities"].shape == (len(texts), 3)
        np.testing.assert_allclose(
            default["probabilities"], expected[: len(texts)], atol=1e-5
        )
        assert [x.decode() for x in default["label"]] == labels[: len(texts)]


def test_attention_belongs_to_the_words_that_were_read(classifier, elsewhere):
    model, preprocessor = classifier.attention_model(), classifier.preprocessor
    for texts, answer in elsewhere[0]:
        served = dict(answer["attend"])
        assert served["words"].shape == served["word_weights"].shape
        assert served["words"].shape[:2] == served["sentence_weights"].shape
        if not texts:
            continue
        words = [
            [[w for w in sentence if w] for sentence in document if sentence[0]]
            for document in served.pop("words").tolist()
        ]
        assert words == preprocessor.words(texts).to_list()
        np.testing.assert_array_equal(
            served.pop("probabilities"), answer["serving_default"]["probabilities"]
        )
        assert (served.pop("label") == answer["serving_default"]["label"]).all()
        expected = model(preprocessor(texts), training=False)
        assert set(served) == {"sentence_weights", "word_weights"}
        for name, weights in served.items():
            np.testing.assert_allclose(weights, expected[name], atol=1e-5)
            np.testing.assert_allclose(
                weights.sum(axis=-1), (weights > 0).any(axis=-1), atol=1e-5
            )


def test_ids_give_what_strings_give(classifier, exported):
    served = tf.saved_model.load(exported).signatures["ids"]
    inputs = classifier.preprocessor(TEXTS)
    expected = classifier.predict_proba(TEXTS, verbose=0)
    for more in (0, 3):  # padding of either axis is free
        ids = np.pad(inputs["token_ids"], ((0, 0), (0, more), (0, more)))
        outputs = served(token_ids=tf.constant(ids))
        np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)
    labels = [prediction.label.encode() for prediction in classifier.classify(TEXTS)]
    assert outputs["label"].numpy().tolist() == labels


def test_it_is_warmed_up_by_requests_of_its_own(classifier, exported, tmp_path):
    apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    served = tf.saved_model.load(exported).signatures
    records = list(tf.data.TFRecordDataset(str(exported / warmup.PATH)))
    sizes = []
    for record in records:
        request = apis.PredictionLog.FromString(record.numpy()).predict_log.request
        texts = tf.make_ndarray(request.inputs["text"])
        outputs = served[request.model_spec.signature_name](text=tf.constant(texts))
        assert len(outputs["probabilities"]) == len(texts)
        sizes.append(len(texts))
    assert sizes == [1, 1, 32, 32]


def test_without_the_extra_nothing_is_to_warm_up(
    classifier, quick, tmp_path, monkeypatch
):
    monkeypatch.setattr(warmup, "available", lambda: False)
    version = export(classifier, tmp_path)
    assert [path.name for path in version.iterdir()] == ["saved_model.pb"]


def test_the_command_line_of_tensorflow_runs_it(elsewhere):
    assert "Result for output key probabilities:\n[[" in elsewhere[1]


@pytest.mark.parametrize(
    "policy, classes", [("mixed_float16", None), ("mixed_bfloat16", CLASSES)]
)
def test_mixed_precision_and_classes_without_names(policy, classes, tmp_path):
    mixed = make(policy, classes)
    attend = tf.saved_model.load(export(mixed, tmp_path)).signatures["attend"]
    outputs = attend(text=tf.constant(TEXTS))
    assert outputs["word_weights"].dtype == outputs["probabilities"].dtype == tf.float32
    expected = mixed.predict_proba(TEXTS, verbose=0)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-2)
    names = classes or ["0", "1", "2"]
    served = outputs["probabilities"].numpy().argmax(axis=-1)
    labels = [label.decode() for label in outputs["label"].numpy()]
    assert labels == [names[i] for i in served]


# === A graph for every machine ===


@pytest.fixture
def machine_with_a_gpu(monkeypatch):
    """A model traced here as it is where Keras sees a GPU and kattn compiles."""
    compiled = functools.partial(attend, compile="always")
    monkeypatch.setattr("kattn.layers.attention_pooling.attend", compiled)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind=None: ["GPU:0"])
    monkeypatch.setattr("kattn.models.live_steps.on_cpu", lambda: False)


def test_nothing_in_it_is_bound_to_a_machine(
    classifier, machine_with_a_gpu, graphs, tmp_path, monkeypatch
):
    assert graphs.traits(export(classifier, tmp_path / "strings")) == set()
    classifier.export(tmp_path / "ids", verbose=False)
    assert graphs.traits(tmp_path / "ids") == set()
    assert {
        layer.use_cudnn
        for layer in tf.train.TrackableView(classifier).descendants()
        if hasattr(layer, "use_cudnn")
    } == {"auto"}
    # The same without the precaution, so that the check is seen to see.
    monkeypatch.setattr(serving, "portable", lambda *_: contextlib.nullcontext())
    monkeypatch.setattr(
        models.live_steps, "decided", lambda alone: contextlib.nullcontext()
    )
    assert graphs.traits(export(classifier, tmp_path / "bound")) == {"XLA", "cuDNN"}


def test_compiled_where_it_is_asked_for(classifier, graphs, tmp_path):
    version = export(classifier, tmp_path / "han", compiled=True)
    assert graphs.traits(version) == {"XLA"}
    served = tf.saved_model.load(version).signatures
    expected = classifier.predict_proba(TEXTS, verbose=0)
    for texts in (TEXTS, TEXTS[:2]):
        outputs = served["attend"](text=tf.constant(texts))
        np.testing.assert_allclose(
            outputs["probabilities"], expected[: len(texts)], atol=1e-5
        )
        alone = served["serving_default"](text=tf.constant(texts))["probabilities"]
        np.testing.assert_allclose(alone, outputs["probabilities"], atol=1e-6)
    assert graphs.traits(export(classifier, tmp_path / "plain")) == set()


def test_the_command_line_asks_for_it(classifier, graphs, tmp_path, capsys):
    classifier.save_to_preset(tmp_path / "preset")
    main(["export", str(tmp_path / "preset"), str(tmp_path / "new"), "--compiled"])
    assert capsys.readouterr().out.strip() == str(tmp_path / "new" / "1")
    assert graphs.traits(tmp_path / "new" / "1") == {"XLA"}


def test_only_a_classifiers_saved_model_is_compiled(classifier, tmp_path):
    with pytest.raises(ValueError, match="compiled=True, format='onnx'"):
        export(classifier, tmp_path / "new", format="onnx", compiled=True)
    assert not (tmp_path / "new").exists()


# === Versions ===


@pytest.fixture
def quick(monkeypatch):
    """An export that traces nothing and writes a small file."""

    def save(module, folder, signatures):
        folder.mkdir()
        (folder / "saved_model.pb").write_text("model")

    monkeypatch.setattr(serving_classification, "signatures", lambda classifier: {})
    monkeypatch.setattr(tf.saved_model, "save", save)


def test_a_new_export_is_the_next_version(classifier, quick, tmp_path):
    base = tmp_path / "new" / "base"
    assert export(classifier, str(base)) == base / "1"
    (base / "1" / "mark").write_text("untouched")
    (base / "notes").mkdir()
    (base / "007").write_text("a file")
    assert export(classifier, base) == base / "8"
    assert (base / "1" / "mark").read_text() == "untouched"
    assert {p.name for p in base.iterdir()} == {"1", "007", "8", "notes"}
    assert (base / "8").stat().st_mode == (base / "notes").stat().st_mode


def test_two_exports_at_once_get_two_versions(classifier, quick, tmp_path, monkeypatch):
    rename = type(tmp_path).rename

    def late(self, target):
        if target.name == "1":
            target.mkdir()
            (target / "of-another").write_text("")
        return rename(self, target)

    monkeypatch.setattr(type(tmp_path), "rename", late)
    assert export(classifier, tmp_path) == tmp_path / "2"
    assert {p.name for p in tmp_path.iterdir()} == {"1", "2"}


def test_a_failed_write_leaves_nothing(classifier, quick, tmp_path, monkeypatch):
    save = tf.saved_model.save

    def full(module, folder, signatures):
        save(module, folder, signatures)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    (tmp_path / "1").mkdir()
    with pytest.raises(OSError, match="No space left"):
        export(classifier, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["1"]


# === Errors ===


def test_what_is_no_classifier_of_kattn(tmp_path):
    with pytest.raises(TypeError, match=r"Received: .*\(Sequential\)"):
        export(keras.Sequential(), tmp_path)
    with pytest.raises(TypeError, match=r"'my_preset' \(str\)"):
        export("my_preset", tmp_path)


def test_a_classifier_without_a_preprocessor(classifier, tmp_path):
    bare = models.HierarchicalAttentionTextClassifier(classifier.backbone, 3)
    with pytest.raises(ValueError, match="preprocessor=None"):
        export(bare, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_another_backend(classifier, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(RuntimeError, match="TensorFlow backend.*the jax backend"):
        export(classifier, tmp_path)


def test_a_file_in_the_way(classifier, tmp_path):
    (tmp_path / "file").write_text("kept")
    with pytest.raises(NotADirectoryError, match="Received: the file"):
        export(classifier, tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"


# === Other families ===


def test_a_family_of_one_level_has_words_of_one_level(tmp_path):
    tokenizer = models.BiLSTMAttentionTokenizer(WORDS)
    flat = models.BiLSTMAttentionTextClassifier(
        models.BiLSTMAttentionBackbone(tokenizer.vocabulary_size(), 4, units=3),
        preprocessor=models.BiLSTMAttentionTextClassifierPreprocessor(tokenizer, 12),
        class_names=CLASSES,
    )
    shaken(flat)
    model = tf.saved_model.load(export(flat, tmp_path))
    outputs = model.signatures["attend"](text=tf.constant(TEXTS))
    assert set(outputs) == {"probabilities", "label", "words", "word_weights"}
    assert outputs["words"].shape == outputs["word_weights"].shape == (len(TEXTS), 12)
    expected = flat.predict_proba(TEXTS, verbose=0)
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-5)


def test_a_family_of_pairs_takes_two_strings(tmp_path):
    tokenizer = models.ABCNNTokenizer(WORDS)
    pairs = models.ABCNNTextPairClassifier(
        models.ABCNNBackbone(
            tokenizer.vocabulary_size(), 4, filters=3, pair_features=True
        ),
        preprocessor=models.ABCNNTextPairClassifierPreprocessor(tokenizer, 12),
        class_names=CLASSES,
    )
    shaken(pairs)
    texts = TEXTS, TEXTS[::-1]
    pairs.adapt(texts)
    model = tf.saved_model.load(export(pairs, tmp_path))
    given = {
        name: tf.constant(part)
        for name, part in zip(("premise", "hypothesis"), texts, strict=True)
    }
    outputs = model.signatures["attend"](**given)
    shown = {f"{name}_{what}" for name in given for what in ("words", "word_weights")}
    assert set(outputs) == {"probabilities", "label", "match"} | shown
    ids = model.signatures["ids"]
    inputs = {k: v for k, v in pairs.preprocessor(texts).items() if "ids" in k}
    alone = ids(**{k: tf.constant(v) for k, v in inputs.items()})
    np.testing.assert_allclose(
        alone["probabilities"], outputs["probabilities"], atol=1e-6
    )
    for name in given:
        weights = np.array(outputs[f"{name}_word_weights"])
        words = np.array(outputs[f"{name}_words"])
        assert words.shape == weights.shape == (len(TEXTS), 12)
        assert (weights[words == b""] == 0).all()
    expected = pairs.predict_proba(texts, verbose=0)
    for name in ("serving_default", "attend"):
        got = model.signatures[name](**given)["probabilities"]
        np.testing.assert_allclose(got, expected, atol=1e-5)
