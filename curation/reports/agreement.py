"""The agreement report: the finding in words, every coefficient with its interval, its parts, the pairs that divide.

Everything is read from one finished run.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import F

from annotation.models import Project, Run
from curation.arrays import WEEK_SECONDS
from curation.measuring import as_shown, whole_runs
from curation.metrics import METRICS
from curation.reports.estimates import Axis, Line, line, place
from curation.reports.words import percent

# The coefficients, in the order of the table, and what each leaves out.
SHOWN = (
    ("alpha_nominal", "Verdicts; corrected for chance, whatever the numbers of judgements"),
    ("alpha_ordinal", "Strengths from −3 to 3; near misses count for something"),
    ("gwet_ac1", "Verdicts; corrected for chance, steady where one verdict is rare"),
    ("percent_agreement", "Verdicts; not corrected, ties kept"),
    ("percent_agreement_without_ties", "Verdicts; not corrected, ties left out"),
)
PARTS = (("guideline", "By guideline"), ("week", "By week"), ("tag", "By tag"), ("source", "By source"))
MOST_PAIRS = 12
# Krippendorff's own thresholds: reliable, and the least for tentative conclusions.
RELIABLE, TENTATIVE = 0.8, 0.667

LOWEST, HIGHEST = -0.2, 1.0
AXIS = Axis(
    low=LOWEST,
    high=HIGHEST,
    spans="From −0.2 to 1",
    value="Value",
    is_percent=False,
    ticks=tuple(
        (
            place(at, LOWEST, HIGHEST),
            f"{at:g}".replace("-", "−"),
            "start" if at == LOWEST else "end" if at == HIGHEST else "middle",
        )
        for at in (LOWEST, 0, 0.4, 0.8, HIGHEST)
    ),
    marks=tuple((place(at, LOWEST, HIGHEST), look) for at, look in ((0, "g"), (TENTATIVE, "ref"), (RELIABLE, "ref"))),
)


@dataclass(frozen=True)
class Part:
    key: str
    title: str
    lines: list[Line]


@dataclass(frozen=True)
class Divided:
    """A pair on which people agree least."""

    number: int
    name: str
    agreement: str
    n: int
    asks: str


@dataclass(frozen=True)
class Report:
    run: Run
    alpha: Line
    verdict: str
    agreeing: str
    total: int
    lines: list[Line]
    parts: list[Part]
    pairs: list[Divided]
    axis: Axis = AXIS


def latest_run(project: Project) -> Run | None:
    return whole_runs(project, "agreement").first()


def report(*, run: Run) -> Report:
    """Everything that the page shows of a finished measurement of agreement."""
    rows = run.measurements.filter(pair=None, annotator=None, metric__in=[name for name, _ in SHOWN])
    found = {row.metric: as_shown(row) for row in rows}
    lines = [line(METRICS[name].title, sub, found[name], AXIS) for name, sub in SHOWN if name in found]
    share = found.get("percent_agreement", {})
    by = run.result.get("by", {})
    alpha = found["alpha_nominal"]
    return Report(
        run=run,
        alpha=lines[0],
        verdict=_verdict(alpha),
        agreeing=f"{percent(share['value'], 0)} %" if share.get("value") is not None else "",
        total=share.get("total", 0),
        lines=lines,
        parts=[Part(key, title, [_part(key, one) for one in by[key]]) for key, title in PARTS if by.get(key)],
        pairs=_divided(run),
    )


def _part(key: str, one: dict[str, Any]) -> Line:
    name = str(one["key"])
    if key == "guideline":
        name = f"Guideline {name}"
    if key == "week":
        # Weeks count from the Monday before the epoch.
        monday = dt.date(1969, 12, 29) + dt.timedelta(seconds=one["key"] * WEEK_SECONDS)
        name = f"Week of {monday.day} {monday:%b %Y}"
    share = one["percent"]["value"]
    sub = "" if share is None else f"{percent(share, 0)} % agree, {one['judgements']:,} judgements"
    return line(name, sub, one["alpha"], AXIS)


def _verdict(alpha: dict[str, Any]) -> str:
    """What the interval, not the value, allows to say."""
    if alpha["value"] is None:
        return ""
    low = alpha["value"] if alpha["low"] is None else alpha["low"]
    high = alpha["value"] if alpha["high"] is None else alpha["high"]
    if low >= RELIABLE:
        return "enough to rely on single verdicts"
    if low >= TENTATIVE:
        return "enough for tentative conclusions"
    if high < TENTATIVE:
        return "too little to rely on single verdicts; several of a pair say more"
    return "which may or may not be enough: the interval holds both"


def _divided(run: Run) -> list[Divided]:
    """The pairs with the lowest agreement; among equals those with the most judgements."""
    rows = (
        run.measurements.filter(metric="item_agreement", value__isnull=False, value__lt=1)
        .select_related("pair__prompt")
        .order_by("value", F("n").desc(), "pair_id")[:MOST_PAIRS]
    )
    found = []
    for row in rows:
        assert row.pair is not None
        messages = row.pair.prompt.messages
        asks = " ".join(str(messages[-1]["content"]).split())[:160] if messages else ""
        share = f"{percent(row.value or 0, 0)} %"
        found.append(Divided(row.pair.pk, str(row.pair), share, row.n or 0, asks))
    return found
