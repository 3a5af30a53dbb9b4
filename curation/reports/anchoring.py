"""The anchoring report: what machine reasons change, in words and as differences, and what their readers make of them.

Everything is read from one finished run. Coordinates are percents of a chart's width as strings with a point as
decimal mark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.models import Project, Run
from curation.measuring import as_shown, whole_runs
from curation.measuring.anchoring import CHOICES, EFFECTS
from curation.reports.words import number, percent, signed

# What each effect is called, and what is said of it where its interval leaves no doubt: more, less.
SAID: dict[str, tuple[str, str, str, str]] = {
    "anchoring_revision": (
        "Answers changed afterwards",
        "In verdict or strength, after the offer",
        "more answers are changed",
        "fewer answers are changed",
    ),
    "anchoring_agreement": (
        "Next answer as the machines say",
        "The next pair, where judges chose a side",
        "the next answer follows the machines more often",
        "the next answer follows the machines less often",
    ),
    "anchoring_reason": (
        "Length of the next own reason",
        "In characters; 0 for none",
        "the next own reason is longer",
        "the next own reason is shorter",
    ),
}
# The ends of the charts: percentage points, and characters at least.
POINTS, LEAST_CHARACTERS = 0.3, 50.0
WORDS = {"accepted": "Accepted", "edited": "Edited", "rejected": "Rejected"}


@dataclass(frozen=True)
class Line:
    """One effect as a row; `is_thin` where it is undefined, as `why` says. 0 is in the middle of its chart."""

    name: str
    sub: str
    offered: str
    control: str
    n: str
    is_thin: bool
    why: str = ""
    value: str = ""
    interval: str = ""
    unit: str = ""
    x: str = ""
    low: str = ""
    high: str = ""


@dataclass(frozen=True)
class Report:
    run: Run
    finding: str
    lines: list[Line]
    choices: list[tuple[str, str, str, int]]
    reactions: int
    why_no_rate: str
    edits: str
    edits_interval: str
    seconds: str
    people: list[tuple[str, int, str, str, str, str]]
    sources: list[dict[str, Any]]
    opened_share: str
    in_time_share: str


def latest_run(project: Project) -> Run | None:
    return whole_runs(project, "anchoring").first()


def report(*, run: Run) -> Report:
    """Everything that the page shows of a finished measurement of anchoring."""
    rows = run.measurements.filter(pair=None).select_related("annotator").order_by("annotator_id")
    found = {row.metric: as_shown(row) for row in rows if row.annotator is None}
    rate, edits = found["reaction_rate"], found["edit_size"]
    offered = run.result["offers"] - run.result["controls"]
    return Report(
        run=run,
        finding=_finding(found),
        lines=[_line(name, found[name]) for name in EFFECTS],
        choices=[(WORDS[one], *_share(rate["choices"][one]), rate["choices"][one]["count"]) for one in CHOICES],
        reactions=rate["n"],
        why_no_rate=rate.get("reason") or "",
        edits="" if edits["value"] is None else f"{percent(edits['value'], 0)} %",
        edits_interval="" if edits.get("low") is None else f"{percent(edits['low'], 0)}–{percent(edits['high'], 0)}",
        seconds="" if rate["median_seconds"] is None else f"{rate['median_seconds']:.0f}",
        people=[_person(row.annotator.name, as_shown(row)) for row in rows if row.annotator is not None],
        sources=run.result["sources"],
        opened_share=percent(run.result["opened"] / offered, 0) if offered else "",
        in_time_share=percent(run.result["opened_before_the_next"] / offered, 0) if offered else "",
    )


def finding(run: Run) -> str:
    """The finding in a sentence, for the list of reports."""
    rows = run.measurements.filter(metric__in=EFFECTS)
    return _finding({row.metric: as_shown(row) for row in rows})


def _finding(found: dict[str, dict[str, Any]]) -> str:
    """What the intervals, not the values, allow to say."""
    known = [name for name in EFFECTS if found[name]["value"] is not None]
    if not known:
        return f"What machine reasons change cannot be said yet: {found[EFFECTS[0]]['reason']}"
    said = []
    for name in known:
        one, words = found[name], SAID[name]
        if one["low"] > 0 or one["high"] < 0:
            said.append(f"{words[2] if one['low'] > 0 else words[3]} ({_value(name, one['value'])})")
    if said:
        return f"Where a machine's reason was offered, {_together(said)}."
    least = found["anchoring_revision"]
    room = f" The change of answers lies between {_ends(EFFECTS[0], least)}." if least["value"] is not None else ""
    return f"No change by machine reasons is seen.{room}"


def _together(said: list[str]) -> str:
    return said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"


def _value(name: str, value: float) -> str:
    """A difference with its unit."""
    if name == "anchoring_reason":
        return f"{signed(value, 0)} characters"
    return f"{signed(100 * value, 1)} points"


def _ends(name: str, one: dict[str, Any]) -> str:
    digits, by = (0, 1) if name == "anchoring_reason" else (1, 100)
    return f"{number(by * one['low'], digits)} and {number(by * one['high'], digits)}"


def _line(name: str, one: dict[str, Any]) -> Line:
    title, sub = SAID[name][:2]
    is_mean = name == "anchoring_reason"
    offered, control = (_arm(one[arm], is_mean=is_mean) for arm in ("offered", "control"))
    n = f"{one['offered']['n']:,} · {one['control']['n']:,}"
    if one["value"] is None:
        return Line(title, sub, offered, control, n, is_thin=True, why=one["reason"])
    end = POINTS
    if is_mean:
        end = max(LEAST_CHARACTERS, abs(one["low"]), abs(one["high"]))

    def x(value: float) -> str:
        return f"{50 + 50 * max(-1.0, min(1.0, value / end)):.2f}"

    return Line(
        title,
        sub,
        offered,
        control,
        n,
        is_thin=False,
        value=signed(one["value"], 0) if is_mean else signed(100 * one["value"], 1),
        interval=_ends(name, one).replace(" and ", " to "),
        unit="characters" if is_mean else "points",
        x=x(one["value"]),
        low=x(one["low"]),
        high=x(one["high"]),
    )


def _arm(one: dict[str, Any], *, is_mean: bool) -> str:
    if one["value"] is None:
        return "–"
    return f"{one['value']:.0f}" if is_mean else f"{percent(one['value'])} %"


def _share(one: dict[str, Any]) -> tuple[str, str]:
    if one["value"] is None:
        return "", ""
    return f"{percent(one['value'], 0)} %", f"{percent(one['low'], 0)}–{percent(one['high'], 0)}"


def _person(name: str, one: dict[str, Any]) -> tuple[str, int, str, str, str, str]:
    """Name, reactions, the three shares (empty where there are too few), and why."""
    accepted, edited, rejected = (_share(one["choices"][choice])[0] for choice in CHOICES)
    return name, one["n"], accepted, edited, rejected, one.get("reason") or ""
