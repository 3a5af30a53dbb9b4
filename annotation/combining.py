"""Two answers of a judge, one per order -> one preference. Pure numbers.

Source: Buyl et al., AI Alignment at Your Discretion, arXiv 2502.10441; the rule of the published analysis.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def signs(probabilities: ArrayLike) -> Floats:
    """What each answer says: the sign of P(A) - P(B).

    Args:
        probabilities: of the first token being exactly A, B and NA, shape (..., 3).

    Returns:
        1 for A, -1 for B, nan where the two are equal, shape (...). NA plays no part here.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    difference = np.sign(p[..., 0] - p[..., 1])
    return np.where(difference == 0, np.nan, difference)


def declined(probabilities: ArrayLike) -> NDArray[np.bool_]:
    """Where NA is likelier than both A and B, strictly. Shape (..., 3) -> (...)."""
    p = np.asarray(probabilities, dtype=np.float64)
    return np.asarray((p[..., 2] > p[..., 0]) & (p[..., 2] > p[..., 1]))


def combine(probabilities: ArrayLike) -> Floats:
    """The preference from both orders: (s0 - s1) / 2.

    Args:
        probabilities: shape (n, 2, 3): order 0 has the first candidate as A, order 1 the second; then A, B, NA.

    Returns:
        Shape (n,): 1 prefers the first candidate, -1 the second, 0 changed with the order (it prefers a place, not a
        candidate), nan is indifferent: NA was strictly the likeliest in either order, or A and B were exactly equal.
    """
    p = np.asarray(probabilities, dtype=np.float64).reshape(-1, 2, 3)
    said = signs(p)
    together = (said[:, 0] - said[:, 1]) / 2
    return np.where(declined(p).any(axis=1), np.nan, together)


def leaning(probabilities: ArrayLike) -> Floats:
    """How far both orders together lean to the first candidate: mean P(first) - mean P(second), from -1 to 1.

    Args:
        probabilities: as in `combine`.

    Source: SELF-JUDGE's average over orders, s_first = (P(A | first, second) + P(B | second, first)) / 2.
    """
    p = np.asarray(probabilities, dtype=np.float64).reshape(-1, 2, 3)
    return np.asarray((p[:, 0, 0] + p[:, 1, 1] - p[:, 0, 1] - p[:, 1, 0]) / 2)
