"""Whom the annotators stand for. Pure numbers: counts and shares of declared groups in.

Groups are what people declared of themselves, and only where enough did. What a group of nobody prefers cannot be
estimated, by no weighting: such groups are named.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from curation.metrics.estimates import Estimate, share_of, wilson_interval
from curation.metrics.labels import Codes, Floats, Labels
from curation.metrics.metric import SHARE, Metric

NO_POOL = "Nobody in the pool declared a group."
NO_TARGET = "The target has no group."


def total_variation(pool: Mapping[str, float], target: Mapping[str, float]) -> Estimate:
    """The total-variation distance of the pool to a declared target: half the sum of |share - target share|.

    Args:
        pool: how many annotators (or judgements) each group has.
        target: how large each group is in the population, in any unit. Groups that only one side names count as 0 on
            the other.

    Returns:
        0 the same shares, 1 no group in common; lower is better: so much of the pool would have to be others. `n`
        counts the pool. Undefined: the pool or the target is empty.

    Raises:
        ValueError: a count is negative.

    Source: total-variation distance.
    """
    groups = sorted({*pool, *target})
    mine, wanted = (np.array([float(side.get(group, 0)) for group in groups]) for side in (pool, target))
    if (mine < 0).any() or (wanted < 0).any():
        raise ValueError("A group's size is not negative.")
    if not mine.sum():
        return Estimate.undefined(NO_POOL)
    if not wanted.sum():
        return Estimate.undefined(NO_TARGET, n=int(mine.sum()))
    return Estimate(float(np.abs(mine / mine.sum() - wanted / wanted.sum()).sum() / 2), n=int(mine.sum()))


@dataclass(frozen=True)
class GroupRate:
    """How often a group prefers the first, and how exactly that is known.

    `rate` holds the share, its 95 % Wilson interval and n, or the reason: "Not estimable …". `half_width` is half of
    the interval.
    """

    group: str
    rate: Estimate
    half_width: float


def group_rates(first: Mapping[str, int], decided: Mapping[str, int], *, groups: list[str]) -> list[GroupRate]:
    """The preference rate of every group of the target.

    Args:
        first: how often each group's judgements preferred the first candidate.
        decided: how many of its judgements decided.
        groups: those of the target; who has no decided judgement is listed as not estimable.

    Returns:
        One entry for each group, in that order. To know a rate near a half to one point takes 9,604 judgements.

    Undefined: nobody of the group decided a pair.

    Source: interval: Wilson, 1927.
    """
    found = []
    for group in groups:
        n, hits = int(decided.get(group, 0)), int(first.get(group, 0))
        if not n:
            reason = f"Not estimable: nobody of the group {group!r} decided a pair."
            found.append(GroupRate(group, Estimate.undefined(reason), math.nan))
            continue
        low, high = wilson_interval(hits, n)
        half = (high - low) / 2 if low is not None and high is not None else math.nan
        found.append(GroupRate(group, Estimate(hits / n, low=low, high=high, n=n), half))
    return found


def not_estimable(pool: Mapping[str, float], target: Mapping[str, float]) -> list[str]:
    """The groups of the target of whom nobody is in the pool, in the target's order."""
    return [group for group, size in target.items() if size > 0 and not pool.get(group, 0)]


# ---- raking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Raked:
    """A weight for every person, shape (n,), mean 1; nan with the reason where there are none.

    `effective_n` is what the sample is worth with these weights: (sum w)^2 / sum w^2.
    """

    weights: Floats
    effective_n: float
    iterations: int
    reason: str | None = None

    @property
    def design_effect(self) -> float:
        """How many times as many people a sample with these weights needs as one that is like the target (Kish)."""
        return len(self.weights) / self.effective_n


