"""The formulas as the papers write them, in NumPy and float64, one pair at a time."""

import numpy as np


def energy(name, q, k, weights=()):
    """One query vector against one key vector."""
    if name == "dot":
        return q @ k
    if name == "scaled_dot":
        return q @ k / np.sqrt(len(q))
    if name == "cosine":  # over the temperature, whose logarithm is learned
        product = q @ k / np.sqrt(q @ q) / np.sqrt(k @ k)
        return product / np.exp(weights[0]) if len(weights) else product
    if name == "bilinear":
        (w,) = weights  # Luong et al. 2015, general: q W k
        return q @ w @ k
    if name == "concat":
        (w,) = weights
        return w @ np.concatenate([q, k])
    if name == "additive":
        w, u, b, v = weights[:4]  # Bahdanau et al. 2015, A.1.2: v . tanh(W q + U k + b)
        if len(weights) == 5:  # Raffel et al. 2017: v of length g
            v = weights[4] * v / np.sqrt(v @ v)
        return v @ np.tanh(w.T @ q + u.T @ k + b)
    if name == "proximity":  # Yin et al. 2016: 1 / (1 + Euclidean distance)
        return 1 / (1 + np.sqrt(((q - k) ** 2).sum()))
    raise KeyError(name)


def energies(name, query, key, weights=()):
    """All pairs, `(B, Tq, Tk)`."""
    query, key = np.asarray(query, "float64"), np.asarray(key, "float64")
    if name == "location":  # Luong et al. 2015: W q, place by place
        (w,) = weights
        return np.array([[w.T @ q for q in queries] for queries in query])
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


def sparsemax(row, visible):
    """Martins and Astudillo 2016, algorithm 1: by sorting."""
    weights = np.zeros(len(row))
    live = np.flatnonzero(visible)
    if len(live):
        z = np.sort(row[live])[::-1]
        sums = np.cumsum(z)
        k = max(n for n in range(1, len(z) + 1) if 1 + n * z[n - 1] > sums[n - 1])
        weights[live] = np.maximum(row[live] - (sums[k - 1] - 1) / k, 0)
    return weights


def entmax15(row, visible):
    """Peters et al. 2019: the threshold by halving the interval it lies in."""
    weights = np.zeros(len(row))
    live = np.flatnonzero(visible)
    if len(live):
        z = row[live] / 2
        low, high = z.max() - 1, z.max()
        for _ in range(200):
            middle = (low + high) / 2
            if (np.maximum(z - middle, 0) ** 2).sum() > 1:
                low = middle
            else:
                high = middle
        weights[live] = np.maximum(z - low, 0) ** 2
    return weights


def hard(row, visible):
    """1 at the largest visible energy."""
    weights = np.zeros(len(row))
    live = np.flatnonzero(visible)
    if len(live):
        weights[live[np.argmax(row[live])]] = 1
    return weights


NORMALIZERS = {
    "softmax": softmax,
    "sparsemax": sparsemax,
    "entmax15": entmax15,
    "hard": hard,
}


def monotonic(rows, sees, offset, noise=None):
    """Raffel et al. 2017: expected weights with noise, the hard walk without."""
    weights = np.zeros(rows.shape)
    before, at = np.eye(len(rows[0]))[0], 0
    for i, (row, visible) in enumerate(zip(rows, sees, strict=True)):
        if noise is None:
            # Read on from the last key; the first with e + r > 0 is taken.
            found = [
                j for j in range(at, len(row)) if visible[j] and row[j] + offset > 0
            ]
            at = found[0] if found else len(row)
            if found:
                weights[i, at] = 1
            continue
        p = np.where(visible, 1 / (1 + np.exp(-(row + offset + noise[i]))), 0)
        for j in range(len(row)):
            # From any earlier key k the walk passes k .. j-1 and stops at j.
            weights[i, j] = p[j] * sum(
                before[k] * np.prod(1 - p[k:j]) for k in range(j + 1)
            )
        before = weights[i]
    return weights


def region(name, i, j, centre=None, half_width=10, left=10, right=10):
    """Whether query i sees key j, and how its weight is multiplied."""
    if name == "global":
        return True, 1.0
    if name == "causal":
        return j <= i, 1.0
    if name == "local":
        return i - left <= j <= i + right, 1.0
    if name == "local_m":
        return abs(j - i) <= half_width, 1.0
    if name == "local_p":  # Luong et al. 2015, equation 10, sigma = D / 2
        sigma = half_width / 2
        factor = np.exp(-((j - centre) ** 2) / (2 * sigma**2))
        return abs(j - centre) <= half_width, factor
    raise KeyError(name)


def centre(query, w, v, length):
    """Luong et al. 2015, equation 9: S sigmoid(v . tanh(W q))."""
    return length / (1 + np.exp(-(v @ np.tanh(w.T @ query))))


def attend(name, query, key, value, weights=(), visible=None, normalizer="softmax"):
    """Energies, weights, context; `visible` is `(B, Tq, Tk)`."""
    table = energies(name, query, key, weights)
    if visible is None:
        visible = np.ones(table.shape, bool)
    normalize = NORMALIZERS[normalizer]
    shares = np.array(
        [
            [normalize(row, seen) for row, seen in zip(rows, sees, strict=True)]
            for rows, sees in zip(table, visible, strict=True)
        ]
    )
    return context(shares, value), shares


def context(shares, value):
    """The weighted sum of the values; what has weight 0 takes no part."""
    total = np.zeros((*shares.shape[:2], np.shape(value)[-1]))
    for b, i, j in np.argwhere(shares):
        total[b, i] += shares[b, i, j] * np.asarray(value)[b, j]
    return total


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


# === Models: one text of vectors (T, D) at a time ===


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm(x, kernel, recurrent, bias):
    """Hochreiter and Schmidhuber 1997 with a forget gate; Keras's order i, f, c, o."""
    units = recurrent.shape[0]
    h, c, states = np.zeros(units), np.zeros(units), []
    for x_t in x:
        i, f, g, o = np.split(x_t @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        states.append(h)
    return np.array(states).reshape(-1, units)


def gru(x, kernel, recurrent, bias):
    """Yang et al. 2016, section 2.1; gates in Keras's order z, r, h, z as in Keras."""
    units = recurrent.shape[0]
    h, states = np.zeros(units), []
    for x_t in x:
        z_x, r_x, h_x = np.split(x_t @ kernel + bias[0], 3)
        z_h, r_h, h_h = np.split(h @ recurrent + bias[1], 3)
        z, r = sigmoid(z_x + z_h), sigmoid(r_x + r_h)
        h = z * h + (1 - z) * np.tanh(h_x + r * h_h)
        states.append(h)
    return np.array(states).reshape(-1, units)


def both_ways(cell, x, weights):
    """States of both directions; the last ones, after the last word and the first."""
    forward = cell(x, *weights[:3])
    backward = cell(x[::-1], *weights[3:])
    return forward, backward[::-1], forward[-1], backward[-1]
