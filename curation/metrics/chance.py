"""Agreement of any number of annotators, with chance reckoned otherwise than in alpha. `agreement` names all of it.

All three compare p_a, the mean of P_i over the items with two labels, with what chance would give, (p_a - p_e) /
(1 - p_e); they differ in p_e.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from curation.metrics.estimates import (
    NO_LABELS,
    NO_OVERLAP,
    ONE_VALUE,
    Estimate,
    agreement_of_counts,
    bootstrap_interval,
    patterns,
)
from curation.metrics.labels import Floats, Labels


def gwet_ac1(
    labels: Labels,
    *,
    n_values: int | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """Gwet's AC1: (p_a - p_e) / (1 - p_e), which does not collapse where nearly all labels are the same.

    p_a is the mean of P_i over the items with two labels; p_e = sum s_c (1 - s_c) / (q - 1), where s_c is the mean over
    all items with a label of the share of c among the item's labels, and q how many values there are.

    Args:
        labels: (n_labels,), compared as names.
        n_values: q, where the scale has values that nobody gave; by default how many different ones were given.
        rng, resamples: as in `krippendorff_alpha`.

    Returns:
        An estimate without unit, at most 1; 0 is agreement by chance. Higher is better. `n` counts the items with two
        labels. Undefined: no such item, or only one value was given.

    Raises:
        ValueError: more different values were given than `n_values`.

    Source: Gwet, Computing inter-rater reliability and its variance in the presence of high agreement, 2008.
    """
    counts, weights = patterns(labels.counts())
    size = counts.sum(axis=1)
    met = size >= 2
    n = int(weights[met].sum())
    if not n:
        return Estimate.undefined(NO_OVERLAP if len(labels) else NO_LABELS)
    counts = counts[:, counts.any(axis=0)]
    q = counts.shape[1] if n_values is None else n_values
    if q < counts.shape[1]:
        raise ValueError(f"There are {counts.shape[1]} different values, not {q}.")
    if counts.shape[1] < 2:
        return Estimate.undefined(ONE_VALUE, n=n)
    agreement = np.where(met, agreement_of_counts(counts), 0.0)
    shares = counts / np.maximum(size, 1)[:, None]
    sums = np.column_stack([agreement, met, size > 0, shares])
    statistic = _Ac1(q)
    value = float(statistic((weights @ sums)[None, :])[0])
    if rng is None:
        return Estimate(value, n=n)
    low, high = bootstrap_interval(sums, weights, statistic, rng=rng, resamples=resamples)
    return Estimate(value, low=low, high=high, n=n)


@dataclass(frozen=True)
class _Ac1:
    q: int

    def __call__(self, totals: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            agreement = totals[:, 0] / totals[:, 1]
            shares = totals[:, 3:] / totals[:, 2:3]
        # At most 1 / q: with two values or more, 1 - chance is never 0.
        chance = (shares * (1 - shares)).sum(axis=1) / (self.q - 1)
        return np.asarray((agreement - chance) / (1 - chance))


def brennan_prediger(
    labels: Labels,
    *,
    n_values: int | None = None,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """Brennan and Prediger's kappa: chance is 1 / q, as if everybody guessed among q values. Randolph's, of any number.

    Args:
        labels: (n_labels,), compared as names.
        n_values: q, where the scale has values that nobody gave; by default how many different ones were given.
        rng, resamples: as in `krippendorff_alpha`.

    Returns:
        An estimate without unit, at most 1; 0 is guessing. Higher is better. `n` counts the items with two labels.
        Undefined: no such item, or only one value was given.

    Raises:
        ValueError: more different values were given than `n_values`.

    Source: Brennan and Prediger, Coefficient kappa: some uses, misuses, and alternatives, 1981; for several annotators
        Randolph, Free-marginal multirater kappa, 2005.
    """
    counts, weights = patterns(labels.counts())
    met = counts.sum(axis=1) >= 2
    n = int(weights[met].sum())
    if not n:
        return Estimate.undefined(NO_OVERLAP if len(labels) else NO_LABELS)
    given = int(counts.any(axis=0).sum())
    q = given if n_values is None else n_values
    if q < given:
        raise ValueError(f"There are {given} different values, not {q}.")
    if given < 2:
        return Estimate.undefined(ONE_VALUE, n=n)
    sums = np.column_stack([agreement_of_counts(counts[met]), np.ones(int(met.sum()))])
    statistic = _FreeMargins(q)
    value = float(statistic((weights[met] @ sums)[None, :])[0])
    if rng is None:
        return Estimate(value, n=n)
    low, high = bootstrap_interval(sums, weights[met], statistic, rng=rng, resamples=resamples)
    return Estimate(value, low=low, high=high, n=n)


@dataclass(frozen=True)
class _FreeMargins:
    q: int

    def __call__(self, totals: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray((totals[:, 0] / totals[:, 1] - 1 / self.q) / (1 - 1 / self.q))


def conger_kappa(labels: Labels) -> Estimate:
    """Conger's kappa: Cohen's for any number of annotators, each with their own habit of giving values.

    p_e = sum over the values of (the mean over annotators of the share of it among their labels)^2 - the variance of
    these shares / the number of annotators. Without an interval: what an item adds hangs on who labelled it.

    Args:
        labels: (n_labels,), compared as names.

    Returns:
        An estimate without unit, at most 1; 0 is agreement by chance. Higher is better. `n` counts the items with two
        labels. Undefined: no such item, one annotator, or only one value was given.

    Source: Conger, Integration and generalization of kappas for multiple raters, 1980; where labels are missing Gwet,
        Handbook of inter-rater reliability, 4th edition, 2014.
    """
    agreement = agreement_of_counts(labels.counts())
    met = ~np.isnan(agreement)
    n = int(met.sum())
    if not n:
        return Estimate.undefined(NO_OVERLAP if len(labels) else NO_LABELS)
    cell = labels.annotator * labels.n_values + labels.value
    given = np.bincount(cell, minlength=labels.n_annotators * labels.n_values).reshape(-1, labels.n_values)
    given = given[given.sum(axis=1) > 0]
    shares = given / given.sum(axis=1, keepdims=True)
    if len(shares) < 2:
        return Estimate.undefined("There are no two annotators.", n=n)
    if (given.sum(axis=0) > 0).sum() < 2:
        return Estimate.undefined(ONE_VALUE, n=n)
    chance = float((shares.mean(axis=0) ** 2 - shares.var(axis=0, ddof=1) / len(shares)).sum())
    return Estimate((float(agreement[met].mean()) - chance) / (1 - chance), n=n)
