"""The discretion report: the finding in words, arbitrariness, supremacy, priorities.

Everything is read from the measurements of one finished run. Coordinates are percents of a chart's width as strings
with a point as decimal mark; heights are px.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from annotation.models import Annotator, Project, Run
from curation.measuring import as_shown, whole_runs
from curation.measuring.discretion import MINIMA
from curation.metrics.discretion import CATEGORIES, LEAST_CONFLICTS
from curation.reports import priorities, supremacy
from curation.reports.supremacy import PEOPLE
from curation.reports.words import percent


@dataclass(frozen=True)
class Choice:
    """One row of the table of arbitrariness. `is_thin`: not enough data, as `why` says."""

    name: str
    sub: str
    kind: str
    coverage: str
    n: int
    is_thin: bool
    why: str = ""
    value: str = ""
    interval: str = ""
    x: str = ""
    low: str = ""
    high: str = ""


@dataclass(frozen=True)
class Tick:
    x: str
    text: str
    anchor: str
    is_odd: bool


@dataclass(frozen=True)
class Report:
    run: Run
    shares: dict[str, dict[str, Any]]
    counts: dict[str, int]
    against: int
    people: dict[str, Any] | None
    principles: int
    relevant: str
    voters: str
    minimum: int
    minima: tuple[int, ...]
    choices: list[Choice]
    judges: list[Choice]
    ticks: list[Tick]
    widest: int
    reference: str
    says: str
    subjects: list[tuple[str, str]]
    subject: str
    subject_name: str
    grid: list[supremacy.GridRow]
    picked: int
    table: list[supremacy.Against]
    pinned: supremacy.Pinned | None
    few: int
    combinations: int
    priorities: priorities.Priorities | None
    no_priorities: str


def latest_run(project: Project) -> Run | None:
    return whole_runs(project, "discretion").first()


def report(*, run: Run, minimum: int, subject: str, picked: int, pin: tuple[int, int] | None) -> Report:
    """Everything that the page shows.

    Args:
        run: a finished measurement of discretion.
        minimum: how many relevant principles consensus needs, one of `MINIMA`.
        subject: whose supremacy: "people", or the number of a judge; the first there is where it has none.
        picked: the place (from 0) of the principle that the table view is about.
        pin: the places of the two principles beside the grid; those that conflict most often by default.
    """
    names = {one.pk: one for one in Annotator.objects.filter(project=run.project_id)}
    rows = {(row.metric, row.annotator_id): row for row in run.measurements.filter(pair=None, candidate=None)}
    shares = {name: as_shown(rows[f"{name}_share", None]) for name in CATEGORIES}
    counts = {name: round(one["value"] * one["n"]) for name, one in shares.items()}
    found = {who: as_shown(row) for (metric, who), row in rows.items() if metric == "discretion_arbitrariness"}
    people = found.get(None)
    choices = sorted(_choices(found, names, minimum), key=_order)
    widest = _widest(found, minimum)
    priorities_of = {who or 0: row for (metric, who), row in rows.items() if metric == "principle_priorities"}
    orders = {who or None: as_shown(priorities_of[who]) for who in sorted(priorities_of)}
    principles = [one["short"] for one in run.result["principles"]]
    numbers = [one["id"] for one in run.result["principles"]]
    subjects = [
        (PEOPLE if who is None else str(who), "All people" if who is None else names[who].name) for who in orders
    ]
    chosen = subject if subject in dict(subjects) else (subjects[0][0] if subjects else "")
    order = supremacy.column_order(orders)
    shown = orders.get(None if chosen == PEOPLE else int(chosen)) if chosen else None
    picked = picked if 0 <= picked < len(principles) else 0
    if pin is None or pin[0] == pin[1] or not all(0 <= place < len(principles) for place in pin):
        pin = supremacy.most_often(shown, order) if shown else None
    grid = supremacy.grid(shown, order, principles, numbers, pin) if shown else []
    gaps = {who: as_shown(row) for (metric, who), row in rows.items() if metric == "discretion_discrepancy"}
    return Report(
        run=run,
        shares=shares,
        counts=counts,
        against=round(people["by_minimum"][0]["value"] * people["by_minimum"][0]["n"])
        if people and people["by_minimum"][0]["value"] is not None
        else 0,
        people=_at(people, minimum) if people else None,
        principles=len(principles),
        relevant=f"{run.result['relevant']:.2f}",
        voters=_voters(run),
        minimum=minimum,
        minima=MINIMA,
        choices=[_placed(one, widest) for one in choices if one.kind != "j"],
        judges=[_placed(one, widest) for one in choices if one.kind == "j"],
        ticks=_ticks(widest),
        widest=widest,
        reference=_x(_at(people, minimum)["value"], widest) if people else "",
        says=_minimum_in_words(people, minimum),
        subjects=subjects,
        subject=chosen,
        subject_name=dict(subjects).get(chosen, ""),
        grid=grid,
        picked=picked,
        table=supremacy.against(shown, order, principles, picked) if shown else [],
        pinned=supremacy.pinned(shown, order, principles, numbers, pin, chosen, dict(subjects))
        if shown and pin
        else None,
        few=sum(0 < cell.n < LEAST_CONFLICTS for row in grid for cell in row.cells) // 2,
        combinations=len(principles) * (len(principles) - 1) // 2,
        priorities=priorities.chart(orders, gaps, order, principles, names, run),
        no_priorities=orders[None]["reason"] if None in orders and orders[None]["value"] is None else "",
    )


def _x(value: float | None, widest: int) -> str:
    return "" if value is None else f"{min(100.0, 10000 * value / widest):.2f}"


def _voters(run: Run) -> str:
    voters = run.result["voters"]
    if voters["annotators"]:
        return f"annotators whose name begins with “{voters['annotators'][0]}”"
    return {"judge": "the judges", "person": "people", "all": "people and judges"}[voters["kind"]]


# ---- arbitrariness ---------------------------------------------------------------------------------------------------


def _at(entry: dict[str, Any], minimum: int) -> dict[str, Any]:
    found: dict[str, Any] = entry["by_minimum"][minimum - 1]
    return found


def _choices(found: dict[int | None, dict[str, Any]], names: dict[int, Annotator], minimum: int) -> list[Choice]:
    rows = []
    for who, entry in found.items():
        at, coverage = _at(entry, minimum), f"{percent(entry['coverage'], 0)} %"
        annotator = names.get(who or 0)
        kind = "h1" if annotator is None else "j" if annotator.kind == Annotator.Kind.JUDGE else "h"
        name = "All people" if annotator is None else annotator.name
        sub = annotator.prompt_version if annotator else ""
        if at["value"] is None:
            rows.append(Choice(name, sub, kind, coverage, at["n"], is_thin=True, why=at["reason"]))
            continue
        has_ends = at["low"] is not None
        rows.append(
            Choice(
                name,
                sub,
                kind,
                coverage,
                at["n"],
                is_thin=False,
                value=f"{percent(at['value'])} %",
                interval=f"{percent(at['low'])}–{percent(at['high'])}" if has_ends else "",
                x=str(at["value"]),
                low=str(at["low"]) if has_ends else "",
                high=str(at["high"]) if has_ends else "",
            )
        )
    return rows


def _order(one: Choice) -> tuple[bool, bool, float, str]:
    """All people first, then the least arbitrary; those without a value last."""
    return (one.kind != "h1", one.is_thin, float(one.x or 0), one.name.casefold())


def _placed(one: Choice, widest: int) -> Choice:
    if one.is_thin:
        return one
    ends = {name: _x(float(getattr(one, name)), widest) if getattr(one, name) else "" for name in ("x", "low", "high")}
    return Choice(**{**vars(one), **ends})


def _widest(found: dict[int | None, dict[str, Any]], minimum: int) -> int:
    """The end of the axis in percent: the next ten above everything that is drawn."""
    ends = [
        at["value"] if at.get("high") is None else at["high"] for at in (_at(one, minimum) for one in found.values())
    ]
    return max(10, min(100, math.ceil(10 * max((end for end in ends if end is not None), default=0)) * 10))


def _ticks(widest: int) -> list[Tick]:
    steps = range(0, widest + 1, 10)
    return [
        Tick(
            f"{100 * at / widest:.2f}",
            f"{at} %" if at == widest else str(at),
            "start" if at == 0 else "end" if at == widest else "middle",
            bool(at % 20) and at != widest,
        )
        for at in steps
    ]


def _minimum_in_words(people: dict[str, Any] | None, minimum: int) -> str:
    if people is None:
        return ""
    at, base = _at(people, minimum), _at(people, 1)
    if at["value"] is None:
        return f"With {minimum} or more relevant principles: {at['reason']}"
    if minimum > 1:
        return (
            f"With {minimum} or more relevant principles people choose against all of them in "
            f"{percent(at['value'])} % of {at['n']:,} choices."
        )
    two = _at(people, 2)
    if two["value"] is None or two["n"] == base["n"]:
        return ""
    return (
        f"{base['n'] - two['n']:,} of the {base['n']:,} choices rest on a single principle. "
        f"Ask for two and people are at {percent(two['value'])} %."
    )
