"""The measures, and the table that pages, documentation and tests read. Pure numbers: no Django, no torch."""

from __future__ import annotations

from curation.metrics import (
    aggregation,
    agreement,
    anchoring,
    difficulty,
    discretion,
    diversity,
    people,
    rationales,
    representativeness,
)
from curation.metrics.metric import Metric

__all__ = ["METRICS", "Metric"]

# Each module lists its own measures.
METRICS: dict[str, Metric] = {
    **agreement.METRICS,
    **aggregation.METRICS,
    **discretion.METRICS,
    **difficulty.METRICS,
    **rationales.METRICS,
    **diversity.METRICS,
    **people.METRICS,
    **representativeness.METRICS,
    **anchoring.METRICS,
}
