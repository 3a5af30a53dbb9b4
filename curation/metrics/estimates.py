"""What a measure gives: an estimate, how sure it is, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.metrics.labels import Codes, Floats

# An interval from fewer defined resamples than this share would be one of the lucky resamples only.
DEFINED_SHARE = 0.9

NO_LABELS = "There are no labels."
NO_OVERLAP = "No item has two labels."
ONE_VALUE = "Only one value was given, so that agreement by chance is already complete."


@dataclass(frozen=True)
class Estimate:
    """A value, or nan with the reason why it is undefined.

    `n` is what the value rests on, as each function says. `low` and `high` bound the 95 % interval, where one was
    asked for and enough resamples were defined.
    """

    value: float
    reason: str | None = None
    low: float | None = None
    high: float | None = None
    n: int = 0

    def __post_init__(self) -> None:
        if math.isnan(self.value) != (self.reason is not None):
            raise ValueError(f"An estimate has a value or a reason: {self.value}, {self.reason!r}.")

    @classmethod
    def undefined(cls, reason: str, *, n: int = 0) -> Estimate:
        return cls(math.nan, reason, n=n)

    @property
    def interval(self) -> tuple[float, float] | None:
        return None if self.low is None or self.high is None else (self.low, self.high)

    @property
    def is_defined(self) -> bool:
        return self.reason is None

    def as_json(self) -> dict[str, Any]:
        """The parts that are there, for JSON output: value or reason, low, high, n."""
        if not self.is_defined:
            return {"value": None, "reason": self.reason, "n": self.n}
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n}


def agreement_of_counts(counts: Codes) -> Floats:
    """The share of pairs of labels of an item that agree, from how often it got each value, shape (n_items, n_values).

    nan: fewer than two labels. Shape (n_items,).
    """
    size = counts.sum(axis=1)
    total = np.where(size >= 2, size * (size - 1), 1)
    return np.where(size >= 2, (counts * (counts - 1)).sum(axis=1) / total, np.nan)


def patterns(counts: Codes) -> tuple[Codes, Codes]:
    """The different rows of `counts` in a fixed order, and how many items have each.

    With k labels of c values there are few different rows whatever the number of items: resampling them by how often
    they occur is the same as resampling the items, and costs the same for a thousand items and for a million.
    """
    if not counts.size:
        return counts, np.zeros(len(counts), dtype=np.int64)
    base = int(counts.max()) + 1
    if base ** counts.shape[1] < 2**62:
        # A row as one number in base (largest count + 1): sorting numbers is much faster than sorting rows.
        key = counts @ (base ** np.arange(counts.shape[1], dtype=np.int64))
        _, first, times = np.unique(key, return_index=True, return_counts=True)
        return counts[first], times
    rows, times = np.unique(counts, axis=0, return_counts=True)
    return rows, times


def bootstrap_interval(
    sums: Floats,
    weights: NDArray[Any],
    statistic: Callable[[Floats], Floats],
    *,
    rng: np.random.Generator,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> tuple[float | None, float | None]:
    """The percentile bootstrap interval over items of a statistic of sums.

    Args:
        sums: what each item (or kind of item) adds to the totals, shape (n_kinds, n_sums).
        weights: how many items there are of each kind, shape (n_kinds,).
        statistic: totals of shape (resamples, n_sums) to values of shape (resamples,); nan where undefined.
        rng: the same state gives the same interval.
        resamples: how many times as many items are drawn with replacement as there are.
        confidence: the share of the values that lie inside.

    Returns:
        The (1 - confidence) / 2 and (1 + confidence) / 2 quantiles of the values. (None, None): fewer than 90 % of
        the resamples are defined, so that the others would be a choice.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    n = int(weights.sum())
    if resamples < 1 or n < 1:
        return None, None
    share = weights / n
    # Pieces of at most 4 million draws keep memory flat when every item is a kind of its own.
    piece = max(1, min(resamples, 4_000_000 // max(1, len(weights))))
    values = np.concatenate(
        [
            statistic(rng.multinomial(n, share, size=min(piece, resamples - done)).astype(np.float64) @ sums)
            for done in range(0, resamples, piece)
        ]
    )
    defined = values[~np.isnan(values)]
    if len(defined) < DEFINED_SHARE * resamples:
        return None, None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def column_intervals(drawn: Floats) -> tuple[Floats, Floats]:
    """The 2.5 and 97.5 % quantiles of each column of resampled values, shape (n_resamples, n_columns).

    nan where fewer than 90 % of the resamples are defined, as in `bootstrap_interval`.
    """
    low, high = np.full(drawn.shape[1], np.nan), np.full(drawn.shape[1], np.nan)
    for place, column in enumerate(drawn.T):
        defined = column[~np.isnan(column)]
        if len(defined) and len(defined) >= DEFINED_SHARE * len(drawn):
            low[place], high[place] = np.quantile(defined, [0.025, 0.975])
    return low, high


# The 97.5 % quantile of the normal distribution.
Z = 1.959963984540054


def wilson_interval(hits: float, n: float) -> tuple[float | None, float | None]:
    """The 95 % score interval of a share; (None, None) where n is 0.

    It stays inside 0 and 1, and is right for few trials and for shares near the ends, where the usual one is not.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    if n <= 0:
        return None, None
    share = hits / n
    middle = (share + Z * Z / (2 * n)) / (1 + Z * Z / n)
    half = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
    # At the ends the sums are exact on paper only.
    return (middle - half if hits > 0 else 0.0), (middle + half if hits < n else 1.0)


def share_of(hits: int, n: int, *, none: str, least: int = 1, of: str = "cases") -> Estimate:
    """A share with its Wilson interval; undefined, with the reason, where there are fewer than `least` cases.

    Args:
        hits, n: how many of how many.
        none: the reason where n is 0.
        least: fewer cases than this are not enough data.
        of: what is counted, for the reason: "decided pairs".
    """
    if not n:
        return Estimate.undefined(none)
    if n < least:
        return Estimate.undefined(not_enough(n, least, of), n=n)
    low, high = wilson_interval(hits, n)
    return Estimate(hits / n, low=low, high=high, n=n)


def not_enough(n: int, least: int, of: str) -> str:
    return f"Not enough data: {n} of at least {least} {of}."


def mean_of(values: Floats, *, none: str, rng: np.random.Generator | None = None, resamples: int = 1000) -> Estimate:
    """The mean of the values that are not nan, shape (n,). `n` counts them; with `rng`, a bootstrap interval.

    Many equal values are one kind with a weight, as in `bootstrap_interval`.
    """
    defined = np.asarray(values, dtype=np.float64)
    defined = defined[~np.isnan(defined)]
    if not len(defined):
        return Estimate.undefined(none)
    value = float(defined.mean())
    if rng is None:
        return Estimate(value, n=len(defined))
    kinds, weights = np.unique(defined, return_counts=True)
    sums = np.column_stack([kinds, np.ones(len(kinds))])
    low, high = bootstrap_interval(sums, weights, ratio, rng=rng, resamples=resamples)
    return Estimate(value, low=low, high=high, n=len(defined))


def difference(one: Estimate, other: Estimate) -> Estimate:
    """one - other of two independent estimates, with the 95 % interval made from theirs.

    `n` is the smaller of theirs. Undefined: one of them is, or has no interval.

    Source: Newcombe, Interval estimation for the difference between independent proportions, 1998, method 10; for any
        two intervals Zou and Donner, Construction of confidence limits about effect measures, 2008.
    """
    for side in (one, other):
        if side.reason is not None:
            return Estimate.undefined(side.reason, n=min(one.n, other.n))
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return Estimate.undefined("There is no interval to compare.", n=min(one.n, other.n))
    gap = one.value - other.value
    low = gap - math.hypot(one.value - one.low, other.high - other.value)
    high = gap + math.hypot(one.high - one.value, other.value - other.low)
    return Estimate(gap, low=low, high=high, n=min(one.n, other.n))


def ratio(totals: Floats) -> Floats:
    """The first of two sums divided by the second, shape (resamples,); nan where the second is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(totals[:, 0] / totals[:, 1])
