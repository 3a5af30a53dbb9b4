"""What can be said of each annotator, person or judge, and from how much data. Pure numbers.

Every function gives a list with one estimate per annotator code. Below the least number of cases, which stands here and
is part of the reason, a figure is undefined: a habit seen in twenty judgements is no habit. None of them is a ranking.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.estimates import NO_LABELS, Estimate, Z, mean_of, not_enough, share_of
from curation.metrics.labels import Codes, Floats, Labels
from curation.metrics.metric import SHARE, Metric

# A share of 60 % is told from a half, at the 1 % level, with a chance of 81 % from 300 decided pairs on; with 100 of
# them the chance is 24 %.
LEAST_DECIDED = 300
# With 30 items an agreement of .7 is known to .16 either way, with 100 to .09. From 30 on the figure is shown with its
# interval; the report names nobody for it unless that interval, wide as it is, leaves hardly room for chance.
LEAST_MET = 30
LEAST_GOLD = 20
LEAST_JUDGEMENTS = 30
LEAST_TIMED = 10
LEAST_CONSENSUS = 30
# A last week is told from a habit from four weeks on, and a week is one from ten items on.
LEAST_WEEKS = 4
LEAST_IN_WEEK = 10

NEVER_MET = "Nobody else labelled an item of this annotator."
NO_GOLD = "This annotator labelled no gold item."
NO_DECIDED = "This annotator decided no pair."
NO_JUDGEMENTS = "This annotator judged nothing."
SEPARATED = "Length tells every choice of this annotator: the slope has no end."


def leave_one_out_agreement(
    labels: Labels,
    *,
    reference: ArrayLike | None = None,
    least: int = LEAST_MET,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> list[Estimate]:
    """How far each annotator agrees with the others: the mean over items of the share of others' labels like theirs.

    Args:
        labels: (n_labels,), compared as names.
        reference: whose labels count as the others', bool of shape (n_annotators,); all by default. People compared
            with people and judges with people too: the people.
        least: fewer items that somebody else labelled too are not enough data.
        rng: where given, a bootstrap interval over the annotator's items.
        resamples: how many.

    Returns:
        Shares from 0 to 1; higher is more agreement. `n` counts the items.

    Undefined: fewer than `least` items with others.

    Source: the agreement of one annotator with the others as in CROWDLAB (arXiv 2210.06812), averaged over items.
    """
    met, like = _like_the_others(labels, reference)
    given = np.bincount(labels.annotator, minlength=labels.n_annotators)
    found = []
    for annotator, mine in enumerate(_of_each(labels.annotator[met], like[met], labels.n_annotators)):
        if not len(mine):
            found.append(Estimate.undefined(NEVER_MET if given[annotator] else NO_LABELS))
        elif len(mine) < least:
            found.append(Estimate.undefined(not_enough(len(mine), least, "items with others"), n=len(mine)))
        else:
            found.append(mean_of(mine, none=NEVER_MET, rng=rng, resamples=resamples))
    return found


def _like_the_others(labels: Labels, reference: ArrayLike | None) -> tuple[NDArray[np.bool_], Floats]:
    """For each label whether somebody else labelled its item, and the share of the others' labels that are like it."""
    counted = np.ones(labels.n_annotators, dtype=bool) if reference is None else np.asarray(reference, dtype=bool)
    if counted.shape != (labels.n_annotators,):
        raise ValueError(
            f"The reference has a place for each of {labels.n_annotators} annotators, not {counted.shape}."
        )
    of_reference = labels.keep(counted[labels.annotator])
    mine = counted[labels.annotator].astype(np.int64)
    others = of_reference.per_item[labels.item] - mine
    like = (of_reference.counts()[labels.item, labels.value] - mine) / np.maximum(others, 1)
    return others > 0, np.asarray(like, dtype=np.float64)


