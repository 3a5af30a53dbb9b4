"""What the people would say if they were like a declared target: their weighted rate, and what it costs.

Weights are of people who declared every attribute of the target and decided a pair. Where a group is too small to be
shown, there is no weighted rate either: with the rates of the other groups it would tell what the small one prefers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.metrics.estimates import Estimate
from curation.metrics.labels import Floats, Labels
from curation.metrics.representativeness import Raked, rake, raked_rate, raked_winner_change

NOBODY = "Nobody who decided a pair declared every attribute of the target."
HIDDEN = "A group is too small to be shown, and the weighted rate would tell what it prefers."


@dataclass(frozen=True)
class Weighted:
    """The preference for the first of the file, unweighted and weighted, of the same people.

    Attributes:
        raw, raked: the mean of the people's shares; `n` counts people. `raked` has a reason where the target has a
            group of nobody.
        rest: as `raked`, for the groups that are there; undefined where that is the same, or nothing.
        changes: how often the majority of a pair is another with the weights of `raked`, or of `rest`.
        design_effect: of those weights.
        covers: the smallest share of the target, over its attributes, that the groups of `rest` make up.
        missing: for each attribute the groups of the target of whom nobody is there.
    """

    raw: Estimate
    raked: Estimate
    rest: Estimate
    changes: Estimate
    design_effect: float | None
    covers: float
    missing: dict[str, list[str]]

    def as_json(self) -> dict[str, Any]:
        return {
            "raw": self.raw.as_json(),
            "raked": self.raked.as_json(),
            "rest": self.rest.as_json(),
            "changes": self.changes.as_json(),
            "design_effect": self.design_effect,
            "covers": self.covers,
            "missing": self.missing,
        }


def weighted(
    labels: Labels,
    declared: Mapping[str, Mapping[int, str]],
    targets: Mapping[str, Mapping[str, float]],
    *,
    least: int,
) -> Weighted:
    """Rake the people of `labels` to the targets.

    Args:
        labels: verdicts by name, first and second among them; annotators by number.
        declared: for each attribute the group of each annotator by number.
        targets: for each attribute how large every group is; groups of size 0 count as none.
        least: a group of fewer people, but some, is not shown.
    """
    targets = {name: {group: size for group, size in sizes.items() if size > 0} for name, sizes in targets.items()}
    own = _first_shares(labels)
    everyone = labels.annotators.tolist()
    groups = {name: [declared.get(name, {}).get(who) for who in everyone] for name in targets}
    counts = ~np.isnan(own)
    for name, column in groups.items():
        counts &= np.array([group in targets[name] for group in column], dtype=bool)
    here = np.flatnonzero(counts)
    pools = {name: Counter(column[place] for place in here) for name, column in groups.items()}
    missing = {name: [group for group in sizes if not pools[name][group]] for name, sizes in targets.items()}

    def nothing(reason: str) -> Weighted:
        none = Estimate.undefined(reason, n=len(here))
        return Weighted(none, none, none, none, None, 0.0, missing)

    if not len(here):
        return nothing(NOBODY)
    # Of everybody who declared it, not only of those who decided: the sizes that the page shows.
    shown = {name: Counter(group for group in column if group in targets[name]) for name, column in groups.items()}
    if any(0 < size < least for pool in (*shown.values(), *pools.values()) for size in pool.values()):
        return nothing(HIDDEN)
    columns = {name: [str(column[place]) for place in here] for name, column in groups.items()}
    raw = raked_rate(own[here], Raked(np.ones(len(here)), float(len(here)), 0))
    full = rake(columns, targets)
    raked = raked_rate(own[here], full)
    there = {name: {g: s for g, s in sizes.items() if g not in missing[name]} for name, sizes in targets.items()}
    covers = min(sum(there[name].values()) / sum(sizes.values()) for name, sizes in targets.items())
    used = rake(columns, there) if any(missing.values()) else full
    rest = raked_rate(own[here], used) if used is not full else Estimate.undefined("Every group is there.")
    if used.reason is not None:
        return Weighted(raw, raked, rest, Estimate.undefined(used.reason), None, covers, missing)
    weights = np.full(len(everyone), np.nan)
    weights[here] = used.weights
    return Weighted(raw, raked, rest, raked_winner_change(labels, weights), used.design_effect, covers, missing)


def _first_shares(labels: Labels) -> Floats:
    """How often each annotator preferred the first, of the pairs they decided; nan: none. Shape (n_annotators,)."""
    size = labels.n_annotators
    decided = np.bincount(labels.annotator[labels.value < 2], minlength=size)
    first = np.bincount(labels.annotator[labels.value == 0], minlength=size)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(first / decided)
