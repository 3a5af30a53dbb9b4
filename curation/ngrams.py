"""Texts -> vectors without any model: hashed runs of characters, weighted by TF-IDF, in a random projection. Pure.

Texts that share many rare runs of characters lie near each other, whatever their language. What they mean is not known.

Salton and Buckley, Term-weighting approaches in automatic text retrieval, 1988; Weinberger et al., Feature hashing for
large scale multitask learning, ICML 2009; Achlioptas, Database-friendly random projections, 2003.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Characters of a run; places that runs are hashed to; numbers of a vector. Part of what makes a release the same.
RUN = 4
PLACES = 1 << 16
DIMENSIONS = 64
VERSION = "ngrams/1"

_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], dtype=np.uint64)
_MIX = np.uint64(0xBF58476D1CE4E5B9)


# Of a text: the places that its runs hit, ascending, and how often each is hit.
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def counts(texts: Sequence[str]) -> list[Counts]:
    """Which places the runs of each text hit, and how often.

    Case and the amount of white space are not looked at. A text shorter than RUN is one run.
    """
    return [np.unique(_places(text), return_counts=True) for text in texts]


def texts_with(counted: Sequence[Counts]) -> NDArray[np.int64]:
    """How many of the texts hit each place, shape (PLACES,)."""
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *(places for places, _ in counted)]), minlength=PLACES)


def _places(text: str) -> NDArray[np.int64]:
    plain = " ".join(text.casefold().split())
    if not plain:
        return np.zeros(0, dtype=np.int64)
    points = np.frombuffer(plain.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    runs = np.lib.stride_tricks.sliding_window_view(points, min(RUN, len(points)))
    mixed = (runs + np.uint64(1)) * _FACTORS[: runs.shape[1]]
    hashed = np.bitwise_xor.reduce(mixed ^ (mixed >> np.uint64(29)), axis=1) * _MIX
    # The highest bits are the best mixed.
    found: NDArray[np.int64] = (hashed >> np.uint64(48)).astype(np.int64)
    return found


def rarity(within: NDArray[np.int64], *, texts: int) -> NDArray[np.float64]:
    """The inverse document frequency of each place, shape (PLACES,): log((1 + texts) / (1 + texts with it)) + 1."""
    found: NDArray[np.float64] = np.log((1 + texts) / (1 + within)) + 1
    return found


def signs(*, rng: np.random.Generator) -> NDArray[np.float64]:
    """The projection, shape (PLACES, DIMENSIONS): one or minus one, over the root of the dimensions."""
    drawn = rng.integers(0, 2, size=(PLACES, DIMENSIONS), dtype=np.int8)
    found: NDArray[np.float64] = (2.0 * drawn - 1.0) / np.sqrt(DIMENSIONS)
    return found


def vectors(
    counted: Sequence[Counts], *, rarity: NDArray[np.float64], signs: NDArray[np.float64]
) -> NDArray[np.float32]:
    """(n_texts, DIMENSIONS). The cosine of two is that of their TF-IDF, with a standard error of about 1/8.

    A run that a text has n times weighs 1 + log n, times its rarity; each text has the length 1 before it is projected.
    A text without a character is 0.
    """
    found = np.zeros((len(counted), DIMENSIONS), dtype=np.float32)
    for row, (places, often) in enumerate(counted):
        if len(places):
            weights = (1 + np.log(often)) * rarity[places]
            found[row] = (weights / np.linalg.norm(weights)) @ signs[places]
    return found
