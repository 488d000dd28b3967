import keras
import numpy as np
import pytest
import tensorflow as tf

from kattn.models import (
    BiLSTMAttentionBackbone,
    BiLSTMAttentionTextClassifier,
    ReaderBackbone,
    ReaderTextPairClassifier,
)
from kattn.models.adversarial import against, moved

IDS = np.array([[2, 3, 4, 0], [5, 6, 0, 0], [7, 2, 3, 4]], "int32")
OTHERS = np.array([[2, 4], [6, 0], [3, 5]], "int32")
LABELS = np.array([0, 1, 1], "int32")
FRACTION = 0.1


def single():
    backbone = BiLSTMAttentionBackbone(9, 4, units=3)
    inputs = {"token_ids": IDS, "padding_mask": IDS > 0}
    return BiLSTMAttentionTextClassifier(backbone, num_classes=2), inputs


def pairs():
    backbone = ReaderBackbone(9, 4, units=3, dropout=0.0)
    inputs = {
        "premise_token_ids": IDS,
        "premise_padding_mask": IDS > 0,
        "hypothesis_token_ids": OTHERS,
        "hypothesis_padding_mask": OTHERS > 0,
    }
    return ReaderTextPairClassifier(backbone, num_classes=2), inputs


MAKERS = {"single": single, "pairs": pairs}


def test_a_move_is_the_formula():
    draw = np.random.default_rng(0)
    x = [draw.normal(size=(3, n, 4)) for n in (4, 2)]
    g = [draw.normal(size=part.shape) for part in x]
    g[0][2], g[1][2] = 0, 0  # nothing would mislead the last one
    got = against(list(zip((IDS, OTHERS), x, strict=True)), g, FRACTION)
    for row in range(3):

        def joined(parts, row=row):
            masks = (IDS > 0, OTHERS > 0)
            live = (
                np.array(part)[row][mask[row]]
                for part, mask in zip(parts, masks, strict=True)
            )
            return np.concatenate([part.ravel() for part in live])

        slope = joined(g)
        norm = np.linalg.norm(slope)
        wanted = FRACTION * np.linalg.norm(joined(x)) * slope / (norm or 1)
        np.testing.assert_allclose(joined(got), wanted, rtol=1e-5)
    assert (np.array(got[0])[IDS == 0] == 0).all()


def scaled(name):
    """A model whose weights are large enough to be told apart, and its inputs."""
    model, inputs = MAKERS[name]()
    draw = np.random.default_rng(1)
    model.set_weights([draw.normal(size=w.shape) for w in model.get_weights()])
    return model, inputs


def by_hand(model, inputs, fraction):
    """The gradients of both losses, added up."""
    embedding, total = model.backbone.token_embedding, None
    steps = None
    for _ in range(2):
        with tf.GradientTape() as tape:
            with moved(embedding, steps, tape.watch) as given:
                loss = keras.losses.sparse_categorical_crossentropy(
                    LABELS, model(inputs, training=True), from_logits=True
                )
                loss = tf.reduce_mean(loss)
        words = [part for _, part in given]
        slopes, found = tape.gradient(loss, (words, model.trainable_variables))
        found = [np.array(tf.convert_to_tensor(g)) for g in found]
        total = found if total is None else list(map(np.add, total, found))
        steps = against(given, slopes, fraction)
    return total


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_step_follows_both_losses(name, frozen):
    model, inputs = scaled(name)
    model.backbone.token_embedding.trainable = not frozen
    before = [np.array(v) for v in model.trainable_variables]
    gradients = by_hand(model, inputs, FRACTION)
    loss = float(model.evaluate(inputs, LABELS, verbose=0)[0])
    model.compile(keras.optimizers.SGD(0.5), adversarial=FRACTION)
    logs = model.train_on_batch(inputs, LABELS, return_dict=True)
    assert logs["loss"] == pytest.approx(
        loss, rel=1e-5
    )  # that of the texts as they are
    assert set(logs) == {"loss", "accuracy"}
    for i, v in enumerate(model.trainable_variables):
        wanted = before[i] - 0.5 * gradients[i]
        np.testing.assert_allclose(np.array(v), wanted, rtol=1e-4, atol=1e-5)


def test_a_move_misleads():
    model, inputs = scaled("single")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    embedding = model.backbone.token_embedding
    with tf.GradientTape() as tape, moved(embedding, watch=tape.watch) as given:
        first = loss(LABELS, model(inputs))
    ((_, words),) = given
    slopes = tape.gradient(first, [words])
    with moved(embedding, against(given, slopes, FRACTION)):
        assert loss(LABELS, model(inputs)) > first
    assert loss(LABELS, model(inputs)) == first  # the embedding is as it was
    assert "call" not in vars(embedding)


def test_strings_are_trained_on_and_weighed():
    model, _ = scaled("single")
    words = ["a", "good", "bad", "film", "is", "it"]
    tokenizer = model.preprocessor_cls.tokenizer_cls(words)
    model.preprocessor = model.preprocessor_cls(tokenizer)
    model.compile(keras.optimizers.Adam(0.05), adversarial=0.02)
    x, y = ["a good film", "it is bad"] * 8, [0, 1] * 8
    fit = model.fit(x, y, epochs=8, class_weight={0: 1.0, 1: 2.0}, verbose=0)
    assert fit.history["loss"][-1] < fit.history["loss"][0]
    assert model.evaluate(x, y, verbose=0)[1] == 1


def test_a_saved_model_is_trained_on_as_it_was(tmp_path):
    model, inputs = single()
    model.compile(adversarial=FRACTION)
    model.train_on_batch(inputs, LABELS)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.adversarial == FRACTION


@pytest.mark.parametrize("wrong", [-0.1, 1, 20])
def test_what_is_no_fraction_is_refused(wrong):
    model, _ = single()
    with pytest.raises(ValueError, match=f"from 0 to less than 1. Received: {wrong}"):
        model.compile(adversarial=wrong)


JAX = """
    import sys
    import numpy as np
    import keras
    import kattn
    assert keras.backend.backend() == "jax"
    for folder in sys.argv[1:]:
        with np.load(f"{folder}/given.npz") as given:
            inputs = {k: given[k] for k in given.files if k[0] not in "_0123456789"}
            after = [given[str(i)] for i in range(int(given["_count"]))]
            labels = given["_labels"]
        model = kattn.models.TextClassifier.from_preset(f"{folder}/preset")
        model.compile(keras.optimizers.SGD(0.5), adversarial=0.1)
        model.preprocessor = None
        model.train_on_batch(inputs, labels)
        for got, wanted in zip(model.get_weights(), after, strict=True):
            np.testing.assert_allclose(got, wanted, atol=1e-4, err_msg=folder)
"""


def test_jax_learns_what_tensorflow_learns(tmp_path, on_jax):
    folders = []
    for name in MAKERS:
        model, inputs = scaled(name)
        folder = tmp_path / name
        model.save_to_preset(folder / "preset")
        model.compile(keras.optimizers.SGD(0.5), adversarial=FRACTION)
        model.train_on_batch(inputs, LABELS)
        after = {str(i): w for i, w in enumerate(model.get_weights())}
        other = {"_count": len(after), "_labels": LABELS}
        np.savez(folder / "given.npz", **inputs, **other, **after)
        folders.append(str(folder))
    on_jax(JAX, *folders)
