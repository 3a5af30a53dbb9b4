"""The difficulty report: the finding, the histogram, how far the seeds agree, the hardest pairs.

Everything is read from the measurements of one finished run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotation.models import Project, Run
from annotation.questions import as_text
from curation.charts import Bars, bars
from curation.measuring import as_shown, whole_runs
from curation.measuring.difficulty import UNTRAINED, hardest
from curation.reports.words import percent
from curation.trust import in_words

BINS = 30
SHOWN_CHARACTERS = 220


@dataclass(frozen=True)
class Hard:
    """One of the hardest pairs, with the beginning of its texts."""

    pair: int
    loss: str
    prompt: str
    better: str
    worse: str
    learned: str


@dataclass(frozen=True)
class Report:
    run: Run
    pairs: int
    model: str
    wrong: int
    wrong_share: str
    untrained: str
    median: str
    chart: Bars
    rows: list[tuple[str, str]]
    trust: dict[str, Any]
    trust_says: str
    left_out: list[tuple[str, int]]
    hardest: list[Hard]


def latest_runs(project: Project) -> dict[str, Run]:
    """The latest finished run of each model, the latest first."""
    found: dict[str, Run] = {}
    for run in whole_runs(project, "difficulty"):
        found.setdefault(str(run.parameters.get("model", "")), run)
    return found


def report(run: Run) -> Report:
    rows = run.measurements.filter(metric="held_out_loss", value__isnull=False)
    losses = np.array(rows.values_list("value", flat=True), dtype=np.float64)
    counts, edges = np.histogram(losses, bins=BINS, range=_range(losses))
    wrong = int((losses > UNTRAINED).sum())
    trust = as_shown(run.measurements.get(metric="between_run_spearman"))
    steps = [(f"{low:.3f}", int(count)) for low, count in zip(edges, counts, strict=False)]
    name = f"Histogram of the held-out loss of {len(losses):,} pairs, from {edges[0]:.3f} to {edges[-1]:.3f} nats"
    return Report(
        run=run,
        pairs=len(losses),
        model=str(run.parameters.get("model", "")),
        wrong=wrong,
        wrong_share=percent(wrong / len(losses)) if len(losses) else "",
        untrained=f"{UNTRAINED:.3f}",
        median=f"{np.median(losses):.3f}" if len(losses) else "",
        chart=bars(steps, name=name, label_every=5),
        rows=[
            (f"{low:.4f} to {high:.4f}", f"{count:,}")
            for low, high, count in zip(edges, edges[1:], counts.tolist(), strict=False)
        ],
        trust=trust,
        trust_says=in_words(trust["value"]),
        left_out=[(why, count) for why, count in run.result.get("left_out", {}).items() if count],
        hardest=_hardest(run),
    )


def _range(losses: NDArray[np.float64]) -> tuple[float, float]:
    """Both ends of the histogram; ln 2 lies between them, as what an untrained model gives."""
    low, high = (float(losses.min()), float(losses.max())) if len(losses) else (UNTRAINED, UNTRAINED)
    low, high = min(low, UNTRAINED), max(high, UNTRAINED)
    return (low, high) if high > low else (low - 0.01, high + 0.01)


def _hardest(run: Run) -> list[Hard]:
    found = hardest(run)
    learned = dict(
        run.measurements.filter(metric="learned_step", pair__in=[row.pair_id for row in found]).values_list(
            "pair", "value"
        )
    )
    shown = []
    for row in found:
        pair = row.pair
        assert pair is not None
        sides = [pair.first, pair.second] if row.detail.get("first", True) else [pair.second, pair.first]
        step = learned.get(pair.pk)
        shown.append(
            Hard(
                pair=pair.pk,
                loss=f"{row.value:.4f}",
                prompt=_begin(as_text(pair.prompt.messages[-1:])),
                better=_begin(as_text(sides[0].messages)),
                worse=_begin(as_text(sides[1].messages)),
                learned="never" if step is None else f"step {step:g}",
            )
        )
    return shown


def _begin(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN_CHARACTERS else f"{flat[:SHOWN_CHARACTERS].rstrip()}…"
