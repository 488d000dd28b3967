"""Scheduled sampling: which tokens are drawn, and what the decoder is fed for them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kattn.models import (
    TARGET_TOKENS,
    AttentionSeq2Seq,
    AttentionSeq2SeqBackbone,
    AttentionSeq2SeqPreprocessor,
)
from kattn.models.scheduled_sampling import OWN, scheduled
from kattn.text import CharacterTokenizer, WordTokenizer

LETTERS = list("abcd")
PAIRS = ["ab", "d", "cba", "bad"] * 4, ["b a", "d", "a b c", "d a b"] * 4


def make(**options):
    tokenizer = CharacterTokenizer(LETTERS)
    target_tokenizer = WordTokenizer([*TARGET_TOKENS, *LETTERS])
    model = AttentionSeq2Seq(
        AttentionSeq2SeqBackbone(
            tokenizer.vocabulary_size(),
            target_tokenizer.vocabulary_size(),
            **{"embedding_dim": 8, "units": 16, **options},
        ),
        AttentionSeq2SeqPreprocessor(tokenizer, target_tokenizer, 12, 12),
    )
    draw = np.random.default_rng(0)
    model.set_weights([draw.normal(0, 0.5, w.shape) for w in model.get_weights()])
    return model


def inputs_of(model):
    x, y, live = model.preprocessor(
        {"encoder_text": PAIRS[0], "decoder_text": PAIRS[1]}
    )
    return {name: np.array(value) for name, value in x.items()}, y, live


@pytest.mark.parametrize("k, step", [(1, 0), (50, 0), (50, 150), (50, 400)])
def test_tokens_are_drawn_as_often_as_the_formula_says(k, step):
    ids = np.full((400, 6), 3, "int32")
    mask = np.arange(6) < np.full((400, 1), 5)
    x = {"decoder_token_ids": ids, "decoder_padding_mask": mask}
    batches = tf.data.Dataset.from_tensors((x, ids, mask)).repeat(2)
    once, again = (list(scheduled(batches, k, 7, step)) for _ in range(2))
    drawn, *rest = once[0]
    own = drawn["decoder_token_ids"].numpy() == OWN
    assert not own[:, 0].any() and not own[:, 5:].any()  # the start, and padding
    expected = 1 - k / (k + np.exp(step / k))
    assert own[:, 1:5].mean() == pytest.approx(expected, abs=0.04)
    assert (drawn["decoder_token_ids"].numpy()[~own] == 3).all()
    for now, before in zip(rest, (ids, mask), strict=True):
        np.testing.assert_array_equal(now, before)
    # The same for a run that is resumed, and another for each step.
    for n in range(2):
        np.testing.assert_array_equal(
            once[n][0]["decoder_token_ids"], again[n][0]["decoder_token_ids"]
        )
    (resumed, *_), *_ = scheduled(batches, k, 7, step + 1)
    np.testing.assert_array_equal(
        resumed["decoder_token_ids"], once[1][0]["decoder_token_ids"]
    )


@pytest.mark.parametrize(
    "options", [{}, {"attention": "bahdanau", "cell": "gru"}], ids=str
)
def test_what_is_fed_is_the_likeliest_after_what_was_fed(options):
    model = make(**options)
    x, _, live = inputs_of(model)
    live = np.array(live)
    gold = x["decoder_token_ids"]
    own = live & (np.random.default_rng(1).random(gold.shape) < 0.5)
    own[:, 0] = False
    asked = np.where(own, OWN, gold)
    fed = np.array(model.fed({**x, "decoder_token_ids": asked}))
    np.testing.assert_array_equal(fed[~own & live], gold[~own & live])
    # A reading of all that was fed says, at the token before, what was said then.
    said = np.array(model({**x, "decoder_token_ids": fed}, training=False))
    likeliest = said.argmax(-1)[:, :-1]
    np.testing.assert_array_equal(fed[:, 1:][own[:, 1:]], likeliest[own[:, 1:]])
    assert (fed != gold)[own].any()


def test_it_is_for_training_alone():
    model = make()
    x, y, live = inputs_of(model)
    asked = np.where(np.array(live), OWN, 0)
    asked[:, 0] = x["decoder_token_ids"][:, 0]
    own = {**x, "decoder_token_ids": asked}
    model.compile(scheduled_sampling=10)
    fed = np.array(model.fed(own))
    np.testing.assert_allclose(
        model(own, training=True),
        model({**x, "decoder_token_ids": fed}, training=False),
        atol=1e-6,
    )
    # Where nothing is its own, nothing is changed.
    expected = np.array(model(x, training=False))
    np.testing.assert_allclose(model(x, training=True), expected, atol=1e-6)


def test_a_model_learns_with_it_is_saved_and_goes_on(tmp_path):
    keras.utils.set_random_seed(0)
    model = make()
    model.compile(keras.optimizers.Adam(0.02), scheduled_sampling=20)
    history = model.fit(PAIRS, epochs=60, batch_size=16, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert model.generate(PAIRS[0][:4]) == PAIRS[1][:4]
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    assert again.scheduled_sampling == 20
    again.fit(PAIRS, initial_epoch=60, epochs=61, verbose=0)


JAX = """
    import numpy as np
    import kattn
    import keras
    from kattn import models, text
    assert keras.backend.backend() == "jax"
    letters = text.CharacterTokenizer(list("abc"))
    sounds = text.WordTokenizer([*models.TARGET_TOKENS, "x", "y"])
    model = models.AttentionSeq2Seq(
        models.AttentionSeq2SeqBackbone(
            letters.vocabulary_size(), sounds.vocabulary_size(), 4, units=8
        ),
        models.AttentionSeq2SeqPreprocessor(letters, sounds),
    )
    model.compile(keras.optimizers.Adam(0.05), scheduled_sampling=1)
    pairs = ["ab", "c"] * 8, ["x y", "y"] * 8
    losses = model.fit(pairs, epochs=30, verbose=0).history["loss"]
    assert losses[-1] < 0.5 * losses[0], losses
"""


def test_jax_learns_with_it(on_jax):
    on_jax(JAX)


def test_what_is_no_number_of_steps():
    for k in (0.5, -1, float("nan")):
        with pytest.raises(ValueError, match="scheduled_sampling. is at least 1"):
            make().compile(scheduled_sampling=k)
