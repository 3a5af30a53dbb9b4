"""An estimate as a row of a table: the dot, its whiskers, and the figures in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from curation.reports.words import interval, number, percent


@dataclass(frozen=True)
class Axis:
    """What a table of estimates is drawn on. Places are percents of its width, as strings with a point.

    `ticks`: places, what is written there, and how. `marks`: places of vertical lines, and their looks: "g" of the
    grid, "ref" a threshold. `spans` says the ends in words, `value` what the figures are.
    """

    low: float
    high: float
    spans: str
    value: str
    is_percent: bool
    ticks: tuple[tuple[str, str, str], ...]
    marks: tuple[tuple[str, str], ...]

    def place(self, value: float) -> str:
        return place(value, self.low, self.high)

    def said(self, value: float) -> str:
        return f"{percent(value)} %" if self.is_percent else number(value)

    def between(self, low: float, high: float) -> str:
        return f"{percent(low)}–{percent(high)}" if self.is_percent else interval(low, high)


def place(value: float, low: float, high: float) -> str:
    """Where a value stands; what is beyond an end stands at that end."""
    return f"{100 * (max(low, min(high, value)) - low) / (high - low):.2f}"


SHARES = Axis(
    low=0.0,
    high=1.0,
    spans="From 0 to 100 %",
    value="Share",
    is_percent=True,
    ticks=(("0.00", "0", "start"), ("25.00", "25", "middle"), ("50.00", "50", "middle"), ("100.00", "100 %", "end")),
    marks=(("0.00", "g"), ("25.00", "g"), ("50.00", "g"), ("100.00", "g")),
)


@dataclass(frozen=True)
class Line:
    """One estimate. `is_thin`: undefined, as `why` says. Coordinates are percents of the width, empty where none is."""

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


def line(name: str, sub: str, one: dict[str, Any], axis: Axis = SHARES) -> Line:
    """From an estimate as JSON."""
    if one["value"] is None:
        return Line(name, sub, one["n"], is_thin=True, why=one["reason"])
    value, low, high = one["value"], one["low"], one["high"]
    has_ends = low is not None
    ends = (
        f"{percent(low)}–{percent(high)}" if has_ends and axis.is_percent else interval(low, high) if has_ends else ""
    )
    return Line(
        name,
        sub,
        one["n"],
        is_thin=False,
        value=f"{percent(value)} %" if axis.is_percent else number(value),
        interval=ends,
        x=axis.place(value),
        low=axis.place(low) if has_ends else "",
        high=axis.place(high) if has_ends else "",
    )
