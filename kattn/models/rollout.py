"""How much of each word reaches each place through blocks of attention."""

import numpy as np


def rollout(blocks):
    """Multiply the attention of all blocks, each with its residual connection.

    `R_0 = 1`, `R_l = (mean_h W_lh + 1) / 2 R_(l - 1)`.

    Args:
        blocks: Weights `(H, T, T)` of each block's heads, in order; a row is what a
            place looks at.

    Returns:
        `(T, T)`: row i has the shares of all words in what stands at i in the end. They
        sum to 1.

    Example:
        >>> rollout([np.array([[[0.0, 1.0], [0.0, 1.0]]])]).tolist()
        [[0.5, 0.5], [0.0, 1.0]]

    Reference:
        Abnar and Zuidema 2020, arXiv:2005.00928, section 3.
    """
    shares = np.eye(blocks[0].shape[-1])
    for weights in blocks:
        both = (weights.mean(axis=0) + np.eye(len(shares))) / 2
        shares = both / both.sum(axis=-1, keepdims=True) @ shares
    return shares
