"""Vectors -> the few that say the most: greedy log-determinant gain under a budget. Pure numpy, deterministic.

The information of a set S is I(S) = log det(1 + K) / 2, in nats, with K the inner products of its vectors: what
observing S, each with noise of variance 1, tells of a linear function with independent standard normal weights. It
grows with every vector and by less the more there are (submodular), so that greedy has at least 1 - 1/e of the best.

Nemhauser, Wolsey and Fisher, An analysis of approximations for maximizing submodular set functions, 1978; Minoux,
Accelerated greedy algorithms, 1978; Krause, Singh and Guestrin, Near-optimal sensor placements, JMLR 2008; Chen, Zhang
and Zhou, Fast greedy MAP inference for determinantal point process, NeurIPS 2018.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Vectors whose gain is computed together: first so many, then twice as many until the best is known.
FIRST_BLOCK, LARGEST_BLOCK = 16, 4096
# Which of two gains is larger must not hang on the last bits, which differ between machines.
DIGITS = 12


@dataclass(frozen=True)
class Taken:
    """Which vectors greedy takes, in its order. Both have the shape (n_taken,); `gains` are in nats and never rise."""

    order: NDArray[np.int64]
    gains: NDArray[np.float64]

    def information(self, sizes: Sequence[int]) -> list[float]:
        """The information of the first so many, in nats."""
        whole = np.concatenate([[0.0], np.cumsum(self.gains)])
        return [float(whole[size]) for size in sizes]


def centred(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors seen from their mean, their mean square length 1; 0 where none differs. Shapes (n_vectors, n_dimensions).

    Without the mean most vectors of a model point the same way. They are not made 1 long each: what is close to the
    mean says little beside the others, however it differs from them in detail.
    """
    if not len(vectors):
        return vectors
    mean: NDArray[np.float32] = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    seen: NDArray[np.float32] = vectors - mean
    square = float(np.einsum("nd,nd->", seen, seen, dtype=np.float64)) / len(vectors)
    # What is left of equal vectors after taking their mean is rounding, and no difference.
    if square <= (1e-6 * float(np.abs(vectors).max(initial=0))) ** 2:
        return np.zeros_like(seen)
    return seen / np.float32(np.sqrt(square))


def information(points: NDArray[np.float32]) -> float:
    """log det(1 + K) / 2 of all `points`, in nats; 0 of none. Shape (n_points, n_dimensions).

    By Sylvester's identity the determinant is that of the much smaller 1 + sum of x xᵀ.
    """
    return float(np.linalg.slogdet(_spanned(points))[1]) / 2


def _spanned(points: NDArray[np.float32]) -> NDArray[np.float64]:
    found = np.eye(points.shape[1])
    for start in range(0, len(points), LARGEST_BLOCK):
        piece = points[start : start + LARGEST_BLOCK].astype(np.float64)
        found += piece.T @ piece
    return found


def greedy(points: NDArray[np.float32], *, budget: int) -> Taken:
    """Take the vector that gains most, `budget` times. Of equal gains the earlier vector is taken.

    A gain that was computed before bounds today's from above, so that only those are computed again that could be the
    best (Minoux). What was taken is kept as the Cholesky factor of 1 + sum of x xᵀ, (n_dimensions, n_dimensions):
    time for each vector taken grows with the square of the dimensions, not with how many were taken.

    Args:
        points: (n_points, n_dimensions), as `centred` gives them.
        budget: how many; all where there are no more.
    """
    count, width = points.shape
    budget = min(budget, count)
    lengths = np.einsum("nd,nd->n", points, points, dtype=np.float64)
    waiting = list(zip((-_gain(lengths)).tolist(), range(count), strict=True))
    heapq.heapify(waiting)
    spanned = np.eye(width)
    order, gains = np.zeros(budget, dtype=np.int64), np.zeros(budget)
    for step in range(budget):
        # Its inverse, because numpy solves no triangle; what it is applied to is short, and it is well conditioned.
        factor = np.linalg.inv(np.linalg.cholesky(spanned))
        computed: list[tuple[float, int]] = []
        best: tuple[float, int] | None = None
        block = FIRST_BLOCK
        while waiting and (best is None or waiting[0] < best):
            places = [heapq.heappop(waiting)[1] for _ in range(min(block, len(waiting)))]
            solved = factor @ points[places].T.astype(np.float64)
            found = list(zip((-_gain((solved**2).sum(axis=0))).tolist(), places, strict=True))
            best = min(found) if best is None else min(best, *found)
            computed += found
            block = min(2 * block, LARGEST_BLOCK)
        assert best is not None
        for one in computed:
            if one != best:
                heapq.heappush(waiting, one)
        order[step], gains[step] = best[1], -best[0]
        taken = points[best[1]].astype(np.float64)
        spanned += np.outer(taken, taken)
    return Taken(order, gains)


def _gain(squares: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.round(np.log1p(squares) / 2, DIGITS)
    return found


def by_chance(
    points: NDArray[np.float32], sizes: Sequence[int], *, rng: np.random.Generator, draws: int = 5
) -> list[float]:
    """The information of so many vectors drawn at random, the mean of `draws` draws, in nats. `sizes` ascend."""
    total = np.zeros(len(sizes))
    for _ in range(draws):
        order = rng.permutation(len(points))
        spanned, done = np.eye(points.shape[1]), 0
        for place, size in enumerate(sizes):
            spanned += _spanned(points[order[done:size]]) - np.eye(points.shape[1])
            done = size
            total[place] += np.linalg.slogdet(spanned)[1] / 2
    return [float(one) for one in total / draws]
