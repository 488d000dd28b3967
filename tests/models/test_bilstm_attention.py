"""The BiLSTM against its papers' equations, whatever its pooling."""

import numpy as np
import pytest

from kattn.models import BiLSTMAttentionBackbone

TEXTS = [[3, 7, 2, 9, 4], [5, 3]]


def make(**options):
    """Weights far from their start, biases too."""
    backbone = BiLSTMAttentionBackbone(12, embedding_dim=5, units=4, **options)
    draw = np.random.default_rng(0)
    backbone.set_weights([draw.normal(size=w.shape) for w in backbone.weights])
    return backbone


def paper(oracles, backbone, text):
    """The vector of one text, and the weights of its words, where there are any."""
    table, *weights = [np.array(w, "float64") for w in backbone.weights]
    cell = {"lstm": oracles.lstm, "gru": oracles.gru}[backbone.cell]
    forward, backward, *last = oracles.both_ways(cell, table[text], weights[:6])
    join = {"concat": np.hstack, "sum": sum}[backbone.directions]
    h, last = join([forward, backward]), join(last)  # (T, W), (W,)
    every = np.ones(len(text), bool)
    if backbone.pooling == "last":
        return last, None
    if backbone.pooling in ("mean", "max"):
        return getattr(h, backbone.pooling)(axis=0), None
    if backbone.pooling == "attention":  # Zhou et al. 2016, equations 9 to 12
        (w,) = weights[6]
        alpha = oracles.softmax(np.tanh(h) @ w, every)
        return np.tanh(alpha @ h), alpha
    queries, w, b = weights[6:]  # Lin et al. 2017, equations 5 and 6
    energies = queries @ np.tanh(h @ w + b).T  # (r, T)
    a = np.array([oracles.softmax(row, every) for row in energies])
    return (a @ h).reshape(-1), a.mean(axis=0)


@pytest.mark.parametrize(
    "options",
    [
        {"pooling": "last"},
        {"pooling": "last", "directions": "sum", "cell": "gru"},
        {"pooling": "mean", "cell": "gru"},
        {"pooling": "max"},
        {"pooling": "attention", "directions": "sum"},
        {"pooling": "attention", "cell": "gru"},
        {"pooling": "structured", "hops": 3, "attention_units": 6},
    ],
    ids=str,
)
def test_is_the_papers_model_padded_or_alone(options, oracles, padded):
    backbone = make(**options)
    outputs = backbone.attention_model()(padded(TEXTS, 7))
    for i, text in enumerate(TEXTS):
        vector, weights = paper(oracles, backbone, text)
        np.testing.assert_allclose(outputs["vector"][i], vector, atol=1e-5)
        alone = backbone(padded([text], len(text)))
        np.testing.assert_allclose(alone[0], vector, atol=1e-5)
        if weights is None:
            assert "word_weights" not in outputs
            continue
        got = np.array(outputs["word_weights"][i])
        np.testing.assert_allclose(got[: len(text)], weights, atol=1e-5)
        assert (got[len(text) :] == 0).all()


def test_the_penalty_on_overlapping_hops_is_part_of_the_loss(padded):
    inputs = padded(TEXTS, 7)
    losses = {}
    for penalty in (0.0, 0.5):
        backbone = make(pooling="structured", hops=3, penalty=penalty)
        backbone(inputs)
        losses[penalty] = [float(loss) for loss in backbone.losses]
    assert losses[0.0] == []
    weights = np.array(backbone.attention_model()(inputs)["hop_weights"])  # (B, r, T)
    overlap = weights @ weights.transpose(0, 2, 1) - np.eye(3)
    expected = 0.5 * (overlap**2).sum(axis=(1, 2)).mean()
    assert losses[0.5] == pytest.approx([expected], rel=1e-4)


def test_weights_are_all_of_the_layers():
    backbone = make()
    assert backbone.count_params() == 12 * 5 + 2 * (4 * 4 * (5 + 4 + 1)) + 8
    assert backbone.token_embedding.trainable


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "atention"}, "Did you mean 'attention'"),
        ({"cell": "ltsm"}, "Did you mean 'lstm'"),
        ({"directions": "both"}, "Unknown directions"),
    ],
)
def test_unknown_names(options, message):
    with pytest.raises(ValueError, match=message):
        BiLSTMAttentionBackbone(12, **options)
