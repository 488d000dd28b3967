"""A task that attention solves: the label is the symbol of the one marked token."""

import keras
import numpy as np
import pytest

from kattn.layers import AttentionPooling
from kattn.losses import Reinforce
from kattn.normalizers import Hard

LENGTH, SYMBOLS = 8, 20


def texts(count, seed):
    """Ids, where the marked token stands, and which symbol it is."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, SYMBOLS, size=(count, LENGTH))
    rows, places = np.arange(count), rng.integers(0, LENGTH, size=count)
    labels = ids[rows, places].copy()
    ids[rows, places] += SYMBOLS  # a marked symbol is a token of its own
    return ids, places, labels


def learned(normalizer, score, rate):
    """Accuracy, and weights `(B, T)`, on texts not seen in training."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((LENGTH,), dtype="int32")
    words = keras.layers.Embedding(2 * SYMBOLS, 32)(inputs)
    pooling = AttentionPooling(
        score=score, normalizer=normalizer, query_initializer="glorot_uniform"
    )
    text, weights = pooling(words, return_attention_scores=True)
    model = keras.Model(inputs, keras.layers.Dense(SYMBOLS)(text))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    if getattr(normalizer, "estimator", None) == "reinforce":
        loss = Reinforce(loss, model)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    ids, _, labels = texts(4096, seed=0)
    model.fit(ids, labels, batch_size=64, epochs=15, verbose=0)
    ids, places, labels = texts(512, seed=1)
    accuracy = model.evaluate(ids, labels, verbose=0)[1]
    seen = keras.Model(inputs, weights).predict(ids, verbose=0)
    return accuracy, seen, places


@pytest.mark.parametrize(
    ("estimator", "score", "rate"),
    [
        # Softmax's slope vanishes where energies are large: cosine keeps them small.
        ("straight_through", "cosine", 0.03),
        ("gumbel", "dot", 0.02),
        ("reinforce", "dot", 0.02),
    ],
)
def test_hard_attention_finds_the_marked_token(estimator, score, rate):
    temperature = keras.optimizers.schedules.ExponentialDecay(1.0, 480, 0.5)
    hard = Hard(estimator, temperature=temperature, seed=0)
    accuracy, weights, places = learned(hard, score, rate)
    assert set(np.unique(weights)) == {0, 1}
    assert accuracy >= 0.95
    assert (weights.argmax(-1) == places).mean() >= 0.9


def test_sparsemax_ends_with_less_entropy_than_softmax():
    def entropy(normalizer):
        accuracy, weights, _ = learned(normalizer, "dot", 0.003)
        assert accuracy >= 0.95
        return -(weights * np.log(np.where(weights > 0, weights, 1))).sum(-1).mean()

    assert entropy("sparsemax") < entropy("entmax15") < entropy("softmax")
