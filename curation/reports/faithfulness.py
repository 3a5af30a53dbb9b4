"""The faithfulness report: how far a model's answer rests on what people marked and wrote.

Everything is read from one finished run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.models import Annotator, Project, Run
from curation.measuring import as_shown, whole_runs
from curation.measuring.growing import SHOWN as AREAS
from curation.reports.estimates import Axis, Line, line, place
from curation.reports.words import number, percent, signed

# Each figure of everybody: its title, what it is, and how it is read.
FIGURES = (
    ("comprehensiveness", "What is marked is needed", "Comprehensiveness: higher is better"),
    ("sufficiency", "What is marked is enough", "Sufficiency: lower is better, 0 is enough"),
    ("rationale_gain", "What is written helps", "Rationale gain, nats: above 0 the reason makes its answer likelier"),
    ("perturbation_effect", "The words of it count", "Change when words are replaced: 0 is a reason that is ignored"),
)
MOST_LINES = 50


def _axis(end: float, value: str) -> Axis:
    written = f"{end:g}"
    return Axis(
        low=-end,
        high=end,
        spans=f"From −{written} to {written}",
        value=value,
        is_percent=False,
        ticks=(("0.00", f"−{written}", "start"), ("50.00", "0", "middle"), ("100.00", written, "end")),
        marks=(("0.00", "g"), (place(0, -end, end), "g"), ("100.00", "g")),
    )


CHANGES = _axis(1, "Change")


@dataclass(frozen=True)
class Part:
    key: str
    title: str
    reading: str
    axis: Axis
    lines: list[Line]
    more: int


@dataclass(frozen=True)
class Report:
    run: Run
    model: str
    finding: str
    parts: list[Part]
    areas: list[Line]
    # Share of the words, change without them, change with them alone.
    at: list[tuple[str, str, str]]
    marked_by_fewer: int
    axis: Axis = CHANGES


def latest_runs(project: Project) -> dict[str, Run]:
    """The latest finished run of each model, the latest first."""
    found: dict[str, Run] = {}
    for run in whole_runs(project, "faithfulness"):
        found.setdefault(str(run.parameters.get("model", "")), run)
    return found


def report(run: Run) -> Report:
    rows = run.measurements.filter(metric__in=[*(name for name, *_ in FIGURES), *AREAS])
    found: dict[str, dict[int | None, dict[str, Any]]] = {}
    for row in rows.order_by("annotator_id"):
        found.setdefault(row.metric, {})[row.annotator_id] = as_shown(row)
    whose = {number for figures in found.values() for number in figures if number is not None}
    known = Annotator.objects.in_bulk(whose)
    whole = {name: figures[None] for name, figures in found.items() if None in figures}
    areas = {name: whole[name] for name in AREAS if name in whole}
    return Report(
        run=run,
        model=str(run.parameters["model"]),
        finding=_finding(str(run.parameters["model"]), whole),
        parts=[_part(name, title, reading, found[name], known) for name, title, reading in FIGURES if name in found],
        areas=[_area(name, one) for name, one in areas.items()],
        at=_at(areas),
        marked_by_fewer=next(iter(areas.values()))["marked_by_fewer"] if areas else 0,
    )


def finding(run: Run) -> str:
    """The finding in a sentence, for the list of reports."""
    rows = run.measurements.filter(annotator=None, metric__in=("comprehensiveness", "sufficiency"))
    return _finding(str(run.parameters["model"]), {row.metric: as_shown(row) for row in rows})


def _finding(model: str, whole: dict[str, dict[str, Any]]) -> str:
    needs, enough = (whole.get(name) for name in ("comprehensiveness", "sufficiency"))
    if needs is None or needs["value"] is None:
        why = needs["reason"] if needs else "nothing was measured."
        return f"How far {model} rests on what people marked cannot be said: {why}"
    said = f"Without what people marked, {model} is {_points(needs)} of its answer"
    if enough is None or enough["value"] is None:
        return f"{said}."
    return f"{said}; with nothing but that, {_points(enough)}."


def _points(one: dict[str, Any]) -> str:
    """How much less sure, in points; with the interval, where there is one."""
    value = one["value"]
    ends = ""
    if one["low"] is not None:
        low, high = sorted((one["low"], one["high"]))
        ends = f" ({number(100 * low, 1)} to {number(100 * high, 1)})"
    more = "less" if value >= 0 else "more"
    return f"{percent(abs(value))} points{ends if value >= 0 else ''} {more} sure"


def _part(
    name: str, title: str, reading: str, figures: dict[int | None, dict[str, Any]], known: dict[int, Annotator]
) -> Part:
    """All people first, then everybody, those with most reasons first."""
    axis = CHANGES if name != "rationale_gain" else _axis(_end(figures), "Nats")
    each = sorted(
        ((known[who], one) for who, one in figures.items() if who is not None),
        key=lambda two: (-two[1]["n"], two[0].name),
    )
    lines = [line("All people", "", figures[None], axis)] if None in figures else []
    lines += [line(who.name, "a judge" if who.is_judge else "", one, axis) for who, one in each[:MOST_LINES]]
    return Part(name, title, reading, axis, lines, max(0, len(each) - MOST_LINES))


def _end(figures: dict[int | None, dict[str, Any]]) -> float:
    """How far the axis of nats goes: to the next half beyond all there is, 1 at least."""
    ends = [abs(one[key]) for one in figures.values() for key in ("value", "low", "high") if one.get(key) is not None]
    return max(1.0, -(-max(ends, default=0.0) * 2 // 1) / 2)


def _area(name: str, one: dict[str, Any]) -> Line:
    title = "Without the best words" if name == "aopc_comprehensiveness" else "With the best words alone"
    return line(title, "mean over the shares", one, CHANGES)


def _at(areas: dict[str, dict[str, Any]]) -> list[tuple[str, str, str]]:
    without, alone = (areas.get(name, {}).get("at", []) for name in AREAS)
    return [
        (f"{percent(one['share'], 0)} %", signed(one["change"], 3), signed(other["change"], 3))
        for one, other in zip(without, alone, strict=True)
    ]
