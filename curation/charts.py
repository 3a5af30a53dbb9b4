"""The geometry of the charts: x in percent of the width, y in px, so that text never scales.

Pure: numbers in, shapes out. The templates in templates/charts/ draw what is computed here. Coordinates are strings
with a point as decimal mark, whatever the page's language. A chart carries a sentence as its name; the page puts the
same numbers in a table below it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.formats import number_format
from django.utils.translation import gettext as _

HEIGHT = 150
BASE = 128.0
# The share of the width that is left free for the labels of the y axis.
GUTTER = 6.0


@dataclass(frozen=True)
class Stack:
    """A bar of shares, 0..100, for the template charts/stack.html."""

    done: str
    leased: str
    label: str


@dataclass(frozen=True)
class Interval:
    """An estimate and its interval on a line from 0 to 1, in percent."""

    low: str
    high: str
    value: str


@dataclass(frozen=True)
class Tick:
    y: str
    text_y: str
    text: str


@dataclass(frozen=True)
class Bar:
    x: str
    width: str
    y: str
    height: str
    title: str
    is_part: bool


@dataclass(frozen=True)
class Label:
    x: str
    text: str
    anchor: str
    # Left out where the chart is narrow.
    is_minor: bool = False


@dataclass(frozen=True)
class Mean:
    x1: str
    x2: str
    y: str


@dataclass(frozen=True)
class Bars:
    name: str
    ticks: list[Tick]
    bars: list[Bar]
    labels: list[Label]
    mean: Mean | None
    height: int = HEIGHT
    base: str = f"{BASE:.0f}"


@dataclass(frozen=True)
class Point:
    """One estimate of a series; `group` is what the line must not cross, such as the guideline version."""

    label: str
    value: float
    low: float
    high: float
    group: str


@dataclass(frozen=True)
class Mark:
    x: str
    y: str
    title: str


@dataclass(frozen=True)
class Shape:
    band: str
    line: str


@dataclass(frozen=True)
class Heading:
    x: str
    dx: int
    text: str
    # A group after the first begins with a dashed line.
    has_line: bool


@dataclass(frozen=True)
class Bands:
    name: str
    ticks: list[Tick]
    shapes: list[Shape]
    marks: list[Mark]
    labels: list[Label]
    headings: list[Heading]
    height: int = HEIGHT
    base: str = f"{BASE:.0f}"


def stack(*, done: int, leased: int, total: int) -> Stack:
    """Shares of a total; a share that exists is at least 0.8 wide, or it could not be seen."""
    left = max(0, total - done - leased)
    numbers = {
        name: number_format(n, force_grouping=True) for name, n in (("done", done), ("leased", leased), ("left", left))
    }
    label = _("%(done)s done, %(leased)s leased, %(left)s left") % numbers
    if total <= 0:
        return Stack(done="0", leased="0", label=label)
    a = 100 * done / total
    b = max(100 * leased / total, 0.8) if leased else 0.0
    return Stack(done=f"{min(a, 100.0 - b):.2f}", leased=f"{b:.2f}", label=label)


def interval(*, value: float, low: float, high: float) -> Interval:
    """A value and its interval, cut to the line from 0 to 1."""
    return Interval(low=_percent(low), high=_percent(high), value=_percent(value))


def bars(
    values: Sequence[tuple[str, int]],
    *,
    name: str,
    label_every: int,
    mean_over: tuple[int, int] | None = None,
    last_is_part: bool = False,
) -> Bars:
    """Bars of counts, in order.

    Args:
        values: (label, count) per bar; counts are 0 or more.
        name: the sentence that says what the chart shows.
        label_every: how many bars there are from one label of the x axis to the next.
        mean_over: first index and index after the last of the bars over which the mean is drawn.
        last_is_part: the last bar is not over yet (today); it is drawn open and labelled "today".
    """
    top = 12.0
    step = _nice_step(max((count for _, count in values), default=0))
    highest = max(max((count for _, count in values), default=0) * 1.05, step)
    width = (100.0 - GUTTER) / max(1, len(values))

    def y_of(value: float) -> float:
        return BASE - (BASE - top) * value / highest

    shapes, labels = [], []
    for index, (label, count) in enumerate(values):
        x = GUTTER + index * width
        is_last_part = last_is_part and index == len(values) - 1
        shapes.append(
            Bar(
                x=f"{x + width * 0.22:.2f}",
                width=f"{width * 0.56:.2f}",
                y=f"{y_of(count):.1f}",
                height=f"{BASE - y_of(count):.1f}",
                title=f"{label}: {count:,}",
                is_part=is_last_part,
            )
        )
        if is_last_part:
            labels.append(Label(x="100.00", text="today", anchor="end"))
        elif index % label_every == 0 and not (last_is_part and len(values) - 1 - index < max(2, label_every // 2)):
            labels.append(
                Label(x=f"{x + width / 2:.2f}", text=label, anchor="middle", is_minor=(index // label_every) % 2 == 1)
            )
    mean = None
    if mean_over and mean_over[1] > mean_over[0]:
        counts = [count for _, count in values[mean_over[0] : mean_over[1]]]
        mean = Mean(
            x1=f"{GUTTER + mean_over[0] * width:.2f}",
            x2=f"{GUTTER + mean_over[1] * width:.2f}",
            y=f"{y_of(sum(counts) / len(counts)):.1f}",
        )
    ticks = [_tick(y_of(n * step), f"{n * step:,}") for n in range(1, 4) if n * step <= highest]
    return Bars(name=name, ticks=ticks, bars=shapes, labels=labels, mean=mean)


def bands(points: Sequence[Point], *, name: str) -> Bands:
    """Estimates in order, each with its interval as a band; one line per run of the same group.

    The y axis covers the intervals, in steps of 0.1 or coarser.
    """
    top = 22.0
    lowest = math.floor(min((p.low for p in points), default=0.0) * 10 - 0.3) / 10
    highest = math.ceil(max((p.high for p in points), default=1.0) * 10 + 0.3) / 10
    gutter = 10.0
    pitch = (100.0 - gutter - 4.0) / max(1, len(points) - 1) if len(points) > 1 else 0.0

    def y_of(value: float) -> float:
        return BASE - (BASE - top) * (value - lowest) / (highest - lowest)

    def x_of(index: int) -> float:
        return gutter + index * pitch if len(points) > 1 else 50.0

    runs: list[list[int]] = []
    for index, point in enumerate(points):
        if runs and points[runs[-1][0]].group == point.group:
            runs[-1].append(index)
        else:
            runs.append([index])
    shapes = []
    for run in runs:
        above = [f"{x_of(i):.2f},{y_of(points[i].high):.1f}" for i in run]
        below = [f"{x_of(i):.2f},{y_of(points[i].low):.1f}" for i in reversed(run)]
        if len(run) == 1:  # A band needs a width: half a percent to each side of a lone point.
            x, point = x_of(run[0]), points[run[0]]
            above = [f"{x - 0.5:.2f},{y_of(point.high):.1f}", f"{x + 0.5:.2f},{y_of(point.high):.1f}"]
            below = [f"{x + 0.5:.2f},{y_of(point.low):.1f}", f"{x - 0.5:.2f},{y_of(point.low):.1f}"]
        shapes.append(
            Shape(
                band=" ".join(above + below), line=" ".join(f"{x_of(i):.2f},{y_of(points[i].value):.1f}" for i in run)
            )
        )
    headings = []
    for number, run in enumerate(runs):
        x = x_of(run[0]) - (pitch / 2 if number else gutter / 3)
        headings.append(
            Heading(x=f"{max(0.0, x):.2f}", dx=6 if number else 0, text=points[run[0]].group, has_line=number > 0)
        )
    every = max(1, math.ceil(len(points) / 10))
    return Bands(
        name=name,
        ticks=[_tick(y_of(v), f"{v:.1f}") for v in _tenths(lowest, highest)],
        shapes=shapes,
        marks=[
            Mark(
                x=f"{x_of(i):.2f}",
                y=f"{y_of(p.value):.1f}",
                title=f"{p.label}: {p.value:.2f} ({p.low:.2f} to {p.high:.2f})",
            )
            for i, p in enumerate(points)
        ],
        labels=[
            Label(x=f"{x_of(i):.2f}", text=p.label, anchor="middle", is_minor=(i // every) % 2 == 1)
            for i, p in enumerate(points)
            if i % every == 0
        ],
        headings=headings,
    )


def _percent(share: float) -> str:
    return f"{100 * min(1.0, max(0.0, share)):.1f}"


def _tick(y: float, text: str) -> Tick:
    return Tick(y=f"{y:.1f}", text_y=f"{y - 4:.1f}", text=text)


def _nice_step(highest: int) -> int:
    """1, 2 or 5 times a power of ten: three of it reach the highest value."""
    step = 1
    for factor in (1, 2, 5, 10):
        step = factor * 10 ** max(0, int(math.log10(max(1.0, highest / 3))))
        if step * 3 >= highest:
            break
    return step


def _tenths(lowest: float, highest: float) -> list[float]:
    """The marks of the y axis between two values, without the ends: at most four."""
    count = round((highest - lowest) * 10)
    every = max(1, math.ceil((count - 1) / 4))
    return [lowest + n / 10 for n in range(1, count) if n % every == 0]
