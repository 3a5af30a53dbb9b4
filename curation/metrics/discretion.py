"""Discretion: where the principles leave a choice, and what annotators do with it. Pure numbers.

Votes: what each principle prefers in each row (pair), shape (n_rows, n_principles): 1 the first candidate, -1 the
second, nan neither or not relevant. 0, given where the two orders of presentation contradict each other, counts as nan.
Preferences: what an annotator prefers, shape (n_rows,): 1, -1, nan abstains, 0 inconsistent across the two orders.

Annotators are people or judges; each is measured alone, and the two are compared, never mixed.

Source of the whole module: Buyl et al., AI alignment at your discretion, 2025 (arXiv 2502.10441). The ridge, the least
number of relevant principles and the intervals are ours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.aggregation import bradley_terry
from curation.metrics.estimates import Estimate, bootstrap_interval, not_enough, ratio, wilson_interval
from curation.metrics.labels import Codes, Floats
from curation.metrics.metric import SHARE, Metric

CONSENSUS, CONFLICT, INDIFFERENCE = "consensus", "conflict", "indifference"
CATEGORIES = (CONSENSUS, CONFLICT, INDIFFERENCE)
# The cell of a supremacy matrix is shown from this many conflicts on.
LEAST_CONFLICTS = 5
# Rows taken at a time: a million rows of 21 principles need no second table of their size.
PIECE = 1 << 17

NO_ROWS = "There are no rows."
NO_CONSENSUS = "In no row do the principles agree while the annotator prefers one of the two."
NO_CONFLICT = "No two principles were in conflict while the annotator preferred one of the two."


def preferences_from_probabilities(first_order: ArrayLike, second_order: ArrayLike | None = None) -> Floats:
    """What an oracle prefers, from how likely its answer is "A", "B" or "NA".

    Args:
        first_order: (..., 3), probabilities of A, B and NA; A is the first candidate.
        second_order: the same with the candidates the other way round. Without it, the order's own bias stays in.

    Returns:
        (...): 1 prefers the first, -1 the second; nan where A and B are equally likely, or NA is likelier than both, in
        either order; 0, with both orders only, where the answer followed the place and not the candidate.

    Source: Buyl et al., 2025; the authors' code.
    """
    first, first_na = _signs(np.asarray(first_order, dtype=np.float64))
    if second_order is None:
        return np.where(first_na, np.nan, first)
    second, second_na = _signs(np.asarray(second_order, dtype=np.float64))
    return np.where(first_na | second_na, np.nan, (first - second) / 2)


def _signs(p: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    if p.shape[-1:] != (3,):
        raise ValueError(f"The last axis is the three answers A, B and NA; this one has the shape {p.shape}.")
    a, b, na = p[..., 0], p[..., 1], p[..., 2]
    sign = np.sign(a - b)
    return np.where(sign == 0, np.nan, sign), (na > a) & (na > b)


def preferences_from_scores(scores_first: ArrayLike, scores_second: ArrayLike) -> Floats:
    """What a reward model prefers: the sign of the difference of its two scores; equal ones abstain (nan)."""
    sign = np.sign(np.asarray(scores_first, dtype=np.float64) - np.asarray(scores_second, dtype=np.float64))
    return np.where(sign == 0, np.nan, sign)


def majority_of_votes(
    row: ArrayLike, principle: ArrayLike, vote: ArrayLike, *, n_rows: int, n_principles: int
) -> Floats:
    """Several voters' votes as one table: for each row and principle the commonest of first, second, indifferent.

    Args:
        row, principle: codes, shape (n_votes,).
        vote: 1, -1, or 0 (or nan) for indifferent, shape (n_votes,).

    Returns:
        (n_rows, n_principles) in {1, -1, nan}; nan too where two are equally common, or nobody voted.

    Ours: the paper has one oracle.
    """
    votes = _checked(np.asarray(vote, dtype=np.float64))
    cell = np.asarray(row, dtype=np.int64) * n_principles + np.asarray(principle, dtype=np.int64)
    size = n_rows * n_principles
    counts = [np.bincount(cell[votes == side], minlength=size) for side in (1, -1)]
    neither = np.bincount(cell[np.isnan(votes)], minlength=size)
    first, second = counts
    found = np.full(size, np.nan)
    found[(first > second) & (first > neither)] = 1
    found[(second > first) & (second > neither)] = -1
    return found.reshape(n_rows, n_principles)


def _checked(values: Floats) -> Floats:
    strange = values[~(np.isnan(values) | np.isin(values, (-1, 0, 1)))]
    if len(strange):
        raise ValueError(f"A vote is 1, -1 or nan, not {strange[0]:g}.")
    return np.where(values == 0, np.nan, values)


def _table(votes: ArrayLike) -> Floats:
    table = np.asarray(votes, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"Votes have two dimensions, rows and principles; these have the shape {table.shape}.")
    return _checked(table)


def _valid(preferences: ArrayLike, n_rows: int) -> Floats:
    """Preferences with nan for abstaining and for inconsistent ones."""
    found = np.asarray(preferences, dtype=np.float64)
    if found.shape != (n_rows,):
        raise ValueError(f"There is one preference for each of {n_rows} rows; these have the shape {found.shape}.")
    return _checked(found)


# ---- rows -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """What the principles say of each row; all arrays have the shape (n_rows,).

    Attributes:
        category: "consensus": all relevant principles agree, one is enough; "conflict": two contradict each other;
            "indifference": none is relevant.
        n_relevant: how many principles prefer one of the two.
        direction: what they agree on in consensus, 1 or -1; nan otherwise.
    """

    category: NDArray[np.str_]
    n_relevant: Codes
    direction: Floats

    def arbitrary(self, preferences: ArrayLike) -> Floats:
        """1 where an annotator prefers what no principle does, 0 where the annotator follows; shape (n_rows,).

        nan: no consensus, or the annotator abstains or is inconsistent.
        """
        against = self.direction * _valid(preferences, len(self.direction)) < 0
        undefined = np.isnan(self.direction) | np.isnan(_valid(preferences, len(self.direction)))
        return np.where(undefined, np.nan, against.astype(np.float64))


def rows(votes: ArrayLike) -> Rows:
    """The category of each row, how many principles are relevant, and what they agree on.

    Args:
        votes: (n_rows, n_principles) in {1, -1, nan}.

    Source: Buyl et al., 2025, section 3; the fields of a row are ours.
    """
    table = _table(votes)
    has_first, has_second = (table == 1).any(axis=1), (table == -1).any(axis=1)
    category = np.where(has_first & has_second, CONFLICT, np.where(has_first | has_second, CONSENSUS, INDIFFERENCE))
    direction = np.where(has_first & ~has_second, 1.0, np.where(has_second & ~has_first, -1.0, np.nan))
    return Rows(category, (~np.isnan(table)).sum(axis=1), direction)


def categorise(votes: ArrayLike) -> NDArray[np.str_]:
    """The category of each row: "consensus", "conflict" or "indifference"; shape (n_rows,).

    Args:
        votes: (n_rows, n_principles) in {1, -1, nan}.

    Source: Buyl et al., 2025, section 3.
    """
    return rows(votes).category


def category_share(votes: ArrayLike, *, category: str) -> Estimate:
    """The share of rows of one category, with its Wilson interval. `n` counts the rows. Undefined: there are none."""
    if category not in CATEGORIES:
        raise ValueError(f"Unknown category {category!r}. Known are {', '.join(CATEGORIES)}.")
    found = categorise(votes)
    if not len(found):
        return Estimate.undefined(NO_ROWS)
    hits = int((found == category).sum())
    low, high = wilson_interval(hits, len(found))
    return Estimate(hits / len(found), low=low, high=high, n=len(found))


# ---- annotators -----------------------------------------------------------------------------------------------------


def arbitrariness(
    votes: ArrayLike,
    preferences: ArrayLike,
    *,
    min_relevant_principles: int = 1,
    least: int = 1,
    groups: ArrayLike | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """Discretion arbitrariness: how often an annotator goes against principles that agree with each other.

    The mean over rows of consensus, in which the annotator prefers one of the two, of [direction x preference < 0].

    Args:
        votes: (n_rows, n_principles) in {1, -1, nan}.
        preferences: (n_rows,) in {1, -1, 0, nan}.
        min_relevant_principles: rows of consensus count from this many relevant principles on. 1 is the paper's.
        least: fewer rows than this are not enough data.
        groups: codes, (n_rows,): rows of one group are drawn together. Where several people judge a pair, each is a
            row and the pair is the group. By default every row is its own.
        rng: where given, the interval is the percentile bootstrap over rows of consensus, as in the paper; without it,
            Wilson's, which knows no groups.
        resamples: how many.

    Returns:
        A share from 0 to 1; higher is more arbitrary. `n` counts the rows it is a mean of. Undefined: there are none.

    Source: Buyl et al., 2025, section 4, discretion arbitrariness.
    """
    said = rows(votes)
    counted = said.n_relevant >= min_relevant_principles
    counted &= said.category == CONSENSUS
    flags = said.arbitrary(preferences)[counted]
    judged = ~np.isnan(flags)
    n, hits = int(judged.sum()), int(np.nansum(flags))
    if not n:
        return Estimate.undefined(NO_CONSENSUS if len(said.category) else NO_ROWS)
    if n < least:
        return Estimate.undefined(not_enough(n, least, "rows of consensus"), n=n)
    if rng is None:
        low, high = wilson_interval(hits, n)
    else:
        each = np.arange(len(flags)) if groups is None else np.asarray(groups)[counted]
        group = np.unique(each, return_inverse=True)[1]
        of_group = np.column_stack([np.bincount(group, flags == 1), np.bincount(group, judged)])
        kinds, weights = np.unique(of_group.astype(np.float64), axis=0, return_counts=True)
        low, high = bootstrap_interval(kinds, weights, ratio, rng=rng, resamples=resamples)
    return Estimate(hits / n, low=low, high=high, n=n)


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
    wins = _wins(_table(votes), preferences)
    n = wins + wins.T
    with np.errstate(invalid="ignore", divide="ignore"):
        return Supremacy(n.astype(np.int64), wins / n)


def _wins(table: Floats, preferences: ArrayLike, weights: NDArray[np.int64] | None = None) -> Floats:
    """wins[i, j]: in how many rows i sided with the annotator and j stood against; rows count `weights` times."""
    sided = _valid(preferences, len(table))
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
    table = _table(votes)
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
    sided = table * _valid(preferences, len(table))[:, None]
    matters = (sided > 0).any(axis=1) & (sided < 0).any(axis=1)
    conflicts, everyone = sided[matters], np.ones(int(matters.sum()))
    group = np.arange(len(table)) if groups is None else np.asarray(groups)
    size = n_groups or (int(group.max()) + 1)
    for place in range(resamples):
        times = np.bincount(rng.integers(0, size, size=size), minlength=size)[group[matters]]
        drawn[place] = bradley_terry(_wins(conflicts, everyone, times), ridge=ridge)
    low, high = _quantiles(drawn)
    return Profile(weights, low, high, n, drawn)


def _quantiles(drawn: Floats) -> tuple[Floats, Floats]:
    """2.5 and 97.5 % of each column; nan where fewer than 90 % of the resamples are defined."""
    low, high = np.full(drawn.shape[1], np.nan), np.full(drawn.shape[1], np.nan)
    for place, column in enumerate(drawn.T):
        defined = column[~np.isnan(column)]
        if len(defined) and len(defined) >= 0.9 * len(drawn):
            low[place], high[place] = np.quantile(defined, [0.025, 0.975])
    return low, high


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


# ---- the table ------------------------------------------------------------------------------------------------------

_DISCRETION = "Buyl et al., arXiv 2502.10441"

METRICS: dict[str, Metric] = {
    "discretion_category": Metric(
        "Category of discretion",
        categorise,
        "pair",
        "a name",
        "consensus, conflict, indifference",
        "principle votes",
        "never: no relevant principle is indifference",
        _DISCRETION,
    ),
    "consensus_share": Metric(
        "Share of consensus",
        partial(category_share, category="consensus"),
        "project",
        "higher is more often",
        SHARE,
        "principle votes",
        "no rows",
        _DISCRETION,
    ),
    "conflict_share": Metric(
        "Share of conflict",
        partial(category_share, category="conflict"),
        "project",
        "higher is more often",
        SHARE,
        "principle votes",
        "no rows",
        _DISCRETION,
    ),
    "indifference_share": Metric(
        "Share of indifference",
        partial(category_share, category="indifference"),
        "project",
        "higher is more often",
        SHARE,
        "principle votes",
        "no rows",
        _DISCRETION,
    ),
    "discretion_arbitrariness": Metric(
        "Discretion arbitrariness",
        arbitrariness,
        "annotator",
        "higher is more arbitrary",
        SHARE,
        "principle votes",
        "no row of consensus in which the annotator chooses",
        _DISCRETION,
    ),
    "principle_supremacy": Metric(
        "Principle supremacy",
        supremacy,
        "two principles",
        "higher goes first",
        SHARE,
        "principle votes",
        "never in conflict",
        _DISCRETION,
    ),
    "principle_priorities": Metric(
        "Priority of principles",
        priorities,
        "principle",
        "higher goes first",
        "log odds, mean 0",
        "principle conflicts",
        "never in conflict",
        f"{_DISCRETION}; the ridge is ours",
    ),
    "discretion_discrepancy": Metric(
        "Discretion discrepancy",
        discrepancy,
        "two annotators",
        "higher is further apart",
        "0 same order, 1 reversed",
        "principle weights",
        "fewer than two common principles; all equal on one side",
        _DISCRETION,
    ),
}


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
    low, high = _quantiles(np.array(drawn)[:, None])
    if math.isnan(low[0]):
        return found
    return Estimate(found.value, low=float(low[0]), high=float(high[0]), n=found.n)
