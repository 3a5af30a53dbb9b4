"""How far annotators agree. Pure numbers: labels in, estimates out.

Every function takes `Labels` first. Direction: higher is more agreement, except `item_entropy`, where higher is less.
What is undefined is nan with a reason, never 0 or 1. Intervals are percentile intervals over resampled items: items
are what a project draws, while the annotators are who they are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from curation.metrics.alpha import LEVELS, Level, krippendorff_alpha, krippendorff_alpha_of_counts
from curation.metrics.chance import brennan_prediger, conger_kappa, gwet_ac1
from curation.metrics.estimates import (
    NO_LABELS,
    NO_OVERLAP,
    ONE_VALUE,
    Estimate,
    agreement_of_counts,
    bootstrap_interval,
    patterns,
    ratio,
)
from curation.metrics.labels import Codes, Floats, Labels
from curation.metrics.metric import MORE_AGREEMENT, Metric

__all__ = [
    "KAPPA_WEIGHTS",
    "LEVELS",
    "METRICS",
    "KappaWeights",
    "Level",
    "agreeing_pairs",
    "brennan_prediger",
    "cohen_kappa",
    "conger_kappa",
    "distances",
    "fleiss_kappa",
    "gwet_ac1",
    "item_agreement",
    "item_entropy",
    "joint_tables",
    "kappa_of_table",
    "krippendorff_alpha",
    "krippendorff_alpha_of_counts",
    "percent_agreement",
]

KappaWeights = Literal["none", "linear", "quadratic"]
KAPPA_WEIGHTS: tuple[KappaWeights, ...] = ("none", "linear", "quadratic")

# ---- agreement of pairs of annotators ------------------------------------------------------------------------------


def agreeing_pairs(labels: Labels, *, drop: tuple[Any, ...] = ()) -> tuple[int, int]:
    """How many pairs of labels of one item agree, and how many there are: (agreeing, total).

    `drop` names values, for example ("tie",): a pair with any of them is not counted. Without it this is setup S1 of
    the MT-bench paper, with the tie dropped its setup S2.
    """
    counts = (labels.without(*drop) if drop else labels).counts()
    size = counts.sum(axis=1)
    return int((counts * (counts - 1) // 2).sum()), int((size * (size - 1) // 2).sum())


def percent_agreement(
    labels: Labels, *, drop: tuple[Any, ...] = (), rng: np.random.Generator | None = None, resamples: int = 1000
) -> Estimate:
    """The share of pairs of labels of one item that agree; not corrected for chance.

    Args:
        labels: (n_labels,), compared as names.
        drop: values that take a pair out, as in `agreeing_pairs`.
        rng, resamples: as in `krippendorff_alpha`.

    Returns:
        A share from 0 to 1; higher is better. `n` counts the pairs of labels. Undefined: no item has two labels.

    Source: Zheng et al., Judging LLM-as-a-Judge with MT-bench and Chatbot Arena, section 4.2 (arXiv 2306.05685).
    """
    kept = labels.without(*drop) if drop else labels
    agreeing, total = agreeing_pairs(kept)
    if not total:
        return Estimate.undefined(NO_OVERLAP if len(kept) else NO_LABELS)
    estimate = Estimate(agreeing / total, n=total)
    if rng is None:
        return estimate
    counts, weights = patterns(kept.counts())
    size = counts.sum(axis=1)
    sums = np.column_stack([(counts * (counts - 1) // 2).sum(axis=1), size * (size - 1) // 2]).astype(np.float64)
    low, high = bootstrap_interval(sums, weights, ratio, rng=rng, resamples=resamples)
    return replace(estimate, low=low, high=high)


def cohen_kappa(
    labels: Labels,
    *,
    annotators: tuple[int, int] = (0, 1),
    weights: KappaWeights = "none",
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """Cohen's kappa of two annotators on the items that both labelled: (p_o - p_e) / (1 - p_e).

    Weighted, disagreement counts by how far apart the two values are: 1 - sum d_ij p_ij / sum d_ij p_i p_j.

    Args:
        labels: (n_labels,), compared as names; with weights their values are numbers.
        annotators: the codes of the two.
        weights: "none": every disagreement counts the same; "linear": d = |a - b|; "quadratic": d = (a - b)^2.
        rng, resamples: as in `krippendorff_alpha`.

    Returns:
        An estimate without unit, at most 1; 0 is agreement by chance. Higher is better. `n` counts the common items.
        Undefined: there are no two annotators, no common item, or both gave one and the same value throughout.

    Raises:
        ValueError: the weights are unknown, or are asked of names, which have no distances.

    Source: Cohen, A coefficient of agreement for nominal scales, 1960; weighted: Cohen, Weighted kappa, 1968.
    """
    distance = distances(labels, weights)
    one, other = annotators
    if max(one, other) >= labels.n_annotators:
        return Estimate.undefined("There are no two annotators.")
    both = labels.keep((labels.annotator == one) | (labels.annotator == other))
    for _, _, table in joint_tables(both):
        return kappa_of_table(table, distance=distance, rng=rng, resamples=resamples)
    return Estimate.undefined("The two annotators have no common item.")


def distances(labels: Labels, weights: KappaWeights) -> Floats | None:
    """How far apart every two values are, shape (n_values, n_values); None: as far as any other two."""
    if weights not in KAPPA_WEIGHTS:
        raise ValueError(f"Unknown weights {weights!r}. Known are {', '.join(KAPPA_WEIGHTS)}.")
    if weights == "none":
        return None
    gap = np.abs(labels.numbers[:, None] - labels.numbers[None, :])
    return np.asarray(gap if weights == "linear" else gap**2)


@dataclass(frozen=True)
class JointTables:
    """Every two annotators with a common item, and how often (value of one, of the other) occurred among those.

    `one`, `other`, `n`: their codes, one's the lower, and how many items they have in common, (n_twos,); ascending.
    """

    one: Codes
    other: Codes
    n: Codes
    n_values: int
    # The cells that are not 0, by two annotators: where those of each begin and end, which they are, and their counts.
    _ends: Codes
    _cell: Codes
    _count: Codes

    def __len__(self) -> int:
        return len(self.one)

    def table(self, place: int) -> Codes:
        """The table of the two at `place`, (n_values, n_values)."""
        found = np.zeros(self.n_values**2, dtype=np.int64)
        cells = slice(self._ends[place], self._ends[place + 1])
        found[self._cell[cells]] = self._count[cells]
        return found.reshape(self.n_values, self.n_values)

    def __iter__(self) -> Iterator[tuple[int, int, Codes]]:
        for place in range(len(self)):
            yield int(self.one[place]), int(self.other[place]), self.table(place)


def joint_tables(labels: Labels) -> JointTables:
    """Of every two annotators with a common item. A thousand annotators are half a million twos: choose by `n`."""
    k = labels.n_values
    cell = k * k
    found = [np.zeros(0, dtype=np.int64)]
    times = [np.zeros(0, dtype=np.int64)]
    for left, right in labels.met():
        a, b = labels.annotator[left], labels.annotator[right]
        turned = a > b
        one, other = np.where(turned, b, a), np.where(turned, a, b)
        x, y = labels.value[left], labels.value[right]
        first, second = np.where(turned, y, x), np.where(turned, x, y)
        key = (one * labels.n_annotators + other) * cell + first * k + second
        keys, count = np.unique(key[a != b], return_counts=True)
        found.append(keys)
        times.append(count)
    keys, place = np.unique(np.concatenate(found), return_inverse=True)
    count = np.bincount(place, weights=np.concatenate(times), minlength=len(keys)).astype(np.int64)
    pair = keys // cell
    starts = np.nonzero(np.diff(pair, prepend=-1))[0]
    ends = np.append(starts, len(keys))
    total = np.diff(np.append(0, np.cumsum(count))[ends])
    one, other = np.divmod(pair[starts], max(labels.n_annotators, 1))
    return JointTables(one, other, total, k, ends, keys % cell, count)


def kappa_of_table(
    table: Codes, *, distance: Floats | None = None, rng: np.random.Generator | None = None, resamples: int = 1000
) -> Estimate:
    """Cohen's kappa of a table of shape (n_values, n_values) as `joint_tables` gives it. As `cohen_kappa` otherwise.

    `distance`: how far apart every two values are, of the same shape, 0 on the diagonal; None: any two are.
    """
    n = int(table.sum())
    if not n:
        return Estimate.undefined("The two annotators have no common item.")
    cells = table.ravel()
    kappas = _KappaOfCells(k=len(table), distance=distance)
    value = float(kappas(cells[None, :].astype(np.float64))[0])
    if math.isnan(value):
        return Estimate.undefined(ONE_VALUE, n=n)
    if rng is None:
        return Estimate(value, n=n)
    used = np.nonzero(cells)[0]
    low, high = bootstrap_interval(np.eye(len(cells))[used], cells[used], kappas, rng=rng, resamples=resamples)
    return Estimate(value, low=low, high=high, n=n)


@dataclass(frozen=True)
class _KappaOfCells:
    k: int
    distance: Floats | None = None

    def __call__(self, totals: Floats) -> Floats:
        table = totals.reshape(len(totals), self.k, self.k)
        n = table.sum(axis=(1, 2))
        if self.distance is not None:
            observed = np.einsum("ij,bij->b", self.distance, table) * n
            expected = np.einsum("bi,ij,bj->b", table.sum(axis=2), self.distance, table.sum(axis=1))
            return np.where(expected > 0, 1 - observed / np.where(expected > 0, expected, 1), np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            seen = np.einsum("bii->b", table) / n
            chance = (table.sum(axis=1) * table.sum(axis=2)).sum(axis=1) / n**2
            return np.where(chance < 1, (seen - chance) / np.where(chance < 1, 1 - chance, 1), np.nan)


def fleiss_kappa(labels: Labels, *, rng: np.random.Generator | None = None, resamples: int = 1000) -> Estimate:
    """Fleiss' kappa: (mean P_i - sum p_c^2) / (1 - sum p_c^2), P_i as in `item_agreement`.

    Args:
        labels: (n_labels,), compared as names. Items without a label are left out.
        rng, resamples: as in `krippendorff_alpha`.

    Returns:
        An estimate without unit, at most 1; 0 is agreement by chance. Higher is better. `n` counts the items.
        Undefined: items with different numbers of labels, fewer than two labels each, or only one value.

    Source: Fleiss, Measuring nominal scale agreement among many raters, 1971.
    """
    counts = labels.counts()
    counts = counts[counts.sum(axis=1) > 0]
    if not len(counts):
        return Estimate.undefined(NO_LABELS)
    sizes = np.unique(counts.sum(axis=1))
    if len(sizes) > 1:
        return Estimate.undefined(
            f"The items have from {sizes[0]} to {sizes[-1]} labels; this measure needs the same number on each.",
            n=len(counts),
        )
    if sizes[0] < 2:
        return Estimate.undefined(NO_OVERLAP, n=len(counts))
    patterned, weights = patterns(counts)
    sums = np.column_stack([agreement_of_counts(patterned), np.ones(len(patterned)), patterned])
    value = float(_fleiss((sums * weights[:, None]).sum(axis=0, keepdims=True))[0])
    if math.isnan(value):
        return Estimate.undefined(ONE_VALUE, n=len(counts))
    if rng is None:
        return Estimate(value, n=len(counts))
    low, high = bootstrap_interval(sums, weights, _fleiss, rng=rng, resamples=resamples)
    return Estimate(value, low=low, high=high, n=len(counts))


def _fleiss(totals: Floats) -> Floats:
    agreement = totals[:, 0] / totals[:, 1]
    shares = totals[:, 2:] / totals[:, 2:].sum(axis=1, keepdims=True)
    chance = (shares**2).sum(axis=1)
    return np.where(chance < 1, (agreement - chance) / np.where(chance < 1, 1 - chance, 1), np.nan)


# ---- agreement on each item ----------------------------------------------------------------------------------------


def item_agreement(labels: Labels) -> Floats:
    """P_i: the share of the pairs of labels of an item that agree, (sum n_c^2 - n) / (n (n - 1)).

    Args:
        labels: (n_labels,), compared as names.

    Returns:
        Shares from 0 to 1, shape (n_items,); higher is better. nan: the item has fewer than two labels.

    Source: Fleiss, 1971, equation 2.
    """
    return agreement_of_counts(labels.counts())


def item_entropy(labels: Labels, *, normalised: bool = False) -> Floats:
    """The entropy of an item's labels: - sum p ln p; normalised: divided by ln of how many `labels.values` there are.

    Args:
        labels: (n_labels,), compared as names.
        normalised: from 0 to 1 instead of nats.

    Returns:
        Nats, or shares, shape (n_items,); higher is less agreement. nan: the item has fewer than two labels (a single
        one says nothing of disagreement), or, normalised, there is only one value.

    Source: Shannon, 1948.
    """
    counts = labels.counts().astype(np.float64)
    size = counts.sum(axis=1)
    shares = counts / np.maximum(size, 1)[:, None]
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy = -(shares * logs).sum(axis=1) + 0.0
    if normalised:
        entropy = entropy / math.log(labels.n_values) if labels.n_values >= 2 else np.full_like(entropy, np.nan)
    return np.where(size >= 2, entropy, np.nan)


# ---- the table ------------------------------------------------------------------------------------------------------

_KRIPPENDORFF = "Krippendorff, Content Analysis, 4th edition, chapter 12"
_MT_BENCH = "Zheng et al., arXiv 2306.05685, section 4.2"

METRICS: dict[str, Metric] = {
    "alpha_nominal": Metric(
        "Krippendorff's alpha, nominal",
        partial(krippendorff_alpha, level="nominal"),
        "project",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "names",
        "no item with two labels; only one value",
        _KRIPPENDORFF,
    ),
    "alpha_ordinal": Metric(
        "Krippendorff's alpha, ordinal",
        partial(krippendorff_alpha, level="ordinal"),
        "project",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "numbers",
        "no item with two labels; only one value",
        _KRIPPENDORFF,
    ),
    "alpha_interval": Metric(
        "Krippendorff's alpha, interval",
        partial(krippendorff_alpha, level="interval"),
        "project",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "numbers",
        "no item with two labels; only one value",
        _KRIPPENDORFF,
    ),
    "percent_agreement": Metric(
        "Percent agreement, ties kept",
        percent_agreement,
        "project",
        MORE_AGREEMENT,
        "share of pairs of labels, 0 to 1",
        "names",
        "no item with two labels",
        f"{_MT_BENCH}, setup S1",
    ),
    "percent_agreement_without_ties": Metric(
        "Percent agreement, ties dropped",
        partial(percent_agreement, drop=("tie", "both_bad")),
        "project",
        MORE_AGREEMENT,
        "share of pairs of labels, 0 to 1",
        "names",
        "no item with two labels that choose",
        f"{_MT_BENCH}, setup S2; both bad counts as a tie",
    ),
    "cohen_kappa": Metric(
        "Cohen's kappa",
        cohen_kappa,
        "two annotators",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "names",
        "no common item; only one value",
        "Cohen, A coefficient of agreement for nominal scales, 1960",
    ),
    "cohen_kappa_linear": Metric(
        "Cohen's kappa, linear weights",
        partial(cohen_kappa, weights="linear"),
        "two annotators",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "numbers",
        "no common item; only one value",
        "Cohen, Weighted kappa, 1968",
    ),
    "cohen_kappa_quadratic": Metric(
        "Cohen's kappa, quadratic weights",
        partial(cohen_kappa, weights="quadratic"),
        "two annotators",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "numbers",
        "no common item; only one value",
        "Cohen, Weighted kappa, 1968",
    ),
    "fleiss_kappa": Metric(
        "Fleiss' kappa",
        fleiss_kappa,
        "project",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "names",
        "items with different numbers of labels; fewer than two; only one value",
        "Fleiss, Measuring nominal scale agreement among many raters, 1971",
    ),
    "gwet_ac1": Metric(
        "Gwet's AC1",
        gwet_ac1,
        "project",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "names",
        "no item with two labels; only one value",
        "Gwet, Computing inter-rater reliability and its variance in the presence of high agreement, 2008",
    ),
    "brennan_prediger": Metric(
        "Brennan and Prediger's kappa",
        brennan_prediger,
        "project",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "names",
        "no item with two labels; only one value",
        "Brennan and Prediger, Coefficient kappa: some uses, misuses, and alternatives, 1981",
    ),
    "conger_kappa": Metric(
        "Conger's kappa",
        conger_kappa,
        "project",
        MORE_AGREEMENT,
        "none; at most 1, chance is 0",
        "names",
        "no item with two labels; one annotator; only one value",
        "Conger, Integration and generalization of kappas for multiple raters, 1980",
    ),
    "item_agreement": Metric(
        "Item agreement",
        item_agreement,
        "pair",
        MORE_AGREEMENT,
        "share of pairs of labels, 0 to 1",
        "names",
        "fewer than two labels",
        "Fleiss, 1971, equation 2",
    ),
    "item_entropy": Metric(
        "Item entropy",
        item_entropy,
        "pair",
        "higher is less agreement",
        "nats",
        "names",
        "fewer than two labels",
        "Shannon, 1948",
    ),
}
