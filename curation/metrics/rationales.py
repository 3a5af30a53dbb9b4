"""How far rationales agree, and how far a judgement rests on them. Pure numbers: spans, scores and probabilities in.

Spans: for every text (a key of any kind), a list of (start, end), end exclusive, in tokens or in characters; the two
sides in the same unit, with the same tokenizer. `truth` is one annotator, `predicted` another one or a machine.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from curation.metrics.estimates import Estimate, mean_of
from curation.metrics.labels import Floats
from curation.metrics.metric import SHARE, Metric

Spans = Mapping[Any, Sequence[tuple[int, int]]]

NO_SPANS = "Neither side marked anything."
ONE_SIDE = "Only one side marked anything."
NO_PROBABILITIES = "No instance has both probabilities."


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1: shares from 0 to 1, higher is better; nan with the reason where undefined.

    `n` counts the texts in which either side marked something.
    """

    precision: float
    recall: float
    f1: float
    n: int
    reason: str | None = None

    @classmethod
    def undefined(cls, reason: str, *, n: int) -> Scores:
        return cls(math.nan, math.nan, math.nan, n, reason)

    @property
    def estimate(self) -> Estimate:
        """F1 alone."""
        return Estimate.undefined(self.reason, n=self.n) if self.reason else Estimate(self.f1, n=self.n)


def _harmonic(p: float, r: float) -> float:
    return 2 * p * r / (p + r) if p and r else 0.0


def _checked(spans: Spans) -> dict[Hashable, list[tuple[int, int]]]:
    """The texts with a span. Raises: ValueError, a span that ends before it starts, or is empty."""
    for key, found in spans.items():
        for start, end in found:
            if not 0 <= start < end:
                raise ValueError(f"A span starts at 0 or later and ends after its start; {key!r} has {start} to {end}.")
    return {key: list(found) for key, found in spans.items() if found}


def _sides(truth: Spans, predicted: Spans) -> tuple[dict, dict, list[Hashable], str | None]:
    one, other = _checked(truth), _checked(predicted)
    keys = list(dict.fromkeys([*one, *other]))
    reason = NO_SPANS if not keys else None if one and other else ONE_SIDE
    return one, other, keys, reason


# ---- two sides' spans -----------------------------------------------------------------------------------------------


def token_f1(truth: Spans, predicted: Spans, *, average: str = "macro") -> Scores:
    """F1 of the marked tokens: each token counts once, however many spans hold it.

    Args:
        truth, predicted: the spans of each text.
        average: "micro": over all tokens; "macro": the mean over texts of precision, recall and F1 each, where a text
            that only one side marked has 0.

    Returns:
        As `Scores`. F1 does not care which side is the truth. Undefined: a side marked nothing at all.

    Source: DeYoung et al., ERASER, 2020 (arXiv 1911.03429), section 4.1; macro is what the benchmark reports.
    """
    one, other, keys, reason = _sides(truth, predicted)
    if reason:
        return Scores.undefined(reason, n=len(keys))
    counts = []
    for key in keys:
        marked, found = _union(one.get(key, [])), _union(other.get(key, []))
        counts.append((_length(marked), _length(found), _common(marked, found)))
    return _averaged(np.array(counts, dtype=np.float64), average=average)


def span_f1(truth: Spans, predicted: Spans, *, average: str = "macro") -> Scores:
    """F1 of the spans that are exactly the same on both sides. Otherwise as `token_f1`, and from the same source."""
    one, other, keys, reason = _sides(truth, predicted)
    if reason:
        return Scores.undefined(reason, n=len(keys))
    sets = [(set(one.get(key, [])), set(other.get(key, []))) for key in keys]
    counts = np.array([(len(t), len(p), len(t & p)) for t, p in sets], dtype=np.float64)
    return _averaged(counts, average=average)


def _averaged(counts: Floats, *, average: str) -> Scores:
    """From how much each text has on the one side, on the other, and on both; shape (n_texts, 3)."""
    if average == "micro":
        marked, found, common = counts.sum(axis=0)
        p, r = float(common / found), float(common / marked)
        return Scores(p, r, _harmonic(p, r), len(counts))
    if average != "macro":
        raise ValueError(f'The average is "micro" or "macro", not {average!r}.')
    marked, found, common = counts.T
    precision = common / np.where(found > 0, found, 1)
    recall = common / np.where(marked > 0, marked, 1)
    both = precision + recall
    f1 = 2 * precision * recall / np.where(both > 0, both, 1)
    return Scores(float(precision.mean()), float(recall.mean()), float(f1.mean()), len(counts))


