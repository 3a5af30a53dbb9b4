"""How far a judgement rests on its rationale: what a model says with it, without it and with it perturbed.

Pure numbers: the models that give these probabilities run in `workers/`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from curation.metrics.estimates import Estimate, mean_of
from curation.metrics.labels import Floats

NO_PROBABILITIES = "No instance has both probabilities."


def comprehensiveness(
    full: ArrayLike, without: ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = 1000
) -> Estimate:
    """How much surer the model is with the rationale than without: the mean of p(y | all) - p(y | all but rationale).

    Args:
        full, without: the probability of the model's own prediction y, shape (n,).
        rng: where given, a bootstrap interval over instances.
        resamples: how many.

    Returns:
        -1 to 1; higher: the rationale holds what the model needs. `n` counts the instances. Undefined: none has both.

    Source: DeYoung et al., 2020, equation 1.
    """
    return _mean_change(full, without, rng, resamples)


def sufficiency(
    full: ArrayLike, only: ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = 1000
) -> Estimate:
    """How much surer the model is with all than with the rationale alone: the mean of p(y | all) - p(y | rationale).

    As `comprehensiveness`, except that lower is better: the rationale is enough. Source: DeYoung et al., 2020, eq. 2.

    Undefined: no instance with both probabilities.
    """
    return _mean_change(full, only, rng, resamples)


def aopc(
    full: ArrayLike, at_thresholds: ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = 1000
) -> Estimate:
    """Comprehensiveness or sufficiency averaged over growing shares of the best-scored tokens as the rationale.

    Args:
        full: (n,), as above.
        at_thresholds: (n, n_thresholds), the probability without (comprehensiveness) or with only (sufficiency) the
            best 1, 5, 10, 20, 50 % of the tokens.
        rng: where given, a bootstrap interval over instances.
        resamples: how many.

    Returns:
        The mean over instances and thresholds; the direction is that of what is averaged.

    Undefined: no instance with both probabilities.

    Source: DeYoung et al., 2020, section 4.2, area over the perturbation curve.
    """
    table = np.asarray(at_thresholds, dtype=np.float64)
    whole = np.asarray(full, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(whole):
        raise ValueError(f"There is one row of thresholds for each of {len(whole)} instances, not {table.shape}.")
    if not table.shape[1]:
        return Estimate.undefined(NO_PROBABILITIES)
    return mean_of((whole[:, None] - table).mean(axis=1), none=NO_PROBABILITIES, rng=rng, resamples=resamples)


def _mean_change(one: ArrayLike, other: ArrayLike, rng: np.random.Generator | None, resamples: int) -> Estimate:
    change = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return mean_of(change, none=NO_PROBABILITIES, rng=rng, resamples=resamples)


def entropy_change(full: ArrayLike, reduced: ArrayLike) -> Estimate:
    """The mean of H(p(. | all)) - H(p(. | reduced)), in nats; distributions over classes, shape (n, n_classes).

    Source: the ERASER benchmark's code.
    """
    return mean_of(_entropy(full) - _entropy(reduced), none=NO_PROBABILITIES)


def divergence(full: ArrayLike, reduced: ArrayLike) -> Estimate:
    """The mean Kullback-Leibler divergence KL(p(. | reduced) || p(. | all)), in nats; shape (n, n_classes).

    Source: the ERASER benchmark's code.
    """
    p, q = np.asarray(reduced, dtype=np.float64), np.asarray(full, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = np.where(p == 0, 0.0, p * np.log(p / q))
    return mean_of(parts.sum(axis=-1), none=NO_PROBABILITIES)


def _entropy(p: ArrayLike) -> Floats:
    shares = np.asarray(p, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(-np.where(shares == 0, 0.0, shares * np.log(shares)).sum(axis=-1))


def rationale_gain(
    with_it: ArrayLike, without: ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = 1000
) -> Estimate:
    """How much likelier a rationale makes what follows: the mean of log p(. | x, rationale) - log p(. | x), in nats.

    Args:
        with_it, without: log-probabilities of the label or of the candidate, shape (n,).
        rng: where given, a bootstrap interval over rationales.
        resamples: how many.

    Returns:
        Higher is better; 0: the rationale says nothing of use. Undefined: none has both.

    Source: Jiang et al., RATIONALYST, 2024 (arXiv 2410.01044).
    """
    return mean_of(
        np.asarray(with_it, dtype=np.float64) - np.asarray(without, dtype=np.float64),
        none="No rationale has both log-probabilities.",
        rng=rng,
        resamples=resamples,
    )


def perturbation_effect(
    with_it: ArrayLike, perturbed: ArrayLike, *, rng: np.random.Generator | None = None, resamples: int = 1000
) -> Estimate:
    """How much a judgement rests on its rationale: the mean of p(label | x, r) - mean p(label | x, perturbed r).

    Args:
        with_it: (n,), the probability of the label.
        perturbed: (n, n_perturbations), the same with tokens of the rationale masked or replaced; nan is left out.
        rng: where given, a bootstrap interval over rationales.
        resamples: how many.

    Returns:
        -1 to 1; higher: the judgement rests on it; 0: it ignores the rationale. Undefined: none has both.

    Source: Wang et al., PINTO, 2023 (arXiv 2211.01562), section 3.
    """
    table = np.asarray(perturbed, dtype=np.float64)
    there = ~np.isnan(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, table, 0).sum(axis=1) / there.sum(axis=1)
    return _mean_change(with_it, mean, rng, resamples)
