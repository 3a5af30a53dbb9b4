"""The order of principles: people's weights, and the rank of every principle for people and each judge."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from annotation.models import Annotator, Run

# The chart of ranks: px from one principle and one subject to the next, and beside them.
ROW, COLUMN, LEFT, RIGHT = 26, 102, 51, 176
MOST_LINES = 3


@dataclass(frozen=True)
class Weight:
    """A principle's weight for people, with its interval on a line whose middle is 0."""

    index: int
    place: int
    name: str
    value: str
    interval: str
    x: str
    low: str
    high: str
    is_on: bool


@dataclass(frozen=True)
class Head:
    name: str
    sub: str
    value: str
    half: str


@dataclass(frozen=True)
class Dot:
    x: int
    y: str
    text_y: str
    low: str
    high: str
    rank: int
    ends: str


@dataclass(frozen=True)
class Line:
    index: int
    name: str
    path: str
    dots: list[Dot]
    end_x: int
    end_y: str
    is_on: bool


@dataclass(frozen=True)
class Priorities:
    heads: list[Head]
    weights: list[Weight]
    lines: list[Line]
    width: int
    height: int
    says: str


def chart(
    orders: dict[int | None, dict[str, Any]],
    gaps: dict[int | None, dict[str, Any]],
    order: list[int],
    principles: list[str],
    names: dict[int, Annotator],
    run: Run,
) -> Priorities | None:
    people = orders.get(None)
    if people is None or people["value"] is None:
        return None
    judges = [
        who for who, entry in orders.items() if who is not None and entry["value"] is not None and _has_value(gaps, who)
    ]
    judges.sort(key=lambda who: gaps[who]["value"])
    columns: list[int | None] = [None, *judges]
    ranks: dict[int | None, list[list[int] | None]] = {who: orders[who]["ranks"] for who in columns}
    moved = _moved(ranks, columns, principles)
    on = {i for _, i in moved[:MOST_LINES]} if len(columns) > 1 else set()
    heads = [Head("People", f"{run.result['pairs']:,} pairs", "reference", "")]
    for who in judges:
        gap = gaps[who]
        half = f"±{(gap['high'] - gap['low']) / 2:.2f}" if gap["low"] is not None else ""
        heads.append(Head(names[who].name, names[who].prompt_version, f"{gap['value']:.3f}", half))
    says = ""
    if moved:
        best = max(
            ((abs(_rank(ranks, who, i) - _rank(ranks, None, i)), i, who) for who in judges for _, i in moved),
            default=None,
        )
        if best and best[0]:
            _, i, who = best
            says = (
                f"{principles[i]} is rank {_rank(ranks, None, i)} for people and rank {_rank(ranks, who, i)} for "
                f"{names[who].name}."
            )
    return Priorities(
        heads=heads,
        weights=_weights(people, order, principles, on),
        lines=[_line(i, ranks, columns, principles, is_on=i in on) for i in order if people["ranks"][i] is not None],
        width=COLUMN * (len(columns) - 1) + LEFT + RIGHT,
        height=ROW * len(principles),
        says=says,
    )


def _has_value(gaps: dict[int | None, dict[str, Any]], who: int) -> bool:
    return who in gaps and gaps[who]["value"] is not None


def _rank(ranks: dict[int | None, list[list[int] | None]], who: int | None, i: int) -> int:
    found = ranks[who][i]
    return found[0] if found else len(ranks[who])


def _moved(
    ranks: dict[int | None, list[list[int] | None]], columns: list[int | None], principles: list[str]
) -> list[tuple[int, int]]:
    """Principles by how far the judges rank them from people, the furthest first."""
    far: dict[int, int] = defaultdict(int)
    for i in range(len(principles)):
        for who in columns[1:]:
            far[i] += abs(_rank(ranks, who, i) - _rank(ranks, None, i))
    return sorted(((distance, i) for i, distance in far.items() if distance), key=lambda one: (-one[0], one[1]))


def _weights(people: dict[str, Any], order: list[int], principles: list[str], on: set[int]) -> list[Weight]:
    ends = [abs(end) for name in ("weights", "low", "high") for end in people[name] if end is not None]
    reach = max(0.5, *ends) * 1.02

    def x(value: float | None) -> str:
        return "" if value is None else f"{50 + 50 * value / reach:.2f}"

    def signed(value: float) -> str:
        return f"{value:+.2f}".replace("-", "−")

    rows = []
    for place, i in enumerate(order):
        weight, low, high = people["weights"][i], people["low"][i], people["high"][i]
        rows.append(
            Weight(
                index=i,
                place=place + 1,
                name=principles[i],
                value="never in conflict" if weight is None else signed(weight),
                interval="" if low is None or weight is None else f"{signed(low)} to {signed(high)}",
                x=x(weight),
                low=x(low),
                high=x(high),
                is_on=i in on,
            )
        )
    return rows


def _line(
    i: int,
    ranks: dict[int | None, list[list[int] | None]],
    columns: list[int | None],
    principles: list[str],
    *,
    is_on: bool,
) -> Line:
    def y(rank: float) -> str:
        return f"{ROW * (rank - 1) + ROW / 2:g}"

    points = [(LEFT + COLUMN * column, _rank(ranks, who, i)) for column, who in enumerate(columns)]
    path = f"M{points[0][0]} {y(points[0][1])}"
    for (x1, r1), (x2, r2) in itertools.pairwise(points):
        path += f"C{x1 + COLUMN * 0.45:g} {y(r1)} {x2 - COLUMN * 0.45:g} {y(r2)} {x2} {y(r2)}"
    dots = []
    for (x, rank), who in zip(points, columns, strict=True):
        _, low, high = ranks[who][i] or [rank, rank, rank]
        ends = f"{low}–{high}"
        dots.append(Dot(x, y(rank), f"{ROW * (rank - 1) + ROW / 2 + 3.5:g}", y(low), y(high), rank, ends))
    return Line(i, principles[i], path, dots, points[-1][0] + 17, f"{ROW * (points[-1][1] - 1) + ROW / 2 + 4:g}", is_on)
