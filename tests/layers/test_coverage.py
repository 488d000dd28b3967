"""Attention cells whose keys tell how much they were read, against the formula."""

import keras
import numpy as np
import pytest
from keras import ops

from kattn.layers import BahdanauCell, LuongCell
from kattn.normalizers import Monotonic

MASK = np.array([[1, 1, 1, 1, 0], [0] * 5], bool)


def energy(kind, weights, q, h, c):
    """Tu et al. 2016, equation 6, of a coverage of one number; Luong's likewise."""
    if kind == "bahdanau":
        v, w, u, b, covered = weights
        return v @ np.tanh(q @ w + h @ u + b + c * covered)
    w, covered = weights
    # Where a key is wider than a query it is the key that W projects.
    return q @ (h @ w.T + c * covered)


def formula(kind, oracles, inputs, memory, start, cell, weights):
    """Outputs `(B, T, W)` of a plain recurrent cell, one position at a time."""
    w, u, b = cell
    w_c = weights[-1] if kind == "luong" else None
    weights = weights[: len(weights) - (kind == "luong")]
    outputs = np.zeros((*inputs.shape[:2], 0)).tolist()
    for n, text in enumerate(memory):
        state, had = start[n], np.zeros(len(text))
        fed = np.zeros(w_c.shape[1] if kind == "luong" else 0)

        def read(query, had=had, text=text, n=n):
            pairs = zip(text, had, strict=True)
            row = np.array([energy(kind, weights, query, h, c) for h, c in pairs])
            shares = oracles.softmax(row, MASK[n])
            had += shares
            return shares @ np.where(MASK[n][:, None], text, 0)

        for t, x in enumerate(inputs[n]):
            if kind == "bahdanau":
                context = read(state)
                state = np.tanh(np.concatenate([x, context]) @ w + state @ u + b)
                outputs[n][t] = np.concatenate([state, context])
            else:
                state = np.tanh(np.concatenate([x, fed]) @ w + state @ u + b)
                fed = np.tanh(np.concatenate([read(state), state]) @ w_c)
                outputs[n][t] = fed
    return np.array(outputs)


def made(kind, dtype=None, **kwargs):
    inner = keras.layers.SimpleRNNCell(3, dtype=dtype)
    kwargs = {"coverage": True, "dtype": dtype, **kwargs}
    cell = {"bahdanau": BahdanauCell, "luong": LuongCell}[kind](inner, **kwargs)
    cell.build((2, 4), (2, 5, 6))
    for seed, weight in enumerate(cell.weights):
        weight.assign(keras.random.normal(weight.shape, stddev=0.7, seed=seed))
    return cell


def drawn(*shapes):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in shapes]


def walk(cell, inputs, memory, start):
    states, steps = cell.initial_state(memory, [start]), []
    for t in range(inputs.shape[1]):
        output, states = cell(inputs[:, t], states, memory, memory_mask=MASK)
        steps.append(output)
    return ops.stack(steps, axis=1), states


@pytest.mark.parametrize("kind", ["bahdanau", "luong"])
def test_equals_the_formula_and_so_do_the_slopes(
    kind, check_gradients, precise, oracles
):
    inputs, memory, start = drawn((2, 3, 4), (2, 5, 6), (2, 3))
    cell = made(kind, precise[0])
    score = [*cell.score.weights, cell.coverage_vector]
    ordered = [*cell.cell.weights, *score]
    if kind == "luong":
        ordered.append(cell.output_dense.kernel)

    def outputs(inputs, memory, start):
        return walk(cell, inputs, memory, start)[0]

    def expected(inputs, memory, start, *weights):
        return formula(kind, oracles, inputs, memory, start, weights[:3], weights[3:])

    check_gradients(outputs, expected, [inputs, memory, start], ordered)


@pytest.mark.parametrize("kind", ["bahdanau", "luong"])
def test_it_starts_as_without(kind):
    inputs, memory, start = (
        x.astype("float32") for x in drawn((2, 3, 4), (2, 5, 6), (2, 3))
    )
    covered, plain = made(kind), made(kind, coverage=False)
    covered.coverage_vector.assign(np.zeros(covered.coverage_vector.shape))
    others = [w for w in covered.weights if w is not covered.coverage_vector]
    for weight, like in zip(plain.weights, others, strict=True):
        weight.assign(like)
    expected, _ = walk(plain, inputs, memory, start)
    got, states = walk(covered, inputs, memory, start)
    np.testing.assert_allclose(*map(ops.convert_to_numpy, (got, expected)), atol=1e-6)
    # What it has had: three steps' weights, none at padding.
    had = ops.convert_to_numpy(states[-2])
    np.testing.assert_allclose(had.sum(axis=1), [3, 0], atol=1e-5)
    assert not had[~MASK].any()


@pytest.mark.parametrize("normalizer", ["softmax", Monotonic(offset=0.0)])
@pytest.mark.parametrize("kind", ["bahdanau", "luong"])
def test_readers_of_one_memory_have_a_coverage_each(kind, normalizer):
    inputs, memory, start = (
        x.astype("float32") for x in drawn((4, 3, 4), (2, 5, 6), (4, 3))
    )
    cell = made(kind, normalizer=normalizer)
    twice = np.repeat(memory, 2, axis=0)
    prepared = cell.prepare(memory, MASK)
    alone = cell.prepare(twice, np.repeat(MASK, 2, axis=0))
    states = others = cell.initial_state(alone, [start])
    for t in range(3):
        got, states = cell(inputs[:, t], states, prepared, readers=2)
        expected, others = cell(inputs[:, t], others, alone)
        np.testing.assert_allclose(
            *map(ops.convert_to_numpy, (got, expected)), atol=1e-5
        )
