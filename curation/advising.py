"""A subset that is being thought of -> the curves that a lead sees of it, drawn, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from curation.budgeting import LEAST_MEASURED, Curve, Point, advice, curve, learned
from curation.spread import greedy
from curation.subsetting import Subset

# A drawing is so wide and high in its own units.
SIDE = 1000


@dataclass(frozen=True)
class Drawn:
    """One chart: `lines` as class and points in SIDE units, `dots` as x and y in percent, labels as (place, text).

    `at` is where the budget lies, in percent; empty where it lies outside.
    """

    lines: list[tuple[str, str]]
    dots: list[tuple[str, str]]
    at: str
    across: list[tuple[str, str, str]]
    up: list[tuple[str, str]]
    name: str


@dataclass(frozen=True)
class Advice:
    """What the curves say, the curves, and the points of the first."""

    lines: list[str]
    held: Drawn | None
    scores: Drawn | None
    points: list[Point]


def advised(found: Subset, *, budget: int, seed: int, measured: Mapping[int, float]) -> Advice:
    """What a lead should know of the budget before it is spent. Time: as if all pairs were taken one by one."""
    whole = greedy(found.points, budget=len(found.points))
    drawn = curve(found.points, whole, rng=np.random.default_rng(seed))
    return Advice(
        lines=advice(drawn, budget=budget, measured=measured),
        held=_held(drawn, budget) if drawn.points else None,
        scores=_scores(measured, len(found.points), budget) if len(measured) >= LEAST_MEASURED else None,
        points=drawn.points,
    )


def _held(found: Curve, budget: int) -> Drawn:
    count = found.points[-1].pairs
    sizes = [0, *(one.pairs for one in found.points)]
    lines = [
        ("ln chance", _line(sizes, [0.0, *(one.by_chance for one in found.points)], count, 0.0, 1.0)),
        ("ln", _line(sizes, [0.0, *(one.share for one in found.points)], count, 0.0, 1.0)),
    ]
    return Drawn(
        lines=lines,
        dots=[],
        at=_at(budget, count),
        across=_across(count),
        up=[(f"{100 - 100 * share:.1f}", f"{100 * share:.0f} %") for share in (0.5, 1.0)],
        name=f"How much of what all {count:,} pairs say so many of them hold: taken by gain, and by chance.",
    )


def _scores(measured: Mapping[int, float], count: int, budget: int) -> Drawn | None:
    fitted = learned(measured)
    if fitted is None:
        return None
    most = max(count, *measured)
    sizes = [max(1, round(most * step / 40)) for step in range(1, 41)]
    sizes = sorted({min(measured), *(size for size in sizes if size >= min(measured))})
    values = [fitted.at(size) for size in sizes]
    low, high = min(*values, *measured.values()), max(*values, *measured.values())
    span = high - low or 1.0
    return Drawn(
        lines=[("ln", _line(sizes, values, most, low, high))],
        dots=[
            (f"{100 * size / most:.2f}", f"{100 - 100 * (score - low) / span:.2f}")
            for size, score in sorted(measured.items())
        ],
        at=_at(budget, most),
        across=_across(most),
        up=[("0.0", f"{high:.3g}"), ("100.0", f"{low:.3g}")],
        name=f"The {len(measured)} measured scores by number of pairs, and the curve through them.",
    )


def _line(sizes: Sequence[int], values: Sequence[float], most: int, low: float, high: float) -> str:
    span = high - low or 1.0
    return " ".join(
        f"{SIDE * size / most:.1f},{SIDE - SIDE * (value - low) / span:.1f}"
        for size, value in zip(sizes, values, strict=True)
    )


def _at(budget: int, most: int) -> str:
    return f"{100 * budget / most:.2f}" if 0 < budget <= most else ""


def _across(most: int) -> list[tuple[str, str, str]]:
    anchors = ("start", "middle", "end")
    return [(f"{50 * step}", f"{round(most * step / 2):,}", anchor) for step, anchor in enumerate(anchors)]
