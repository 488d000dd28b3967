"""The pure-attention encoder against its equations, for every kind of position."""

import math

import keras
import numpy as np
import pytest

from kattn import regions
from kattn.models import AttentionEncoderBackbone

TEXTS = [[3, 7, 2, 9, 4, 6], [5, 3]]
D, H = 8, 2


def make(**options):
    options = {"num_layers": 2, "num_heads": H, "feed_forward_dim": 10, **options}
    backbone = AttentionEncoderBackbone(12, embedding_dim=D, **options)
    draw = np.random.default_rng(0)
    weights = [draw.normal(scale=0.5, size=w.shape) for w in backbone.weights]
    backbone.set_weights(weights)
    return backbone


def norm(x, gamma, beta):
    mean, var = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return gamma * (x - mean) / np.sqrt(var + 1e-6) + beta


def gelu(x):
    error = np.vectorize(math.erf)
    return x * (1 + error(x / np.sqrt(2))) / 2


def sinusoids(length, width):
    """Vaswani et al. 2017, section 3.5: sine at even places, cosine at odd ones."""
    places = np.arange(width)
    angles = np.arange(length)[:, None] / 10000 ** (2 * (places // 2) / width)
    return np.where(places % 2, np.cos(angles), np.sin(angles))


def turned(x):
    """Su et al. 2021, equation 34, the pairs being (i, i + width / 2)."""
    length, width = x.shape
    half = width // 2
    angles = np.arange(length)[:, None] * 10000.0 ** (-2 * np.arange(half) / width)
    first, second = x[:, :half], x[:, half:]
    return np.hstack(
        [
            first * np.cos(angles) - second * np.sin(angles),
            second * np.cos(angles) + first * np.sin(angles),
        ]
    )


def paper(oracles, backbone, text):
    """The vector of one text, and the weights of the last block `(H, T, T)`."""
    weights = {w.path: np.array(w, "float64") for w in backbone.weights}

    def of(prefix):
        return [v for path, v in weights.items() if path.startswith(prefix)]

    x = weights["token_embedding/embeddings"][text]
    length = len(text)
    if backbone.positions == "sinusoidal":
        x = x + sinusoids(length, D)
    elif backbone.positions == "learned":
        x = x + of("position_embedding")[0][:length]
    left, right = length, length
    region = regions.get(backbone.region)
    if isinstance(region, regions.Local):
        left, right = region.left, region.right
    distance = np.arange(length)[None] - np.arange(length)[:, None]  # j - i
    visible = (-left <= distance) & (distance <= right)
    for i in range(backbone.num_layers):
        block = f"block_{i}"
        normed = norm(x, *of(f"{block}/attention_norm"))
        heads, shares = [], []
        wq, bq = of(f"{block}/attention/query")
        wk, bk = of(f"{block}/attention/key")
        wv, bv = of(f"{block}/attention/value")
        wo, bo = of(f"{block}/attention/attention_output")
        for h in range(H):
            q, k = normed @ wq[:, h] + bq[h], normed @ wk[:, h] + bk[h]
            if backbone.positions == "rotary":
                q, k = turned(q), turned(k)
            v = normed @ wv[:, h] + bv[h]
            energies = q @ k.T / np.sqrt(q.shape[-1])
            a = np.array(
                [oracles.softmax(*row) for row in zip(energies, visible, strict=True)]
            )
            heads.append((a @ v) @ wo[h])
            shares.append(a)
        y = x + sum(heads) + bo
        w1, b1 = of(f"{block}/hidden")
        w2, b2 = of(f"{block}/output")
        x = y + gelu(norm(y, *of(f"{block}/feed_forward_norm")) @ w1 + b1) @ w2 + b2
    x = norm(x, *of("output_norm"))
    if backbone.pooling == "attention":
        query, w, b = of("pooling")
        alpha = oracles.softmax(np.tanh(x @ w + b) @ query[0], np.ones(length, bool))
        return alpha @ x, np.array(shares), alpha
    return x.mean(axis=0), np.array(shares), np.array(shares).mean(axis=(0, 1))


@pytest.mark.parametrize(
    "options",
    [
        {"positions": "sinusoidal"},
        {"positions": "learned", "pooling": "attention", "max_length": 9},
        {"positions": "rotary"},
        {"positions": "none", "region": regions.Local(left=1, right=2)},
    ],
    ids=str,
)
def test_is_the_papers_model_padded_or_alone(options, oracles, padded):
    backbone = make(**options)
    outputs = backbone.attention_model(blocks=True)(padded(TEXTS, 8))
    for i, text in enumerate(TEXTS):
        vector, shares, words = paper(oracles, backbone, text)
        length = len(text)
        np.testing.assert_allclose(outputs["vector"][i], vector, atol=2e-5)
        alone = backbone(padded([text], length))
        np.testing.assert_allclose(alone[0], vector, atol=2e-5)
        got = np.array(outputs["block_1_weights"][i])  # (H, T, T)
        np.testing.assert_allclose(got[:, :length, :length], shares, atol=1e-5)
        assert (got[..., length:] == 0).all()
        got = np.array(outputs["word_weights"][i])
        np.testing.assert_allclose(got[:length], words, atol=1e-5)
        assert (got[length:] == 0).all()


def test_blocks_of_learned_scores_and_regions_have_weights_of_their_own(padded):
    backbone = make(score="additive", region="local_p")
    paths = [w.path for w in backbone.weights]
    for part in ("additive", "local_p"):
        found = [path for path in paths if part in path]
        assert {path.split("/")[0] for path in found} == {"block_0", "block_1"}
    copied = type(backbone).from_config(backbone.get_config())
    copied.set_weights(backbone.get_weights())
    inputs = padded(TEXTS, 8)
    np.testing.assert_array_equal(copied(inputs), backbone(inputs))


def test_the_maps_of_the_blocks_are_given_on_request_alone():
    assert set(make().attention_model().output) == {"vector", "word_weights"}
    watched = make().attention_model(blocks=True)
    names = {"vector", "word_weights", "block_0_weights", "block_1_weights"}
    assert set(watched.output) == names


def test_words_in_another_order_are_another_text_but_without_positions(padded):
    turned_round = [text[::-1] for text in TEXTS]
    for positions in ("sinusoidal", "learned", "rotary", "none"):
        backbone = make(positions=positions)
        ways = [np.array(backbone(padded(t, 6))) for t in (TEXTS, turned_round)]
        assert np.allclose(*ways, atol=1e-5) == (positions == "none")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"positions": "sinusoid"}, "Did you mean 'sinusoidal'"),
        ({"pooling": "max"}, "Expected one of: attention, mean"),
        ({"score": "aditive"}, "Did you mean 'additive'"),
        ({"positions": "rotary", "score": "additive"}, 'score="scaled_dot"'),
        ({"num_heads": 3}, "in equal parts"),
        ({"positions": "rotary", "num_heads": 8}, "the width is even"),
    ],
)
def test_what_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        make(**options)


def test_a_model_of_watched_blocks_is_saved_and_loaded(tmp_path, padded):
    model = make().attention_model()
    model.save(tmp_path / "m.keras")
    inputs = padded(TEXTS, 8)
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_allclose(
        again(inputs)["word_weights"], model(inputs)["word_weights"]
    )
