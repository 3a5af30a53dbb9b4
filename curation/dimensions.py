"""The dimensions of the board: one definition of every bin, which SQL and the browser both go by. Pure.

A dimension sorts pairs into `bins` known bins. Where a value may be missing there is one more slot behind them, for
pairs about which nothing is known: unknown is never 0, and never left out of a count.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

UNKNOWN, KNOWN, OTHER = "unknown", "known", "other"


def _rank(value: float) -> int:
    """The place of a number among all floating-point numbers, 0 for 0."""
    (bits,) = struct.unpack("<q", struct.pack("<d", abs(value)))
    return -int(bits) if value < 0 else int(bits)


def _ranked(rank: int) -> float:
    """The number at a place: the inverse of `_rank`."""
    (value,) = struct.unpack("<d", struct.pack("<q", abs(rank)))
    return -float(value) if rank < 0 else float(value)


@dataclass(frozen=True)
class Dimension:
    """One column of the board. `column` is the real value in `pair_facts`, `bin_column` the stored bin.

    kind "number": `bins` equal steps from `lo` to `hi`; what lies outside falls into the first or last bin.
    kind "count": bin b holds lo + b; the last one holds everything from there on.
    kind "category": bin b is `values[b]`; `lo` and `hi` mean nothing.
    """

    key: str
    label: str
    kind: Literal["number", "count", "category"]
    column: str
    bins: int = 0
    lo: float = 0.0
    hi: float = 0.0
    unit: str = ""
    places: int = 0
    has_unknown: bool = True
    values: tuple[str, ...] = ()
    # Categories that are read from the project: how many of the most frequent get a bin of their own.
    most: int = 0
    # Names that stand for several values, where a pair can be several things at once: each with the bins it covers.
    covers: tuple[tuple[str, tuple[int, ...]], ...] = ()

    @property
    def bin_column(self) -> str:
        return f"b_{self.key}"

    @property
    def slots(self) -> int:
        """Bins, and the slot for unknown behind them."""
        return self.bins + self.has_unknown

    def with_values(self, values: Sequence[str]) -> Dimension:
        """A category of the project's own values; what is not among them is `other`."""
        return replace(self, values=(*values, OTHER), bins=len(values) + 1)

    def edge(self, place: int) -> float:
        """The lower edge of bin `place`, as pages show it."""
        return self.lo + place * (self.hi - self.lo) / self.bins if self.kind == "number" else self.lo + place

    def bin_of(self, value: Any) -> int:
        """The slot of one value; None is unknown. The same arithmetic as `sql`, in the same order."""
        if value is None or (self.kind == "category" and value == ""):
            return self.bins
        if self.kind == "category":
            return self.values.index(value) if value in self.values else self.values.index(OTHER)
        step = math.floor((value - self.lo) * self.bins / (self.hi - self.lo)) if self.kind == "number" else value
        return int(min(max(step if self.kind == "number" else step - self.lo, 0), self.bins - 1))

    def exact_edge(self, place: int) -> float:
        """The smallest number that falls into bin `place` (1 and above): a criterion with it means the same as the bin.

        Found by halving: around 0 there are more numbers between two candidates than could ever be walked through.
        """
        width = (self.hi - self.lo) / self.bins
        below, inside = _rank(self.edge(place) - width), _rank(self.edge(place) + width)
        while inside - below > 1:
            middle = (below + inside) // 2
            if self.bin_of(_ranked(middle)) < place:
                below = middle
            else:
                inside = middle
        return _ranked(inside)

    def sql(self) -> tuple[str, list[Any]]:
        """The stored bin as an expression over `pair_facts`."""
        if self.kind == "category":
            found = f"array_position(%s::text[], {self.column}::text) - 1"
            if OTHER in self.values:
                found = f"coalesce({found}, {self.values.index(OTHER)})"
            expression = f"CASE WHEN {self.column} = '' THEN {self.bins} ELSE {found} END"
            return f"({expression})::smallint", [list(self.values)]
        value = f"{self.column}::float8"
        step = f"({value} - %s::float8)" if self.kind == "count" else f"floor(({value} - %s::float8) * %s / %s::float8)"
        span = [] if self.kind == "count" else [self.bins, self.hi - self.lo]
        inside = f"least(greatest({step}, 0), {self.bins - 1})"
        # Not coalesce: least and greatest pass over null, and unknown would become bin 0.
        return f"(CASE WHEN {value} IS NULL THEN {self.bins} ELSE {inside} END)::smallint", [self.lo, *span]

    def as_json(self) -> dict[str, Any]:
        named = {"key": self.key, "label": self.label, "kind": self.kind, "bins": self.bins, "slots": self.slots}
        shown = {"unit": self.unit, "places": self.places}
        covers = {"covers": {name: list(bins) for name, bins in self.covers}} if self.covers else {}
        valued = {"values": list(self.values)} | covers if self.values else {"lo": self.lo, "hi": self.hi}
        return named | shown | valued


CONSENSUS, CONFLICT, INDIFFERENCE = "consensus", "conflict", "indifference"

