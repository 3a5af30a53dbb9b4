"""Who agrees with whom: Cohen's kappa of every two annotators as a grid, and one of its cells in words."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from annotation.models import Run
from curation.measuring.kappas import MOST_DRAWN
from curation.reports.words import number

# The lower ends of the classes of colour above the first.
STEPS = (0.3, 0.4, 0.5, 0.6, 0.7)


@dataclass(frozen=True)
class Cell:
    """`look` is its class: diag, blank (no common pair), few, or k0 to k5. `kappa` is empty where undefined.

    `n` is None where the run did not keep how few common pairs they are.
    """

    look: str
    n: int | None
    kappa: str
    short: str
    name: str
    is_pinned: bool


@dataclass(frozen=True)
class GridRow:
    number: int
    name: str
    cells: list[Cell]


@dataclass(frozen=True)
class Pinned:
    first: int
    second: int
    first_name: str
    second_name: str
    n: int
    kappa: str


@dataclass(frozen=True)
class Matrix:
    """`few`: so many twos have fewer than `least` common pairs, and were counted only."""

    rows: list[GridRow]
    left_out: int
    least: int
    few: int
    pinned: Pinned | None


Kappas = dict[tuple[int, int], tuple[float | None, int]]


def matrix(*, run: Run, busiest: list[tuple[int, str]], pin: tuple[int, int] | None) -> Matrix | None:
    """The grid of the busiest annotators.

    Args:
        run: a measurement that stored kappas: of people.
        busiest: everybody's number and the name to show, those with the most judgements first.
        pin: the numbers of the two beside the grid; by default the two that agree least.

    Returns:
        None: no two of them judged a common pair.
    """
    # A grid of more is no longer read.
    shown = busiest[:MOST_DRAWN]
    numbers = [number for number, _ in shown]
    found: Kappas = {}
    rows = run.measurements.filter(Q(metric="cohen_kappa", annotator_id__in=numbers, other_id__in=numbers))
    for one, other, value, n in rows.values_list("annotator_id", "other_id", "value", "n"):
        found[int(one or 0), int(other or 0)] = found[int(other or 0), int(one or 0)] = (value, n or 0)
    if not found:
        return None
    if pin not in found:
        defined = {both: value for both, (value, _) in found.items() if value is not None}
        pin = min(defined, key=lambda both: (defined[both], both)) if defined else min(found)
    names = dict(shown)
    least = run.parameters["least_common"]
    few = sum(run.result.get("kappas_left_out", {}).values())
    cells = _Cells(found, names, pin, least=least, are_all_kept=not few)
    return Matrix(
        rows=[GridRow(one, name, [cells.of(one, other) for other in numbers]) for one, name in shown],
        left_out=len(busiest) - len(shown),
        least=least,
        few=few,
        pinned=_pinned(found, names, pin),
    )


@dataclass(frozen=True)
class _Cells:
    found: Kappas
    names: dict[int, str]
    pin: tuple[int, int]
    least: int
    # Who has no row has no common pair; otherwise they may have some, too few to be kept.
    are_all_kept: bool

    def of(self, one: int, other: int) -> Cell:
        if one == other:
            return Cell("diag", 0, "", "", "the same annotator", is_pinned=False)
        both, is_pinned = f"{self.names[one]} and {self.names[other]}", (one, other) == self.pin
        if (one, other) not in self.found and not self.are_all_kept:
            name = f"{both}: kappa undefined, fewer than {self.least} common pairs"
            return Cell("few", None, "", "", name, is_pinned=is_pinned)
        value, n = self.found.get((one, other), (None, 0))
        if value is None:
            pairs = f"{n} common pair{'s' if n != 1 else ''}"
            said = "no common pair" if not n else f"kappa undefined, {pairs}"
            return Cell("few" if n else "blank", n, "", "", f"{both}: {said}", is_pinned=is_pinned)
        said = number(value)
        step = sum(value >= edge for edge in STEPS)
        name = f"{both}: kappa {said} on {n:,} common pairs"
        return Cell(f"k{step}", n, said, said.replace("0.", ".", 1), name, is_pinned)


def _pinned(found: Kappas, names: dict[int, str], pin: tuple[int, int]) -> Pinned:
    value, n = found[pin]
    return Pinned(*pin, names[pin[0]], names[pin[1]], n, "" if value is None else number(value))
