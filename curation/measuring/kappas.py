"""Cohen's kappa of every two annotators who have enough in common; the others are counted, not stored.

A thousand annotators are half a million twos, nearly none of whom have judged thirty common pairs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation.models import Run
from curation.measuring.storing import as_row
from curation.metrics.agreement import KappaWeights, distances, joint_tables, kappa_of_table
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels
from curation.models import Measurement

# Below this many common pairs, kappa is left undefined: its interval would span most of the scale.
LEAST_COMMON = 30
# Among so many annotators, those with the most judgements, everything is stored: a grid of them is drawn.
MOST_DRAWN = 24
WEIGHTS: tuple[KappaWeights, ...] = ("linear", "quadratic")
OF_TWO = ("cohen_kappa", *(f"cohen_kappa_{weights}" for weights in WEIGHTS))


@dataclass(frozen=True)
class Kappas:
    """What is stored; and how many twos are not, by the reason why their kappa is undefined."""

    rows: list[Measurement]
    left_out: dict[str, int]


def kappas_of(
    run: Run,
    labels: Labels,
    *,
    least: int,
    rng: np.random.Generator | None = None,
    resamples: int = 0,
    beat: Callable[[], None] = lambda: None,
) -> Kappas:
    """Kappa of every two with `least` common items; of two among the busiest also the reason why they have none.

    Args:
        labels: their `annotators` are numbers of annotators.
        rng: where given, each kappa has a bootstrap interval from `resamples`.
        beat: called before each one.
    """
    tables = joint_tables(labels)
    reason = f"Fewer than {least} common pairs."
    is_drawn = np.zeros(labels.n_annotators, dtype=bool)
    said = np.bincount(labels.annotator, minlength=labels.n_annotators)
    is_drawn[np.argsort(-said, kind="stable")[:MOST_DRAWN]] = True
    is_few = tables.n < least
    is_stored = ~is_few | (is_drawn[tables.one] & is_drawn[tables.other])
    rows = []
    for place in np.flatnonzero(is_stored).tolist():
        beat()
        if is_few[place]:
            estimate = Estimate.undefined(reason, n=int(tables.n[place]))
        else:
            estimate = kappa_of_table(tables.table(place), rng=rng, resamples=resamples)
        one, other = (int(labels.annotators[code[place]]) for code in (tables.one, tables.other))
        rows.append(as_row(run, "cohen_kappa", estimate, annotator_id=one, other_id=other))
    left_out = int((~is_stored).sum())
    return Kappas(rows, {reason: left_out} if left_out else {})


def weighted_kappas_of(run: Run, strengths: Labels, *, least: int) -> list[Measurement]:
    """Kappas of strengths, of every two with `least` common items: two that are a step apart agree the better.

    Without intervals, and without reasons: who has none has no kappa of `kappas_of` either, or no known strength.

    Args:
        strengths: their values are strengths, their `annotators` numbers of annotators.
    """
    tables = joint_tables(strengths)
    apart = {weights: distances(strengths, weights) for weights in WEIGHTS}
    rows = []
    for place in np.flatnonzero(tables.n >= least).tolist():
        one, other = (int(strengths.annotators[code[place]]) for code in (tables.one, tables.other))
        for weights in WEIGHTS:
            estimate = kappa_of_table(tables.table(place), distance=apart[weights])
            rows.append(as_row(run, f"cohen_kappa_{weights}", estimate, annotator_id=one, other_id=other))
    return rows


def undefined(entries: Iterable[dict[str, Any]], left_out: dict[str, int]) -> list[str]:
    """For each reason one line for a terminal: how many twos have no kappa, stored or not."""
    reasons = Counter(one["reason"] for one in entries if one["value"] is None)
    reasons.update(left_out)
    return [f"Cohen's kappa, undefined for {n} pairs of annotators: {why}" for why, n in sorted(reasons.items())]