DIFFICULTY = Dimension(
    "difficulty", "Difficulty", "number", "difficulty", 100, 0.0, 1.0, unit="percentile of loss", places=2
)
AGREEMENT = Dimension("agreement", "Agreement", "number", "agreement", 75, 0.25, 1.0, unit="weighted", places=2)
DISCRETION = Dimension(
    "discretion", "Discretion", "category", "discretion", 3, values=(CONSENSUS, CONFLICT, INDIFFERENCE)
)
STRENGTH = Dimension("strength", "Preference strength", "number", "strength", 30, 0.0, 3.0, unit="0 to 3", places=1)
LENGTH = Dimension(
    "length",
    "Length difference",
    "number",
    "length_difference",
    64,
    -1600.0,
    1600.0,
    unit="characters",
)
MARGIN = Dimension("margin", "Likelihood margin", "number", "margin", 64, -8.0, 8.0, unit="nats", places=2)
# Only of projects that a reward model measured, in that model's own unit: most projects have none.
REWARD = Dimension("reward", "Reward margin", "number", "reward_margin", 64, -8.0, 8.0, places=2)
JUDGEMENTS = Dimension("judgements", "Judgements per pair", "count", "judgements", 9, has_unknown=False)
DISSENTS = Dimension("dissents", "Dissents", "count", "dissents", 4)
RELEVANT = Dimension("relevant", "Relevant principles", "count", "n_relevant", 8)
ARBITRARY = Dimension("arbitrary", "Arbitrary judgements", "count", "arbitrary", 4)
# A pair can be all three at once, and is found under each. Its bins are what exactly it is; the first four are where
# they always were.
MARKS = ("flagged", "gold", "duplicate")
_MARKED = ((), *((one,) for one in MARKS), *itertools.combinations(MARKS, 2), MARKS)
MARKED = Dimension(
    "marked",
    "Marked",
    "category",
    "marked",
    len(_MARKED),
    has_unknown=False,
    values=tuple(
        "plain" if not them else f"{them[0]} only" if len(them) == 1 else " and ".join(them) for them in _MARKED
    ),
    covers=(
        ("plain", (0,)),
        *((one, tuple(place for place, them in enumerate(_MARKED) if one in them)) for one in MARKS),
    ),
)


def marked_sql(*, flags: str, is_gold: str, duplicates: str) -> str:
    """What a pair is marked as, over these three expressions."""
    facts = (f"{flags} > 0", is_gold, f"{duplicates} > 0")
    cases = [
        " AND ".join(fact if mark in them else f"NOT ({fact})" for mark, fact in zip(MARKS, facts, strict=True))
        for them in _MARKED
    ]
    told = (f"WHEN {case} THEN '{name}'" for case, name in zip(cases, MARKED.values, strict=True))
    return f"CASE {' '.join(told)} END"


LANGUAGE = Dimension("language", "Language", "category", "language", most=16)
TAG = Dimension("tag", "First tag", "category", "tag", most=16)
SOURCE = Dimension("source", "Source", "category", "source", most=10)
SPLIT = Dimension("split", "Split", "category", "split", most=5)
OF_THE_PROJECT = (LANGUAGE, TAG, SOURCE, SPLIT)

# ---- the three readings ----------------------------------------------------------------------------------------------

LOW_AGREEMENT, HIGH_AGREEMENT, TOP_LOSS = 0.58, 0.86, 0.8


@dataclass(frozen=True)
class Reading:
    key: str
    name: str
    rule: str
    needs_difficulty: bool = True


READINGS = (
    Reading(
        "ambiguous",
        "Ambiguous",
        "People disagree (agreement under 0.58) and the principles conflict. More votes will not settle it.",
        needs_difficulty=False,
    ),
    Reading(
        "hard",
        "Too hard for this model",
        "Loss in the top fifth, yet people agree (0.86 and over). Right answers, wrong stage.",
    ),
    Reading(
        "mislabelled",
        "Looks mislabelled",
        "Loss in the top fifth, principles agree, exactly one dissent. The dissenter may be right.",
    ),
)
READING = Dimension(
    "reading",
    "Reading",
    "category",
    "",
    4,
    has_unknown=False,
    values=("none", *(one.key for one in READINGS)),
)
# Edges of readings are edges of bins, so that SQL and the browser agree pair for pair.
LOW, HIGH = AGREEMENT.bin_of(LOW_AGREEMENT + 1e-9), AGREEMENT.bin_of(HIGH_AGREEMENT + 1e-9)
HARD = DIFFICULTY.bin_of(TOP_LOSS)


def reading_sql() -> str:
    """The number of the reading, over the stored bins."""
    x, y, q, d = (one.bin_column for one in (DIFFICULTY, AGREEMENT, DISCRETION, DISSENTS))
    known = f"{y} < {AGREEMENT.bins}"
    top = f"{x} >= {HARD} AND {x} < {DIFFICULTY.bins}"
    conflict, consensus = DISCRETION.values.index(CONFLICT), DISCRETION.values.index(CONSENSUS)
    return f"""(CASE WHEN {y} < {LOW} AND {q} = {conflict} THEN 1
        WHEN {top} AND {known} AND {y} >= {HIGH} THEN 2
        WHEN {top} AND {known} AND {y} >= {LOW} AND {q} = {consensus} AND {d} = 1 THEN 3 ELSE 0 END)::smallint"""


FIXED = (DIFFICULTY, AGREEMENT, DISCRETION, STRENGTH, LENGTH, MARGIN, JUDGEMENTS, DISSENTS, RELEVANT, ARBITRARY, MARKED)


def dimensions(values: Mapping[str, Sequence[str]]) -> tuple[Dimension, ...]:
    """All dimensions, the reading last, with the project's own categories.

    At most 31: the mask of the board's engine has a bit for each, and the sign is none.
    """
    place = FIXED.index(MARGIN) + 1
    rewards = (REWARD,) if values.get(REWARD.key) else ()
    own = (one.with_values(values.get(one.key, ())) for one in OF_THE_PROJECT)
    return (*FIXED[:place], *rewards, *FIXED[place:], *own, READING)


# What a dimension is called among the criteria, where that differs.
FIELD_OF = {
    "agreement": "weighted_agreement",
    "length": "length_difference",
    "tag": "first_tag",
    "marked": "marked_as",
}
