"""The encoder-decoder: its papers' equations, what it learns, and how it writes."""

import json

import keras
import keras_hub
import numpy as np
import pytest

from kattn.models import (
    TARGET_TOKENS,
    AttentionSeq2Seq,
    AttentionSeq2SeqBackbone,
    AttentionSeq2SeqPreprocessor,
    TokenCrossentropy,
)
from kattn.text import CharacterTokenizer, WordTokenizer

LETTERS = list("abcd")


def make(length=12, tie_embeddings=False, **options):
    keras.utils.set_random_seed(0)
    tokenizer = CharacterTokenizer(LETTERS)
    target_tokenizer = WordTokenizer([*TARGET_TOKENS, *LETTERS])
    options = {"embedding_dim": 8, "units": 16, **options}
    return AttentionSeq2Seq(
        AttentionSeq2SeqBackbone(
            tokenizer.vocabulary_size(), target_tokenizer.vocabulary_size(), **options
        ),
        AttentionSeq2SeqPreprocessor(tokenizer, target_tokenizer, length, length),
        tie_embeddings=tie_embeddings,
    )


def drawn(**options):
    """A model whose weights are far from their start, biases too."""
    model = make(**options)
    draw = np.random.default_rng(0)
    model.set_weights([draw.normal(0, 0.5, w.shape) for w in model.get_weights()])
    return model


def words(count, seed=0, longest=6):
    """Words, and their letters backwards."""
    draw = np.random.default_rng(seed)
    sources = [
        "".join(draw.choice(LETTERS, draw.integers(1, longest))) for _ in range(count)
    ]
    return sources, [" ".join(word[::-1]) for word in sources]


# === The papers' equations ===


def decoder(oracles, kind, x, memory, start, weights, score):
    """Outputs `(T, W)` of Luong's LSTM, or Bahdanau's GRU, step by step."""
    every = np.ones(len(memory), bool)
    outputs, shares = [], []
    if kind != "bahdanau":  # with an LSTM: i, f, g, o
        kernel, recurrent, bias, w, w_c = *weights, *score
        h, c = start
        fed = np.zeros(w_c.shape[1])
        for x_t in x:
            gates = np.concatenate([x_t, fed]) @ kernel + h @ recurrent + bias
            i, f, g, o = np.split(gates, 4)
            c = oracles.sigmoid(f) * c + oracles.sigmoid(i) * np.tanh(g)
            h = oracles.sigmoid(o) * np.tanh(c)
            alpha = oracles.softmax(memory @ (w.T @ h), every)
            fed = np.tanh(np.concatenate([alpha @ memory, h]) @ w_c)
            outputs.append(fed)
            shares.append(alpha)
        return np.array(outputs), np.array(shares)
    kernel, recurrent, bias, v, w_q, w_k, b = *weights, *score
    (h,) = start
    for x_t in x:
        alpha = oracles.softmax(np.tanh(h @ w_q + memory @ w_k + b) @ v, every)
        context = alpha @ memory
        inputs = np.concatenate([x_t, context])
        z_x, r_x, h_x = np.split(inputs @ kernel + bias[0], 3)
        z_h, r_h, h_h = np.split(h @ recurrent + bias[1], 3)
        z, r = oracles.sigmoid(z_x + z_h), oracles.sigmoid(r_x + r_h)
        h = z * h + (1 - z) * np.tanh(h_x + r * h_h)
        outputs.append(np.concatenate([h, context]))
        shares.append(alpha)
    return np.array(outputs), np.array(shares)


