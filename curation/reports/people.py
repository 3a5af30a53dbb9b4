"""The people report: everybody in a table that can be sorted, and the finding in words.

Everything is read from the measurements of one finished run. Coordinates are px of a chart of fixed size, as strings
with a point as decimal mark. Figures say where to look, not who is better.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from statistics import NormalDist, median
from typing import Any

from annotation.models import Annotator, Project, Run
from curation.measuring import whole_runs
from curation.measuring.discretion import LEAST_CONFLICTS
from curation.measuring.people import COLUMNS, LEAST_DRAWN
from curation.metrics.estimates import Z, wilson_interval
from curation.metrics.people import LEAST_CONSENSUS
from curation.reports.words import percent, signed

WIDE, HIGH, PAD = 84, 22, 5
ALL = "all"


@dataclass(frozen=True)
class Column:
    """A column of the table. `axis`: the ends of its chart; `reference`: what its vertical mark stands for."""

    key: str
    metric: str
    title: str
    is_sorted: bool = True
    is_number: bool = False
    axis: tuple[float, float] | None = None
    ends: tuple[str, str] = ("", "")
    reference: float | None = None
    unit: str = ""


NAME = Column("name", "", "Person")
COUNT = Column("n", "", "n", is_number=True)
MEASURED = (
    Column("agreement", "leave_one_out_agreement", "Agreement with people", axis=(0, 1), ends=("0", "1")),
    Column("gold", "gold_accuracy", "Gold", axis=(0.4, 1), ends=("40", "100 %")),
    # Seconds pace the work; to sort by them would rank colleagues.
    Column("seconds", "active_time", "Active seconds", is_sorted=False, ends=("4", "300 s")),
    Column("left", "left_rate", "Left rate", axis=(0.3, 0.7), ends=("30", "70 %"), reference=0.5),
    Column("slope", "length_slope", "Length slope"),
    Column("tie", "tie_rate", "Tie %", is_number=True),
    Column("skip", "skip_rate", "Skip %", is_number=True),
    Column("arbitrary", "discretion_arbitrariness", "Arbitrary"),
    Column("order", "discretion_discrepancy", "Order of principles", axis=(0, 1), ends=("same", "reversed")),
    Column("drift", "agreement_drift", "Drift", unit=" weeks"),
)
OF_VOTES = {"discretion_arbitrariness": LEAST_CONSENSUS, "discretion_discrepancy": LEAST_CONFLICTS}
LEAST = {**COLUMNS, **OF_VOTES}
SORTED = {one.key: one for one in (NAME, COUNT, *MEASURED) if one.is_sorted}


@dataclass(frozen=True)
class Cell:
    """One figure of one person. `kind` is its look: dot, plain, bars, line, or none, which says `why`.

    `sort` is None where there is no value.
    """

    kind: str
    text: str = ""
    sub: str = ""
    why: str = ""
    is_number: bool = False
    sort: float | None = None
    x: str = ""
    low: str = ""
    high: str = ""
    reference: str = ""
    is_hollow: bool = False
    bars: tuple[tuple[str, str, str], ...] = ()
    points: str = ""
    last: tuple[str, str] = ("", "")
    is_flagged: bool = False


@dataclass(frozen=True)
class Row:
    number: int
    name: str
    kind: str
    n: int
    cells: tuple[Cell, ...]
    found: dict[str, dict[str, Any]]

    @property
    def is_judge(self) -> bool:
        return self.kind == Annotator.Kind.JUDGE

    @property
    def has_enough(self) -> bool:
        """A figure in every column that anybody could have one in."""
        return all(cell.kind not in ("none", "thin") and not cell.is_hollow for cell in self.cells)


@dataclass(frozen=True)
class Head:
    column: Column
    direction: str
    query: str


@dataclass(frozen=True)
class Report:
    run: Run
    columns: tuple[Column, ...]
    rows: list[Row]
    everybody: list[Row]
    people: int
    judges: int
    enough: int
    judgements: int
    versions: list[int]
    finding: Finding
    reference: str


@dataclass(frozen=True)
class Finding:
    """Who differs most from the others, in parts that the page sets in bold; empty: nobody."""

    name: str = ""
    agreement: str = ""
    interval: str = ""
    usual: str = ""
    left: str = ""
    left_interval: str = ""
    is_falling: bool = False


def latest_run(project: Project) -> Run | None:
    return whole_runs(project, "people").first()


def report(*, run: Run, version: str, sort: str, is_descending: bool, only_enough: bool, is_hidden: bool) -> Report:
    """Everything that the table shows, people before judges.

    Args:
        run: a finished measurement of people.
        version: "all", or a version of the guideline: what was judged under it.
        sort: a key of `SORTED`. Empty values come last either way.
        only_enough: leave out whoever lacks a figure.
        is_hidden: people under pseudonyms; judges keep their names.
    """
    found = _read(run, version)
    names = names_of(run, is_hidden=is_hidden)
    usual = _usual(found, names)
    columns = tuple(
        replace(one, reference=usual) if one.key == "agreement" else one
        for one in MEASURED
        if one.metric not in OF_VOTES or any(one.metric in entry for entry in found.values())
    )
    rows = [_row(number, entry, names[number], columns) for number, entry in found.items() if "skip_rate" in entry]
    people = [one for one in rows if not one.is_judge]
    shown = [one for one in rows if one.has_enough] if only_enough else rows
    return Report(
        run=run,
        columns=columns,
        rows=_sorted(shown, sort, columns, is_descending=is_descending),
        everybody=sorted(rows, key=lambda row: (row.is_judge, -row.n, row.number)),
        people=len(people),
        judges=len(rows) - len(people),
        enough=sum(one.has_enough for one in people),
        judgements=sum(one.n for one in people),
        versions=run.result["versions"],
        finding=_finding(people, usual),
        reference="" if usual is None else f"{usual:.2f}",
    )


def _read(run: Run, version: str) -> dict[int, dict[str, dict[str, Any]]]:
    """For every annotator its measurements by metric, of the whole or of one version."""
    found: dict[int, dict[str, dict[str, Any]]] = {}
    rows = run.measurements.filter(metric__in=LEAST, annotator__isnull=False).order_by("annotator_id")
    for number, metric, *figures, detail in rows.values_list(
        "annotator_id", "metric", "value", "reason", "low", "high", "n", "detail"
    ):
        value, reason, low, high, n = figures
        rounds = detail.pop("by_guideline", {})
        entry: dict[str, Any] = {"value": value, "reason": reason, "low": low, "high": high, "n": n or 0, **detail}
        if version != ALL:
            if version not in rounds:
                continue
            entry = {"low": None, "high": None, "reason": None, **rounds[version]}
        found.setdefault(int(number or 0), {})[metric] = entry
    return found


def names_of(run: Run, *, is_hidden: bool) -> dict[int, tuple[str, str]]:
    """For every annotator of the project the name to show, and the kind. Pseudonyms count in order of joining."""
    rows = Annotator.objects.filter(project=run.project_id).order_by("pk").values_list("pk", "name", "kind")
    found, people = {}, 0
    for number, name, kind in rows:
        people += kind == Annotator.Kind.PERSON
        shown = f"Person {people}" if is_hidden and kind == Annotator.Kind.PERSON else name
        found[number] = (shown, str(kind))
    return found


def _usual(found: dict[int, dict[str, dict[str, Any]]], names: dict[int, tuple[str, str]]) -> float | None:
    """The median of people's agreement."""
    values = [
        entry["leave_one_out_agreement"]["value"]
        for number, entry in found.items()
        if names[number][1] == Annotator.Kind.PERSON
        and entry.get("leave_one_out_agreement", {}).get("value") is not None
    ]
    return median(values) if values else None


