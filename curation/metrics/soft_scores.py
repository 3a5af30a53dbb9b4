"""How well scores of tokens tell which tokens somebody marked. Pure numbers: 0 and 1, and scores.

Every function takes, for each text, whether each token is marked, (n_tokens,) of 0 and 1, and a score of each token,
(n_tokens,), higher being more likely marked; and gives the mean over texts. Only the order of the scores within a text
counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from curation.metrics.estimates import Estimate, mean_of
from curation.metrics.labels import Floats

ONE_KIND = "No text has marked and unmarked tokens."


def auprc(
    truth: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    *,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """The area under the precision-recall curve of soft scores, the mean over texts.

    Args:
        truth, scores: as above.
        rng: where given, a bootstrap interval over texts.
        resamples: how many.

    Returns:
        0 to 1; higher is better. `n` counts the texts with marked and unmarked tokens: one with only one kind says
        nothing, and is left out. Undefined: there is none.

    Source: DeYoung et al., ERASER, 2020 (arXiv 1911.03429), section 4.1.
    """
    return _mean(_area, truth, scores, rng=rng, resamples=resamples)


def eraser_auprc(truth: Sequence[ArrayLike], scores: Sequence[ArrayLike]) -> Estimate:
    """AUPRC exactly as the ERASER benchmark computes it: texts with one kind of token count, .5 where none is marked.

    Undefined: no text.

    Source: DeYoung et al., 2020, and the benchmark's code.
    """
    return mean_of(np.array([_area(t, s) for t, s in _texts(truth, scores)]), none="There is no text.")


def average_precision(
    truth: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    *,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """Average precision: the precision at each threshold, weighed by how much recall grows there; the mean over texts.

    The area under the same curve as `auprc`, in steps instead of straight lines, which promise precision that no
    threshold has. Otherwise as `auprc`; here the benchmark leaves out texts with one kind of token too.

    Undefined: no text with marked and unmarked tokens.

    Source: DeYoung et al., 2020, and the benchmark's code.
    """
    return _mean(_average_precision, truth, scores, rng=rng, resamples=resamples)


def roc_auc(
    truth: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    *,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """How often a marked token has a higher score than an unmarked one of its text, equal ones half; the mean of texts.

    The area under the curve of hits by false alarms: .5 is chance, however few tokens are marked. Otherwise as
    `average_precision`.

    Undefined: no text with marked and unmarked tokens.

    Source: Hanley and McNeil, The meaning and use of the area under a ROC curve, 1982; of tokens DeYoung et al., 2020,
        the benchmark's code.
    """
    return _mean(_above, truth, scores, rng=rng, resamples=resamples)


def _mean(
    of_text: Callable[[Floats, Floats], float],
    truth: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    *,
    rng: np.random.Generator | None,
    resamples: int,
) -> Estimate:
    """The mean over the texts that have marked and unmarked tokens."""
    found = [of_text(t, s) if 0 < t.sum() < len(t) else math.nan for t, s in _texts(truth, scores)]
    return mean_of(np.array(found), none=ONE_KIND, rng=rng, resamples=resamples)


def _texts(truth: Sequence[ArrayLike], scores: Sequence[ArrayLike]) -> list[tuple[Floats, Floats]]:
    pairs = [
        (np.asarray(t, dtype=np.float64), np.asarray(s, dtype=np.float64)) for t, s in zip(truth, scores, strict=True)
    ]
    for t, s in pairs:
        if t.shape != s.shape:
            raise ValueError(f"There is one score for each token: {len(t)} tokens, {len(s)} scores.")
    return [pair for pair in pairs if len(pair[0])]


def _at_thresholds(truth: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """How many marked tokens, and how many tokens, have at least each of the different scores, from the highest on."""
    order = np.argsort(-scores, kind="stable")
    ends = np.nonzero(np.append(np.diff(scores[order]) != 0, True))[0]
    return np.cumsum(truth[order])[ends], (ends + 1).astype(np.float64)


def _area(truth: Floats, scores: Floats) -> float:
    """Trapezoids under the curve through every threshold, from recall 1 down to (recall 0, precision 1)."""
    hits, taken = _at_thresholds(truth, scores)
    precision = np.append((hits / taken)[::-1], 1.0)
    recall = np.append(hits[::-1] / truth.sum() if truth.sum() else np.ones(len(hits)), 0.0)
    return float(-np.trapezoid(precision, recall))


def _average_precision(truth: Floats, scores: Floats) -> float:
    hits, taken = _at_thresholds(truth, scores)
    return float((np.diff(hits, prepend=0.0) * hits / taken).sum() / truth.sum())


def _above(truth: Floats, scores: Floats) -> float:
    hits, taken = _at_thresholds(truth, scores)
    alarms = taken - hits
    marked, unmarked = hits[-1], alarms[-1]
    # At each threshold: the unmarked tokens that come in, against the marked ones already there and half of those with
    # the same score.
    before = hits - np.diff(hits, prepend=0.0) / 2
    return float((np.diff(alarms, prepend=0.0) * before).sum() / (marked * unmarked))