@pytest.mark.parametrize(
    "kind, cell", [("luong", "lstm"), ("bahdanau", "gru"), ("none", "lstm")]
)
def test_is_the_papers_model_padded_or_alone(kind, cell, oracles):
    model = drawn(attention=kind, cell=cell)
    backbone = model.backbone
    sources, targets = ["abcda", "b"], ["d c", "a a b"]
    inputs, _, _ = model.preprocessor(
        {"encoder_text": sources, "decoder_text": targets}
    )
    outputs = backbone.attention_model()(inputs)

    def of(*parts):
        return [
            np.array(w, "float64")
            for w in backbone.weights
            if all(part in w.path for part in parts)
        ]

    for n, (source, target) in enumerate(zip(sources, targets, strict=True)):
        ids = [2 + LETTERS.index(letter) for letter in source]
        fed = [2] + [4 + LETTERS.index(letter) for letter in target.split()]
        (table,) = of("source_embedding")
        forward, backward, *last = oracles.both_ways(
            getattr(oracles, cell), table[ids], of("encoder_0")
        )
        memory = np.hstack([forward, backward])
        if kind == "none":
            memory = np.hstack(last)[None]
        kernel, bias = of("bridge")
        start = np.split(
            np.tanh(np.hstack(last) @ kernel + bias), 2 if cell == "lstm" else 1
        )
        (table,) = of("target_embedding")
        if kind != "bahdanau":
            score = of("bilinear") + of("output/kernel")
        else:
            score = (
                of("additive", "/vector")
                + of("additive", "/query/kernel")
                + of("additive", "/key/kernel")
                + of("additive", "/key/bias")
            )
        hidden, shares = decoder(
            oracles,
            kind,
            table[fed],
            memory,
            start,
            of(f"{cell}_cell", "decoder"),
            score,
        )
        got = np.array(outputs["hidden"][n])
        np.testing.assert_allclose(got[: len(fed)], hidden, atol=1e-5)
        assert (got[len(fed) :] == 0).all()
        got = np.array(outputs["alignment"][n])
        np.testing.assert_allclose(got[: len(fed), : len(ids)], shares, atol=1e-5)
        assert (got[:, len(ids) :] == 0).all()


# === Steps ===

VARIANTS = [
    {"attention": "luong", "region": "local_p", "num_layers": 2},
    {"attention": "luong", "region": "local_m", "input_feeding": False},
    {"attention": "bahdanau", "cell": "gru", "normalizer": "monotonic"},
    {"attention": "luong", "score": "additive", "tie_embeddings": True},
    {"attention": "bahdanau", "coverage": True},
    {"attention": "none"},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_step_by_step_it_says_what_it_says_of_the_whole(options):
    model = drawn(**options)
    sources, targets = words(5)
    x, _, live = model.preprocessor({"encoder_text": sources, "decoder_text": targets})
    whole = np.array(model(x, training=False))
    memory, states = model.encode(
        {name: x[name] for name in x if name.startswith("encoder")}
    )
    for t in range(x["decoder_token_ids"].shape[1]):
        logits, states, _ = model.step(x["decoder_token_ids"][:, t], states, memory)
        on = np.array(live[:, t])
        np.testing.assert_allclose(np.array(logits)[on], whole[on, t], atol=1e-5)


def test_a_search_finds_the_likeliest_of_all_texts():
    model = drawn()
    (found,) = model.search(["ab"], beam_width=200, max_length=3)
    texts = [""]
    for _ in range(3):
        texts += [f"{text} {x}".strip() for text in texts for x in LETTERS]
    texts = sorted(set(texts))
    x, y, live = model.preprocessor(
        {"encoder_text": ["ab"] * len(texts), "decoder_text": texts}
    )
    logits = np.array(model(x, training=False), "float64")
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    chosen = np.take_along_axis(log_p, np.array(y)[..., None], -1)[..., 0]
    scores = (chosen * np.array(live)).sum(-1)
    order = np.argsort(-scores)
    assert len(found) == len(texts)
    for hypothesis, row in zip(found[:40], order, strict=False):
        assert abs(hypothesis.score - scores[row]) < 1e-4
    assert found[0].text == texts[order[0]]


# === Padding ===


def test_what_stands_in_padding_changes_not_one_bit():
    model = drawn()
    sources, targets = words(6)
    x, _, live = model.preprocessor({"encoder_text": sources, "decoder_text": targets})
    x = {name: np.array(value) for name, value in x.items()}
    noise = np.random.default_rng(1)
    noisy = dict(x)
    for side in ("encoder", "decoder"):
        ids, mask = x[f"{side}_token_ids"], x[f"{side}_padding_mask"]
        noisy[f"{side}_token_ids"] = np.where(
            mask, ids, noise.integers(0, 6, ids.shape)
        ).astype("int32")
    live = np.array(live)
    got, expected = (np.array(model(z, training=False)) for z in (noisy, x))
    np.testing.assert_array_equal(got[live], expected[live])


def test_padding_changes_neither_loss_nor_accuracy():
    model = drawn()
    model.compile(loss=TokenCrossentropy(0.1))
    sources, targets = ["a", "abcdabcda"], ["a b", "a b c d a b c d a b"]
    both = model.evaluate((sources, targets), verbose=0)
    alone = [
        model.evaluate(([s], [t]), verbose=0)
        for s, t in zip(sources, targets, strict=True)
    ]
    for n in range(2):  # each token counts the same: 3 of the one, 11 of the other
        expected = (3 * alone[0][n] + 11 * alone[1][n]) / 14
        np.testing.assert_allclose(both[n], expected, atol=1e-5)


@pytest.mark.parametrize("share", [0.0, 0.1])
def test_the_loss_is_the_formula(share):
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(2, 3, 5)).astype("float32")
    ids, live = draw.integers(0, 5, (2, 3)), np.array([[1, 1, 0], [1, 0, 0]])
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    asked = (1 - share) * np.eye(5)[ids] + share / 5
    expected = -(asked * log_p).sum(-1)[live > 0].mean()
    got = TokenCrossentropy(share)(ids, logits, sample_weight=live)
    np.testing.assert_allclose(float(got), expected, rtol=1e-5)


