"""The formulas as the papers write them, in NumPy and float64, one pair at a time."""

import numpy as np


def energy(name, q, k, weights=()):
    """One query vector against one key vector."""
    if name == "dot":
        return q @ k
    if name == "scaled_dot":
        return q @ k / np.sqrt(len(q))
    if name == "additive":
        w, u, b, v = weights  # Bahdanau et al. 2015, A.1.2: v . tanh(W q + U k + b)
        return v @ np.tanh(w.T @ q + u.T @ k + b)
    raise KeyError(name)


def energies(name, query, key, weights=()):
    """All pairs, `(B, Tq, Tk)`."""
    query, key = np.asarray(query, "float64"), np.asarray(key, "float64")
    return np.array(
        [
            [[energy(name, q, k, weights) for k in keys] for q in queries]
            for queries, keys in zip(query, key, strict=True)
        ]
    )


def softmax(row, visible):
    """Over the visible entries of one row; zeros where there is none."""
    weights = np.zeros(len(row))
    live = np.flatnonzero(visible)
    if len(live):
        powers = np.exp(row[live] - row[live].max())
        weights[live] = powers / powers.sum()
    return weights


def attend(name, query, key, value, weights=(), visible=None):
    """Energies, weights, context; `visible` is `(B, Tq, Tk)`."""
    table = energies(name, query, key, weights)
    if visible is None:
        visible = np.ones(table.shape, bool)
    shares = np.array(
        [
            [softmax(row, seen) for row, seen in zip(rows, sees, strict=True)]
            for rows, sees in zip(table, visible, strict=True)
        ]
    )
    context = np.zeros((*shares.shape[:2], np.shape(value)[-1]))
    for b, i, j in np.ndindex(shares.shape):
        if visible[b, i, j]:
            context[b, i] += shares[b, i, j] * np.asarray(value)[b, j]
    return context, shares


def pooling(inputs, w, b, u_w, mask=None):
    """Yang et al. 2016, 2.2: u = tanh(W h + b); softmax(u . u_w); sum of a h."""
    pooled, shares = [], []
    for n, text in enumerate(np.asarray(inputs, "float64")):
        live = np.ones(len(text), bool) if mask is None else np.asarray(mask)[n]
        row = np.array([np.tanh(h @ w + b) @ u_w for h in text])
        weights = softmax(row, live)
        total = np.zeros(text.shape[-1])
        for weight, h, seen in zip(weights, text, live, strict=True):
            if seen:
                total = total + weight * h
        pooled.append(total)
        shares.append(weights)
    return np.array(pooled), np.array(shares)


def slope(function, x, direction, step=1e-5):
    """The central difference of a scalar function along a direction."""
    return (function(x + step * direction) - function(x - step * direction)) / (
        2 * step
    )
