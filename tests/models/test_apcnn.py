"""APCNN against the equations of its paper."""

import numpy as np
import pytest

from kattn.models import APCNNBackbone

TEXTS = [[3, 7, 2, 9, 4, 6], [5]]


def make(**options):
    backbone = APCNNBackbone(
        12,
        embedding_dim=5,
        filters=6,
        kernel_sizes=(2, 3),
        units=4,
        attention_units=3,
        **options,
    )
    draw = np.random.default_rng(0)
    backbone.set_weights([draw.normal(size=w.shape) for w in backbone.weights])
    return backbone


def same_convolution(x, kernel, bias):
    """`c_t = relu(W [x_{t - left}, ...] + b)`, zeros beside the text."""
    size = len(kernel)
    left = (size - 1) // 2
    x = np.pad(x, ((left, size - 1 - left), (0, 0)))
    columns = [
        np.einsum("kd,kdf->f", x[t : t + size], kernel) + bias
        for t in range(len(x) - size + 1)
    ]
    return np.maximum(columns, 0)


def paper(oracles, backbone, text):
    """The text's vector, and the weights of its words for each width."""
    weights = {w.path: np.array(w, "float64") for w in backbone.weights}

    def of(*parts):
        return [v for path, v in weights.items() if all(p in path for p in parts)]

    (table,) = of("token_embedding")
    x = table[text]
    if backbone.directions == "forward":
        query = oracles.lstm(x, *of("encoder"))[-1]
    else:
        query = np.hstack(oracles.both_ways(oracles.lstm, x, of("encoder"))[2:])
    (v,) = of("query/kernel")
    pooled, shares = [], []
    for size in backbone.kernel_sizes:
        columns = same_convolution(x, *of(f"convolution_{size}", "convolution/"))
        u, b = of(f"convolution_{size}", "hidden")
        logarithm = of(f"convolution_{size}", "temperature")
        energies = [
            oracles.energy("cosine", query @ v, column @ u + b, logarithm)
            for column in columns
        ]
        alpha = oracles.softmax(np.array(energies), np.ones(len(text), bool))
        pooled.append(alpha @ columns)
        shares.append(alpha)
    return np.hstack([*pooled, query]), np.array(shares)


@pytest.mark.parametrize(
    "options", [{}, {"temperature": 0.2}, {"directions": "forward"}], ids=str
)
def test_is_the_papers_model_padded_or_alone(options, oracles, padded):
    backbone = make(**options)
    outputs = backbone.attention_model()(padded(TEXTS, 8))
    for i, text in enumerate(TEXTS):
        vector, weights = paper(oracles, backbone, text)
        np.testing.assert_allclose(outputs["vector"][i], vector, atol=1e-5)
        alone = backbone(padded([text], len(text)))
        np.testing.assert_allclose(alone[0], vector, atol=1e-5)
        got = np.array(outputs["width_weights"][i])  # (widths, T)
        np.testing.assert_allclose(got[:, : len(text)], weights, atol=1e-5)
        assert (got[:, len(text) :] == 0).all()
        mean = np.array(outputs["word_weights"][i, : len(text)])
        np.testing.assert_allclose(mean, weights.mean(axis=0), atol=1e-5)


def test_windows_are_of_different_widths():
    for sizes in ((), (3, 3)):
        with pytest.raises(ValueError, match="different numbers of words"):
            APCNNBackbone(12, kernel_sizes=sizes)
