"""How difficult pairs are -> the chart over which cuts are drawn. Pure: arrays in, shapes out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 48
HEIGHT = 146.0
# Above the highest bar the lines have their names.
TALLEST = 112.0
# Percent of the width, from where on a line's name stands to its left.
LEFT_FROM = 70.0


@dataclass(frozen=True)
class Bar:
    x: str
    y: str
    height: str
    is_kept: bool


@dataclass(frozen=True)
class Cutline:
    """`text` is the share and where it ends; to the left of the line where it would not fit on its right.

    `is_largest`: it is the line that the bars are coloured by.
    """

    x: str
    text: str
    is_left: bool
    is_largest: bool


@dataclass(frozen=True)
class Histogram:
    """How difficult the pairs are, with the lines of the cuts. Shapes in percent across and px down.

    `counts`: pairs of each bar. The largest cut keeps `kept` of them and leaves `removed` out; without a cut all are
    kept. `low` and `high` are the difficulties at both ends.
    """

    bars: list[Bar]
    counts: list[int]
    cuts: list[Cutline]
    labels: list[tuple[str, str, str]]
    kept: int
    removed: int
    low: float
    high: float
    name: str


def histogram(
    values: NDArray[np.float64], cuts: Mapping[str, Mapping[str, Any]], inside: NDArray[np.bool_]
) -> Histogram | None:
    """The chart of pairs with these difficulties; None where none is known.

    Args:
        values: of each pair, nan where it is not known or the pair is not meant, shape (n_pairs,).
        cuts: by the name of their config, as a manifest tells them; empty where nothing is cut.
        inside: whether the largest cut keeps it, shape (n_pairs,).
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = float(known.min()), float(known.max())
    # What rounding alone keeps apart is one value: no bars fit between.
    span = high - low if high - low > 1e-9 * max(1.0, abs(low)) else 1.0
    counts, edges = np.histogram(known, bins=BINS, range=(low, low + span))
    drawn = [cut for cut in cuts.values() if cut["hardest"] is not None]
    line = max((cut["hardest"] for cut in drawn), default=high)
    largest = max((cut["share"] for cut in drawn), default=1.0)
    tallest = counts.max()
    bars = [
        Bar(
            x=f"{100 * n / BINS:.2f}",
            y=f"{HEIGHT - TALLEST * size / tallest:.1f}",
            height=f"{TALLEST * size / tallest:.1f}",
            is_kept=bool(edges[n] <= line),
        )
        for n, size in enumerate(counts.tolist())
    ]
    lines = []
    for cut in drawn:
        x = 100 * (cut["hardest"] - low) / span
        text = f"{cut['share'] * 100:g} %: {cut['hardest']:.3g}"
        lines.append(Cutline(f"{x:.2f}", text, is_left=x > LEFT_FROM, is_largest=cut["share"] == largest))
    labels = [
        (f"{25 * n}", f"{low + span * n / 4:.3g}", ("start", "middle", "middle", "middle", "end")[n]) for n in range(5)
    ]
    removed = int((~np.isnan(values) & ~inside).sum()) if drawn else 0
    kept = len(known) - removed
    name = f"Histogram of the difficulty of {len(known):,} pairs"
    name += (
        f". The cut at {line:.3g} keeps {kept:,} and leaves {removed:,} out of its config."
        if drawn
        else f", from {low:.3g} to {high:.3g}. Nothing is cut."
    )
    return Histogram(
        bars=bars,
        counts=counts.tolist(),
        cuts=lines,
        labels=labels,
        kept=kept,
        removed=removed,
        low=low,
        high=low + span,
        name=name,
    )