# === Learning and keeping ===


@pytest.fixture(scope="module")
def trained():
    """A model that writes the letters of words backwards, and what it learned from."""
    model = make(units=24)
    pairs = words(60, longest=5)
    model.compile(keras.optimizers.Adam(0.02))
    for _ in range(6):
        model.fit(pairs, epochs=15, batch_size=30, verbose=0)
        if model.generate(pairs[0]) == pairs[1]:
            break
    return model, pairs


def test_it_learns_to_write_backwards(trained):
    model, (sources, targets) = trained
    assert model.generate(sources) == targets
    assert model.generate(sources, beam_width=3) == targets
    assert model.generate(sources[0]) == targets[0]
    assert model.generate(sources, sample=True) == targets  # greedily, by default
    loss, accuracy = model.evaluate((sources, targets), verbose=0)
    assert accuracy == 1 and np.isfinite(loss)


def test_saved_and_loaded_it_writes_the_same(trained, tmp_path):
    model, (sources, targets) = trained
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.generate(sources) == targets
    assert "shared_object_id" not in json.dumps(again.backbone.get_config())
    model.save_to_preset(tmp_path / "preset")
    assert (tmp_path / "preset/model.weights.h5").stat().st_size < 200_000
    for cls in (AttentionSeq2Seq, keras_hub.models.Seq2SeqLM):
        again = cls.from_preset(str(tmp_path / "preset"))
        assert type(again) is AttentionSeq2Seq
        assert again.generate(sources) == targets
    half = AttentionSeq2Seq.from_preset(tmp_path / "preset", dtype="mixed_bfloat16")
    assert half.backbone.compute_dtype == "bfloat16"
    same = [a == b for a, b in zip(half.generate(sources), targets, strict=True)]
    assert np.mean(same) > 0.9