def rake(
    groups: Mapping[str, ArrayLike],
    targets: Mapping[str, Mapping[str, float]],
    *,
    tolerance: float = 1e-10,
    max_iterations: int = 1000,
) -> Raked:
    """Weights with which the people have the target's shares in every attribute (iterative proportional fitting).

    Args:
        groups: for each attribute the group of every person, shape (n,).
        targets: for each attribute how large every group is in the population, in any unit.

    Returns:
        As `Raked`. Undefined: nobody; a group of the target has nobody, so that no weights exist; people whose group is
        not in the target; or targets that contradict each other on these people.

    Source: Deming and Stephan, On a least squares adjustment of a sampled frequency table, 1940.
    """
    sizes = {len(np.asarray(column)) for column in groups.values()}
    if len(sizes) != 1 or set(groups) != set(targets):
        raise ValueError("Every attribute has a target, and one group for every person.")
    n = sizes.pop()

    def undefined(reason: str) -> Raked:
        return Raked(np.full(n, np.nan), math.nan, 0, reason)

    if not n:
        return undefined(NO_POOL)
    codes: list[tuple[Codes, Floats]] = []
    for attribute, target in targets.items():
        wanted = {group: float(size) for group, size in target.items() if size > 0}
        here = [str(group) for group in np.asarray(groups[attribute]).tolist()]
        empty = [group for group in wanted if group not in here]
        strange = sorted(set(here) - set(wanted))
        if empty:
            return undefined(f"Not estimable: nobody has the {attribute} {_some(empty)}.")
        if strange:
            return undefined(f"The target says nothing of the {attribute} {_some(strange)}.")
        place = {group: code for code, group in enumerate(wanted)}
        shares = np.array(list(wanted.values()))
        codes.append((np.array([place[group] for group in here], dtype=np.int64), shares / shares.sum()))
    weights = np.full(n, 1 / n)
    for iteration in range(1, max_iterations + 1):
        for code, shares in codes:
            weights = weights * (shares / np.bincount(code, weights=weights, minlength=len(shares)))[code]
        off = [np.abs(np.bincount(code, weights=weights, minlength=len(shares)) - shares) for code, shares in codes]
        if max(one.max() for one in off) < tolerance:
            weights = weights * (n / weights.sum())
            return Raked(weights, float(weights.sum() ** 2 / (weights**2).sum()), iteration)
    return undefined("The targets contradict each other on these people: no weights meet them all.")


def _some(names: list[str]) -> str:
    """A few of the names, each cut where it is long: a reason is a sentence."""
    shown = ", ".join(repr(name if len(name) <= 30 else f"{name[:29]}…") for name in names[:2])
    return shown if len(names) <= 2 else f"{shown} and {len(names) - 2} more"


def raked_rate(preferred: ArrayLike, raked: Raked) -> Estimate:
    """The share of people who prefer the first, as it would be in the target's population.

    Args:
        preferred: 1 first, 0 second, or the share of the first where somebody decided often; nan undecided; shape
            (n,).
        raked: their weights.

    Returns:
        A share with the interval of as many people as the weights are worth; `n` counts the decided ones. Undefined: no
        weights, or nobody decided.

    Source: Deming and Stephan, 1940.
    """
    values = np.asarray(preferred, dtype=np.float64)
    if values.shape != raked.weights.shape:
        raise ValueError(f"There is one preference for each of {len(raked.weights)} people, not {values.shape}.")
    if raked.reason:
        return Estimate.undefined(raked.reason)
    there = ~np.isnan(values)
    if not there.any():
        return Estimate.undefined("Nobody decided.")
    weights = raked.weights[there]
    share = float((weights * values[there]).sum() / weights.sum())
    worth = float(weights.sum() ** 2 / (weights**2).sum())
    low, high = wilson_interval(share * worth, worth)
    return Estimate(min(1.0, share), low=low, high=high, n=int(there.sum()))


def raked_winner_change(labels: Labels, weights: ArrayLike) -> Estimate:
    """How often the majority label of an item is another when every annotator counts with a weight.

    Args:
        labels: (n_labels,), compared as names.
        weights: from 0 on, shape (n_annotators,); nan: this annotator counts on neither side.

    Returns:
        A share from 0 to 1 with its Wilson interval; lower: the labels would be the same in the target's population.
        `n` counts the items with a clear majority of those who have a weight. A tie is a change. Undefined: there is no
        such item.

    Ours.
    """
    of_annotator = np.asarray(weights, dtype=np.float64)
    if of_annotator.shape != (labels.n_annotators,):
        raise ValueError(f"There is one weight for each of {labels.n_annotators} annotators, not {of_annotator.shape}.")
    weighed = labels.keep(~np.isnan(of_annotator)[labels.annotator])
    winner = _winner(weighed.counts())
    cell = weighed.item * weighed.n_values + weighed.value
    size = weighed.n_items * weighed.n_values
    totals = np.bincount(cell, weights=of_annotator[weighed.annotator], minlength=size)
    clear = winner >= 0
    changed = _winner(totals.reshape(weighed.n_items, weighed.n_values)) != winner
    hits = int(changed[clear].sum())
    return share_of(hits, int(clear.sum()), none="No item has a clear majority of people with a weight.")