def agreement_drift(
    labels: Labels,
    week: ArrayLike,
    *,
    reference: ArrayLike | None = None,
    least: int = LEAST_WEEKS,
    least_in_week: int = LEAST_IN_WEEK,
) -> list[Estimate]:
    """Whether an annotator's agreement with the others moves: that of the last week less that of the weeks before.

    Args:
        labels: (n_labels,), compared as names.
        week: the number of the week of each label, shape (n_labels,); any unit in which one week is 1.
        reference: as in `leave_one_out_agreement`.
        least: fewer weeks are not enough data.
        least_in_week: a week with fewer items that somebody else labelled too is left out.

    Returns:
        -1 to 1 with the interval of the difference of two means; below 0 the agreement falls, 0 is no change. `n`
        counts the weeks.

    Undefined: fewer than `least` weeks of `least_in_week` items with others.

    Ours: the question of a drift chart, asked of the last point only.
    """
    found = []
    for mine in agreement_by_week(labels, week, reference=reference, least_in_week=least_in_week):
        if len(mine) < least:
            reason = not_enough(len(mine), least, "weeks") if len(mine) else NEVER_MET
            found.append(Estimate.undefined(reason, n=len(mine)))
            continue
        before, last = mine[:-1], mine[-1]
        n = sum(one.n for one in before)
        usual = sum(one.n * one.mean for one in before) / n
        spread = sum(one.n * (one.variance + (one.mean - usual) ** 2) for one in before) / n
        half = Z * math.sqrt(last.variance / last.n + spread / n)
        moved = last.mean - usual
        found.append(Estimate(moved, low=max(-1.0, moved - half), high=min(1.0, moved + half), n=len(mine)))
    return found


@dataclass(frozen=True)
class Week:
    """An annotator's agreement with the others in one week: its mean and variance over `n` items."""

    week: int
    mean: float
    variance: float
    n: int


def agreement_by_week(
    labels: Labels, week: ArrayLike, *, reference: ArrayLike | None = None, least_in_week: int = LEAST_IN_WEEK
) -> list[list[Week]]:
    """The weeks of each annotator in order, for the drift and its chart. Arguments as in `agreement_drift`."""
    weeks = np.asarray(week, dtype=np.int64)
    if weeks.shape != labels.item.shape:
        raise ValueError(f"There is one week for each of {len(labels)} labels, not {weeks.shape}.")
    found: list[list[Week]] = [[] for _ in range(labels.n_annotators)]
    met, like = _like_the_others(labels, reference)
    who, when, share = labels.annotator[met], weeks[met], like[met]
    if not len(who):
        return found
    cells, cell = np.unique(np.column_stack([who, when]), axis=0, return_inverse=True)
    cell = cell.ravel()
    n = np.bincount(cell)
    mean = np.bincount(cell, share) / n
    variance = np.bincount(cell, (share - mean[cell]) ** 2) / n
    for place, (annotator, number) in enumerate(cells.tolist()):
        if n[place] >= least_in_week:
            found[annotator].append(Week(number, float(mean[place]), float(variance[place]), int(n[place])))
    return found


def _of_each(who: Codes, values: Floats, n: int) -> list[Floats]:
    """The values of each annotator, in one sort."""
    order = np.argsort(who, kind="stable")
    ends = np.cumsum(np.bincount(who, minlength=n))
    return np.split(values[order], ends[:-1]) if n else []


def gold_accuracy(labels: Labels, gold: ArrayLike, *, least: int = LEAST_GOLD) -> list[Estimate]:
    """The share of gold items that each annotator got right, with its Wilson interval.

    Args:
        labels: (n_labels,).
        gold: the code of the right value of each item, shape (n_items,); -1: the item is not gold.
        least: fewer gold items are not enough data.

    Returns:
        Shares from 0 to 1; higher is better. `n` counts the gold labels. A person who is right nine times of ten passes
        24 of 30 with a chance of 97 %, one who guesses of two with a chance of .1 %.

    Undefined: fewer than `least` gold items.

    Source: interval: Wilson, 1927.
    """
    right_value = np.asarray(gold, dtype=np.int64)
    if right_value.shape != (labels.n_items,):
        raise ValueError(f"There is one gold code for each of {labels.n_items} items, not {right_value.shape}.")
    is_gold = right_value[labels.item] >= 0
    hits = is_gold & (labels.value == right_value[labels.item])
    return _shares(labels.annotator, hits, is_gold, n=labels.n_annotators, least=least, none=NO_GOLD, of="gold items")


def _shares(
    annotator: Codes, hits: NDArray, cases: NDArray, *, n: int, least: int, none: str, of: str
) -> list[Estimate]:
    total = np.bincount(annotator[cases], minlength=n)
    hit = np.bincount(annotator[hits], minlength=n)
    return [share_of(int(one), int(all_), none=none, least=least, of=of) for one, all_ in zip(hit, total, strict=True)]


