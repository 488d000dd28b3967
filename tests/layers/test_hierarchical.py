"""`kattn.layers.Hierarchical`: each sequence as if it stood alone."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn import layers
from kattn.layers import Hierarchical


def draw(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def gru():
    return keras.layers.Bidirectional(keras.layers.GRU(3, return_sequences=True))


def pooling():
    """One whose query is not zero, so that its weights are not all equal."""
    return layers.AttentionPooling(query_initializer="glorot_uniform")


def sequential():
    return keras.Sequential([gru(), pooling()])


def numpy(outputs):
    """Tensors to arrays, in lists too."""
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


LAYERS = {"pooling": pooling, "gru": gru, "sequential": sequential}

#: Two documents of three sentences of four words; one sentence, one document empty.
WORDS = np.array(
    [
        [[1, 1, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]],
        [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]],
    ],
    bool,
)


@pytest.mark.parametrize("name", LAYERS)
def test_equals_the_layer_on_each_sequence_alone(name):
    inputs = draw((2, 3, 4, 5))
    layer = LAYERS[name]()
    outputs = numpy(Hierarchical(layer)(inputs, mask=WORDS))
    for b, s in np.ndindex(2, 3):
        length = WORDS[b, s].sum()
        if not length:
            assert not outputs[b, s].any()
            continue
        alone = numpy(layer(inputs[b, s][None, :length]))[0]
        got = outputs[b, s]
        if name == "gru":
            got = got[:length]
        np.testing.assert_allclose(got, alone, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
def test_without_a_mask_all_is_read(name):
    inputs = draw((2, 3, 4, 5))
    layer = LAYERS[name]()
    outputs = numpy(Hierarchical(layer)(inputs))
    for b in range(2):
        np.testing.assert_allclose(outputs[b], numpy(layer(inputs[b])), atol=1e-6)


def test_a_layer_that_takes_no_mask():
    inputs = draw((2, 3, 4, 5))
    dense = keras.layers.Dense(2, use_bias=False)
    outputs = numpy(Hierarchical(dense)(inputs, mask=WORDS))
    seen = np.where(WORDS.any(-1)[..., None, None], inputs * WORDS[..., None], 0.0)
    expected = numpy(dense(seen.astype("float32")))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_padding_reaches_neither_outputs_nor_gradients(name, policy, gradients):
    inputs = draw((2, 3, 4, 5))
    with_policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    layer = Hierarchical(LAYERS[name]())
    keras.config.set_dtype_policy(with_policy)
    layer.build(inputs.shape)

    def loss(filled):
        outputs = layer(filled, mask=WORDS)
        if len(outputs.shape) == 4:  # what stands at padded words is nobody's
            outputs = ops.where(WORDS[..., None], outputs, 0.0)
        return ops.sum(ops.square(ops.cast(outputs, "float32"))), outputs

    def run(fill):
        filled = np.where(WORDS[..., None], inputs, fill).astype("float32")
        (_, outputs), slopes = gradients(loss, [filled], layer.trainable_variables)
        return [x.astype("float32") for x in (outputs, *slopes)]

    for clean, dirty in zip(run(0.5), run(np.nan), strict=True):
        assert np.isfinite(clean).all()
        np.testing.assert_array_equal(clean, dirty)


@pytest.mark.parametrize("masked", [False, True])
def test_an_empty_document_trains(masked, gradients):
    inputs = draw((2, 3, 4, 5))
    words, sentences = Hierarchical(sequential()), Hierarchical(sequential())
    mask = WORDS if masked else np.zeros_like(WORDS)

    def loss(inputs):
        read = ops.expand_dims(words(inputs, mask=mask), 1)
        document = sentences(read, mask=mask.any(-1)[:, None])
        return ops.sum(ops.square(document - 1.0)), document

    loss(inputs)  # builds
    variables = words.trainable_variables + sentences.trainable_variables
    (_, document), slopes = gradients(loss, [inputs], variables)
    assert not document[1].any()
    assert all(np.isfinite(slope).all() for slope in slopes)


def han(levels):
    """Words to documents, through `levels` levels of GRU and pooling."""
    ids = keras.Input((None,) * levels, dtype="int32")
    x = keras.layers.Embedding(9, 5, mask_zero=True)(ids)
    weights = []
    for _ in range(levels - 1):
        x = Hierarchical(gru())(x)
        x, seen = Hierarchical(pooling())(x, return_attention_scores=True)
        weights.append(seen)
    x, seen = pooling()(gru()(x), return_attention_scores=True)
    return keras.Model(ids, [x, *weights, seen])


@pytest.mark.parametrize("levels", [2, 3])
def test_levels_stack_with_free_sizes(levels, tmp_path):
    model = han(levels)
    rng = np.random.default_rng(0)
    ids = rng.integers(1, 9, size=(2, 3, 4, 5)[: levels + 1])
    ids[0, -1] = 0  # an empty sentence, or paragraph
    ids[1, ..., -2:] = 0
    outputs = numpy(model(ids))
    live = ids > 0
    for weights in outputs[1:]:
        np.testing.assert_array_equal(weights > 0, live)
        np.testing.assert_allclose(np.sum(weights, -1), live.any(-1), atol=1e-6)
        live = live.any(-1)
    # More padding on every level changes nothing.
    longer = np.pad(ids, ((0, 0),) + ((0, 2),) * levels)
    again = model.predict(longer, verbose=0)
    np.testing.assert_allclose(outputs[0], again[0], atol=1e-6)
    cut = tuple(slice(n) for n in ids.shape)
    np.testing.assert_allclose(outputs[1], again[1][cut], atol=1e-6)
    model.save(tmp_path / "model.keras")
    revived = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(outputs, numpy(revived(ids)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_document_alone_and_in_a_batch():
    model = han(2)
    ids = np.random.default_rng(0).integers(0, 9, size=(3, 4, 5))
    together = numpy(model(ids))[0]
    for n in range(3):
        alone = numpy(model(ids[n : n + 1]))[0]
        np.testing.assert_allclose(alone[0], together[n], atol=1e-6)


def test_masks_given_and_carried_are_both_heeded_and_go_on():
    inputs = np.where(WORDS[..., None], draw((2, 3, 4, 5)), 0.0).astype("float32")
    given_mask = np.ones_like(WORDS)
    given_mask[0, 0, 0] = given_mask[0, 2] = False
    both = WORDS & given_mask
    tensor = keras.layers.Masking(0.0)(inputs)
    outputs, weights = Hierarchical(pooling())(
        tensor, mask=given_mask, return_attention_scores=True
    )
    np.testing.assert_array_equal(numpy(weights) > 0, both)
    np.testing.assert_array_equal(numpy(outputs._keras_mask), both.any(-1))
    np.testing.assert_array_equal(numpy(tensor._keras_mask), WORDS)
    encoded = Hierarchical(gru())(tensor, mask=given_mask)
    np.testing.assert_array_equal(numpy(encoded._keras_mask), both)


def test_the_mask_of_a_pooled_functional_input():
    words = keras.Input((None, None, 5))
    mask = keras.Input((None, None), dtype="bool")
    read = Hierarchical(pooling())(words, mask=mask)
    document, weights = pooling()(read, return_attention_scores=True)
    model = keras.Model([words, mask], [document, weights])
    _, weights = model.predict([draw((2, 3, 4, 5)), WORDS], verbose=0)
    np.testing.assert_array_equal(weights > 0, WORDS.any(-1))


@pytest.mark.parametrize("name", LAYERS)
def test_is_a_keras_layer(name, check_layer):
    def kwargs(policy):
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy or "float32")
        layer = LAYERS[name]()
        keras.config.set_dtype_policy(before)
        return {"layer": layer}

    check_layer(
        Hierarchical,
        kwargs,
        {"inputs": draw((2, 3, 4, 5))},
        weights={"pooling": 3, "gru": 6, "sequential": 9}[name],
        seeds=0 if name == "pooling" else 2,
        # No backend has a QR of bfloat16 on a CPU, which starts a GRU's weights.
        policies=("mixed_float16", "mixed_bfloat16")
        + (("bfloat16",) if name == "pooling" else ()),
        mask_shape=(2, 3, 4) if name == "gru" else (2, 3),
        flags=({}, {"return_attention_scores": True}) if name == "pooling" else ({},),
    )


@pytest.mark.parametrize(
    ("shape", "mask", "message"),
    [
        ((2, 3, 4), None, r"\(batch, sequences, ..., length, width\).*\(2, 3, 4\)"),
        ((2, 3, 4, 5), (2, 3), r"mask.*\(2, 3, 4\).*\(2, 3\)"),
        ((2, 3, 4, 5), (2, 3, 5), r"mask.*\(2, 3, 4\).*\(2, 3, 5\)"),
    ],
)
@pytest.mark.parametrize("symbolic", [False, True])
def test_shapes_that_do_not_fit(shape, mask, message, symbolic):
    tensor = keras.KerasTensor if symbolic else np.zeros
    kwargs = {} if mask is None else {"mask": tensor(mask, dtype="bool")}
    with pytest.raises(ValueError, match=f"(?s){message}"):
        Hierarchical(pooling())(tensor(shape, dtype="float32"), **kwargs)


def test_something_that_is_no_layer():
    with pytest.raises(TypeError, match="Keras layer.*'pooling'"):
        Hierarchical("pooling")


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="a graph of TensorFlow's"
)
def test_it_is_called_in_a_bare_graph():
    import tensorflow as tf

    layer = Hierarchical(layers.AttentionPooling())
    mask = np.array([[[True, True], [False, False]]])
    run = tf.function(lambda x, mask: layer(x, mask=mask), autograph=False)
    pooled = run(tf.ones((1, 2, 2, 3)), tf.constant(mask))
    np.testing.assert_allclose(pooled, [[[1, 1, 1], [0, 0, 0]]], atol=1e-6)
