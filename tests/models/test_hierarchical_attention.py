"""HAN against its paper, and as a user has it: strings, saving, padding."""

import subprocess
import sys

import keras
import keras_hub
import numpy as np
import pytest

import kattn
from kattn.models import (
    HierarchicalAttentionBackbone,
    HierarchicalAttentionTextClassifier,
    HierarchicalAttentionTextClassifierPreprocessor,
    HierarchicalAttentionTokenizer,
)
from kattn.models.examples import split

WORDS = "the film was good bad not plot actors . ! and".split()


def classifier(eager=True, **options):
    """A small one. Tracing takes longer than a few steps, so most run eagerly."""
    tokenizer = HierarchicalAttentionTokenizer(WORDS)
    options = {"class_names": ["no", "yes"], **options}
    model = HierarchicalAttentionTextClassifier(
        HierarchicalAttentionBackbone(
            tokenizer.vocabulary_size(), embedding_dim=8, units=6, attention_units=7
        ),
        preprocessor=HierarchicalAttentionTextClassifierPreprocessor(
            tokenizer, max_sentences=6, max_words=8
        ),
        **options,
    )
    model.compile(run_eagerly=eager)
    return model


def texts(count, seed=0):
    """Texts of 1 to 4 sentences; the label says whether "good" is among the words."""
    draw = np.random.default_rng(seed)
    found, labels = [], []
    for _ in range(count):
        sentences = [
            " ".join(draw.choice(WORDS[:8], draw.integers(1, 9))) + "."
            for _ in range(draw.integers(1, 5))
        ]
        found.append(" ".join(sentences))
        labels.append(int("good" in found[-1].replace(".", "").split()))
    return found, labels


# === The paper's equations ===


def encode(gru, x, weights):
    """A bidirectional GRU, then u = tanh(W h + b), softmax(u . u_w), sum of a h."""
    fw, fu, fb, bw, bu, bb, query, w, b = weights
    h = np.concatenate([gru(x, fw, fu, fb), gru(x[::-1], bw, bu, bb)[::-1]], axis=-1)
    energies = np.tanh(h @ w + b) @ query[0]
    shares = np.exp(energies - energies.max())
    shares /= shares.sum()
    return shares @ h, shares


def weights_of(hierarchical):
    """The encoder's weights, by name and in the order that `encode` takes."""
    by_path = {
        w.path.split("/", 2)[-1]: np.array(w, "float64") for w in hierarchical.weights
    }

    def one(*parts):
        (found,) = [v for p, v in by_path.items() if all(part in p for part in parts)]
        return found

    cells = [
        one(way, name)
        for way in ("forward", "backward")
        for name in ("/kernel", "recurrent_kernel", "bias")
    ]
    return [*cells, one("query"), one("hidden/kernel"), one("hidden/bias")]


def paper(gru, backbone, document):
    """The document vector of a list of sentences of ids, and both levels' weights."""
    table = np.array(backbone.token_embedding.embeddings, "float64")
    word, sentence = map(weights_of, (backbone.word_encoder, backbone.sentence_encoder))
    read = [encode(gru, table[ids], word) for ids in document]
    vector, shares = encode(gru, np.array([v for v, _ in read]), sentence)
    return vector, shares, [s for _, s in read]


def padded(documents, sentences, words):
    ids = np.zeros((len(documents), sentences, words), "int32")
    for i, document in enumerate(documents):
        for j, sentence in enumerate(document):
            ids[i, j, : len(sentence)] = sentence
    return {"token_ids": ids, "padding_mask": ids > 0}


def small_backbone(**options):
    """One whose weights are far from their start, biases and queries too."""
    backbone = HierarchicalAttentionBackbone(
        12, 8, units=6, attention_units=7, **options
    )
    draw = np.random.default_rng(0)
    backbone.set_weights([draw.normal(size=w.shape) for w in backbone.weights])
    return backbone


DOCUMENTS = [[[2, 5, 3], [4]], [[7, 2, 2, 9, 3], [3, 3], [6, 1]]]


def test_is_the_papers_model_on_padded_batches(oracles):
    backbone = small_backbone()
    outputs = backbone.attention_model()(padded(DOCUMENTS, 5, 8))
    for i, document in enumerate(DOCUMENTS):
        vector, sentence_weights, word_weights = paper(oracles.gru, backbone, document)
        np.testing.assert_allclose(outputs["vector"][i], vector, atol=1e-5)
        got = np.array(outputs["sentence_weights"][i])
        np.testing.assert_allclose(got[: len(document)], sentence_weights, atol=1e-5)
        assert (got[len(document) :] == 0).all()
        for j, expected in enumerate(word_weights):
            got = np.array(outputs["word_weights"][i, j])
            np.testing.assert_allclose(got[: len(expected)], expected, atol=1e-5)
            assert (got[len(expected) :] == 0).all()


def test_a_document_alone_gives_what_it_gives_in_a_batch():
    backbone = small_backbone()
    batch = np.array(backbone(padded(DOCUMENTS, 6, 9)))
    for i, document in enumerate(DOCUMENTS):
        longest = max(map(len, document))
        alone = backbone(padded([document], len(document), longest))
        np.testing.assert_allclose(alone[0], batch[i], atol=1e-6)