def _sorted(rows: list[Row], sort: str, columns: tuple[Column, ...], *, is_descending: bool) -> list[Row]:
    place = next((k for k, one in enumerate(columns) if one.key == sort), None)

    def value(row: Row) -> float | None:
        return float(row.n) if place is None else row.cells[place].sort

    by_name = sorted(rows, key=lambda row: row.name.casefold(), reverse=sort == NAME.key and is_descending)
    if sort != NAME.key:
        sign = -1 if is_descending else 1
        by_name.sort(key=lambda row: ((at := value(row)) is None, sign * (at or 0.0)))
    return sorted(by_name, key=lambda row: row.is_judge)


# ---- cells -----------------------------------------------------------------------------------------------------------


def _row(number: int, entry: dict[str, dict[str, Any]], name: tuple[str, str], columns: tuple[Column, ...]) -> Row:
    cells = tuple(_cell(one, entry.get(one.metric)) for one in columns)
    return Row(number, name[0], name[1], int(entry["skip_rate"]["n"]), cells, entry)


def _cell(column: Column, one: dict[str, Any] | None) -> Cell:
    if one is None:
        return Cell("none", why="no votes" if column.metric in OF_VOTES else "")
    if column.key == "left" and one["value"] is None and one["n"] >= LEAST_DRAWN:
        return _hollow(column, one)
    if one["value"] is None:
        # Separation and the like are no lack of data: they say what they are.
        if one["n"] >= LEAST[column.metric]:
            return Cell("thin", text="undefined", why=one["reason"], is_number=column.is_number)
        why = "" if column.is_number else f"{one['n']} of {LEAST[column.metric]}{column.unit}"
        return Cell("none", why=why, is_number=column.is_number)
    make = {"seconds": _seconds, "slope": _slope, "drift": _drift}.get(column.key, _share)
    return make(column, one)


def x_of(column: Column, value: float) -> str:
    low, high = column.axis or (0, 1)
    share = (max(low, min(high, value)) - low) / (high - low)
    return f"{PAD + share * (WIDE - 2 * PAD):.1f}"