# ---- how firmly the labels stand ------------------------------------------------------------------------------------


def flip_fraction(labels: Labels) -> Floats:
    """The smallest share of an item's labels that, changed to the second value, would change or tie the winner.

    Args:
        labels: (n_labels,), compared as names.

    Returns:
        Shares, shape (n_items,); higher is firmer; 0: it is tied already; nan: no label. A unanimous three gives 2/3.

    Ours: after the robustness question of the alignment trilemma.
    """
    counts = labels.counts()
    total = counts.sum(axis=1)
    if not labels.n_values:
        return np.full(labels.n_items, np.nan)
    ordered = np.sort(np.column_stack([counts, np.zeros(len(counts), dtype=np.int64)]), axis=1)
    lead = ordered[:, -1] - ordered[:, -2]
    # Each changed label takes one from the first and gives one to the second.
    needed = (lead + 1) // 2
    return np.where(total > 0, needed / np.maximum(total, 1), np.nan)


def leave_one_group_out(labels: Labels, group: ArrayLike) -> dict[str, Estimate]:
    """How often the majority label of an item changes when one group's labels are left out.

    Args:
        labels: (n_labels,), compared as names.
        group: the group of every annotator, shape (n_annotators,).

    Returns:
        For each group, in alphabetical order, the share of its items whose majority is another, or tied, or gone,
        without it; with its Wilson interval; `n` counts the items with a clear majority on which the group has a label.
        Higher: the group decides. Undefined: there is no such item.

    Source: ours.
    """
    of_annotator = np.array([str(one) for one in np.asarray(group).tolist()], dtype=object)
    if of_annotator.shape != (labels.n_annotators,):
        raise ValueError(f"There is one group for each of {labels.n_annotators} annotators, not {of_annotator.shape}.")
    everyone = _winner(labels.counts())
    found: dict[str, Estimate] = {}
    for name in sorted(set(of_annotator.tolist())):
        theirs = (of_annotator == name)[labels.annotator]
        touched = (np.bincount(labels.item[theirs], minlength=labels.n_items) > 0) & (everyone >= 0)
        n = int(touched.sum())
        if not n:
            found[name] = Estimate.undefined("No item with a clear majority has a label of this group.")
            continue
        without = _winner(labels.keep(~theirs).counts())
        hits = int((without != everyone)[touched].sum())
        low, high = wilson_interval(hits, n)
        found[name] = Estimate(hits / n, low=low, high=high, n=n)
    return found


def _winner(counts: Codes | Floats) -> Codes:
    """The value with most labels, -1 where it is tied or there is none. Sums of weights are equal but for rounding."""
    if not counts.size:
        return np.full(len(counts), -1)
    top = counts.max(axis=1)
    clear = (top > 0) & (np.isclose(counts, top[:, None], rtol=1e-9, atol=0).sum(axis=1) == 1)
    return np.where(clear, counts.argmax(axis=1), -1)


# ---- the table ------------------------------------------------------------------------------------------------------

METRICS: dict[str, Metric] = {
    "total_variation": Metric(
        "Distance of the pool to the target",
        total_variation,
        "project",
        "lower is better",
        "share of the pool, 0 to 1",
        "groups",
        "nobody declared a group; no target",
        "total-variation distance",
    ),
    "group_rates": Metric(
        "Preference rate of a group",
        group_rates,
        "group",
        "higher is more often",
        SHARE,
        "groups",
        "nobody of the group decided a pair",
        "interval: Wilson, 1927",
    ),
    "raked_rate": Metric(
        "Preference rate of the target's population",
        raked_rate,
        "project",
        "higher is more often",
        SHARE,
        "groups",
        "a group of the target has nobody",
        "Deming and Stephan, 1940",
    ),
    "raked_winner_change": Metric(
        "Majorities that change with the weights",
        raked_winner_change,
        "project",
        "lower is better",
        SHARE,
        "names",
        "no item with a clear majority",
        "ours",
    ),
    "flip_fraction": Metric(
        "Firmness of the majority",
        flip_fraction,
        "pair",
        "higher is firmer",
        "share of labels to change, 0 to 1",
        "names",
        "no label",
        "ours",
    ),
    "leave_one_group_out": Metric(
        "Influence of a group on the majority",
        leave_one_group_out,
        "group",
        "higher is more influence",
        SHARE,
        "names",
        "no item of the group with a clear majority",
        "ours",
    ),
}
