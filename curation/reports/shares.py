"""A share with its interval as a row of a table: the dot, its whiskers, and the figures in words. Axis: 0 to 100 %."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curation.reports.words import percent

# Places of the axis, what is written there, and how.
TICKS = (("0.00", "0", "start"), ("25.00", "25", "middle"), ("50.00", "50", "middle"), ("100.00", "100 %", "end"))


@dataclass(frozen=True)
class Line:
    """One share. `is_thin`: undefined, as `why` says. Coordinates are percents of the width, empty where none is."""

    name: str
    sub: str
    n: int
    is_thin: bool
    why: str = ""
    value: str = ""
    interval: str = ""
    x: str = ""
    low: str = ""
    high: str = ""


def line(name: str, sub: str, one: dict[str, Any]) -> Line:
    """From an estimate as JSON."""
    if one["value"] is None:
        return Line(name, sub, one["n"], is_thin=True, why=one["reason"])
    has_ends = one["low"] is not None
    return Line(
        name,
        sub,
        one["n"],
        is_thin=False,
        value=f"{percent(one['value'])} %",
        interval=f"{percent(one['low'])}–{percent(one['high'])}" if has_ends else "",
        x=f"{100 * one['value']:.2f}",
        low=f"{100 * one['low']:.2f}" if has_ends else "",
        high=f"{100 * one['high']:.2f}" if has_ends else "",
    )
