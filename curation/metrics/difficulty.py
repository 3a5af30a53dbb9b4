"""How hard an example is for the model that will be trained on it. Pure numbers: log-probabilities and losses in.

Log-probabilities are sums over the tokens of a candidate, in nats, unless a docstring says otherwise. Direction: a
higher loss is harder; a higher margin is easier. The models that give these numbers run in `workers/`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from curation.metrics.estimates import Estimate, Z, share_of
from curation.metrics.labels import Codes, Floats
from curation.metrics.metric import SHARE, Metric

# The strength of DPO's pull to the reference model in all of the paper's recipes.
BETA = 0.01
# At most this gap of log-probabilities is tagged as noise.
NOISY_GAP = 3.0
# The quantiles of the tokens' surprise that are stored with a scored candidate.
ALPHAS = tuple(step / 10 for step in range(11))

NO_PAIRS = "No pair has both log-probabilities."
NO_REWARDS = "No pair has both rewards."


# ---- one pair -------------------------------------------------------------------------------------------------------


def implicit_reward_margin(
    chosen: ArrayLike, rejected: ArrayLike, reference_chosen: ArrayLike, reference_rejected: ArrayLike, *, beta: float
) -> Floats:
    """beta [(log pi(chosen) - log ref(chosen)) - (log pi(rejected) - log ref(rejected))], in nats; shapes broadcast.

    Above 0 the policy has moved towards the chosen candidate. nan where any of the four is nan.

    Source: Rafailov et al., Direct preference optimization, 2023 (arXiv 2305.18290), section 4.
    """
    moved = np.asarray(chosen, dtype=np.float64) - np.asarray(reference_chosen, dtype=np.float64)
    away = np.asarray(rejected, dtype=np.float64) - np.asarray(reference_rejected, dtype=np.float64)
    return np.asarray(beta * (moved - away))


def dpo_loss(
    chosen: ArrayLike,
    rejected: ArrayLike,
    reference_chosen: ArrayLike,
    reference_rejected: ArrayLike,
    *,
    beta: float = BETA,
) -> Floats:
    """The DPO loss -log sigmoid(z), z the implicit reward margin, in nats; shapes broadcast.

    ln 2 before any training; higher is harder. Computed in the form that cannot overflow. nan where an input is nan.

    Source: Rafailov et al., 2023, equation 7; as a measure of difficulty Gao et al., 2025 (arXiv 2502.09650).
    """
    z = implicit_reward_margin(chosen, rejected, reference_chosen, reference_rejected, beta=beta)
    return np.asarray(np.maximum(0, -z) + np.log1p(np.exp(-np.abs(z))))


def log_likelihood_margin(chosen: ArrayLike, rejected: ArrayLike) -> Floats:
    """log pi(chosen) - log pi(rejected), in nats: signed, and turned round when the two are. Shapes broadcast.

    Undefined: a log-probability is missing.

    Source: ComPO, 2025; tagged noisy up to a gap of 3.
    """
    return np.asarray(np.asarray(chosen, dtype=np.float64) - np.asarray(rejected, dtype=np.float64))


def is_noisy(margin: ArrayLike, *, gap: float = NOISY_GAP) -> NDArray[np.bool_]:
    """The tag `noisy_likelihood`: |margin| <= gap, of a log-likelihood margin under the reference model.

    The model finds both candidates about as likely, so that DPO learns their likelihood rather than the preference. A
    tag and no reason to delete. nan is not tagged.

    Source: ComPO, Preference alignment via comparison oracles, 2025, the rule with the reference model; the published
        code takes the current model instead.
    """
    return np.asarray(np.abs(np.asarray(margin, dtype=np.float64)) <= gap)


def reward_margin(chosen: ArrayLike, rejected: ArrayLike) -> Floats:
    """A reward model's score of the chosen candidate less that of the rejected one; the model's own unit.

    Below 0 the model contradicts the preference. nan where a score is nan.

    Source: none needed: it is a difference of what is given.
    """
    return log_likelihood_margin(chosen, rejected)


def reward_accuracy(chosen: ArrayLike, rejected: ArrayLike) -> Estimate:
    """How often a reward model finds the chosen candidate better than the rejected one; equal ones are not right.

    Args:
        chosen, rejected: its rewards, shape (n_pairs,).

    Returns:
        A share from 0 to 1 with its Wilson interval; higher is better. `n` counts the pairs with both. Undefined: none.

    Source: Lambert et al., RewardBench, 2024 (arXiv 2403.13787), section 4.
    """
    margin = reward_margin(chosen, rejected)
    both = ~np.isnan(margin)
    return share_of(int((margin[both] > 0).sum()), int(both.sum()), none=NO_REWARDS)


def assessment_misalignment(
    chosen: ArrayLike, rejected: ArrayLike, chosen_tokens: ArrayLike, rejected_tokens: ArrayLike, *, least: int = 1
) -> Estimate:
    """How often the model finds the rejected candidate likelier by token than the chosen one.

    Args:
        chosen, rejected: sums of log-probabilities, shape (n_pairs,).
        chosen_tokens, rejected_tokens: how many tokens each has, shape (n_pairs,).
        least: fewer pairs than this are not enough data.

    Returns:
        A share from 0 to 1 with its Wilson interval; lower is better. `n` counts the pairs with both. Undefined: none.

    Source: Wang et al., Making large language models better reasoners with alignment (AFT), 2023; the rate is ours.
    """
    one, other = (_by_token(total, tokens) for total, tokens in ((chosen, chosen_tokens), (rejected, rejected_tokens)))
    both = ~(np.isnan(one) | np.isnan(other))
    return share_of(int((other > one)[both].sum()), int(both.sum()), none=NO_PAIRS, least=least, of="pairs")


def _by_token(total: ArrayLike, tokens: ArrayLike) -> Floats:
    count = np.asarray(tokens, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, np.asarray(total, dtype=np.float64) / count, np.nan)


# ---- held-out losses ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HeldOut:
    """How hard each item is; all arrays have the shape (n_items,).

    Attributes:
        loss: the mean of an item's held-out losses, in nats; higher is harder; nan: there are none.
        spread: their standard deviation; nan: fewer than two.
        n: how many there are.
    """

    loss: Floats
    spread: Floats
    n: Codes


def held_out_loss(losses: ArrayLike) -> HeldOut:
    """The difficulty of each item: the mean of its losses under models that never saw it.

    Args:
        losses: (n_items, …), the other axes being halves, seeds and checkpoints in whatever arrangement; nan where the
            model had seen the item, or the loss is missing. Early checkpoints count like late ones: it is closer to how
            early an item is learned than to its final loss.

    Source: Gao et al., Principled data selection for alignment, 2025 (arXiv 2502.09650), and the authors' code: two
        halves, seeds 41 to 43, five checkpoints, 15 losses an item.
    """
    table = np.asarray(losses, dtype=np.float64)
    table = table.reshape(len(table), -1) if table.size else np.empty((len(table), 0))
    there = ~np.isnan(table)
    n = there.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, table, 0).sum(axis=1) / n
        squares = np.where(there, (table - mean[:, None]) ** 2, 0).sum(axis=1)
        spread = np.sqrt(squares / (n - 1))
    return HeldOut(mean, np.where(n >= 2, spread, np.nan), n)


def learned_step(margins: ArrayLike, steps: ArrayLike) -> Floats:
    """The step from which on an item is, and stays, ranked right: its implicit reward margin is above 0.

    Args:
        margins: (n_items, n_checkpoints), in the order of training; nan where it was not evaluated.
        steps: (n_checkpoints,), ascending.

    Returns:
        Steps, shape (n_items,); later is harder. nan: not ranked right at its last evaluated checkpoint, or never
        evaluated.

    Our reading: the paper names the notion and publishes no formula (Gao et al., 2025).

    Source: Gao et al., arXiv 2502.09650; the formula is our reading.
    """
    table, at = np.asarray(margins, dtype=np.float64), np.asarray(steps, dtype=np.float64)
    if table.ndim != 2 or at.shape != (table.shape[1],):
        raise ValueError(f"There is one step for each checkpoint: margins {table.shape}, steps {at.shape}.")
    if (np.diff(at) <= 0).any():
        raise ValueError("The steps ascend.")
    if not table.size:
        return np.full(len(table), np.nan)
    stays = np.logical_and.accumulate(~(table <= 0)[:, ::-1], axis=1)[:, ::-1]
    right = stays & (table > 0)
    return np.where(right.any(axis=1), at[np.argmax(right, axis=1)], np.nan)


def percentile(values: ArrayLike) -> Floats:
    """Where each value stands among all: the share of values below it, and half of its equals; 0 to 100.

    Args:
        values: (n_items,); nan stays nan and counts for nothing.

    Source: none needed: a rank.
    """
    found = np.asarray(values, dtype=np.float64)
    there = ~np.isnan(found)
    place = np.full(len(found), np.nan)
    if there.any():
        place[there] = 100 * (_ranks(found[there]) - 0.5) / there.sum()
    return place


def between_run_spearman(losses: ArrayLike) -> Estimate:
    """How far the order of difficulty is the same from run to run: the trust figure of the column.

    Args:
        losses: (n_items, n_runs), one value of each run (seed), for example the mean over its checkpoints; nan missing.

    Returns:
        The mean of Spearman's correlation over every two runs, -1 to 1; higher is more to be trusted. `n` counts the
        items of the two runs that share fewest. The interval is that of one correlation of this size and n, which is
        wider than that of the mean. Undefined: fewer than two runs, or two runs without three common items or with one
        value throughout.

    Source: Spearman, 1904; interval: Bonett and Wright, Sample size requirements for Pearson, Kendall, and Spearman
        correlations, 2000; as a check of difficulty Gao et al., 2025, the authors' code.
    """
    table = np.asarray(losses, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2:
        return Estimate.undefined("There are fewer than two runs.")
    found: list[float] = []
    fewest = len(table)
    for one, other in combinations(table.T, 2):
        both = ~(np.isnan(one) | np.isnan(other))
        fewest = min(fewest, int(both.sum()))
        if fewest < 3:
            return Estimate.undefined("Two runs have fewer than three items in common.", n=fewest)
        correlation = _correlation(_ranks(one[both]), _ranks(other[both]))
        if math.isnan(correlation):
            return Estimate.undefined("A run gives all items the same value.", n=fewest)
        found.append(correlation)
    value = sum(found) / len(found)
    low, high = _spearman_interval(value, fewest)
    return Estimate(value, low=low, high=high, n=fewest)


def _ranks(values: Floats) -> Floats:
    """From 1; equal values share the mean of their ranks."""
    _, place, times = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(times)
    return np.asarray((last - (times - 1) / 2)[place])


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(a @ a) * float(b @ b))
    return max(-1.0, min(1.0, float(a @ b) / scale)) if scale else math.nan


def _spearman_interval(value: float, n: int) -> tuple[float | None, float | None]:
    if n <= 3 or abs(value) >= 1:
        return None, None
    half = Z * math.sqrt((1 + value**2 / 2) / (n - 3))
    middle = math.atanh(value)
    return math.tanh(middle - half), math.tanh(middle + half)


# ---- one candidate --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chow:
    """How surprised a model is by its own tokens, u = -log p, in nats.

    `total` grows with the length, `mean` hides a single bad token; the quantiles tell the two apart. Shape (n_alphas,).
    """

    total: float
    mean: float
    quantiles: Floats
    n: int
    reason: str | None = None


def chow_quantiles(token_log_probabilities: ArrayLike, *, alphas: ArrayLike = ALPHAS) -> Chow:
    """Chow's scores of one candidate: the sum, the mean and the quantiles of -log p of its tokens.

    A cascade defers where a score is above a threshold; higher is less sure.

    Args:
        token_log_probabilities: (n_tokens,), in nats; nan is left out.
        alphas: which quantiles, each from 0 to 1.

    Source: Gupta et al., Language model cascades: token-level uncertainty and beyond, 2024 (arXiv 2404.10136).
    """
    wanted = np.asarray(alphas, dtype=np.float64)
    surprise = -np.asarray(token_log_probabilities, dtype=np.float64)
    surprise = surprise[~np.isnan(surprise)]
    if not len(surprise):
        return Chow(math.nan, math.nan, np.full(len(wanted), np.nan), 0, "The candidate has no scored token.")
    return Chow(float(surprise.sum()), float(surprise.mean()), np.quantile(surprise, wanted), len(surprise))


# ---- the table ------------------------------------------------------------------------------------------------------

_SELECTIVE = "Gao et al., arXiv 2502.09650"
_DPO = "Rafailov et al., arXiv 2305.18290"

METRICS: dict[str, Metric] = {
    "held_out_loss": Metric(
        "Difficulty: held-out DPO loss",
        held_out_loss,
        "pair",
        "higher is harder",
        "nats",
        "losses",
        "no held-out loss",
        _SELECTIVE,
    ),
    "dpo_loss": Metric(
        "DPO loss",
        dpo_loss,
        "pair",
        "higher is harder",
        "nats; ln 2 before training",
        "log-probabilities",
        "a log-probability is missing",
        f"{_DPO}, equation 7",
    ),
    "learned_step": Metric(
        "Learned step",
        learned_step,
        "pair",
        "higher is harder",
        "training steps",
        "margins",
        "not ranked right at the last checkpoint",
        f"{_SELECTIVE}; the formula is our reading",
    ),
    "difficulty_percentile": Metric(
        "Percentile of difficulty",
        percentile,
        "pair",
        "higher is harder",
        "percent",
        "losses",
        "the value is missing",
        "none needed",
    ),
    "between_run_spearman": Metric(
        "Trust in the difficulty: Spearman between runs",
        between_run_spearman,
        "column",
        "higher is more to be trusted",
        "correlation, -1 to 1",
        "losses",
        "fewer than two runs; fewer than three common items; all equal",
        f"{_SELECTIVE}, the authors' check",
    ),
    "implicit_reward_margin": Metric(
        "Implicit reward margin",
        partial(implicit_reward_margin, beta=BETA),
        "pair",
        "higher is easier",
        "nats times beta",
        "log-probabilities",
        "a log-probability is missing",
        f"{_DPO}, section 4",
    ),
    "log_likelihood_margin": Metric(
        "Log-likelihood margin",
        log_likelihood_margin,
        "pair",
        "higher is easier",
        "nats",
        "log-probabilities",
        "a log-probability is missing",
        "ComPO, 2025; tagged noisy up to a gap of 3",
    ),
    "reward_margin": Metric(
        "Reward-model margin",
        reward_margin,
        "pair",
        "higher is easier",
        "the reward model's own",
        "rewards",
        "a reward is missing",
        "none needed",
    ),
    "reward_accuracy": Metric(
        "Reward-model accuracy",
        reward_accuracy,
        "project",
        "higher is better",
        SHARE,
        "rewards",
        "no pair with both rewards",
        "Lambert et al., RewardBench, arXiv 2403.13787",
    ),
    "assessment_misalignment": Metric(
        "Assessment misalignment",
        assessment_misalignment,
        "project",
        "lower is better",
        SHARE,
        "log-probabilities",
        "no pair with both log-probabilities",
        "Wang et al., AFT, 2023; the rate is ours",
    ),
    "chow_quantiles": Metric(
        "Chow's quantiles",
        chow_quantiles,
        "candidate",
        "higher is less sure",
        "nats",
        "log-probabilities",
        "no scored token",
        "Gupta et al., arXiv 2404.10136",
    ),
}