def test_what_stands_in_padding_changes_not_one_bit():
    backbone = small_backbone()
    inputs = padded(DOCUMENTS, 6, 9)
    noise = np.random.default_rng(1).integers(0, 12, inputs["token_ids"].shape)
    noisy = np.where(inputs["padding_mask"], inputs["token_ids"], noise).astype("int32")
    expected = backbone.predict(inputs, verbose=0)
    got = backbone.predict({**inputs, "token_ids": noisy}, verbose=0)
    np.testing.assert_array_equal(got, expected)


def test_a_document_without_a_word_gives_zeros_and_finite_gradients():
    backbone = small_backbone()
    inputs = padded([[], DOCUMENTS[0]], 3, 4)
    assert (np.array(backbone(inputs))[0] == 0).all()
    model = keras.Sequential([backbone, keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(inputs, np.ones((2, 1)), verbose=0)
    assert all(np.isfinite(np.array(w)).all() for w in model.weights)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "bfloat16"])
def test_computes_in_other_precisions(policy):
    plain = small_backbone()
    other = small_backbone(dtype=policy)
    other.set_weights(plain.get_weights())
    inputs = padded(DOCUMENTS, 5, 8)
    assert keras.backend.standardize_dtype(other(inputs).dtype) == policy[-8:].lstrip(
        "_"
    )
    got = np.array(keras.ops.cast(other(inputs), "float32"))
    np.testing.assert_allclose(got, np.array(plain(inputs)), atol=0.05)


# === Strings ===


def test_labels_may_be_strings():
    model = classifier()
    x, y = texts(8)
    names = [["no", "yes"][i] for i in y]
    model.fit(x, names, validation_data=(x, names), verbose=0)
    assert model.evaluate(x, names, verbose=0) == model.evaluate(x, y, verbose=0)


def test_string_labels_name_the_classes_where_there_are_no_names():
    model = classifier(class_names=None, num_classes=2)
    x, y = texts(8)
    model.fit(x, [["minus", "plus"][i] for i in y], verbose=0)
    assert model.class_names == ["minus", "plus"]
    assert {p.label for p in model.classify(x)} <= {"minus", "plus"}


def test_classify_gives_the_likeliest_label_and_its_probability():
    model = classifier()
    x, _ = texts(5)
    probabilities = keras.ops.softmax(model.predict(x, verbose=0))
    for row, (label, probability) in zip(
        np.array(probabilities), model.classify(x), strict=True
    ):
        assert label == ["no", "yes"][row.argmax()]
        assert probability == pytest.approx(row.max(), abs=1e-6)


def test_a_dataset_of_batches_trains_and_predicts_as_lists_do():
    import tensorflow as tf

    model = classifier()
    x, y = texts(12)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    model.fit(batches, validation_data=batches, verbose=0)
    np.testing.assert_allclose(
        model.predict(batches.map(lambda x, y: x), verbose=0),
        model.predict(x, verbose=0),
        atol=1e-6,
    )
    np.testing.assert_allclose(
        model.evaluate(batches, verbose=0), model.evaluate(x, y, verbose=0), atol=1e-6
    )


def test_inputs_made_by_the_preprocessor_serve_a_model_without_one():
    model = classifier()
    x, y = texts(6)
    expected = model.predict(x, verbose=0)
    inputs = model.preprocessor(x)
    model.preprocessor = None
    np.testing.assert_allclose(model.predict(inputs, verbose=0), expected, atol=1e-6)
    history = model.fit(inputs, np.array(y), validation_split=0.5, verbose=0)
    assert "val_loss" in history.history


def test_fit_shuffles_sorted_labels_and_repeats_for_a_seed():
    """Labels sorted by class ruin a training that does not shuffle."""
    x, y = texts(16)
    order = np.argsort(y, kind="stable")
    x, y = [x[i] for i in order], np.array(y)[order]

    def losses(seed):
        keras.utils.set_random_seed(0)
        model = classifier()
        history = model.fit(x, y, batch_size=8, seed=seed, verbose=0)
        return history.history["loss"]

    assert losses(3) == pytest.approx(losses(3), abs=1e-6)
    assert losses(3) != pytest.approx(losses(4), abs=1e-6)


def test_a_validation_split_is_drawn_from_all_texts():
    x = [f"good {i}" for i in range(20)] + [f"bad {i}" for i in range(20)]
    y = [1] * 20 + [0] * 20
    train, labels, weights, (held, held_labels) = split(x, y, None, 0.25, seed=0)
    assert sorted(train + held) == sorted(x) and len(held) == 10
    assert set(held_labels) == set(labels) == {0, 1}  # not the end, all of one class
    assert labels == [int(text.startswith("good")) for text in train]
    assert weights is None
    model = classifier()
    history = model.fit(x, y, validation_split=0.25, verbose=0)
    assert "val_accuracy" in history.history
    with pytest.raises(ValueError, match="a fraction"):
        model.fit(x, y, validation_split=2.0)