def _share(column: Column, one: dict[str, Any]) -> Cell:
    value = one["value"]
    ends = "" if one["low"] is None else f"{percent(one['low'], 0)}–{percent(one['high'], 0)}"
    if column.is_number:
        return Cell("number", percent(value), is_number=True, sort=value)
    if column.axis is None:
        return Cell("plain", f"{percent(value, 0)} %", ends, sort=value)
    text, sub, sort = f"{percent(value, 0)} %", ends, value
    if column.key in ("agreement", "order"):
        text, sub = f"{value:.2f}", "" if one["low"] is None else f"{one['low']:.2f}–{one['high']:.2f}"
    if column.key == "gold":
        sub = f"{one['hits']}/{one['n']}"
    if column.key == "left":
        sort = abs(value - 0.5)
        sub += " leans left" if one["low"] > 0.5 else " leans right" if one["high"] < 0.5 else ""
    return _dot(column, one, text, sub, sort)


def _dot(column: Column, one: dict[str, Any], text: str, sub: str, sort: float | None, **more: Any) -> Cell:
    return Cell(
        "dot",
        text,
        sub,
        sort=sort,
        x=x_of(column, one["value"]),
        low="" if one["low"] is None else x_of(column, one["low"]),
        high="" if one["high"] is None else x_of(column, one["high"]),
        reference="" if column.reference is None else x_of(column, column.reference),
        **more,
    )


def _hollow(column: Column, one: dict[str, Any]) -> Cell:
    """Too few to say anything, enough to be drawn: grey, and last in order like every other that is undefined."""
    low, high = wilson_interval(one["hits"], one["n"])
    drawn = {"value": one["hits"] / one["n"], "low": low, "high": high}
    return _dot(column, drawn, f"{percent(drawn['value'], 0)} %", f"{one['n']} decided", None, is_hollow=True)


def _seconds(column: Column, one: dict[str, Any]) -> Cell:
    counts = one.get("histogram", [])
    most = max(counts, default=0) or 1
    bars = tuple(
        (f"{3.6 * k:.1f}", f"{20 - 18 * count / most:.1f}", f"{18 * count / most:.1f}")
        for k, count in enumerate(counts)
        if count
    )
    at = math.log(max(4.0, min(300.0, one["value"])) / 4) / math.log(300 / 4) * 72
    return Cell("bars", f"{one['value']:.0f} s", bars=bars, x=f"{at:.1f}")


def _slope(column: Column, one: dict[str, Any]) -> Cell:
    return Cell("plain", signed(one["value"]), f"{signed(one['low'])} to {signed(one['high'])}", sort=one["value"])


def _drift(column: Column, one: dict[str, Any]) -> Cell:
    """The weeks as a line, the last one marked; falling or rising where the interval leaves no doubt."""
    weeks = one["weeks"][-8:]
    middle = sum(mean for _, mean, _ in weeks) / len(weeks)
    step = 68 / (len(weeks) - 1)
    points = [(4 + step * k, max(2.0, min(20.0, 11 - 52 * (mean - middle)))) for k, (_, mean, _) in enumerate(weeks)]
    word = "falling" if one["high"] < 0 else "rising" if one["low"] > 0 else "steady"
    return Cell(
        "line",
        word,
        signed(one["value"]),
        sort=one["value"],
        points=" ".join(f"{x:.1f},{y:.1f}" for x, y in points),
        last=(f"{points[-1][0]:.1f}", f"{points[-1][1]:.1f}"),
        is_flagged=word == "falling",
    )


# ---- the finding -----------------------------------------------------------------------------------------------------


def _finding(people: list[Row], usual: float | None) -> Finding:
    """Who agrees least, if further from the median than chance puts the furthest of so many (Bonferroni)."""
    measured = [
        (row, one)
        for row in people
        if (one := row.found.get("leave_one_out_agreement", {})).get("value") is not None and one["low"] is not None
    ]
    if len(measured) < 2 or usual is None:
        return Finding()
    wanted = NormalDist().inv_cdf(1 - 0.05 / (2 * len(measured)))

    def away(one: dict[str, Any]) -> float:
        half: float = max(one["high"] - one["value"], 1e-9)
        return float((usual - one["value"]) / half * Z)

    row, one = max(measured, key=lambda found: away(found[1]))
    if away(one) < wanted:
        return Finding(usual=f"{usual:.2f}")
    left, drift = row.found["left_rate"], row.found["agreement_drift"]
    leans = left["value"] is not None and not left["low"] <= 0.5 <= left["high"]
    return Finding(
        name=row.name,
        agreement=f"{one['value']:.2f}",
        interval=f"{one['low']:.2f}–{one['high']:.2f}",
        usual=f"{usual:.2f}",
        left=f"{percent(left['value'], 0)} %" if leans else "",
        left_interval=f"{percent(left['low'], 0)}–{percent(left['high'], 0)}" if leans else "",
        is_falling=drift["value"] is not None and drift["high"] < 0,
    )
