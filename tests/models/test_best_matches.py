"""Every word's best match against a loop over the words."""

import keras
import numpy as np
import pytest

from kattn.models import ABCNNBackbone, BestMatches, ReaderBackbone

PREMISES = [[3, 7, 2, 9, 4], [5], [3, 1, 4], []]
HYPOTHESES = [[4, 4], [8, 2, 6, 5], [1, 3, 4], [3]]


def by_hand(table, text, other):
    """The mean of a text's best matches, and the three lowest, of 1 where it is short.

    The ids 0 and 1 are padding and the unknown word, which match nothing.
    """
    if not text:
        return [0] * 4

    def cosine(i, j):
        if min(i, j) < 2:
            return 0
        return table[i] @ table[j] / np.linalg.norm(table[i]) / np.linalg.norm(table[j])

    best = [max((cosine(i, j) for j in other), default=0) for i in text]
    return [np.mean(best), *sorted([*best, 1, 1, 1])[:3]]


def expected(table):
    return [
        [*by_hand(table, p, h), *by_hand(table, h, p)]
        for p, h in zip(PREMISES, HYPOTHESES, strict=True)
    ]


@pytest.mark.parametrize("lengths", [(5, 4), (9, 6)])
def test_is_what_a_loop_finds_whatever_the_padding(lengths, padded_pairs):
    inputs = padded_pairs(PREMISES, HYPOTHESES, lengths)
    table = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
    ids = inputs["premise_token_ids"], inputs["hypothesis_token_ids"]
    masks = {k: v for k, v in inputs.items() if k.endswith("mask")}
    masks = {k.replace("padding_", ""): v for k, v in masks.items()}
    layer = BestMatches()
    got = layer(table[ids[0]], table[ids[1]], *ids, **masks)
    np.testing.assert_allclose(got, expected(table), atol=1e-6)
    spec = layer.compute_output_spec(
        *(keras.KerasTensor((4, n, 5)) for n in lengths), *ids, **masks
    )
    assert spec.shape == got.shape


@pytest.mark.parametrize(
    "backbone",
    [
        lambda **options: ABCNNBackbone(12, 5, filters=4, **options),
        lambda **options: ReaderBackbone(12, 5, units=3, **options),
    ],
    ids=["abcnn", "reader"],
)
def test_models_join_them_to_what_they_had(backbone, padded_pairs):
    inputs = padded_pairs(PREMISES, HYPOTHESES, (5, 4))
    plain, joined = backbone(), backbone(best_matches=True)
    joined.set_weights(plain.get_weights())
    table = np.array(plain.token_embedding.embeddings)
    wanted = np.hstack([plain(inputs), expected(table)])
    np.testing.assert_allclose(joined(inputs), wanted, atol=1e-5)
