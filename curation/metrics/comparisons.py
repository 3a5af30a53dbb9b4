"""Which of two: scores from comparisons. Pure numbers; `aggregation` names the functions as its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.estimates import column_intervals
from curation.metrics.labels import Codes, Floats

# What a probability never falls below: its logarithm stays a number.
LEAST = 1e-10


def bradley_terry(wins: ArrayLike, *, ridge: float = 0.01, max_iterations: int = 100) -> Floats:
    """Bradley and Terry's scores: i beats j with probability 1 / (1 + exp(-(s_i - s_j))).

    Minimises -sum wins_ij log sigmoid(s_i - s_j) + ridge sum s_i^2 by Newton's method.

    Args:
        wins: how often i beat j, shape (n, n); ties as half a win to each.
        ridge: how strongly scores are drawn to 0. With 0 it is the plain maximum of the likelihood, which exists only
            where, in every division into two groups, each has beaten the other.

    Returns:
        Scores with mean 0, shape (n,); higher wins more often. nan: who never met another; with ridge 0, everyone
        where no maximum exists.

    Raises:
        ValueError: the wins are not a square table of numbers from 0 on, or the ridge is negative.

    Source: Bradley and Terry, Rank analysis of incomplete block designs, 1952. The ridge is ours.
    """
    table = np.asarray(wins, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1]:
        raise ValueError(f"Wins are a square table; this one has the shape {table.shape}.")
    if ridge < 0 or not (table >= 0).all():
        raise ValueError("Wins and the ridge are numbers from 0 on.")
    table = table * (1 - np.eye(len(table)))
    games = table + table.T
    met = games.sum(axis=1) > 0
    scores = np.full(len(table), np.nan)
    if not met.any():
        return scores
    table, games = table[np.ix_(met, met)], games[np.ix_(met, met)]
    if ridge == 0 and not _all_reach_all(table > 0):
        return scores
    scores[met] = _newton(table, games, ridge=ridge, max_iterations=max_iterations)
    return scores


def _all_reach_all(beats: NDArray[np.bool_]) -> bool:
    reach = beats | np.eye(len(beats), dtype=bool)
    while True:
        further = (reach.astype(np.float64) @ reach.astype(np.float64)) > 0
        if (further == reach).all():
            return bool(reach.all())
        reach = further


def _newton(table: Floats, games: Floats, *, ridge: float, max_iterations: int) -> Floats:
    k = len(table)

    def loss(s: Floats) -> float:
        return float((table * np.logaddexp(0, s[None, :] - s[:, None])).sum() + ridge * (s**2).sum())

    s = np.zeros(k)
    value = loss(s)
    for _ in range(max_iterations):
        p = 1 / (1 + np.exp(np.clip(s[None, :] - s[:, None], -500, 500)))
        gradient = -(table - games * p).sum(axis=1) + 2 * ridge * s
        if np.abs(gradient).max() < 1e-10 * max(1.0, games.sum()):
            break
        curvature = games * p * (1 - p)
        hessian = np.diag(curvature.sum(axis=1) + 2 * ridge) - curvature
        # Moving everyone by the same changes nothing without a ridge; ones fill that direction.
        step = np.linalg.solve(hessian + (1.0 / k if ridge == 0 else 0.0), gradient)
        length = 1.0
        while length > 1e-8 and loss(s - length * step) > value:
            length /= 2
        s = s - length * step
        value = loss(s)
    centred: Floats = s - s.mean()
    return centred


@dataclass(frozen=True)
class Standing:
    """Scores with their 95 % intervals; all arrays have the shape (n_items,).

    Attributes:
        scores: as `bradley_terry` gives them.
        low, high: nan where there is no interval.
        games: how much the comparisons of each weigh together; n: how many there are.
    """

    scores: Floats
    low: Floats
    high: Floats
    games: Floats
    n: Codes


def standing(
    first: ArrayLike,
    second: ArrayLike,
    won: ArrayLike,
    *,
    n_items: int,
    weight: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    ridge: float = 0.01,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Standing:
    """`bradley_terry` of comparisons, with percentile bootstrap intervals.

    Args:
        first, second: the codes of what was compared, shape (n_comparisons,); something with itself is no comparison.
        won: 1 the first won, 0 the second, .5 a tie: half a win to each; shape (n_comparisons,).
        n_items: how many there are.
        weight: how much each comparison counts, shape (n_comparisons,); by default 1.
        groups: codes, shape (n_comparisons,): comparisons of one group, for example of one prompt, are drawn together;
            by default each is its own.
        ridge: as in `bradley_terry`.
        rng: where given, intervals are computed.
        resamples: how many.

    Raises:
        ValueError: columns differ in length, a weight is below 0, or `won` lies outside 0 and 1.

    Source: Bradley and Terry, 1952; Efron and Tibshirani, 1993, section 13.3, by groups.
    """
    i, j = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    share = np.asarray(won, dtype=np.float64)
    counts = np.ones(len(i)) if weight is None else np.asarray(weight, dtype=np.float64)
    group = np.arange(len(i)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if not len(i) == len(j) == len(share) == len(counts) == len(group):
        raise ValueError("Every comparison has a first, a second, who won, a weight and a group.")
    if len(share) and not (share.min() >= 0 and share.max() <= 1 and counts.min() >= 0):
        raise ValueError("A comparison is won by 0 to 1, and counts 0 or more.")
    apart = i != j
    i, j, share, counts, group = i[apart], j[apart], share[apart], counts[apart], group[apart]
    # Each comparison is part of a win of the first over the second, and the rest of one of the second over the first.
    cell = np.concatenate([i * n_items + j, j * n_items + i])
    part = np.concatenate([counts * share, counts * (1 - share)])
    whose = np.concatenate([group, group])

    def wins(times: Codes | None) -> Floats:
        weights = part if times is None else part * times[whose]
        flat = np.bincount(cell, weights=weights, minlength=n_items * n_items).astype(np.float64)
        return flat.reshape(n_items, n_items)

    table = wins(None)
    nothing = np.full(n_items, np.nan)
    low, high = nothing, nothing.copy()
    if rng is not None and len(i) and resamples:
        size = int(group.max()) + 1
        drawn = [
            bradley_terry(wins(np.bincount(rng.integers(0, size, size=size), minlength=size)), ridge=ridge)
            for _ in range(resamples)
        ]
        low, high = column_intervals(np.array(drawn))
    each = np.bincount(np.concatenate([i, j]), minlength=n_items)
    games = table.sum(axis=0) + table.sum(axis=1)
    return Standing(bradley_terry(table, ridge=ridge), low, high, games, each)


@dataclass(frozen=True)
class CrowdScores:
    """Scores of what was compared, and how reliable each annotator is.

    Attributes:
        scores: shape (n_items,); nan: never compared.
        reliability: how likely each annotator says what the scores say, shape (n_annotators,): 1 always, .5 a coin,
            0 the opposite; nan: no comparison.
    """

    scores: Floats
    reliability: Floats


def crowd_bradley_terry(
    games: ArrayLike,
    *,
    n_items: int | None = None,
    n_annotators: int | None = None,
    weight: ArrayLike | None = None,
    ridge: float = 0.5,
    prior: tuple[float, float] = (10, 1),
) -> CrowdScores:
    """Bradley and Terry's scores from annotators of different reliability.

    Annotator k says that i beats j with probability r_k p + (1 - r_k) (1 - p), p = sigmoid(s_i - s_j). Maximises the
    likelihood with a virtual opponent of score 0, which everyone beat and lost to `ridge` times, and a Beta prior of
    the reliability. Deterministic. Our reading of the paper: it was not checked against the authors' implementation.

    Args:
        games: (annotator, winner, loser) as codes, shape (n_games, 3).
        n_items, n_annotators: how many there are; by default the largest code and one.
        weight: how much each game counts, shape (n_games,); by default 1. A tie is a game each way, of half its weight.
        ridge: the weight of the virtual opponent.
        prior: the Beta prior of the reliability; its second number above 1 keeps it from 1 when there are few games.

    Undefined: never compared.

    Source: Chen et al., Pairwise ranking aggregation in a crowdsourced setting, 2013, sections 3 and 4.
    """
    from scipy.optimize import minimize
    from scipy.special import expit, log_expit

    table = np.asarray(games, dtype=np.int64).reshape(-1, 3)
    k, i, j = table.T
    n = int(max(i.max(initial=-1), j.max(initial=-1))) + 1 if n_items is None else n_items
    m = int(k.max(initial=-1)) + 1 if n_annotators is None else n_annotators
    a, b = prior
    counts = np.ones(len(table)) if weight is None else np.asarray(weight, dtype=np.float64)
    if counts.shape != (len(table),):
        raise ValueError(f"There is one weight for each of {len(table)} games, not {counts.shape}.")
    if not len(table):
        return CrowdScores(np.full(n, np.nan), np.full(m, np.nan))

    def against(x: Floats) -> tuple[float, Floats]:
        s, t = x[:n], x[n:]
        r = expit(t)
        p = expit(s[i] - s[j])
        said = np.maximum(r[k] * p + (1 - r[k]) * (1 - p), LEAST)
        value = (counts * np.log(said)).sum() + ridge * (log_expit(s) + log_expit(-s)).sum()
        value += ((a - 1) * log_expit(t) + (b - 1) * log_expit(-t)).sum()
        by_score = counts * (2 * r[k] - 1) * p * (1 - p) / said
        of_scores = np.bincount(i, by_score, n) - np.bincount(j, by_score, n) + ridge * (1 - 2 * expit(s))
        of_reliability = (
            np.bincount(k, counts * (2 * p - 1) * r[k] * (1 - r[k]) / said, m) + (a - 1) * (1 - r) - (b - 1) * r
        )
        return -float(value), -np.concatenate([of_scores, of_reliability])

    start = np.concatenate([np.zeros(n), np.full(m, math.log(a / b))])
    options = {"maxiter": 5000, "ftol": 1e-14, "gtol": 1e-9}
    x = minimize(against, start, jac=True, method="L-BFGS-B", options=options).x
    compared = np.bincount(np.concatenate([i, j]), minlength=n) > 0
    heard = np.bincount(k, minlength=m) > 0
    return CrowdScores(np.where(compared, x[:n], np.nan), np.where(heard, expit(x[n:]), np.nan))