def left_rate(
    annotator: ArrayLike, chose_left: ArrayLike, *, n_annotators: int, least: int = LEAST_DECIDED
) -> list[Estimate]:
    """How often each annotator chose what stood left; sides being drawn at random, .5 is no habit.

    Args:
        annotator: codes, shape (n_judgements,).
        chose_left: 1 left, 0 right, nan tie, both bad or skip; shape (n_judgements,).
        least: fewer decided pairs are not enough data.

    Returns:
        Shares with Wilson intervals; far from .5 in either direction is a bias. `n` counts the decided pairs.

    Source: interval: Wilson, 1927.
    """
    chose = np.asarray(chose_left, dtype=np.float64)
    return _shares(
        np.asarray(annotator, dtype=np.int64),
        chose == 1,
        ~np.isnan(chose),
        n=n_annotators,
        least=least,
        none=NO_DECIDED,
        of="decided pairs",
    )


def verdict_rate(
    annotator: ArrayLike,
    verdict: ArrayLike,
    *,
    of: str,
    n_annotators: int,
    least: int = LEAST_JUDGEMENTS,
) -> list[Estimate]:
    """How often each annotator gave one verdict: "tie", "both_bad", "skip".

    Args:
        annotator: codes, shape (n_judgements,).
        verdict: the verdicts' names, shape (n_judgements,). Leave the skips out for the rates of the others.
        of: which verdict.
        least: fewer judgements are not enough data.

    Returns:
        Shares from 0 to 1 with Wilson intervals; neither direction is good. `n` counts the judgements.

    Undefined: fewer than `least` judgements.

    Source: interval: Wilson, 1927.
    """
    given = np.asarray(verdict)
    return _shares(
        np.asarray(annotator, dtype=np.int64),
        given == of,
        np.ones(len(given), dtype=bool),
        n=n_annotators,
        least=least,
        none=NO_JUDGEMENTS,
        of="judgements",
    )


def active_time(
    annotator: ArrayLike, milliseconds: ArrayLike, *, n_annotators: int, least: int = LEAST_TIMED
) -> list[Estimate]:
    """The median active time of each annotator's judgements, in seconds.

    Args:
        annotator: codes, shape (n_judgements,).
        milliseconds: the time the page was looked at, shape (n_judgements,); nan unknown.
        least: fewer timed judgements are not enough data.

    Returns:
        Seconds with the interval of order statistics, which assumes nothing of the distribution. Neither direction is
        good. `n` counts the timed judgements.

    Source: interval: Conover, Practical nonparametric statistics, section 3.2.
    """
    time = np.asarray(milliseconds, dtype=np.float64) / 1000
    timed = ~np.isnan(time)
    found = []
    for mine in _of_each(np.asarray(annotator, dtype=np.int64)[timed], time[timed], n_annotators):
        n = len(mine)
        if not n:
            found.append(Estimate.undefined("No judgement of this annotator was timed."))
        elif n < least:
            found.append(Estimate.undefined(not_enough(n, least, "timed judgements"), n=n))
        else:
            ordered = np.sort(mine)
            half = Z * math.sqrt(n) / 2
            low, high = max(0, math.floor(n / 2 - half)), min(n - 1, math.ceil(n / 2 + half))
            found.append(Estimate(float(np.median(mine)), low=float(ordered[low]), high=float(ordered[high]), n=n))
    return found


