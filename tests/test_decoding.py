"""Beam search against every text that there is."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from kattn.decoding import beam_search

PAD, START, END, WORDS = 0, 1, 2, (3, 4)
LENGTH = 3
LIVE = np.array([[True, True, True], [True, True, False]])


def tables(seed=0):
    """Logits after each pair of tokens, and what is read then, of two examples."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(2, 5, 5, 5)).astype("float32")
    weights = draw.dirichlet(np.ones(3), (2, 5, 5)).astype("float32")
    return logits, weights * LIVE[:, None, None]


def run(logits, weights, width, **options):
    """A search whose state is which example it is, and the token before the last."""

    def step(tokens, states, _):
        which, before = (state[:, 0] for state in states)
        at = (which * 5 + before) * 5 + tokens
        return (
            ops.take(logits.reshape(-1, 5), at, axis=0),
            [states[0], ops.expand_dims(tokens, 1)],
            ops.take(weights.reshape(-1, 3), at, axis=0),
        )

    which = ops.convert_to_tensor(np.repeat(np.arange(2), width)[:, None], "int32")
    options = {"length": LENGTH, "never": (PAD, START), **options}
    options.setdefault("limits", [LENGTH, LENGTH - 1])
    return beam_search(
        step,
        [which, ops.zeros_like(which)],
        LIVE,
        start=START,
        end=END,
        width=width,
        **options,
    )


def every(logits, weights, example, limit, length_penalty=0.0, coverage_penalty=0.0):
    """All texts of at most so many words, with the scores of Wu et al. 2016."""
    found = []
    for count in range(limit + 1):
        for text in itertools.product(WORDS, repeat=count):
            path = (PAD, START, *text, END)
            log_p, covered = 0.0, np.zeros(3)
            for before, last, word in zip(path, path[1:], path[2:], strict=False):
                row = logits[example, before, last].astype("float64")
                log_p += row[word] - np.log(np.exp(row).sum())
                covered = covered + weights[example, before, last]
            score = log_p / ((5 + len(text) + 1) / 6) ** length_penalty
            coverage = np.log(np.minimum(covered[LIVE[example]], 1)).sum()
            found.append((score + coverage_penalty * coverage, text))
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    "options",
    [{}, {"length_penalty": 0.8}, {"length_penalty": 1.0, "coverage_penalty": 0.5}],
    ids=str,
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_wide_beam_finds_what_a_search_of_all_texts_finds(seed, options):
    logits, weights = tables(seed)
    found = run(logits, weights, width=16, **options)
    for example, limit in enumerate((LENGTH, LENGTH - 1)):
        expected = every(logits, weights, example, limit, **options)
        scores = np.array(found.scores[example])
        many = np.isfinite(scores).sum()
        assert many == len(expected)
        np.testing.assert_allclose(scores[:many], [s for s, _ in expected], atol=1e-5)
        for row, (_, text) in zip(
            np.array(found.tokens[example]), expected, strict=False
        ):
            assert tuple(row[row != PAD]) == text


def test_a_beam_of_one_takes_the_likeliest_token_each_time():
    logits, weights = tables()
    found = run(logits, weights, width=1)
    for example, limit in enumerate((LENGTH, LENGTH - 1)):
        before, last, text = PAD, START, []
        while len(text) < limit:
            row = np.where(np.isin(range(5), (PAD, START)), -np.inf, 0)
            word = int((logits[example, before, last] + row).argmax())
            if word == END:
                break
            text.append(word)
            before, last = last, word
        row = np.array(found.tokens[example, 0])
        assert row[row != PAD].tolist() == text


def test_a_wider_beam_finds_nothing_worse():
    for seed in range(5):
        logits, weights = tables(seed)
        best = [np.array(run(logits, weights, width).scores)[:, 0] for width in (1, 16)]
        assert (best[1] >= best[0] - 1e-6).all()


@pytest.mark.parametrize("width", [1, 3, 16])
def test_alignments_are_what_was_read_at_each_token(width):
    logits, weights = tables()
    logits[..., END] -= 3  # long texts
    alone = run(logits, weights, width)
    found = run(logits, weights, width, return_alignments=True)
    assert alone.alignments is None
    for former, now in zip(alone[:3], found[:3], strict=True):
        np.testing.assert_array_equal(former, now)
    got = np.array(found.alignments)
    assert got.shape == (2, width, LENGTH, 3) and got.dtype == "float32"
    several = 0
    for example, hypothesis in np.ndindex(2, width):
        text = [x for x in np.array(found.tokens[example, hypothesis]) if x != PAD]
        path = (PAD, START, *text)
        expected = np.zeros((LENGTH, 3))
        for place, (before, last) in enumerate(itertools.pairwise(path[:-1])):
            expected[place] = weights[example, before, last]
        np.testing.assert_array_equal(got[example, hypothesis], expected)
        several += len(text) > 1
    assert several >= width


def test_the_length_may_be_a_tensor():
    logits, weights = tables()

    @tf.function(input_signature=[tf.TensorSpec([], tf.int32)], autograph=False)
    def search(length):
        found = run(
            logits,
            weights,
            width=3,
            length=length,
            limits=ops.stack([length, length - 1]),
            return_alignments=True,
        )
        return tuple(found)

    expected = run(logits, weights, width=3, return_alignments=True)
    for got, figure in zip(search(LENGTH), expected, strict=True):
        np.testing.assert_allclose(got, figure, atol=1e-6)
    assert search(7)[0].shape == (2, 3, 7)


def test_where_nothing_may_be_written_only_the_end_is():
    logits, weights = tables()
    found = run(logits, weights, width=2, limits=[0, 0])
    assert not np.array(found.tokens).any()
    scores = np.array(found.scores)
    assert np.isfinite(scores[:, 0]).all() and (scores[:, 1] == -np.inf).all()


def test_it_stops_when_nothing_better_can_come():
    logits, weights = tables()
    logits[..., END] += 50  # the end at once
    counted = []
    steps = 200

    def step(tokens, states, _):
        counted.append(1)
        rows = ops.take(logits[0, 0], tokens, axis=0)
        return rows, states, ops.take(weights[0, 0], tokens, axis=0)

    beam_search(
        step,
        [],
        LIVE[:1],
        start=START,
        end=END,
        limits=[steps],
        length=steps,
        width=1,
    )
    assert len(counted) < 10


@pytest.mark.parametrize("on_cpu", [True, False])
def test_the_best_alone_is_the_best_of_all(on_cpu, monkeypatch):
    monkeypatch.setattr("kattn.dropping.on_cpu", lambda: on_cpu)
    for seed in range(5):
        logits, weights = tables(seed)
        every_one = run(logits, weights, width=4)
        best = run(logits, weights, width=4, wanted=1)
        np.testing.assert_array_equal(best.tokens[:, 0], every_one.tokens[:, 0])
        np.testing.assert_array_equal(best.scores[:, 0], every_one.scores[:, 0])


def test_rows_that_are_dropped_change_nothing(monkeypatch):
    found = []
    for on_cpu in (True, False):
        monkeypatch.setattr("kattn.dropping.on_cpu", lambda on_cpu=on_cpu: on_cpu)
        logits, weights = tables()
        logits[0, ..., END] += 9  # one of two texts ends at once
        found.append(run(logits, weights, width=1, return_alignments=True))
    for dropped, kept in zip(*found, strict=True):
        np.testing.assert_array_equal(dropped, kept)
