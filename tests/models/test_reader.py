"""The readers against the equations of Hermann et al. 2015."""

import numpy as np
import pytest

from kattn.models import ReaderBackbone

PREMISES = [[3, 7, 2, 9, 4], [5, 3]]
HYPOTHESES = [[4, 4], [8, 2, 6]]


def make(**options):
    backbone = ReaderBackbone(
        12, embedding_dim=5, units=4, attention_units=6, reading_dim=7, **options
    )
    draw = np.random.default_rng(0)
    backbone.set_weights([draw.normal(size=w.shape) for w in backbone.weights])
    return backbone


def paper(oracles, backbone, premise, hypothesis):
    """g, and the weights of the premise's words: once, or for each query word."""
    weights = {w.path: np.array(w, "float64") for w in backbone.weights}

    def of(*parts):
        return [v for path, v in weights.items() if all(p in path for p in parts)]

    (table,) = of("token_embedding")
    encoders = ["premise_encoder", "hypothesis_encoder"]
    if backbone.shared:
        encoders[1] = encoders[0]
    forward, backward, *_ = oracles.both_ways(
        oracles.lstm, table[premise], of(encoders[0])
    )
    y = np.hstack([forward, backward])
    forward, backward, *last = oracles.both_ways(
        oracles.lstm, table[hypothesis], of(encoders[1])
    )
    y_q, u = np.hstack([forward, backward]), np.hstack(last)
    # W q + U k + b under tanh, then v.
    w_q, w_k, b, v = (
        of("additive", "query/kernel")
        + of("additive", "key/kernel")
        + of("additive", "key/bias")
        + of("additive", "vector")
    )
    every = np.ones(len(premise), bool)

    def look(query):
        m = np.tanh(query @ w_q + y @ w_k + b)  # (Tp, units)
        return oracles.softmax(m @ v, every)

    if backbone.attention == "static":
        shares = look(u)
        read = shares @ y
    else:
        (w_rr,) = of("recollection/kernel")
        read, shares = np.zeros(len(u)), []
        for word in y_q:
            shares.append(look(np.hstack([read, word])))
            read = shares[-1] @ y + np.tanh(read @ w_rr)
    w_rg, w_ug, b_g = (
        weights[path] for path in ("read/kernel", "query/kernel", "query/bias")
    )
    g = read @ w_rg + u @ w_ug + b_g
    if backbone.compare:
        both = np.hstack([np.abs(read - u), read * u])
        g = g + both @ weights["compare/kernel"]
    return np.tanh(g), np.array(shares)


@pytest.mark.parametrize("options", [{}, {"shared": True, "compare": True}], ids=str)
@pytest.mark.parametrize("attention", ["static", "dynamic"])
def test_is_the_papers_model_padded_or_alone(attention, options, oracles, padded_pairs):
    backbone = make(attention=attention, **options)
    batch = padded_pairs(PREMISES, HYPOTHESES, (7, 4))
    outputs = backbone.attention_model()(batch)
    for i, (premise, hypothesis) in enumerate(zip(PREMISES, HYPOTHESES, strict=True)):
        vector, shares = paper(oracles, backbone, premise, hypothesis)
        np.testing.assert_allclose(outputs["vector"][i], vector, atol=1e-5)
        alone = padded_pairs([premise], [hypothesis], (len(premise), len(hypothesis)))
        np.testing.assert_allclose(backbone(alone)[0], vector, atol=1e-5)
        words = np.array(outputs["premise_word_weights"][i])
        assert (words[len(premise) :] == 0).all()
        if attention == "dynamic":
            got = np.array(outputs["alignment"][i, : len(hypothesis), : len(premise)])
            np.testing.assert_allclose(got, shares, atol=1e-5)
            assert (np.array(outputs["alignment"][i, len(hypothesis) :]) == 0).all()
            shares = shares.mean(axis=0)
        np.testing.assert_allclose(words[: len(premise)], shares, atol=1e-5)


def test_the_words_that_one_text_has_alone_are_compared(padded_pairs):
    backbone = make(own_words=True)
    outputs = np.array(backbone(padded_pairs(PREMISES, HYPOTHESES, (7, 4))))
    table = np.array(backbone.token_embedding.embeddings)
    for row, own in zip(
        outputs, [([3, 7, 2, 9], []), ([5, 3], [8, 2, 6])], strict=True
    ):
        left, right = (
            table[words].mean(axis=0) if words else np.zeros(5) for words in own
        )
        lengths = np.linalg.norm(left) * np.linalg.norm(right)
        cosine = left @ right / lengths if lengths else 0.0
        near = 1 / (1 + np.linalg.norm(left - right))
        expected = [cosine, near, *np.abs(left - right), *(left * right)]
        np.testing.assert_allclose(row[7:], expected, atol=1e-5)


def test_an_unknown_reading():
    with pytest.raises(ValueError, match="Did you mean 'dynamic'"):
        ReaderBackbone(12, attention="dinamic")
