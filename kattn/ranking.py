"""How well answers are ranked: MAP and MRR."""

import numpy as np


def figures(scores, right, groups) -> dict:
    """Mean average precision and mean reciprocal rank over groups.

    The candidates of a group are ranked by their scores, the highest first; of equal
    scores the wrong ones come first, so that a model which cannot tell gains nothing.
    The average precision of a group is the mean, over its right candidates, of the
    share of right ones down to each; its reciprocal rank is one over the place of the
    first right one. A group without a right candidate has neither, and is left out.

    Args:
        scores: Numbers `(N,)`.
        right: Whether a candidate is right, `(N,)`.
        groups: A name for each candidate, `(N,)`, equal within a group.

    Returns:
        A dictionary: `map`, `mrr`, `groups` (how many were ranked) and `left_out` (how
        many had no right candidate).

    Raises:
        ValueError: If the three differ in number, a score is no number, or no group has
            a right candidate.

    Example:
        >>> kattn.ranking.figures([0.9, 0.5, 0.1], [False, True, True], [1, 1, 1])
        {'map': 0.5833333333333333, 'mrr': 0.5, 'groups': 1, 'left_out': 0}

    Reference:
        Yang, Yih, Meek 2015, WikiQA: A Challenge Dataset for Open-Domain Question
        Answering, EMNLP.
    """
    scores, right = np.asarray(scores, "float64"), np.asarray(right, bool)
    groups = np.asarray(groups)
    if not scores.shape == right.shape == groups.shape == (scores.size,):
        raise ValueError(
            "Scores, labels and groups have one entry for each candidate. Received: "
            f"shapes {scores.shape}, {right.shape} and {groups.shape}"
        )
    if not np.isfinite(scores).all():
        raise ValueError("Scores are finite numbers. Received: NaN or infinity")
    _, number = np.unique(groups, return_inverse=True)
    # By group, then from the highest score; wrong before right where both are equal.
    order = np.lexsort((right, -scores, number))
    number, right = number[order], right[order]
    precisions, ranks, left_out = [], [], 0
    for of_group in np.split(right, np.flatnonzero(np.diff(number)) + 1):
        places = np.flatnonzero(of_group) + 1
        if not places.size:
            left_out += 1
            continue
        precisions.append(np.mean(np.arange(1, places.size + 1) / places))
        ranks.append(1 / places[0])
    if not ranks:
        raise ValueError("No group has a right candidate, so there is nothing to rank.")
    return {
        "map": float(np.mean(precisions)),
        "mrr": float(np.mean(ranks)),
        "groups": len(ranks),
        "left_out": left_out,
    }
