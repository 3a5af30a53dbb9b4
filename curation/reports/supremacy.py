"""Principle supremacy as a grid, as a table, and as one conflict in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from curation.metrics.discretion import LEAST_CONFLICTS
from curation.metrics.estimates import wilson_interval
from curation.reports.words import percent

# The classes of a cell, from "the column is followed" to "the row is followed".
STEPS = (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
PEOPLE = "people"


@dataclass(frozen=True)
class Cell:
    """One cell of the grid. `look` is its class: a step, few, none or diag; `wins` of `n` conflicts went to the row."""

    look: str
    wins: int
    n: int
    percent: int
    name: str
    is_unsure: bool
    is_pinned: bool


@dataclass(frozen=True)
class GridRow:
    """`number` is the principle's."""

    place: int
    name: str
    number: int
    cells: list[Cell]


@dataclass(frozen=True)
class Against:
    """One principle against another, as a row of the table view."""

    name: str
    n: int
    percent: str = ""
    interval: str = ""
    x: str = ""
    low: str = ""
    high: str = ""


@dataclass(frozen=True)
class Pinned:
    """The conflict beside the grid, in words; `filter` is what the board's address calls it."""

    first: str
    second: str
    says: str
    facts: str
    x: str
    low: str
    high: str
    is_few: bool
    filter: str


def column_order(orders: dict[int | None, dict[str, Any]]) -> list[int]:
    """Columns in the order of people's priorities; of the first judge where people have none."""
    for entry in [orders.get(None), *orders.values()]:
        if entry and entry["value"] is not None:
            weights = entry["weights"]
            return sorted(range(len(weights)), key=lambda i: math.inf if weights[i] is None else -weights[i])
    width = max((len(one["weights"]) for one in orders.values()), default=0)
    return list(range(width))


def most_often(shown: dict[str, Any], order: list[int]) -> tuple[int, int] | None:
    """The places of the two principles that conflict most often, the first in the order of the grid first."""
    places = [(a, b) for a in range(len(order)) for b in range(a + 1, len(order))]
    return max(places, key=lambda one: shown["n"][order[one[0]]][order[one[1]]], default=None)


def grid(
    shown: dict[str, Any], order: list[int], principles: list[str], numbers: list[int], pin: tuple[int, int] | None
) -> list[GridRow]:
    return [
        GridRow(
            place + 1,
            principles[i],
            numbers[i],
            [_cell(shown, i, j, principles, is_pinned=(place, other) == pin) for other, j in enumerate(order)],
        )
        for place, i in enumerate(order)
    ]


def _cell(shown: dict[str, Any], i: int, j: int, principles: list[str], *, is_pinned: bool) -> Cell:
    n, wins = shown["n"][i][j], shown["wins"][i][j]
    pair = f"{principles[i]} over {principles[j]}"
    if i == j:
        return Cell("diag", 0, 0, 0, "the same principle", is_unsure=False, is_pinned=False)
    if not n:
        return Cell("none", 0, 0, 0, f"{pair}: never in conflict", is_unsure=False, is_pinned=is_pinned)
    times = f"{n:,} time{'s' if n != 1 else ''}"
    if n < LEAST_CONFLICTS:
        return Cell("few", wins, n, 0, f"{pair}: not enough data, {times}", is_unsure=False, is_pinned=is_pinned)
    share = wins / n
    low, high = wilson_interval(wins, n)
    step = sum(share >= edge if place < 4 else share > edge for place, edge in enumerate(STEPS))
    return Cell(
        f"q{step}",
        wins,
        n,
        round(100 * share),
        f"{pair}: {100 * share:.0f} % of {times}",
        is_unsure=(low or 0) <= 0.5 <= (high or 1),
        is_pinned=is_pinned,
    )


def against(shown: dict[str, Any], order: list[int], principles: list[str], picked: int) -> list[Against]:
    i = order[picked]
    rows = []
    for j in order:
        n, wins = shown["n"][i][j], shown["wins"][i][j]
        if i == j:
            continue
        if n < LEAST_CONFLICTS:
            rows.append(Against(principles[j], n))
            continue
        low, high = wilson_interval(wins, n)
        share, low, high = wins / n, low or 0.0, high or 0.0
        rows.append(
            Against(
                principles[j],
                n,
                f"{percent(share, 0)} %",
                f"{percent(low, 0)}–{percent(high, 0)}",
                *(f"{100 * end:.2f}" for end in (share, low, high)),
            )
        )
    return rows


def pinned(
    shown: dict[str, Any],
    order: list[int],
    principles: list[str],
    numbers: list[int],
    pin: tuple[int, int],
    subject: str,
    subjects: dict[str, str],
) -> Pinned:
    i, j = order[pin[0]], order[pin[1]]
    n, wins = shown["n"][i][j], shown["wins"][i][j]
    both = "conflict={}-{}".format(*sorted((numbers[i], numbers[j])))
    # The sentence names the winner, never the row.
    if 2 * wins > n:
        i, j, wins = j, i, n - wins
    loser, winner, won = principles[i], principles[j], n - wins
    if n < LEAST_CONFLICTS:
        says = f"conflict {n} time{'s' if n != 1 else ''}: not enough data." if n else "never conflict here: no value."
        return Pinned(
            loser,
            winner,
            f"{loser} and {winner} {says}",
            "Shown from 5 conflicts on.",
            "",
            "",
            "",
            is_few=True,
            filter=both,
        )
    low, high = wilson_interval(won, n)
    low, high = low or 0.0, high or 0.0
    who = "people follow" if subject == PEOPLE else f"{subjects[subject]} follows"
    share = round(100 * won / n)
    says = (
        f"When {loser} and {winner} conflict, {who} neither more often: 50 % of {n:,} times each."
        if share == 50
        else f"When {loser} and {winner} conflict, {who} {winner} in {share} % of {n:,} choices."
    )
    ending = ", which includes 50 %: no clear priority." if low <= 0.5 else "."
    facts = f"95 % interval {percent(low, 0)}–{percent(high, 0)} %{ending}"
    x, left, right = (f"{100 * end:.2f}" for end in (won / n, low, high))
    return Pinned(loser, winner, says, facts, x, left, right, is_few=False, filter=both)
