"""ABCNN against the equations of its paper, as the author's code has them."""

import keras
import numpy as np
import pytest

from kattn.models import ABCNNBackbone

PREMISES = [[3, 7, 2, 9, 4], [5]]
HYPOTHESES = [[4, 4], [8, 2, 6, 5]]
W = 3


def make(**options):
    options = {"num_layers": 2, "filters": 4, "max_length": 6, **options}
    backbone = ABCNNBackbone(12, embedding_dim=5, kernel_size=W, **options)
    draw = np.random.default_rng(0)
    backbone.set_weights(
        [draw.normal(scale=0.6, size=w.shape) for w in backbone.weights]
    )
    return backbone


def proximities(x, y):
    return np.array([[1 / (1 + np.linalg.norm(a - b)) for b in y] for a in x])


def cosine(x, y):
    return x @ y / (np.linalg.norm(x) * np.linalg.norm(y) or 1)


def wide(x, kernel, bias):
    """Section 3: p_i = tanh(W c_i + b), s + w - 1 columns."""
    x = np.pad(x, ((W - 1, W - 1), (0, 0)))
    return np.tanh(
        [
            np.einsum("kd,kdf->f", x[i : i + W], kernel) + bias
            for i in range(len(x) - W + 1)
        ]
    )


def paper(backbone, *pair):
    """The features of one pair, and the shares of the columns of the last level."""
    weights = {w.path: np.array(w, "float64") for w in backbone.weights}
    texts = [weights["token_embedding/embeddings"][text] for text in pair]
    vectors = [[x.mean(axis=0) for x in texts]]
    if backbone.own_words:
        vectors.append([])
        for x, text, other in zip(texts, pair, pair[::-1], strict=True):
            own = [word not in other or word == 1 for word in text]
            vectors[1].append(x[own].mean(axis=0) if any(own) else np.zeros(5))
    for i in range(backbone.num_layers):
        level = {k: v for k, v in weights.items() if k.startswith(f"level_{i}/")}
        kernel, bias = (v for k, v in level.items() if "/convolution/" in k)
        if backbone.variant in ("abcnn1", "abcnn3"):
            (places,) = (v for k, v in level.items() if "places" in k)
            a = proximities(*texts)
            maps = a @ places[: a.shape[1]], a.T @ places[: a.shape[0]]
            texts = [np.hstack(both) for both in zip(texts, maps, strict=True)]
        columns = [wide(x, kernel, bias) for x in texts]
        shares = [np.full(len(c), 1 / len(c)) for c in columns]  # all-ap: the mean
        per_window = [np.full(len(c), 1 / W) for c in columns]  # w-ap: likewise
        if backbone.variant in ("abcnn2", "abcnn3"):
            a = proximities(*columns)
            shares = [a.sum(axis=1) / a.sum(), a.sum(axis=0) / a.sum()]
            per_window = shares
        vectors.append([s @ c for s, c in zip(shares, columns, strict=True)])
        texts = [
            np.array([s[j : j + W] @ c[j : j + W] for j in range(len(c) - W + 1)])
            for s, c in zip(per_window, columns, strict=True)
        ]
    features = [
        f(x, y)
        for x, y in vectors
        for f in (cosine, lambda x, y: 1 / (1 + np.linalg.norm(x - y)))
    ]
    if backbone.join_vectors:
        for x, y in vectors:
            features += [*np.abs(x - y), *(x * y)]
    return np.array(features), shares


@pytest.mark.parametrize("join_vectors", [False, True])
@pytest.mark.parametrize("variant", ["bcnn", "abcnn1", "abcnn2", "abcnn3"])
def test_is_the_papers_model_padded_or_alone(variant, join_vectors, padded_pairs):
    backbone = make(variant=variant, join_vectors=join_vectors)
    batch = padded_pairs(PREMISES, HYPOTHESES, (7, 6))
    outputs = backbone.attention_model()(batch)
    for i, pair in enumerate(zip(PREMISES, HYPOTHESES, strict=True)):
        features, shares = paper(backbone, *pair)
        np.testing.assert_allclose(outputs["vector"][i], features, atol=1e-5)
        alone = padded_pairs([pair[0]], [pair[1]], map(len, pair))
        np.testing.assert_allclose(backbone(alone)[0], features, atol=1e-5)
        if variant not in ("abcnn2", "abcnn3"):
            continue
        for name, text, share in zip(
            ("premise", "hypothesis"), pair, shares, strict=True
        ):
            got = np.array(outputs[f"{name}_word_weights"][i])
            spread = np.array([share[j : j + W].sum() for j in range(len(text))])
            expected = spread / spread.sum()
            np.testing.assert_allclose(got[: len(text)], expected, atol=1e-5)
            assert (got[len(text) :] == 0).all()


