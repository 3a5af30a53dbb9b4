"""Two annotators side by side: each figure of both, and the difference with its interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from annotation.models import Run
from curation.metrics.discretion import discrepancy
from curation.metrics.estimates import Estimate, difference
from curation.reports.people import Report, Row
from curation.reports.words import number, percent, signed


@dataclass(frozen=True)
class Scale:
    """What is compared, and how it is drawn and written. `unit`: of the difference."""

    metric: str
    title: str
    low: float
    high: float
    unit: str = ""
    reference: float | None = None


SCALES = (
    Scale("leave_one_out_agreement", "Agreement with people", 0, 1),
    Scale("gold_accuracy", "Gold", 0.4, 1, unit=" points"),
    Scale("left_rate", "Left rate", 0.3, 0.7, unit=" points", reference=0.5),
    Scale("length_slope", "Length slope", -2, 2, reference=0),
    Scale("discretion_arbitrariness", "Arbitrary", 0, 1, unit=" points"),
)
ALSO = (("tie_rate", "Ties"), ("skip_rate", "Skips"))


@dataclass(frozen=True)
class Mark:
    x: str
    low: str
    high: str


@dataclass(frozen=True)
class Compared:
    """One figure of both. `marks` has None for who has no value; `says` is the difference in words."""

    title: str
    says: str
    marks: tuple[Mark | None, Mark | None]
    values: tuple[str, str]
    intervals: tuple[str, str]
    reference: str


@dataclass(frozen=True)
class Orders:
    """The order of principles of both: for each principle its rank with the interval, of the first and the second."""

    says: str
    rows: list[tuple[str, tuple[str, str], tuple[str, str]]]


@dataclass(frozen=True)
class Comparison:
    first: Row
    second: Row
    # None: fewer than `least`, how many was not kept.
    common: int | None
    least: int
    kappa: str
    compared: list[Compared]
    orders: Orders | None
    also: list[tuple[str, str, str]]


def comparison(*, run: Run, all_of: Report, numbers: tuple[int, int]) -> Comparison | None:
    """None: one of the two has no row in the report."""
    rows = {row.number: row for row in all_of.everybody}
    if numbers[0] == numbers[1] or not all(number in rows for number in numbers):
        return None
    first, second = (rows[number] for number in numbers)
    kappa = run.measurements.filter(metric="cohen_kappa", annotator_id__in=numbers, other_id__in=numbers).first()
    without = None if run.result.get("kappas_left_out") else 0
    return Comparison(
        first=first,
        second=second,
        common=(kappa.n or 0) if kappa else without,
        least=run.parameters["least_common"],
        kappa=number(kappa.value) if kappa and kappa.value is not None else "",
        compared=[
            _compared(scale, first.found.get(scale.metric), second.found.get(scale.metric))
            for scale in SCALES
            if scale.metric in first.found or scale.metric in second.found
        ],
        orders=_orders(run, numbers),
        also=[(title, _plain(first, metric), _plain(second, metric)) for metric, title in ALSO],
    )


def _orders(run: Run, numbers: tuple[int, int]) -> Orders | None:
    """None: nobody voted by principle."""
    found = {
        row.annotator_id: row for row in run.measurements.filter(metric="principle_priorities", annotator__in=numbers)
    }
    if not found:
        return None
    if len(found) < 2 or any(row.value is None for row in found.values()):
        return Orders("not enough data", [])
    first, second = (found[number].detail for number in numbers)
    gap = discrepancy(*(np.array(one["weights"], dtype=np.float64) for one in (first, second)))
    rows = [
        (rank[0] if rank else len(first["ranks"]) + 1, name, _rank(rank), _rank(other))
        for name, rank, other in zip(_names(run), first["ranks"], second["ranks"], strict=True)
        if rank or other
    ]
    return Orders(
        says=f"apart {gap.value:.2f} of 1" if gap.is_defined else "not enough data",
        rows=[(name, one, other) for _, name, one, other in sorted(rows)],
    )


def _names(run: Run) -> list[str]:
    return [one["short"] for one in run.result["principles"]]


def _rank(one: list[int] | None) -> tuple[str, str]:
    """A rank and its interval; a dash where the principle was never in conflict."""
    return (str(one[0]), f"({one[1]}–{one[2]})") if one else ("–", "")


def _estimate(one: dict[str, Any] | None) -> Estimate:
    if one is None or one["value"] is None:
        return Estimate.undefined("Not enough data.", n=one["n"] if one else 0)
    return Estimate(one["value"], low=one["low"], high=one["high"], n=one["n"])


def _compared(scale: Scale, one: dict[str, Any] | None, other: dict[str, Any] | None) -> Compared:
    sides = (_estimate(one), _estimate(other))
    gap = difference(*sides)
    says = "not enough data"
    if gap.is_defined and gap.low is not None and gap.high is not None:
        size, half = abs(gap.value), (gap.high - gap.low) / 2
        says = f"difference {_bare(scale, size)} ± {_bare(scale, half)}{scale.unit}"
        says += ", within noise" if gap.low <= 0 <= gap.high else ""
    return Compared(
        title=scale.title,
        says=says,
        marks=(_mark(scale, sides[0]), _mark(scale, sides[1])),
        values=(_value(scale, sides[0]), _value(scale, sides[1])),
        intervals=(_interval(scale, sides[0]), _interval(scale, sides[1])),
        reference="" if scale.reference is None else _x(scale, scale.reference),
    )


def _x(scale: Scale, value: float) -> str:
    return f"{100 * (max(scale.low, min(scale.high, value)) - scale.low) / (scale.high - scale.low):.1f}"


def _mark(scale: Scale, one: Estimate) -> Mark | None:
    if not one.is_defined:
        return None
    ends = [_x(scale, one.value if end is None else end) for end in (one.low, one.high)]
    return Mark(_x(scale, one.value), *ends)


def _bare(scale: Scale, value: float) -> str:
    return percent(value, 0) if scale.unit else f"{value:.2f}"


def _value(scale: Scale, one: Estimate) -> str:
    if not one.is_defined:
        return "not enough data"
    if scale.unit:
        return f"{percent(one.value, 0)} %"
    return signed(one.value) if scale.reference == 0 else f"{one.value:.2f}"


def _interval(scale: Scale, one: Estimate) -> str:
    if not one.is_defined or one.low is None or one.high is None:
        return ""
    if scale.reference == 0:
        return f"({signed(one.low)} to {signed(one.high)})"
    return f"({_bare(scale, one.low)}–{_bare(scale, one.high)})"


def _plain(row: Row, metric: str) -> str:
    one = row.found.get(metric)
    return "not enough data" if one is None or one["value"] is None else f"{percent(one['value'])} %"