@pytest.mark.parametrize("options", VARIANTS[2:], ids=str)
def test_variants_learn_in_half_precision_and_is_saved(options, tmp_path):
    model = make(dtype="mixed_bfloat16", dropout=0.1, **options)
    pairs = words(8)
    history = model.fit(pairs, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    model.save_to_preset(tmp_path)
    again = AttentionSeq2Seq.from_preset(tmp_path, dtype="mixed_bfloat16")
    x, _, _ = model.preprocessor({"encoder_text": pairs[0], "decoder_text": pairs[1]})
    np.testing.assert_array_equal(np.array(again(x)), np.array(model(x)))


def test_one_way_and_monotonic_it_writes_before_the_source_has_ended():
    model = drawn(directions="forward", normalizer="monotonic")
    cell = model.backbone.decoder.cell
    cell.normalizer.r.assign(-0.3)
    (kernel,) = cell.score.variables
    kernel.assign(5 * kernel)  # so that it reads on
    whole, begun = ["abcdabcdab"], ["abcda"]
    tokens = ["a b c d a b"]
    alignment = model.backbone.attention_model()

    def read(sources):
        x, _, _ = model.preprocessor({"encoder_text": sources, "decoder_text": tokens})
        return np.array(model(x)), np.array(alignment(x)["alignment"])

    (all_of, where), (some, _) = read(whole), read(begun)
    places = where[0, :6].argmax(axis=-1)
    stopped = where[0, :6].sum(axis=-1) > 0.5
    within = np.logical_and(stopped, places < 5)
    assert 0 < within.sum() < 6, places
    np.testing.assert_allclose(all_of[0, :6][within], some[0, :6][within], atol=1e-6)
    assert np.abs(all_of - some)[0, :6][~within].max() > 1e-3


JAX = """
    import json
    import sys
    import numpy as np
    import kattn
    import keras
    assert keras.backend.backend() == "jax"
    model = kattn.models.AttentionSeq2Seq.from_preset(f"{sys.argv[1]}/preset")
    expected = json.load(open(f"{sys.argv[1]}/expected.json"))
    found = model.search(expected["sources"], beam_width=3)
    assert [[h.text for h in some] for some in found] == expected["texts"]
    scores = [h.score for some in found for h in some]
    np.testing.assert_allclose(scores, expected["scores"], atol=1e-4)
    model.compile(sampler="random")
    drawn = [model.generate(["abcd"] * 4, sample=True) for _ in range(2)]
    assert drawn[0] != drawn[1], drawn
    history = model.fit((["ab", "c"], ["a b", "c"]), verbose=0)
    assert np.isfinite(history.history["loss"]).all()
"""


@pytest.mark.parametrize("tied", [False, True])
def test_with_tokens_in_eight_bits_it_is_saved_again_and_again(tied, tmp_path):
    model = drawn(tie_embeddings=tied)
    sources = words(8)[0]
    before = model.search(sources)
    model.quantize("int8")
    expected = model.search(sources)
    assert expected != before  # as what was compiled before would give
    for folder in (tmp_path / "once", tmp_path / "twice"):
        model.save_to_preset(folder)
        model = AttentionSeq2Seq.from_preset(folder)
        for name in ("source_embedding", "target_embedding"):
            assert getattr(model.backbone, name).quantization_mode == "int8"
        for some, others in zip(model.search(sources), expected, strict=True):
            assert [x.text for x in some] == [x.text for x in others]
            np.testing.assert_allclose(
                [x.score for x in some], [x.score for x in others], rtol=1e-5
            )


def test_jax_writes_what_tensorflow_writes(tmp_path, on_jax):
    model = drawn()
    sources, _ = words(6)
    found = model.search(sources, beam_width=3)
    expected = {
        "sources": sources,
        "texts": [[h.text for h in some] for some in found],
        "scores": [h.score for some in found for h in some],
    }
    (tmp_path / "expected.json").write_text(json.dumps(expected))
    model.save_to_preset(tmp_path / "preset")
    on_jax(JAX, str(tmp_path))


# === What users give ===


def test_any_source_has_an_answer_or_a_clear_error():
    model = drawn()
    assert model.generate(["", "  "]) == ["", ""]
    texts = model.generate(["xyz", "😀", "A b", b"a"], beam_width=2)
    assert all(isinstance(text, str) for text in texts)
    assert all(len(text.split()) <= 2 * 12 + 10 for text in texts)
    assert all(len(text.split()) <= 2 for text in model.generate(["abcd"], 2))
    with pytest.raises(
        ValueError, match="at most 12 tokens.*source number 1 of 10,000"
    ):
        model.generate(["a", "a" * 10_000])
    with pytest.raises(ValueError, match="at most 12 tokens.*target number 0 of 13"):
        model.fit((["a"], ["a " * 13]))
    with pytest.raises(ValueError, match="one target for each source"):
        model.fit((["a", "b"], ["a"]))
    for width in (0, -1, 1.5):
        with pytest.raises(ValueError, match="beam_width is a positive integer"):
            model.generate(["a"], beam_width=width)
    (many,) = model.search(["ab"], beam_width=20, max_length=4)  # more than tokens
    assert len({h.text for h in many}) == 20
    assert [h.score for h in many] == sorted((h.score for h in many), reverse=True)


def test_names_that_are_none():
    for name, wrong, right in (
        ("attention", "loung", "luong"),
        ("cell", "gruu", "gru"),
        ("region", "locap_p", "local_p"),
    ):
        with pytest.raises(ValueError, match=f"Did you mean '{right}'"):
            AttentionSeq2SeqBackbone(5, 5, **{name: wrong})


def test_samplers_draw(trained):
    model, (sources, _) = trained
    flat = drawn()
    flat.compile(sampler=keras_hub.samplers.RandomSampler(temperature=5.0, seed=0))
    texts = flat.generate(["abcd"] * 8, sample=True)
    assert len(set(texts)) > 4
    assert not any("[" in text for text in texts)
    assert flat.generate(["", "a"], sample=True)[0] == ""
