"""Vectors of n-grams, against a dictionary of runs, alone and in an encoder-decoder."""

import collections

import keras
import numpy as np
import pytest
from keras import ops

from kattn.models import (
    TARGET_TOKENS,
    AttentionSeq2Seq,
    AttentionSeq2SeqBackbone,
    AttentionSeq2SeqPreprocessor,
    NgramEmbedding,
)
from kattn.text import CharacterTokenizer, WordTokenizer

ORDERS = (3, 4, 5, 6)
TEXTS = [[5, 3, 7, 7, 2], [5, 3, 7], [9], [5, 3], [2, 9, 2, 9, 2], [7, 7, 2], [4, 8]]


def runs(text, t, past):
    """The n-grams about a position, what lies outside as 0."""
    around = [0] * 6 + text + [0] * 6
    for n in ORDERS:
        start = t + 6 - (n - 1 if past else n // 2)
        yield tuple(around[start : start + n])


def adapted(past=False, **options):
    layer = NgramEmbedding(num_ngrams=20, dim=2, past=past, **options)
    layer.adapt(TEXTS)
    return layer


def called(layer, texts, width=7, **options):
    ids = np.zeros((len(texts), width), "int32")
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    return ops.convert_to_numpy(layer(ids, mask=ids > 0, **options))


@pytest.mark.parametrize("past", [False, True])
def test_it_has_a_vector_for_each_frequent_run(past):
    layer = adapted(past)
    vectors = called(layer, TEXTS)  # (B, T, 8)
    every = collections.Counter(
        run for text in TEXTS for t in range(len(text)) for run in runs(text, t, past)
    )
    kept = {run for run, count in every.items() if count > 1}
    assert 5 < len(kept) <= 20
    of_run, table = {}, {tuple(row) for row in layer.embedding.get_weights()[0]}
    for text, rows in zip(TEXTS, vectors, strict=True):
        for t, row in enumerate(rows):
            if t >= len(text):
                assert not row.any()
                continue
            for run, vector in zip(runs(text, t, past), np.split(row, 4), strict=True):
                assert vector.any() == (run in kept)
                if run in kept:
                    assert tuple(vector) in table
                    assert of_run.setdefault(run, tuple(vector)) == tuple(vector)
    assert len(set(of_run.values())) == len(of_run)


def test_the_most_frequent_ones_have_vectors():
    layer = NgramEmbedding(num_ngrams=8, dim=2)  # as many as 1 2 has
    layer.adapt([[1, 2]] * 5 + [[3, 4]] * 2)
    vectors = called(layer, [[1, 2], [3, 4]])
    assert vectors[0, :2].all()
    assert not vectors[1].any()


def test_of_the_past_it_knows_nothing_of_what_comes():
    layer = adapted(past=True)
    whole, start = called(layer, [[5, 3, 7, 7, 2]]), called(layer, [[5, 3, 7]])
    np.testing.assert_array_equal(whole[:, :3], start[:, :3])


def test_padding_and_what_stands_there_change_nothing():
    layer = adapted()
    ids = np.array([[5, 3, 7, 9, 9]])
    mask = ids == ids
    mask[:, 3:] = False
    given = ops.convert_to_numpy(layer(ids, mask=mask))
    np.testing.assert_array_equal(given[:, :3], called(layer, [[5, 3, 7]], 3))
    assert not given[:, 3:].any()


def test_whole_vectors_are_dropped_in_training_alone():
    keras.utils.set_random_seed(0)
    layer = adapted(dropout=0.5)
    texts = [[5, 3, 7]] * 200
    still = called(layer, texts)
    dropped = called(layer, texts, training=True)
    vectors, before = (x.reshape(-1, 2) for x in (dropped, still))
    known = before.any(axis=-1)
    gone = ~vectors.any(axis=-1)
    assert 0.4 < gone[known].mean() < 0.6
    kept = known & ~gone
    np.testing.assert_allclose(vectors[kept], 2 * before[kept], rtol=1e-6)


def test_it_is_made_again_of_its_config():
    layer = adapted(past=True, dropout=0.25)
    again = NgramEmbedding.from_config(layer.get_config())
    again.build()
    again.set_weights(layer.get_weights())
    assert again.dropout == 0.25
    np.testing.assert_array_equal(called(again, TEXTS), called(layer, TEXTS))


def test_texts_without_a_run_twice_are_an_error():
    with pytest.raises(ValueError, match="stand twice in the texts. Received: 2 texts"):
        NgramEmbedding(4).adapt([[1], [2]])


@pytest.mark.parametrize("count", [0, -3, 2.5, "many"])
def test_a_number_that_is_none(count):
    with pytest.raises(ValueError, match=f"Received: num_ngrams={count!r}"):
        NgramEmbedding(count)


# === In an encoder-decoder ===

PAIRS = ["abc", "abd", "cab", "ab", "dab"] * 8, ["b a", "a b c", "d", "a", "c d"] * 8


def make(ngrams=50, **options):
    keras.utils.set_random_seed(0)
    letters = CharacterTokenizer(list("abcd"))
    sounds = WordTokenizer([*TARGET_TOKENS, *"abcd"])
    return AttentionSeq2Seq(
        AttentionSeq2SeqBackbone(
            letters.vocabulary_size(),
            sounds.vocabulary_size(),
            4,
            units=8,
            ngrams=ngrams,
            ngram_dim=4,
            **options,
        ),
        AttentionSeq2SeqPreprocessor(letters, sounds, 8, 8),
    )


@pytest.mark.parametrize("directions", ["concat", "forward"])
def test_a_model_finds_them_learns_and_is_saved(directions, tmp_path):
    model = make(directions=directions)
    layer = model.backbone.ngram_embedding
    before = np.array(layer.embedding.get_weights()[0])
    model.fit(PAIRS, epochs=2, verbose=0)
    assert layer.adapted
    assert layer.past == (directions == "forward")
    assert not np.allclose(before, layer.embedding.get_weights()[0])
    model.save_to_preset(tmp_path)
    again = AttentionSeq2Seq.from_preset(tmp_path)
    words = ["abc", "", "dabba"]
    assert again.search(words, beam_width=3) == model.search(words, beam_width=3)
    assert again.backbone.ngram_embedding.adapted
    keys = np.array(again.backbone.ngram_embedding.keys)
    again.fit(PAIRS, verbose=0)  # it goes on with those that it has
    np.testing.assert_array_equal(keys, again.backbone.ngram_embedding.keys)


def test_they_have_a_say():
    model, plain = make(dropout=0.0), make(ngrams=0)
    model.adapt(PAIRS)
    inputs = model.preprocessor.generate_preprocess(["abc"])
    memory = ops.convert_to_numpy(model.encode(inputs)[0].values)
    table = model.backbone.ngram_embedding.embedding
    table.set_weights([10 * x for x in table.get_weights()])
    louder = ops.convert_to_numpy(model.encode(inputs)[0].values)
    assert not np.allclose(memory, louder)
    assert plain.backbone.ngram_embedding is None


def test_they_are_to_be_found_before_a_dataset_is_learned():
    model = make()
    packed = model.preprocessor({"encoder_text": PAIRS[0], "decoder_text": PAIRS[1]})
    with pytest.raises(ValueError, match=r"Call `adapt\(\(sources, targets\)\)`"):
        model.fit(packed[0], packed[1], verbose=0)
    model.adapt(PAIRS)
    model.fit(packed[0], packed[1], verbose=0)
    with pytest.raises(ValueError, match="Received: ngrams=0"):
        make(ngrams=0).adapt(PAIRS)


def test_in_eight_bits_it_writes_and_is_saved(tmp_path):
    model = make()
    model.fit(PAIRS, epochs=2, verbose=0)
    model.quantize("int8")
    said = model.search(["abc", "dab"], beam_width=2)
    model.save_to_preset(tmp_path)
    again = AttentionSeq2Seq.from_preset(tmp_path)
    assert again.search(["abc", "dab"], beam_width=2) == said
