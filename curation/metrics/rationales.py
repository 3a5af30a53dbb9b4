"""How far rationales agree, and how far a judgement rests on them. Pure numbers: spans, scores and probabilities in.

What two sides marked is in curation/metrics/spans.py, what a model makes of it in curation/metrics/faithfulness.py;
here are soft scores of tokens, and the table.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from curation.metrics.estimates import Estimate, mean_of
from curation.metrics.faithfulness import (
    aopc,
    comprehensiveness,
    divergence,
    entropy_change,
    perturbation_effect,
    rationale_gain,
    sufficiency,
)
from curation.metrics.labels import Floats
from curation.metrics.metric import SHARE, Metric
from curation.metrics.spans import Scores, Spans, eraser_iou_f1, iou_f1, span_f1, token_f1

__all__ = [
    "METRICS",
    "Scores",
    "Spans",
    "aopc",
    "auprc",
    "comprehensiveness",
    "divergence",
    "entropy_change",
    "eraser_auprc",
    "eraser_iou_f1",
    "iou_f1",
    "perturbation_effect",
    "rationale_gain",
    "span_f1",
    "sufficiency",
    "token_f1",
]

# ---- scores of tokens -----------------------------------------------------------------------------------------------


def auprc(
    truth: Sequence[ArrayLike],
    scores: Sequence[ArrayLike],
    *,
    rng: np.random.Generator | None = None,
    resamples: int = 1000,
) -> Estimate:
    """The area under the precision-recall curve of soft scores, the mean over texts.

    Args:
        truth: for each text whether each token is marked, (n_tokens,) of 0 and 1.
        scores: for each text a score of each token, (n_tokens,); higher is more likely marked.
        rng: where given, a bootstrap interval over texts.
        resamples: how many.

    Returns:
        0 to 1; higher is better. `n` counts the texts with marked and unmarked tokens: one with only one kind says
        nothing, and is left out. Undefined: there is none.

    Source: DeYoung et al., 2020, section 4.1.
    """
    areas = [_area(t, s) if 0 < np.asarray(t).sum() < np.size(t) else math.nan for t, s in _texts(truth, scores)]
    return mean_of(np.array(areas), none="No text has marked and unmarked tokens.", rng=rng, resamples=resamples)


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