def test_class_weight_and_sample_weight_reach_the_loss():
    x, y = texts(16)

    def loss(**weights):
        keras.utils.set_random_seed(0)
        return classifier().fit(x, y, verbose=0, **weights).history["loss"][0]

    assert loss(sample_weight=np.zeros(16)) == 0
    assert loss(class_weight={0: 0.0, 1: 0.0}) == 0
    assert loss() > 0


@pytest.mark.parametrize("text", ["", " \n\t", "😀", "good " * 200_000, "好看。"])
def test_any_text_has_an_answer(text):
    label, probability = classifier().classify([text])[0]
    assert label in ("no", "yes")
    assert 0.5 <= probability <= 1


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.predict([]), ValueError, "At least one text"),
        (lambda m: m.predict([None]), TypeError, "text number 0"),
        (lambda m: m.predict("good"), ValueError, "come as a list"),
        (lambda m: m.fit(["good"], [2]), ValueError, "from 0 to 1"),
        (lambda m: m.fit(["good"], ["perhaps"]), ValueError, "'perhaps'"),
        (lambda m: m.fit(["good", "bad"], [1]), ValueError, "one label for each"),
        (lambda m: m.fit(["good"]), ValueError, "need labels"),
        (lambda m: setattr(m, "class_names", ["one"]), ValueError, "2 different"),
    ],
)
def test_wrong_calls_are_explained(call, error, message):
    with pytest.raises(error, match=message):
        call(classifier())


def test_a_classifier_needs_a_number_of_classes():
    with pytest.raises(ValueError, match="num_classes"):
        classifier(class_names=None)


# === Saving ===


def test_saved_as_keras_file_it_loads_in_a_process_that_imports_kattn_alone(tmp_path):
    model = classifier()
    x, y = texts(8)
    model.fit(x, y, verbose=0)
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "m.keras")
    np.save(tmp_path / "expected.npy", expected)
    script = (
        "import sys, kattn, keras, numpy as np\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "assert isinstance(model, kattn.models.HierarchicalAttentionTextClassifier)\n"
        f"got = model.predict({x!r}, verbose=0)\n"
        "np.testing.assert_allclose(got, np.load(sys.argv[2]), atol=1e-6)\n"
        "assert model.class_names == ['no', 'yes']\n"
        f"model.fit({x!r}, {y!r}, verbose=0)\n"
    )
    command = [sys.executable, "-c", script]
    files = [str(tmp_path / "m.keras"), str(tmp_path / "expected.npy")]
    done = subprocess.run(command + files, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_preset_round_trip(tmp_path):
    model = classifier()
    x, y = texts(8)
    model.fit(x, y, verbose=0)
    expected = model.predict(x, verbose=0)
    model.save_to_preset(tmp_path / "preset")
    for cls in (HierarchicalAttentionTextClassifier, keras_hub.models.TextClassifier):
        again = cls.from_preset(str(tmp_path / "preset"))
        assert type(again) is HierarchicalAttentionTextClassifier
        assert again.class_names == ["no", "yes"]
        np.testing.assert_allclose(again.predict(x, verbose=0), expected, atol=1e-6)
    # The optimizer is as it was, and out of the file.
    assert model.optimizer.iterations == 1
    assert (tmp_path / "preset" / "task.weights.h5").stat().st_size < 30_000


def test_a_preset_gives_each_of_its_parts(tmp_path):
    model = classifier()
    model.save_to_preset(tmp_path / "p")
    backbone = HierarchicalAttentionBackbone.from_preset(tmp_path / "p")
    np.testing.assert_array_equal(
        backbone.get_weights()[0], model.backbone.get_weights()[0]
    )
    tokenizer = HierarchicalAttentionTokenizer.from_preset(tmp_path / "p")
    assert tokenizer.get_vocabulary()[2:] == WORDS
    preprocessor = HierarchicalAttentionTextClassifierPreprocessor.from_preset(
        tmp_path / "p"
    )
    assert (preprocessor.max_sentences, preprocessor.max_words) == (6, 8)


def test_other_classes_get_a_new_head_on_the_same_backbone(tmp_path):
    model = classifier()
    model.save_to_preset(tmp_path / "p")
    again = HierarchicalAttentionTextClassifier.from_preset(
        tmp_path / "p", num_classes=3
    )
    assert again.class_names is None
    assert again.predict(["good"], verbose=0).shape == (1, 3)
    named = HierarchicalAttentionTextClassifier.from_preset(
        tmp_path / "p", class_names=["a", "b", "c"]
    )
    assert named.class_names == ["a", "b", "c"]
    np.testing.assert_array_equal(
        named.backbone.get_weights()[0], model.backbone.get_weights()[0]
    )


def test_a_preset_loads_in_another_precision(tmp_path):
    classifier().save_to_preset(tmp_path / "p")
    model = HierarchicalAttentionTextClassifier.from_preset(
        tmp_path / "p", dtype="bfloat16"
    )
    assert model.backbone.dtype_policy.name == "bfloat16"
    assert model.predict(["good"], verbose=0).dtype == np.float32


def test_the_zoo_can_be_listed():
    assert isinstance(kattn.models.HierarchicalAttentionTextClassifier.presets, dict)
