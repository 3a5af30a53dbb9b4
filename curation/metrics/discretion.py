"""Discretion: where the principles leave a choice, and what annotators do with it. Pure numbers.

Votes and preferences as in curation/metrics/votes.py; what happens in conflicts is in curation/metrics/conflicts.py.

Annotators are people or judges; each is measured alone, and the two are compared, never mixed.

Source of the whole module: Buyl et al., AI alignment at your discretion, 2025 (arXiv 2502.10441). The ridge, the least
number of relevant principles and the intervals are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.conflicts import (
    LEAST_CONFLICTS,
    Profile,
    Supremacy,
    discrepancy,
    discrepancy_of_profiles,
    priorities,
    profile,
    supremacy,
)
from curation.metrics.estimates import Estimate, bootstrap_interval, not_enough, ratio, wilson_interval
from curation.metrics.labels import Codes, Floats
from curation.metrics.metric import SHARE, Metric
from curation.metrics.votes import (
    chosen_sides,
    majority_of_votes,
    preferences_from_probabilities,
    preferences_from_scores,
    vote_table,
)

__all__ = [
    "CATEGORIES",
    "LEAST_CONFLICTS",
    "METRICS",
    "Profile",
    "Rows",
    "Supremacy",
    "arbitrariness",
    "categorise",
    "category_share",
    "discrepancy",
    "discrepancy_of_profiles",
    "majority_of_votes",
    "preferences_from_probabilities",
    "preferences_from_scores",
    "priorities",
    "profile",
    "rows",
    "supremacy",
]

CONSENSUS, CONFLICT, INDIFFERENCE = "consensus", "conflict", "indifference"
CATEGORIES = (CONSENSUS, CONFLICT, INDIFFERENCE)

NO_ROWS = "There are no rows."
NO_CONSENSUS = "In no row do the principles agree while the annotator prefers one of the two."


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

    def of(self, places: Codes) -> Rows:
        """The same of some rows, in the order of `places`; a row may come more than once."""
        return Rows(self.category[places], self.n_relevant[places], self.direction[places])

    def arbitrary(self, preferences: ArrayLike) -> Floats:
        """1 where an annotator prefers what no principle does, 0 where the annotator follows; shape (n_rows,).

        nan: no consensus, or the annotator abstains or is inconsistent.
        """
        against = self.direction * chosen_sides(preferences, len(self.direction)) < 0
        undefined = np.isnan(self.direction) | np.isnan(chosen_sides(preferences, len(self.direction)))
        return np.where(undefined, np.nan, against.astype(np.float64))


def rows(votes: ArrayLike) -> Rows:
    """The category of each row, how many principles are relevant, and what they agree on.

    Args:
        votes: (n_rows, n_principles) in {1, -1, nan}.

    Source: Buyl et al., 2025, section 3; the fields of a row are ours.
    """
    table = vote_table(votes)
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
    """The share of rows of one category, with its Wilson interval. `n` counts the rows. Undefined: there are none.

    Source: Buyl et al., arXiv 2502.10441.
    """
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
