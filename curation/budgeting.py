"""How many pairs are worth it: what a subset holds against its size, and what was measured against it. Advice; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from curation.spread import Taken, by_chance, information

# Shares of what all pairs say for which the least budget is told.
ENOUGH = (0.8, 0.9, 0.95)
# Sizes at which the curve is computed.
POINTS = 24
# A curve of three parameters through fewer measured points says nothing.
LEAST_MEASURED = 4


@dataclass(frozen=True)
class Point:
    """So many pairs, and the share of the information of all that they hold, 0 to 1: taken by gain, and by chance."""

    pairs: int
    share: float
    by_chance: float


@dataclass(frozen=True)
class Curve:
    """`points` ascend. `enough` are shares with the least number of pairs that hold so much."""

    points: list[Point]
    enough: list[tuple[float, int]]


def sizes_up_to(count: int) -> list[int]:
    """About POINTS sizes from 1 to `count`, closer together where they are small."""
    if count < 1:
        return []
    return sorted({max(1, round(count * (step / POINTS) ** 2)) for step in range(1, POINTS + 1)})


def curve(points: NDArray[np.float32], taken: Taken, *, rng: np.random.Generator) -> Curve:
    """What so many pairs hold of what all do.

    Args:
        points: (n_pairs, n_dimensions), as `taken` was taken from.
        taken: all of them, by gain.
        rng: draws the subsets by chance.
    """
    whole = information(points)
    if not whole:
        return Curve([], [])
    sizes = sizes_up_to(len(taken.order))
    found = [
        Point(size, one / whole, other / whole)
        for size, one, other in zip(sizes, taken.information(sizes), by_chance(points, sizes, rng=rng), strict=True)
    ]
    held = np.cumsum(taken.gains) / whole
    enough = [(share, int(np.searchsorted(held, share - 1e-9)) + 1) for share in ENOUGH if held[-1] >= share - 1e-9]
    return Curve(found, enough)


@dataclass(frozen=True)
class Learning:
    """score(n) = limit - fall * n ** -rate, as fitted; `error` is the root mean square of what it misses."""

    limit: float
    fall: float
    rate: float
    error: float

    def at(self, pairs: int) -> float:
        return float(self.limit - self.fall * pairs**-self.rate)


def learned(measured: Mapping[int, float]) -> Learning | None:
    """The inverse power law through measured scores by the number of pairs that a model was trained on.

    Least squares: for each of 200 rates from .05 to 2 the best limit and fall, and of these the best. None: fewer than
    LEAST_MEASURED sizes were measured.

    Source: Figueroa et al., Predicting sample size required for classification performance, 2012; Hestness et al., Deep
    learning scaling is predictable, empirically, 2017 (arXiv 1712.00409).
    """
    if len(measured) < LEAST_MEASURED:
        return None
    sizes = np.array(sorted(measured), dtype=np.float64)
    scores = np.array([measured[int(size)] for size in sizes], dtype=np.float64)
    best: Learning | None = None
    for rate in np.geomspace(0.05, 2, 200):
        table = np.column_stack([np.ones(len(sizes)), -(sizes**-rate)])
        (limit, fall), *_ = np.linalg.lstsq(table, scores, rcond=None)
        error = float(np.sqrt(np.mean((table @ (limit, fall) - scores) ** 2)))
        if best is None or error < best.error:
            best = Learning(float(limit), float(fall), float(rate), error)
    return best


def advice(found: Curve, *, budget: int, measured: Mapping[int, float]) -> list[str]:
    """What the curve, and what was measured, say of a budget: short sentences. A budget of 0 asks for none."""
    if not found.points:
        return ["No two pairs differ in these vectors, so that no subset says more than another."]
    count = found.points[-1].pairs
    said = [f"{pairs:,} pairs hold {100 * share:.0f} %" for share, pairs in found.enough if pairs < count]
    lines = [f"Of what all {count:,} say, {_listed(said)}."] if said else []
    if 0 < budget < count:
        sizes = [one.pairs for one in found.points]
        ours, chance = (
            float(np.interp(budget, [0, *sizes], [0.0, *(getattr(one, name) for one in found.points)]))
            for name in ("share", "by_chance")
        )
        lines.append(
            f"{budget:,} by gain hold about {100 * ours:.0f} %; drawn by chance they would hold {100 * chance:.0f} %."
        )
    if measured:
        lines.append(_about_scores(learned(measured), count=count, budget=budget, measured=measured))
    return lines


def _about_scores(fitted: Learning | None, *, count: int, budget: int, measured: Mapping[int, float]) -> str:
    if fitted is None:
        return f"Scores at {LEAST_MEASURED} sizes at least make a curve; {len(measured)} were given."
    if fitted.fall <= 0:
        return "The measured scores do not rise with the number of pairs: more of them will not help."
    whole = f"all {count:,} would reach {fitted.at(count):.3f}"
    limit = f"The curve through the scores misses them by {fitted.error:.3f} and tends to {fitted.limit:.3f}"
    if 0 < budget < count:
        return f"{limit}: {budget:,} pairs would reach {fitted.at(budget):.3f}, {whole}."
    return f"{limit}: {whole}."


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
