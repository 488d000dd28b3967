"""Attention drawn with Matplotlib: strips of words, and matrices."""

_WORDS = 12  # in a row of a strip
_LETTERS = 10  # of a word
_OF_PAIRS = ("match", "alignment")
_LABELLED = 60  # the most words that an axis names


def plot(explanation, weights=None):
    """Draw an explanation; see `kattn.explanation.Explanation.plot`.

    Args:
        explanation: A `kattn.explanation.Explanation`.
        weights: A name in its `weights`, or `None`.

    Returns:
        A `matplotlib.figure.Figure`, which no window shows by itself.

    Raises:
        ValueError: If there are no such weights.
    """
    if weights is None:
        # But for a text without a word, whose matrix has no row.
        full = [name for name, matrix in explanation.weights.items() if matrix.size]
        weights = next((name for name in _OF_PAIRS if name in full), None)
    elif weights not in explanation.weights:
        raise ValueError(
            f"The weights to draw are among {sorted(explanation.weights)}. "
            f"Received: {weights!r}"
        )
    title = f"{explanation.label}, {explanation.probability:.1%}"
    if weights:
        return _matrices(explanation, weights, title)
    return _strips(explanation, title)


def matrix(weights, columns, rows, title):
    """Draw a matrix of weights.

    Args:
        weights: Array `(rows, columns)`.
        columns: The words of the columns.
        rows: Those of the rows.
        title: What stands above it.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    return _figure([weights], columns, rows, [""], title)


def _matrices(explanation, name, title):
    """One matrix, or one for each head."""
    weights = explanation.weights[name]
    columns, rows = _axes(explanation, name)
    heads = weights if weights.ndim == 3 else weights[None]
    several = len(heads) > 1
    labels = [f"{name}, head {i}" if several else name for i in range(len(heads))]
    # Matches are seldom near 0, as shares of attention are.
    return _figure(heads, columns, rows, labels, title, from_zero=name != "match")


def _figure(matrices, columns, rows, labels, title, from_zero=True):
    """Matrices side by side."""
    from matplotlib.figure import Figure

    size = max(3.2, min(len(columns), _LABELLED) * 0.28)
    tall = max(2.4, min(len(matrices[0]), _LABELLED) * 0.28 + 1.2)
    figure = Figure((size * len(matrices) + 1, tall), layout="constrained")
    every = figure.subplots(1, len(matrices), squeeze=False)[0]
    for axes, weights, label in zip(every, matrices, labels, strict=True):
        if not weights.size:  # nothing was read, or nothing written
            axes.set_axis_off()
            continue
        least = 0 if from_zero else weights.min()
        image = axes.imshow(weights, cmap="Oranges", vmin=least, aspect="auto")
        figure.colorbar(image, ax=axes)
        if len(columns) <= _LABELLED:
            axes.set_xticks(range(len(columns)), columns, rotation=90, parse_math=False)
        if rows and len(rows) <= _LABELLED:
            axes.set_yticks(range(len(rows)), rows, parse_math=False)
        axes.set_xlabel(label)
    figure.suptitle(title, parse_math=False)
    return figure


def _axes(explanation, name):
    """The words of the columns and of the rows; none of rows that are no words."""
    words = [[token.text for token in explanation.tokens(x)] for x in explanation.texts]
    if name == "alignment":
        return words[0], words[1]
    if name == "match":
        return words[1], words[0]
    return words[0], words[0] if name.startswith(("block", "rollout")) else []


def _strips(explanation, title):
    """The words of each text, a row after the other, shaded by their weights."""
    import numpy as np
    from matplotlib.figure import Figure

    texts = [explanation.tokens(field) for field in explanation.texts]
    heights = [max(1, -(-len(tokens) // _WORDS)) for tokens in texts]
    figure = Figure((_WORDS * 0.95, sum(heights) * 0.42 + 0.9), layout="constrained")
    every = figure.subplots(
        len(texts), 1, squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    for (axes,), field, tokens, rows in zip(
        every, explanation.texts, texts, heights, strict=True
    ):
        cells = np.zeros(rows * _WORDS)
        cells[: len(tokens)] = [token.weight for token in tokens]
        cells = cells.reshape(rows, _WORDS)
        axes.imshow(cells, cmap="Oranges", vmin=0, vmax=cells.max() or 1, aspect="auto")
        for i, token in enumerate(tokens):
            dark = token.weight > 0.6 * cells.max()
            axes.text(
                i % _WORDS,
                i // _WORDS,
                token.text if len(token.text) <= _LETTERS else f"{token.text[:9]}…",
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "black",
                parse_math=False,
            )
        axes.set_xticks([])
        axes.set_yticks([])
        if len(texts) > 1:
            axes.set_ylabel(field)
    figure.suptitle(title)
    return figure