def _union(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same tokens as spans that do not touch, in order."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _length(spans: Sequence[tuple[int, int]]) -> int:
    return sum(end - start for start, end in spans)


def _common(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> int:
    """How many tokens two lists of ordered, separate spans have in common."""
    i = j = total = 0
    while i < len(one) and j < len(other):
        total += max(0, min(one[i][1], other[j][1]) - max(one[i][0], other[j][0]))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return total


def _iou(one: tuple[int, int], other: tuple[int, int]) -> float:
    common = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return common / ((one[1] - one[0]) + (other[1] - other[0]) - common)


def iou_f1(truth: Spans, predicted: Spans, *, threshold: float = 0.5) -> Scores:
    """F1 of spans that overlap: two match where their common part is at least `threshold` of what they cover together.

    Spans match one to one, as many as possible, so that no share is above 1 and F1 does not care which side is the
    truth. Over all texts (micro). The benchmark's own definition is `eraser_iou_f1`.

    Returns:
        As `Scores`. Undefined: a side marked nothing at all.

    Source: DeYoung et al., 2020, section 4.1; matching one to one is ours.
    """
    one, other, keys, reason = _sides(truth, predicted)
    if reason:
        return Scores.undefined(reason, n=len(keys))
    hits = sum(_matched(one.get(key, []), other.get(key, []), threshold) for key in keys)
    p = hits / sum(map(len, other.values()))
    r = hits / sum(map(len, one.values()))
    return Scores(p, r, _harmonic(p, r), len(keys))


def _matched(truth: Sequence[tuple[int, int]], predicted: Sequence[tuple[int, int]], threshold: float) -> int:
    """The size of the largest one-to-one matching (Kuhn's augmenting paths)."""
    near = [[j for j, span in enumerate(truth) if _iou(mine, span) >= threshold] for mine in predicted]
    taken: dict[int, int] = {}

    def place(i: int, seen: set[int]) -> bool:
        for j in near[i]:
            if j not in seen:
                seen.add(j)
                if j not in taken or place(taken[j], seen):
                    taken[j] = i
                    return True
        return False

    return sum(place(i, set()) for i in range(len(predicted)))


def eraser_iou_f1(truth: Spans, predicted: Spans, *, threshold: float = 0.5, average: str = "macro") -> Scores:
    """IOU F1 exactly as the ERASER benchmark computes it: for comparison with its published figures only.

    A predicted span is a hit where its best overlap is at least `threshold`; several may hit the same span, so that
    recall and F1 can be above 1. Macro: F1 of the mean precision over texts with predictions and the mean recall over
    texts with truth, unlike in `token_f1`.

    Source: DeYoung et al., 2020, and the benchmark's code.
    """
    one, other, keys, reason = _sides(truth, predicted)
    if reason:
        return Scores.undefined(reason, n=len(keys))
    if average not in ("micro", "macro"):
        raise ValueError(f'The average is "micro" or "macro", not {average!r}.')
    hits = {
        key: sum(any(_iou(mine, span) >= threshold for span in one.get(key, [])) for mine in found)
        for key, found in other.items()
    }
    if average == "micro":
        total = sum(hits.values())
        p, r = total / sum(map(len, other.values())), total / sum(map(len, one.values()))
    else:
        p = sum(hits[key] / len(found) for key, found in other.items()) / len(other)
        r = sum(hits.get(key, 0) / len(found) for key, found in one.items()) / len(one)
    return Scores(p, r, _harmonic(p, r), len(keys))


# ---- scores of tokens -----------------------------------------------------------------------------------------------


def auprc(
    truth: Sequence[ArrayLike], scores: Sequence[ArrayLike], *, rng: np.random.Generator | None = None
) -> Estimate:
    """The area under the precision-recall curve of soft scores, the mean over texts.

    Args:
        truth: for each text whether each token is marked, (n_tokens,) of 0 and 1.
        scores: for each text a score of each token, (n_tokens,); higher is more likely marked.
        rng: where given, a bootstrap interval over texts.

    Returns:
        0 to 1; higher is better. `n` counts the texts with marked and unmarked tokens: one with only one kind says
        nothing, and is left out. Undefined: there is none.

    Source: DeYoung et al., 2020, section 4.1.
    """
    areas = [_area(t, s) if 0 < np.asarray(t).sum() < np.size(t) else math.nan for t, s in _texts(truth, scores)]
    return mean_of(np.array(areas), none="No text has marked and unmarked tokens.", rng=rng)


def eraser_auprc(truth: Sequence[ArrayLike], scores: Sequence[ArrayLike]) -> Estimate:
    """AUPRC exactly as the ERASER benchmark computes it: texts with one kind of token count, .5 where none is marked.

    Source: DeYoung et al., 2020, and the benchmark's code.
    """
    return mean_of(np.array([_area(t, s) for t, s in _texts(truth, scores)]), none="There is no text.")


def _texts(truth: Sequence[ArrayLike], scores: Sequence[ArrayLike]) -> list[tuple[Floats, Floats]]:
    pairs = [
        (np.asarray(t, dtype=np.float64), np.asarray(s, dtype=np.float64)) for t, s in zip(truth, scores, strict=True)
    ]
    for t, s in pairs:
        if t.shape != s.shape:
            raise ValueError(f"There is one score for each token: {len(t)} tokens, {len(s)} scores.")
    return [pair for pair in pairs if len(pair[0])]


def _area(truth: Floats, scores: Floats) -> float:
    """Trapezoids under the curve through every threshold, from recall 1 down to (recall 0, precision 1)."""
    order = np.argsort(-scores, kind="stable")
    ends = np.nonzero(np.append(np.diff(scores[order]) != 0, True))[0]
    hits = np.cumsum(truth[order])[ends]
    precision = np.append(hits[::-1] / (ends[::-1] + 1), 1.0)
    recall = np.append(hits[::-1] / truth.sum() if truth.sum() else np.ones(len(ends)), 0.0)
    return float(-np.trapezoid(precision, recall))


# ---- what a judgement rests on --------------------------------------------------------------------------------------


def comprehensiveness(full: ArrayLike, without: ArrayLike, *, rng: np.random.Generator | None = None) -> Estimate:
    """How much surer the model is with the rationale than without: the mean of p(y | all) - p(y | all but rationale).

    Args:
        full, without: the probability of the model's own prediction y, shape (n,).
        rng: where given, a bootstrap interval over instances.

    Returns:
        -1 to 1; higher: the rationale holds what the model needs. `n` counts the instances. Undefined: none has both.

    Source: DeYoung et al., 2020, equation 1.
    """
    return _mean_change(full, without, rng)


def sufficiency(full: ArrayLike, only: ArrayLike, *, rng: np.random.Generator | None = None) -> Estimate:
    """How much surer the model is with all than with the rationale alone: the mean of p(y | all) - p(y | rationale).

    As `comprehensiveness`, except that lower is better: the rationale is enough. Source: DeYoung et al., 2020, eq. 2.
    """
    return _mean_change(full, only, rng)


def aopc(full: ArrayLike, at_thresholds: ArrayLike, *, rng: np.random.Generator | None = None) -> Estimate:
    """Comprehensiveness or sufficiency averaged over growing shares of the best-scored tokens as the rationale.

    Args:
        full: (n,), as above.
        at_thresholds: (n, n_thresholds), the probability without (comprehensiveness) or with only (sufficiency) the
            best 1, 5, 10, 20, 50 % of the tokens.
        rng: where given, a bootstrap interval over instances.

    Returns:
        The mean over instances and thresholds; the direction is that of what is averaged.

    Source: DeYoung et al., 2020, section 4.2, area over the perturbation curve.
    """
    table = np.asarray(at_thresholds, dtype=np.float64)
    whole = np.asarray(full, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(whole):
        raise ValueError(f"There is one row of thresholds for each of {len(whole)} instances, not {table.shape}.")
    if not table.shape[1]:
        return Estimate.undefined(NO_PROBABILITIES)
    return mean_of((whole[:, None] - table).mean(axis=1), none=NO_PROBABILITIES, rng=rng)


def _mean_change(one: ArrayLike, other: ArrayLike, rng: np.random.Generator | None) -> Estimate:
    change = np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    return mean_of(change, none=NO_PROBABILITIES, rng=rng)


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


def rationale_gain(with_it: ArrayLike, without: ArrayLike, *, rng: np.random.Generator | None = None) -> Estimate:
    """How much likelier a rationale makes what follows: the mean of log p(. | x, rationale) - log p(. | x), in nats.

    Args:
        with_it, without: log-probabilities of the label or of the candidate, shape (n,).
        rng: where given, a bootstrap interval.

    Returns:
        Higher is better; 0: the rationale says nothing of use. Undefined: none has both.

    Source: Jiang et al., RATIONALYST, 2024 (arXiv 2410.01044).
    """
    return mean_of(
        np.asarray(with_it, dtype=np.float64) - np.asarray(without, dtype=np.float64),
        none="No rationale has both log-probabilities.",
        rng=rng,
    )


def perturbation_effect(
    with_it: ArrayLike, perturbed: ArrayLike, *, rng: np.random.Generator | None = None
) -> Estimate:
    """How much a judgement rests on its rationale: the mean of p(label | x, r) - mean p(label | x, perturbed r).

    Args:
        with_it: (n,), the probability of the label.
        perturbed: (n, n_perturbations), the same with tokens of the rationale masked or replaced; nan is left out.
        rng: where given, a bootstrap interval over rationales.

    Returns:
        -1 to 1; higher: the judgement rests on it; 0: it ignores the rationale. Undefined: none has both.

    Source: Wang et al., PINTO, 2023 (arXiv 2211.01562), section 3.
    """
    table = np.asarray(perturbed, dtype=np.float64)
    there = ~np.isnan(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(there, table, 0).sum(axis=1) / there.sum(axis=1)
    return _mean_change(with_it, mean, rng)


# ---- the table ------------------------------------------------------------------------------------------------------

_ERASER = "DeYoung et al., arXiv 1911.03429"

METRICS: dict[str, Metric] = {
    "token_f1": Metric(
        "Rationales: token F1",
        token_f1,
        "two annotators",
        "higher is more agreement",
        SHARE,
        "spans",
        "a side marked nothing",
        f"{_ERASER}, section 4.1",
    ),
    "span_f1": Metric(
        "Rationales: exact span F1",
        span_f1,
        "two annotators",
        "higher is more agreement",
        SHARE,
        "spans",
        "a side marked nothing",
        f"{_ERASER}, section 4.1",
    ),
    "iou_f1": Metric(
        "Rationales: IOU F1, one to one",
        iou_f1,
        "two annotators",
        "higher is more agreement",
        SHARE,
        "spans",
        "a side marked nothing",
        f"{_ERASER}, section 4.1; one to one is ours",
    ),
    "eraser_iou_f1": Metric(
        "Rationales: IOU F1 as in ERASER",
        eraser_iou_f1,
        "two annotators",
        "higher is more agreement",
        "from 0; recall can be above 1",
        "spans",
        "a side marked nothing",
        f"{_ERASER}, the benchmark's code",
    ),
    "auprc": Metric(
        "Rationales: area under the precision-recall curve",
        auprc,
        "two annotators",
        "higher is more agreement",
        SHARE,
        "token scores",
        "no text with marked and unmarked tokens",
        f"{_ERASER}, section 4.1",
    ),
    "eraser_auprc": Metric(
        "Rationales: the same area as in ERASER",
        eraser_auprc,
        "two annotators",
        "higher is more agreement",
        SHARE,
        "token scores",
        "no text",
        f"{_ERASER}, the benchmark's code",
    ),
    "comprehensiveness": Metric(
        "Comprehensiveness",
        comprehensiveness,
        "annotator",
        "higher is better",
        "difference of probabilities, -1 to 1",
        "probabilities",
        "no instance with both probabilities",
        f"{_ERASER}, equation 1",
    ),
    "sufficiency": Metric(
        "Sufficiency",
        sufficiency,
        "annotator",
        "lower is better",
        "difference of probabilities, -1 to 1",
        "probabilities",
        "no instance with both probabilities",
        f"{_ERASER}, equation 2",
    ),
    "aopc_comprehensiveness": Metric(
        "Comprehensiveness over growing rationales",
        aopc,
        "annotator",
        "higher is better",
        "difference of probabilities, -1 to 1",
        "probabilities",
        "no instance with both probabilities",
        f"{_ERASER}, section 4.2",
    ),
    "aopc_sufficiency": Metric(
        "Sufficiency over growing rationales",
        aopc,
        "annotator",
        "lower is better",
        "difference of probabilities, -1 to 1",
        "probabilities",
        "no instance with both probabilities",
        f"{_ERASER}, section 4.2",
    ),
    "rationale_gain": Metric(
        "Rationale gain",
        rationale_gain,
        "annotator",
        "higher is better",
        "nats",
        "log-probabilities",
        "no rationale with both log-probabilities",
        "Jiang et al., RATIONALYST, arXiv 2410.01044",
    ),
    "perturbation_effect": Metric(
        "Effect of perturbing the rationale",
        perturbation_effect,
        "annotator",
        "higher is better",
        "difference of probabilities, -1 to 1",
        "probabilities",
        "no rationale with both probabilities",
        "Wang et al., PINTO, arXiv 2211.01562",
    ),
}
