"""Which principle goes first where two contradict each other: supremacy, priorities, and how far two orders differ.

Votes and preferences as in curation/metrics/votes.py.

Source of the whole module: Buyl et al., AI alignment at your discretion, 2025 (arXiv 2502.10441). The ridge and the
intervals are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.comparisons import bradley_terry
from curation.metrics.estimates import Estimate, column_intervals, not_enough, wilson_interval
from curation.metrics.labels import Codes, Floats
from curation.metrics.votes import chosen_sides, vote_table

# The cell of a supremacy matrix is shown from this many conflicts on.
LEAST_CONFLICTS = 5
# Rows taken at a time: a million rows of 21 principles need no second table of their size.
PIECE = 1 << 17

NO_CONFLICT = "No two principles were in conflict while the annotator preferred one of the two."


class Supremacy(NamedTuple):
    """`n[i, j]` in how many rows i and j contradict each other; `ps[i, j]` how often the annotator sided with i then.

    Both have the shape (n_principles, n_principles). n is symmetric, ps[i, j] + ps[j, i] = 1; nan where n is 0.
    """

    n: Codes
    ps: Floats

    def interval(self) -> tuple[Floats, Floats]:
        """The ends of the 95 % Wilson interval of every cell; nan where n is 0."""
        ends = [wilson_interval(float(ps * n), float(n)) for n, ps in zip(self.n.ravel(), self.ps.ravel(), strict=True)]
        low, high = np.array([(math.nan, math.nan) if end[0] is None else end for end in ends]).reshape(-1, 2).T
        return low.reshape(self.n.shape), high.reshape(self.n.shape)


def supremacy(votes: ArrayLike, preferences: ArrayLike) -> Supremacy:
    """Principle supremacy: of two principles in conflict, how often the annotator sides with each.

    Args:
        votes: (n_rows, n_principles) in {1, -1, nan}.
        preferences: (n_rows,) in {1, -1, 0, nan}; rows with 0 or nan are left out.

    Returns:
        (n, PS) as `Supremacy`. Undefined cells are nan with n = 0. A cell is worth showing from 5 rows on.

    Source: Buyl et al., 2025, section 4, principle supremacy.
    """
    wins = _wins(vote_table(votes), preferences)
    n = wins + wins.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return Supremacy(n.astype(np.int64), wins / n)


def _wins(table: Floats, preferences: ArrayLike, weights: NDArray[np.int64] | None = None) -> Floats:
    """wins[i, j]: in how many rows i sided with the annotator and j stood against; rows count `weights` times."""
    sided = chosen_sides(preferences, len(table))
    wins = np.zeros((table.shape[1], table.shape[1]))
    for start in range(0, len(table), PIECE):
        part = table[start : start + PIECE] * sided[start : start + PIECE, None]
        won = (part > 0).astype(np.float64)
        if weights is not None:
            won *= weights[start : start + PIECE, None]
        wins += won.T @ (part < 0).astype(np.float64)
    return wins


def priorities(n: ArrayLike, ps: ArrayLike, *, ridge: float = 0.01) -> Floats:
    """The weight of each principle: Bradley and Terry's scores of the conflicts, drawn to 0 by a small ridge.

    Minimises -sum n_ij PS_ij log sigmoid(w_i - w_j) + ridge sum w^2. Without the ridge (0) it is the paper's; that has
    no finite answer where a group of principles never loses to another, and then all are nan.

    Args:
        n, ps: as `supremacy` gives them, (n_principles, n_principles).
        ridge: shown wherever the weights are.

    Returns:
        Weights with mean 0, shape (n_principles,); higher goes first. nan: never in conflict.

    Source: Buyl et al., 2025, section 4, priority weights. The ridge is ours.
    """
    return bradley_terry(np.nan_to_num(np.asarray(ps, dtype=np.float64)) * np.asarray(n), ridge=ridge)


@dataclass(frozen=True)
class Profile:
    """An annotator's priorities with their 95 % intervals; all arrays have the shape (n_principles,).

    `n` counts the conflicts that each principle was part of. `reason` says why there is no profile. `drawn` are the
    weights of each resample, shape (n_resamples, n_principles): two profiles of one seed drew the same rows.
    """

    weights: Floats
    low: Floats
    high: Floats
    n: Codes
    drawn: Floats
    reason: str | None = None

    @property
    def is_defined(self) -> bool:
        return self.reason is None


def profile(
    votes: ArrayLike,
    preferences: ArrayLike,
    *,
    ridge: float = 0.01,
    least: int = 1,
    groups: ArrayLike | None = None,
    n_groups: int | None = None,
    rng: np.random.Generator,
    resamples: int = 100,
) -> Profile:
    """The priorities of an annotator with percentile bootstrap intervals over rows.

    Args:
        votes, preferences: as in `supremacy`.
        ridge: as in `priorities`.
        least: with fewer conflicts between principles than this in all, there is no profile.
        groups: codes below `n_groups`, (n_rows,): rows of one group are drawn together, as in `arbitrariness`.
        n_groups: how many groups are drawn from; those without a row of this annotator count too.
        rng: give every annotator a generator of the same seed: then the resamples are the same rows for all.
        resamples: how many; the paper draws 100.

    Source: Buyl et al., 2025, section 4; the interval is that of the paper's bootstrap.
    """
    table = vote_table(votes)
    k = table.shape[1]
    wins = _wins(table, preferences)
    n = (wins + wins.T).sum(axis=1).astype(np.int64)
    nothing = np.full(k, np.nan)
    if not wins.sum():
        return Profile(nothing, nothing, nothing, n, nothing[None, :0], NO_CONFLICT)
    if wins.sum() < least:
        why = not_enough(int(wins.sum()), least, "conflicts of two principles")
        return Profile(nothing, nothing, nothing, n, nothing[None, :0], why)
    weights = bradley_terry(wins, ridge=ridge)
    drawn = np.full((resamples, k), np.nan)
    # Rows are drawn from all of them, so that the same seed draws the same rows for every annotator; only those with a
    # conflict count.
    sided = table * chosen_sides(preferences, len(table))[:, None]
    matters = (sided > 0).any(axis=1) & (sided < 0).any(axis=1)
    conflicts, everyone = sided[matters], np.ones(int(matters.sum()))
    group = np.arange(len(table)) if groups is None else np.asarray(groups)
    size = n_groups or (int(group.max()) + 1)
    for place in range(resamples):
        times = np.bincount(rng.integers(0, size, size=size), minlength=size)[group[matters]]
        drawn[place] = bradley_terry(_wins(conflicts, everyone, times), ridge=ridge)
    low, high = column_intervals(drawn)
    return Profile(weights, low, high, n, drawn)


def discrepancy(weights_a: ArrayLike, weights_b: ArrayLike) -> Estimate:
    """Discretion discrepancy: how far two orders of priority differ, (1 - Kendall's tau-b) / 2.

    Without ties it is the share of pairs of principles that the two order differently.

    Args:
        weights_a, weights_b: (n_principles,) as `priorities` gives them. Principles that are nan in either are left
            out; infinite ones, as the paper has them, keep their place.

    Returns:
        0 the same order, .5 unrelated, 1 reversed; lower is closer. `n` counts the principles. Undefined: fewer than
        two in common, or one side has them all equal.

    Source: Buyl et al., 2025, section 4, discretion discrepancy.
    """
    a, b = np.asarray(weights_a, dtype=np.float64), np.asarray(weights_b, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"Two lists of weights have the same length; these have the shapes {a.shape} and {b.shape}.")
    both = ~(np.isnan(a) | np.isnan(b))
    n = int(both.sum())
    if n < 2:
        return Estimate.undefined("Fewer than two principles have a priority on both sides.", n=n)
    tau = _kendall_tau_b(a[both], b[both])
    if math.isnan(tau):
        return Estimate.undefined("One side has all principles equal.", n=n)
    return Estimate((1 - tau) / 2, n=n)


def _kendall_tau_b(a: Floats, b: Floats) -> float:
    above_a = (a[:, None] > a[None, :]).astype(np.int64)
    above_b = (b[:, None] > b[None, :]).astype(np.int64)
    sign_a, sign_b = above_a - above_a.T, above_b - above_b.T
    scale = math.sqrt(float((sign_a**2).sum()) * float((sign_b**2).sum()))
    return float((sign_a * sign_b).sum()) / scale if scale else math.nan


def discrepancy_of_profiles(a: Profile, b: Profile) -> Estimate:
    """`discrepancy` of two profiles, with the percentile interval over their resamples, which drew the same rows.

    Returns:
        As `discrepancy`. Undefined where either profile is.

    Source: Buyl et al., 2025, section 4: 100 paired resamples.
    """
    for one in (a, b):
        if one.reason is not None:
            return Estimate.undefined(one.reason)
    found = discrepancy(a.weights, b.weights)
    if not found.is_defined:
        return found
    drawn = [discrepancy(one, other).value for one, other in zip(a.drawn, b.drawn, strict=True)]
    low, high = column_intervals(np.array(drawn)[:, None])
    if math.isnan(low[0]):
        return found
    return Estimate(found.value, low=float(low[0]), high=float(high[0]), n=found.n)
