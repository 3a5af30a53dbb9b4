"""What the labels of an item add up to. Pure numbers: labels in, soft labels out; the votes stay as they are.

Every function takes `Labels` first and gives a posterior: for every item, how likely each value is. What no label
speaks of is nan: the row of an item without labels, an annotator without labels. Nothing is drawn at random: where an
estimation takes steps it starts from the shares of the votes, so that the same labels give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from curation.metrics.abilities import Abilities, glad
from curation.metrics.comparisons import (
    LEAST,
    CrowdScores,
    Standing,
    bradley_terry,
    crowd_bradley_terry,
    standing,
)
from curation.metrics.estimates import NO_LABELS, NO_OVERLAP
from curation.metrics.labels import Codes, Floats, Labels
from curation.metrics.metric import PROBABILITY, Metric
from curation.metrics.posteriors import NO_LABEL, Aggregate

__all__ = [
    "METRICS",
    "Abilities",
    "Aggregate",
    "Confusions",
    "CrowdScores",
    "Crowdlab",
    "Standing",
    "bradley_terry",
    "crowd_bradley_terry",
    "crowdlab",
    "dawid_skene",
    "glad",
    "majority_vote",
    "one_coin",
    "standing",
]


def majority_vote(labels: Labels) -> Aggregate:
    """The shares of the votes of each item. `best` is the value with most votes, `is_tied` where two have as many.

    Args:
        labels: (n_labels,), compared as names.

    Undefined: no label.

    Source: none needed; Dawid and Skene, 1979, start from it.
    """
    return Aggregate(_shares(labels), labels.per_item, None if len(labels) else NO_LABELS)


def _shares(labels: Labels) -> Floats:
    counts = labels.counts()
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(counts / counts.sum(axis=1, keepdims=True))


# ---- annotators with their own ways to err -------------------------------------------------------------------------


@dataclass(frozen=True)
class Confusions(Aggregate):
    """Soft labels and what each annotator makes of each true value. Unpacks as (posterior, confusion).

    Attributes:
        confusion: how likely annotator a says value o of an item whose true value is t, at [a, t, o]; shape
            (n_annotators, n_classes, n_classes), rows add up to 1; nan: the annotator said nothing.
        weight: how many labels each row of `confusion` rests on, as far as the true values are known; shape
            (n_annotators, n_classes). A row that rests on less than a few labels is a guess.
        prior: the shares of the true values, shape (n_classes,).
        iterations: how many were needed.
        has_converged: False where the last one still changed the result.
    """

    confusion: Floats = field(default_factory=lambda: np.empty((0, 0, 0)))
    weight: Floats = field(default_factory=lambda: np.empty((0, 0)))
    prior: Floats = field(default_factory=lambda: np.empty(0))
    iterations: int = 0
    has_converged: bool = False

    def __iter__(self) -> Iterator[Floats]:
        yield self.posterior
        yield self.confusion

    @property
    def skill(self) -> Floats:
        """How likely each annotator is right, over the true values as they occur; shape (n_annotators,)."""
        return np.asarray(np.einsum("att,t->a", self.confusion, self.prior))


def dawid_skene(labels: Labels, *, max_iterations: int = 100, tolerance: float = 1e-5) -> Confusions:
    """Dawid and Skene's model: every annotator errs in their own way, which is learned together with the true values.

    Expectation and maximisation by turns, from the shares of the votes: posterior(i, t) ~ prior(t) times the product
    over i's labels of confusion(annotator, t, value); prior = mean posterior; confusion(a, t, o) ~ the sum of
    posterior(i, t) over the items of which a said o. It ends when the bound of the likelihood grows by less than
    `tolerance` a label. With few items the posterior is too sure of itself: show it beside the shares of the votes.

    Args:
        labels: (n_labels,), compared as names.
        max_iterations, tolerance: when it ends.

    Undefined: no label.

    Source: Dawid and Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm, 1979.
    """
    return _estimate(labels, _own_ways, max_iterations=max_iterations, tolerance=tolerance)


def one_coin(labels: Labels, *, max_iterations: int = 100, tolerance: float = 1e-5) -> Confusions:
    """As `dawid_skene`, with one number for each annotator: how likely they are right; all errors are equally likely.

    It needs far fewer labels. `skill` is that number.

    Undefined: no label.

    Source: Zhang, Chen, Zhou and Jordan, Spectral methods meet EM, 2016 (arXiv 1406.3824), the one-coin model.
    """
    return _estimate(labels, _one_way, max_iterations=max_iterations, tolerance=tolerance)


def _own_ways(said: Floats) -> Floats:
    """said[a, o, t]: how often a said o of a true t. Returns the shares of o for each a and t."""
    floored = np.maximum(said, LEAST)
    return np.asarray(floored / floored.sum(axis=1, keepdims=True))


def _one_way(said: Floats) -> Floats:
    k = said.shape[1]
    total = said.sum(axis=(1, 2))
    skill = np.einsum("akk->a", said) / np.where(total > 0, total, 1)
    errors = np.broadcast_to(((1 - skill) / max(k - 1, 1))[:, None, None], said.shape).copy()
    errors[:, np.arange(k), np.arange(k)] = skill[:, None]
    return np.asarray(np.clip(errors, LEAST, 1 - LEAST))


def _estimate(labels: Labels, ways: Any, *, max_iterations: int, tolerance: float) -> Confusions:
    # Here and not above: pages read the table of measures, and need not carry sparse matrices for that.
    from scipy.sparse import csr_array

    k, n_annotators = labels.n_values, labels.n_annotators
    per_annotator = np.bincount(labels.annotator, minlength=n_annotators)
    if not len(labels):
        return Confusions(
            np.full((labels.n_items, k), np.nan),
            labels.per_item,
            NO_LABELS,
            np.full((n_annotators, k, k), np.nan),
            np.zeros((n_annotators, k)),
            np.full(k, np.nan),
        )
    # Who says what of which item, as a table of ones. Both steps are products with it: one pass over the labels each.
    says = csr_array(
        (np.ones(len(labels)), (labels.annotator * k + labels.value, labels.item)),
        shape=(n_annotators * k, labels.n_items),
    )
    said_of = says.T.tocsr()
    has_labels = labels.per_item > 0
    posterior = np.nan_to_num(_shares(labels))
    before, done = -math.inf, 0
    while True:
        prior = posterior[has_labels].mean(axis=0)
        said = (says @ posterior).reshape(n_annotators, k, k)
        errors = ways(said)
        # The lower bound of the likelihood, with the prior once for each label as crowd-kit has it: the published
        # results end where this does.
        each = np.log(errors) + np.log(np.maximum(prior, LEAST))
        bound = (said * each).sum() - (posterior * np.log(np.maximum(posterior, LEAST))).sum()
        has_converged = done > 1 and float(bound - before) / len(labels) < tolerance
        if has_converged or done == max_iterations:
            break
        before, done = float(bound), done + 1
        logs = said_of @ np.log(errors).reshape(n_annotators * k, k) + np.log(np.maximum(prior, LEAST))
        weights = np.exp(logs - logs.max(axis=1, keepdims=True))
        posterior = np.where(has_labels[:, None], weights / weights.sum(axis=1, keepdims=True), 0.0)
    posterior[~has_labels] = np.nan
    confusion = errors.transpose(0, 2, 1).copy()
    confusion[per_annotator == 0] = np.nan
    return Confusions(
        posterior,
        labels.per_item,
        None,
        confusion,
        said.sum(axis=1),
        prior,
        iterations=done,
        has_converged=has_converged,
    )


# ---- annotators and a model ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Crowdlab(Aggregate):
    """Soft labels of annotators and a model together.

    Attributes:
        quality: the posterior of each item's consensus label, shape (n_items,); nan: no label.
        consensus: that label's code, shape (n_items,); -1: no label.
        annotator_quality: shape (n_annotators,), 0 to 1; nan: no label.
        annotator_weight, model_weight: what a vote of each weighs against the others.
        model_quality: as an annotator's, with the model's likeliest value as its label; ours.
    """

    quality: Floats = field(default_factory=lambda: np.empty(0))
    consensus: Codes = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    annotator_quality: Floats = field(default_factory=lambda: np.empty(0))
    annotator_weight: Floats = field(default_factory=lambda: np.empty(0))
    model_weight: float = math.nan
    model_quality: float = math.nan

    @classmethod
    def undefined(cls, labels: Labels, reason: str) -> Self:
        nobody = np.full(labels.n_annotators, np.nan)
        return cls(
            np.full((labels.n_items, labels.n_values), np.nan),
            labels.per_item,
            reason,
            np.full(labels.n_items, np.nan),
            np.full(labels.n_items, NO_LABEL),
            nobody,
            nobody.copy(),
        )


def crowdlab(labels: Labels, probabilities: ArrayLike) -> Crowdlab:
    """CROWDLAB: the votes and a model's probabilities in one posterior, each weighed by how far it agrees.

    posterior(i, c) is the mean of the model's probability, with weight w_M, and of P or (1 - P) / (K - 1) for each vote
    for c or for another, with weight w_j. P is how often votes agree with the consensus on items with two votes;
    w_j = 1 - (1 - how often j agrees with the others) / base, w_M = (1 - the model's error / base) sqrt(mean number of
    votes), base = how often the commonest value is wrong; none below 1e-6. The consensus is the majority, ties going to
    the model; then, once, the likeliest value of the posterior that this gives.

    Args:
        labels: (n_labels,), compared as names, with K values.
        probabilities: the model's, shape (n_items, K).

    Returns:
        As `Crowdlab`. Undefined: no item has two labels, or there is only one value.

    Raises:
        ValueError: the probabilities have another shape.

    Source: Goh, Tkachenko and Mueller, CROWDLAB, 2022 (arXiv 2210.06812), section 3.
    """
    model = np.asarray(probabilities, dtype=np.float64)
    k = labels.n_values
    if model.shape != (labels.n_items, k):
        raise ValueError(f"The model needs a probability for each of {labels.n_items} x {k} cells, not {model.shape}.")
    counts, per_item = labels.counts(), labels.per_item
    if not (per_item >= 2).any():
        return Crowdlab.undefined(labels, NO_OVERLAP if len(labels) else NO_LABELS)
    if k < 2:
        return Crowdlab.undefined(labels, "There is only one value.")
    # The model breaks ties of the vote: what it adds is less than a vote. Then what is likeliest takes its place.
    majority = np.argmax(counts + 0.5 * model, axis=1)
    likeliest = _with_consensus(labels, model, majority).posterior
    top = likeliest.max(axis=1, keepdims=True)
    is_clear = (likeliest == top).sum(axis=1) == 1
    return _with_consensus(labels, model, np.where(is_clear, np.argmax(likeliest, axis=1), majority))


def _with_consensus(labels: Labels, model: Floats, consensus: Codes) -> Crowdlab:
    """The posterior with weights from how far everyone agrees with this consensus. Some item has two labels."""
    counts, per_item, k = labels.counts(), labels.per_item, labels.n_values
    several = per_item >= 2
    agrees = labels.value == consensus[labels.item]
    in_several = several[labels.item]
    agreeing = np.bincount(labels.item[in_several], weights=agrees[in_several], minlength=labels.n_items)
    p = float((agreeing[several] / per_item[several]).mean())
    commonest = np.bincount(consensus[several], minlength=k).argmax()
    base = max(1e-6, float((consensus[several] != commonest).mean()))
    others = (counts[labels.item, labels.value] - 1)[in_several]
    met = (per_item[labels.item] - 1)[in_several]
    who = labels.annotator[in_several]
    pairs = np.bincount(who, weights=met, minlength=labels.n_annotators)
    same = np.bincount(who, weights=others, minlength=labels.n_annotators)
    with np.errstate(invalid="ignore", divide="ignore"):
        agreement = np.where(pairs > 0, same / pairs, same.sum() / pairs.sum())
    weight = np.maximum(1e-6, 1 - (1 - agreement) / base)
    models_own = np.argmax(model, axis=1)
    wrong = float((models_own[several] != consensus[several]).mean())
    model_weight = max(1e-6, 1 - wrong / base) * math.sqrt(per_item[per_item > 0].mean())
    posterior = _weighed(labels, model * model_weight, model_weight, weight, p)
    quality = posterior[np.arange(labels.n_items), consensus]
    # An annotator's quality: how likely their labels are, and how often they give the consensus, each with its weight.
    given = np.bincount(labels.annotator, minlength=labels.n_annotators)
    voted = given > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        own = posterior[labels.item, labels.value]
        likely = np.bincount(labels.annotator, weights=own, minlength=labels.n_annotators) / given
        hits = np.bincount(who, weights=agrees[in_several], minlength=labels.n_annotators)
        right = hits / np.bincount(who, minlength=labels.n_annotators)
    crowd_weight = weight[voted].sum() * per_item[per_item > 0].mean() / voted.sum()
    share = model_weight / (model_weight + crowd_weight)
    annotator_quality = share * likely + (1 - share) * np.where(np.isnan(right), likely, right)
    has_labels = per_item > 0
    models_likely = float(posterior[np.arange(labels.n_items), models_own][has_labels].mean())
    posterior[~has_labels] = np.nan
    return Crowdlab(
        posterior,
        per_item,
        None,
        np.where(has_labels, quality, np.nan),
        np.where(has_labels, consensus, NO_LABEL),
        annotator_quality,
        np.where(voted, weight, np.nan),
        model_weight,
        share * models_likely + (1 - share) * (1 - wrong),
    )


def _weighed(labels: Labels, start: Floats, model_weight: float, weight: Floats, p: float) -> Floats:
    k = labels.n_values
    voted = weight[labels.annotator]
    other = (1 - p) / (k - 1)
    total = np.bincount(labels.item, weights=voted, minlength=labels.n_items)
    cells = np.bincount(
        labels.item * k + labels.value, weights=voted * (p - other), minlength=labels.n_items * k
    ).reshape(labels.n_items, k)
    return np.asarray((start + cells + other * total[:, None]) / (model_weight + total)[:, None])


# ---- the table ------------------------------------------------------------------------------------------------------

METRICS: dict[str, Metric] = {
    "majority_vote": Metric(
        "Majority vote",
        majority_vote,
        "pair",
        "higher is likelier",
        PROBABILITY,
        "names",
        "no label",
        "Dawid and Skene, 1979, where it is the start",
    ),
    "dawid_skene": Metric(
        "Dawid and Skene",
        dawid_skene,
        "pair",
        "higher is likelier",
        PROBABILITY,
        "names",
        "no label",
        "Dawid and Skene, Maximum likelihood estimation of observer error-rates using the EM algorithm, 1979",
    ),
    "one_coin": Metric(
        "One coin",
        one_coin,
        "pair",
        "higher is likelier",
        PROBABILITY,
        "names",
        "no label",
        "Zhang et al., arXiv 1406.3824",
    ),
    "glad": Metric(
        "GLAD",
        glad,
        "pair",
        "higher is likelier",
        PROBABILITY,
        "names",
        "no label",
        "Whitehill et al., Whose vote should count more, 2009",
    ),
    "crowdlab": Metric(
        "CROWDLAB",
        crowdlab,
        "pair",
        "higher is likelier",
        PROBABILITY,
        "names",
        "no label; no item has two; only one value",
        "Goh, Tkachenko and Mueller, arXiv 2210.06812",
    ),
    "bradley_terry": Metric(
        "Bradley and Terry's scores",
        bradley_terry,
        "candidate",
        "higher wins more often",
        "log odds, mean 0",
        "wins",
        "never compared; without a ridge, a group that never loses",
        "Bradley and Terry, Rank analysis of incomplete block designs, 1952; the ridge is ours",
    ),
    "crowd_bradley_terry": Metric(
        "Scores by annotators of different reliability",
        crowd_bradley_terry,
        "candidate",
        "higher wins more often",
        "log odds",
        "games",
        "never compared",
        "Chen et al., Pairwise ranking aggregation in a crowdsourced setting, 2013; our reading",
    ),
}