def length_slope(
    annotator: ArrayLike,
    length_ratio: ArrayLike,
    chose_first: ArrayLike,
    *,
    n_annotators: int,
    least: int = LEAST_DECIDED,
) -> list[Estimate]:
    """How strongly length draws each annotator: the slope of a logistic regression on the ratio of the lengths.

    log odds of choosing the first = a + slope * log2(length of the first / length of the second).

    Args:
        annotator: codes, shape (n_judgements,).
        length_ratio: log2 of length of first / length of second, shape (n_judgements,); nan or infinite is left out.
        chose_first: 1 first, 0 second, nan not decided; shape (n_judgements,).
        least: fewer decided pairs are not enough data.

    Returns:
        Log odds for each doubling of the ratio, with Wald's interval; above 0 longer is preferred, 0 is no habit. `n`
        counts the decided pairs. Undefined too: all lengths are the same, or length tells every choice.

    Source: the length coefficient of style control in Chatbot Arena, one annotator at a time; the form is ours.
    """
    ratios = np.asarray(length_ratio, dtype=np.float64)
    chose = np.asarray(chose_first, dtype=np.float64)
    there = np.isfinite(ratios) & ~np.isnan(chose)
    who = np.asarray(annotator, dtype=np.int64)[there]
    return [
        _slope(x, y, least=least)
        for x, y in zip(
            _of_each(who, ratios[there], n_annotators), _of_each(who, chose[there], n_annotators), strict=True
        )
    ]


def _slope(x: Floats, y: Floats, *, least: int) -> Estimate:
    n = len(x)
    if not n:
        return Estimate.undefined(NO_DECIDED)
    if n < least:
        return Estimate.undefined(not_enough(n, least, "decided pairs"), n=n)
    if np.ptp(x) == 0:
        return Estimate.undefined("All pairs have the same ratio of lengths.", n=n)
    design = np.column_stack([np.ones(n), x])
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -500, 500)))
        information = design.T @ (design * (p * (1 - p))[:, None])
        if np.linalg.cond(information) > 1e12:
            return Estimate.undefined(SEPARATED, n=n)
        step = np.linalg.solve(information, design.T @ (y - p))
        beta = beta + step
        if np.abs(step).max() < 1e-10:
            break
    else:
        return Estimate.undefined(SEPARATED, n=n)
    half = Z * math.sqrt(float(np.linalg.inv(information)[1, 1]))
    slope = float(beta[1])
    return Estimate(slope, low=slope - half, high=slope + half, n=n)


# ---- the table ------------------------------------------------------------------------------------------------------

METRICS: dict[str, Metric] = {
    "leave_one_out_agreement": Metric(
        "Agreement with the others",
        leave_one_out_agreement,
        "annotator",
        "higher is more agreement",
        SHARE,
        "names",
        f"fewer than {LEAST_MET} items with others",
        "Goh, Tkachenko and Mueller, arXiv 2210.06812, averaged over items",
    ),
    "agreement_drift": Metric(
        "Drift of agreement with the others",
        agreement_drift,
        "annotator",
        "0 is no change",
        "difference of shares, -1 to 1",
        "names",
        f"fewer than {LEAST_WEEKS} weeks of {LEAST_IN_WEEK} items with others",
        "ours",
    ),
    "gold_accuracy": Metric(
        "Gold accuracy",
        gold_accuracy,
        "annotator",
        "higher is better",
        SHARE,
        "names",
        f"fewer than {LEAST_GOLD} gold items",
        "interval: Wilson, 1927",
    ),
    "left_rate": Metric(
        "Left rate",
        left_rate,
        "annotator",
        "half is no habit",
        SHARE,
        "judgements",
        f"fewer than {LEAST_DECIDED} decided pairs",
        "interval: Wilson, 1927",
    ),
    "tie_rate": Metric(
        "Tie rate",
        partial(verdict_rate, of="tie"),
        "annotator",
        "higher is more often",
        SHARE,
        "judgements",
        f"fewer than {LEAST_JUDGEMENTS} judgements",
        "interval: Wilson, 1927",
    ),
    "skip_rate": Metric(
        "Skip rate",
        partial(verdict_rate, of="skip"),
        "annotator",
        "higher is more often",
        SHARE,
        "judgements",
        f"fewer than {LEAST_JUDGEMENTS} judgements",
        "interval: Wilson, 1927",
    ),
    "active_time": Metric(
        "Active time of a judgement",
        active_time,
        "annotator",
        "higher is slower",
        "seconds, median",
        "judgements",
        f"fewer than {LEAST_TIMED} timed judgements",
        "interval: Conover, Practical nonparametric statistics",
    ),
    "length_slope": Metric(
        "Length slope",
        length_slope,
        "annotator",
        "0 is no habit",
        "log odds for each doubling of the ratio of lengths",
        "judgements",
        f"fewer than {LEAST_DECIDED} decided pairs",
        "logistic regression; after the style control of Chatbot Arena",
    ),
}