def test_the_words_that_one_text_has_alone_make_a_level(padded_pairs):
    backbone = make(variant="bcnn", own_words=True, join_vectors=True)
    pairs = [*PREMISES, [3, 1]], [*HYPOTHESES, [1, 3]]  # 1 is any unknown word
    vector = backbone(padded_pairs(*pairs, (7, 6)))
    for i, pair in enumerate(zip(*pairs, strict=True)):
        features, _ = paper(backbone, *pair)
        np.testing.assert_allclose(vector[i], features, atol=1e-5)


def test_a_hidden_layer_stands_on_the_features(padded_pairs):
    backbone = make(variant="abcnn2", hidden_dim=7, join_vectors=True)
    batch = padded_pairs(PREMISES, HYPOTHESES, (7, 6))
    weights, bias = (w for w in backbone.get_weights()[-2:])
    for i, pair in enumerate(zip(PREMISES, HYPOTHESES, strict=True)):
        features, _ = paper(backbone, *pair)
        expected = np.maximum(features @ weights + bias, 0)
        np.testing.assert_allclose(backbone(batch)[i], expected, atol=1e-5)


def test_attention_before_the_convolution_shows_how_words_are_matched(padded_pairs):
    backbone = make(variant="abcnn1", num_layers=1)
    outputs = backbone.attention_model()(padded_pairs([[3, 7]], [[3, 9, 2]], (2, 3)))
    x = np.array(backbone.token_embedding.embeddings)
    matches = proximities(x[[3, 7]], x[[3, 9, 2]])
    for name, axis in (("premise", 1), ("hypothesis", 0)):
        expected = matches.sum(axis=axis) / matches.sum()
        got = outputs[f"{name}_word_weights"][0]
        np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("variant", ["bcnn", "abcnn1", "abcnn2", "abcnn3"])
def test_equal_texts_and_empty_ones_have_finite_features_and_gradients(
    variant, padded_pairs
):
    backbone = make(variant=variant, join_vectors=True)
    inputs = padded_pairs([[3, 7], [5], [], []], [[3, 7], [5], [4], []], (4, 4))
    features = np.array(backbone(inputs))
    assert np.isfinite(features).all()
    np.testing.assert_allclose(features[:2, :6], 1, atol=1e-4)  # equal texts
    model = keras.Sequential([backbone, keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(inputs, np.ones((4, 1)), verbose=0)
    assert all(np.isfinite(np.array(w)).all() for w in model.weights)


def test_a_text_past_the_last_place_is_matched_by_none_there(padded_pairs):
    backbone = make(variant="abcnn1", num_layers=1, max_length=2)
    long, short = [3, 7, 2, 9], [5, 4]
    features = np.array(backbone(padded_pairs([long], [short], (4, 2))))
    places = next(w for w in backbone.weights if "places" in w.path)
    assert places.shape == (2, 5)
    assert np.isfinite(features).all()


@pytest.mark.parametrize("match", ["bilinear", "cosine", "additive"])
def test_other_matches_are_shares_too(match, padded_pairs):
    backbone = make(match=match, feature_map="attention")
    outputs = backbone.attention_model()(padded_pairs(PREMISES, HYPOTHESES, (7, 6)))
    for name in ("premise", "hypothesis"):
        weights = np.array(outputs[f"{name}_word_weights"])
        np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)
        assert (weights >= 0).all()
    levels = {w.path.split("/")[0] for w in backbone.weights if match in w.path}
    assert match == "cosine" or levels == {"level_0", "level_1"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "abcnn4"}, "Did you mean"),
        ({"feature_map": "place"}, "Did you mean 'places'"),
        ({"match": "proximty"}, "Did you mean 'proximity'"),
    ],
)
def test_unknown_names(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)
