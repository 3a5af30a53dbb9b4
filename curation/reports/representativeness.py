"""The report of representativeness: whom the people stand for, their weighted rate, and the groups of each attribute.

Everything is read from one finished run. Coordinates are percents of a chart's width as strings.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from annotation.models import Project, Run
from curation.measuring import representativeness, whole_runs
from curation.reports.estimates import SHARES, Axis, Line, line
from curation.reports.words import number, percent


@dataclass(frozen=True)
class Group:
    """One group of an attribute. `people` and `share` are empty where it is too small to be shown."""

    name: str
    target: str
    people: int | None
    share: str
    without: str


@dataclass(frozen=True)
class Weights:
    """The unweighted and the weighted rate as lines, and what the weights cost; `why`: there are none."""

    lines: list[Line]
    why: str
    design_effect: str
    covers: str
    missing: list[tuple[str, str]]
    changes: Line | None


@dataclass(frozen=True)
class Attribute:
    name: str
    distance: str
    why: str
    n: int
    silent: int | None
    groups: list[Group]
    rates: list[Line]
    missing: list[str]
    weights: Weights | None


@dataclass(frozen=True)
class Report:
    run: Run
    distance: str
    widest: str
    elsewhere: str
    why: str
    people: int
    judgements: int
    attributes: list[Attribute]
    together: Weights | None
    target: str
    axis: Axis = SHARES


def latest_run(project: Project) -> Run | None:
    return whole_runs(project, "representativeness").first()


def report(*, run: Run) -> Report:
    """Everything that the page shows of a finished measurement."""
    found = representativeness.report(run)
    attributes = [_attribute(name, one) for name, one in found["attributes"].items()]
    defined = {name: one["value"] for name, one in found["attributes"].items() if one["value"] is not None}
    return Report(
        run=run,
        distance=number(found["value"]) if found["value"] is not None else "",
        widest=max(defined, key=lambda name: defined[name]) if defined else "",
        elsewhere=percent(found["value"], 0) if found["value"] is not None else "",
        why=found["reason"] if found["value"] is None else "",
        people=found["people"],
        judgements=found["judgements"],
        attributes=attributes,
        together=_weights(found["weighted"]) if len(attributes) > 1 and "weighted" in found else None,
        target=json.dumps(found["target"], ensure_ascii=False, indent=2),
    )


def _attribute(name: str, one: dict[str, Any]) -> Attribute:
    total = one.get("n", 0)
    shown = [group for group in one["groups"] if group["people"] is not None]
    return Attribute(
        name=name,
        distance=number(one["value"]) if one["value"] is not None else "",
        why=one["reason"] if one["value"] is None else "",
        n=total,
        silent=one.get("silent"),
        groups=[_group(group, total) for group in one["groups"]],
        rates=[
            line(group["group"], "", group["prefers_first"])
            for group in shown
            if group["people"] and "prefers_first" in group
        ],
        missing=one["not_estimable"],
        weights=_weights(one["weighted"]) if "weighted" in one else None,
    )


def _group(one: dict[str, Any], total: int) -> Group:
    people, without = one["people"], one.get("without_it")
    return Group(
        name=one["group"],
        target=f"{percent(one['target'], 0)} %",
        people=people,
        share=f"{percent(people / total, 0)} %" if people is not None and total else "",
        without=f"{percent(without['value'], 0)} % of {without['n']:,}"
        if without and without["value"] is not None
        else "",
    )


def _weights(one: dict[str, Any]) -> Weights:
    missing = [(name, ", ".join(groups)) for name, groups in one["missing"].items() if groups]
    if one["raw"]["value"] is None:
        return Weights([], one["raw"]["reason"], "", "", missing, None)
    lines = [line("The people as they are", "", one["raw"]), line("Weighted like the target", "", one["raked"])]
    covers = f"{percent(one['covers'], 0)} %"
    if one["rest"]["value"] is not None:
        lines.append(line("Weighted like the groups that are there", f"{covers} of the target", one["rest"]))
    return Weights(
        lines=lines,
        why="",
        design_effect=number(one["design_effect"]) if one["design_effect"] is not None else "",
        covers=covers,
        missing=missing,
        changes=line("Majorities that change", "", one["changes"]) if one["changes"]["value"] is not None else None,
    )
