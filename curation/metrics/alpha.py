"""Krippendorff's alpha. `agreement` names it as its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from curation.metrics.estimates import NO_LABELS, NO_OVERLAP, ONE_VALUE, Estimate, bootstrap_interval, patterns
from curation.metrics.labels import Codes, Floats, Labels

Level = Literal["nominal", "ordinal", "interval"]
LEVELS: tuple[Level, ...] = ("nominal", "ordinal", "interval")

# The coincidences of a resample are a table of values x values; with more values than this it no longer fits.
MOST_VALUES = 64
# What the kinds of items add to it, in numbers: 400 MB.
MOST_CELLS = 50_000_000


def krippendorff_alpha(
    labels: Labels, *, level: Level = "nominal", rng: np.random.Generator | None = None, resamples: int = 1000
) -> Estimate:
    """Krippendorff's alpha: 1 - observed / expected disagreement, corrected for chance, any number of labels per item.

    alpha = 1 - D_o / D_e with D_o = sum o_ab d2(a, b) / n and D_e = sum n_a n_b d2(a, b) / (n (n - 1)), where o_ab
    counts the ordered pairs of labels within an item, each item weighted by 1 / (its labels - 1). The distance d2 is
    [a != b] (nominal), (a - b)^2 (interval), or the squared difference of mid-ranks (ordinal), which equals the
    published (sum of n_g from a to b - (n_a + n_b) / 2)^2.

    Args:
        labels: (n_labels,). For ordinal and interval the values are numbers.
        level: the distance between values.
        rng: where given, a 95 % percentile interval over resampled items is computed, unless there are more than 64
            values, or too many kinds of items for the memory.
        resamples: how many.

    Returns:
        An estimate without unit, at most 1; 0 is agreement by chance, below 0 is less than chance. Higher is better.
        `n` counts the items with at least two labels. Undefined: no such item, or only one value among them.

    Source: Krippendorff, Content Analysis, 4th edition, chapter 12.
    """
    if level not in LEVELS:
        raise ValueError(f"Unknown level {level!r}. Known are {', '.join(LEVELS)}.")
    per_item = labels.per_item
    met = per_item >= 2
    n_items = int(met.sum())
    if not n_items:
        return Estimate.undefined(NO_OVERLAP if len(labels) else NO_LABELS)
    rows = met[labels.item]
    item, value = labels.item[rows], labels.value[rows]
    marginals = np.bincount(value, minlength=labels.n_values).astype(np.float64)
    if (marginals > 0).sum() < 2:
        return Estimate.undefined(ONE_VALUE, n=n_items)
    n = float(len(value))
    size = np.where(met, per_item, 2).astype(np.float64)
    if level == "nominal":
        same = _squares_per_item(item, value, labels.n_items, labels.n_values)
        observed = ((size**2 - same) / (size - 1))[met].sum() / n
        expected = (n**2 - (marginals**2).sum()) / (n * (n - 1))
    else:
        scale = _scale(labels, level=level, marginals=marginals)
        x = scale[value]
        # Around the mean the sums of squares lose no digits.
        x = x - x.mean()
        sums = np.bincount(item, weights=x, minlength=labels.n_items)
        squares = np.bincount(item, weights=x * x, minlength=labels.n_items)
        observed = (2 * (size * squares - sums**2) / (size - 1))[met].sum() / n
        expected = 2 * (n * squares.sum() - sums.sum() ** 2) / (n * (n - 1))
    if expected <= 0:
        return Estimate.undefined(ONE_VALUE, n=n_items)
    estimate = Estimate(float(1 - observed / expected), n=n_items)
    if rng is None or labels.n_values > MOST_VALUES:
        return estimate
    counts, weights = patterns(labels.counts()[met])
    if len(counts) * labels.n_values ** (1 if level == "nominal" else 2) > MOST_CELLS:
        return estimate
    if level == "nominal":
        statistic: Callable[[Floats], Floats] = _alpha_nominal
        sums_of = _nominal_sums(counts)
    else:
        statistic = _AlphaOfCoincidences(k=labels.n_values, numbers=None if level == "ordinal" else labels.numbers)
        sums_of = _coincidences(counts)
    low, high = bootstrap_interval(sums_of, weights, statistic, rng=rng, resamples=resamples)
    return replace(estimate, low=low, high=high)


def krippendorff_alpha_of_counts(
    counts: NDArray[Any],
    *,
    times: NDArray[Any] | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """The nominal `krippendorff_alpha`, with its interval, from how often each value was given.

    The same figure, without a row for every label: a release of a million pairs counts it twice.

    Args:
        counts: (n_items, n_values), integers.
        times: (n_items,), how many items have these counts; None: each row is one item.
        rng, resamples: as in `krippendorff_alpha`.

    Returns:
        As `krippendorff_alpha`.

    Source: Krippendorff, Content Analysis, 4th edition, chapter 12.
    """
    different, weights = patterns(counts) if times is None else (counts, times)
    size = different.sum(axis=1)
    met = size >= 2
    n_items = int(weights[met].sum())
    if not n_items:
        return Estimate.undefined(NO_OVERLAP if size.any() else NO_LABELS)
    different, weights = different[met], weights[met]
    sums_of = _nominal_sums(different)
    totals = weights @ sums_of
    if (totals[2:] > 0).sum() < 2:
        return Estimate.undefined(ONE_VALUE, n=n_items)
    estimate = Estimate(float(_alpha_nominal(totals[None])[0]), n=n_items)
    if rng is None:
        return estimate
    low, high = bootstrap_interval(sums_of, weights, _alpha_nominal, rng=rng, resamples=resamples)
    return replace(estimate, low=low, high=high)


def _squares_per_item(item: Codes, value: Codes, n_items: int, n_values: int) -> Floats:
    """sum over values of (how often this item got it)^2, shape (n_items,)."""
    cell = item * n_values + value
    if n_items * n_values <= max(1 << 20, 8 * len(item)):
        counts = np.bincount(cell, minlength=n_items * n_values).reshape(n_items, n_values).astype(np.float64)
        return np.asarray(np.einsum("iv,iv->i", counts, counts))
    cells, times = np.unique(cell, return_counts=True)
    sums = np.bincount(cells // n_values, weights=times.astype(np.float64) ** 2, minlength=n_items)
    return sums.astype(np.float64)


def _scale(labels: Labels, *, level: Level, marginals: Floats) -> Floats:
    """Where each value stands on a line on which the distance is the plain difference: itself, or its mid-rank."""
    numbers = labels.numbers  # Names are refused for ordinal too: their order would be the alphabet's.
    return numbers if level == "interval" else np.cumsum(marginals) - marginals / 2


def _nominal_sums(counts: Codes) -> Floats:
    """Per pattern: disagreement, labels, and labels by value. Shape (n_patterns, 2 + n_values)."""
    table = counts.astype(np.float64)
    size = table.sum(axis=1)
    disagreement = (size**2 - (table**2).sum(axis=1)) / (size - 1)
    return np.column_stack([disagreement, size, table])


def _alpha_nominal(totals: Floats) -> Floats:
    disagreement, n, marginals = totals[:, 0], totals[:, 1], totals[:, 2:]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - (n - 1) * disagreement / (n**2 - (marginals**2).sum(axis=1)))


def _coincidences(counts: Codes) -> Floats:
    """Per pattern: its part of the coincidence table, flat. Shape (n_patterns, n_values ** 2)."""
    table = counts.astype(np.float64)
    k = table.shape[1]
    ordered = table[:, :, None] * table[:, None, :]
    ordered[:, np.arange(k), np.arange(k)] -= table
    parts: Floats = (ordered / (table.sum(axis=1) - 1)[:, None, None]).reshape(len(table), k * k)
    return parts


@dataclass(frozen=True)
class _AlphaOfCoincidences:
    """Alpha of each resample from its coincidence table. `numbers` are the values; None: mid-ranks of each resample."""

    k: int
    numbers: Floats | None

    def __call__(self, totals: Floats) -> Floats:
        table = totals.reshape(len(totals), self.k, self.k)
        marginals = table.sum(axis=2)
        n = marginals.sum(axis=1)
        if self.numbers is None:
            scale = np.cumsum(marginals, axis=1) - marginals / 2
        else:
            scale = np.broadcast_to(self.numbers, marginals.shape)
        distance = (scale[:, :, None] - scale[:, None, :]) ** 2
        observed = np.einsum("bij,bij->b", table, distance)
        expected = np.einsum("bi,bij,bj->b", marginals, distance, marginals)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(1 - (n - 1) * observed / expected)
