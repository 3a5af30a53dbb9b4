"""How far rationales agree, and how far a judgement rests on them: the table, and the names of its functions.

What two sides marked is in curation/metrics/spans.py, scores of tokens in curation/metrics/soft_scores.py, and what a
model makes of a rationale in curation/metrics/faithfulness.py.
"""

from __future__ import annotations

from curation.metrics.faithfulness import (
    aopc,
    comprehensiveness,
    divergence,
    entropy_change,
    perturbation_effect,
    rationale_gain,
    sufficiency,
)
from curation.metrics.metric import SHARE, Metric
from curation.metrics.soft_scores import auprc, average_precision, eraser_auprc, roc_auc
from curation.metrics.spans import Scores, Spans, eraser_iou_f1, iou_f1, span_f1, token_f1

__all__ = [
    "METRICS",
    "Scores",
    "Spans",
    "aopc",
    "auprc",
    "average_precision",
    "comprehensiveness",
    "divergence",
    "entropy_change",
    "eraser_auprc",
    "eraser_iou_f1",
    "iou_f1",
    "perturbation_effect",
    "rationale_gain",
    "roc_auc",
    "span_f1",
    "sufficiency",
    "token_f1",
]

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
    "average_precision": Metric(
        "Rationales: average precision",
        average_precision,
        "two annotators",
        "higher is more agreement",
        SHARE,
        "token scores",
        "no text with marked and unmarked tokens",
        f"{_ERASER}, the benchmark's code",
    ),
    "roc_auc": Metric(
        "Rationales: a marked token above an unmarked one",
        roc_auc,
        "two annotators",
        "higher is more agreement",
        "share, 0 to 1; chance is .5",
        "token scores",
        "no text with marked and unmarked tokens",
        f"Hanley and McNeil, 1982; {_ERASER}, the benchmark's code",
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
        "project",
        "higher is better",
        "difference of probabilities, -1 to 1",
        "probabilities",
        "no instance with both probabilities",
        f"{_ERASER}, section 4.2",
    ),
    "aopc_sufficiency": Metric(
        "Sufficiency over growing rationales",
        aopc,
        "project",
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
