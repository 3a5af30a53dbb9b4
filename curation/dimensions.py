"""The dimensions of the board: one definition of every bin, which SQL and the browser both go by. Pure.

A dimension sorts pairs into `bins` known bins. Where a value may be missing there is one more slot behind them, for
pairs about which nothing is known: unknown is never 0, and never left out of a count.
"""

from __future__ import annotations

import itertools
import math
import re
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from annotation.errors import Refused
from annotation.pairing import source_of

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

# ---- what is asked for: the board's address --------------------------------------------------------------------------

# By what the table of every project can be sorted.
ORDERS = ("difficulty", "agreement", "strength", "margin", "length", "judgements", "dissents")
# What an address of the board may say besides filters, and how; None: its reader says what is wrong with it.
BESIDES: dict[str, re.Pattern[str] | None] = {
    "sort": None,
    "after": None,
    "colour": re.compile("density|discretion"),
    "pair": re.compile("[1-9][0-9]{0,17}"),
}
_RANGE = re.compile(r"(-?\d{1,9}(?:\.\d{1,12})?)\.\.(-?\d{1,9}(?:\.\d{1,12})?)")
LONGEST = 2000


@dataclass(frozen=True)
class Scope:
    """Of which pairs the board is drawn at all: every chart then counts these as all pairs.

    `annotator`: only what this annotator's current judgements are about. `conflict`: only pairs on which these two
    principles ask for different candidates, the smaller number first. `run`: only pairs that this run generated.
    `only`: one pair by its number.
    """

    annotator: int | None = None
    conflict: tuple[int, int] | None = None
    run: int | None = None
    only: int | None = None

    def __bool__(self) -> bool:
        return self != Scope()

    @property
    def query(self) -> str:
        """As the address has it."""
        parts = [] if self.annotator is None else [f"annotator={self.annotator}"]
        parts += [] if self.conflict is None else ["conflict={}-{}".format(*self.conflict)]
        parts += [] if self.run is None else [f"run={self.run}"]
        parts += [] if self.only is None else [f"only={self.only}"]
        return "&".join(parts)

    def sql(self) -> tuple[str, list[Any]]:
        """A condition over f (pair_facts)."""
        parts: list[str] = []
        params: list[Any] = []
        if self.annotator is not None:
            parts.append("%s::bigint = ANY(f.annotators)")
            params.append(self.annotator)
        if self.conflict is not None:
            one, other = self.conflict
            each = "(%s::bigint = ANY(f.favour_first) AND %s::bigint = ANY(f.favour_second))"
            parts.append(f"({each} OR {each})")
            params += [one, other, other, one]
        if self.run is not None:
            parts.append("f.source = %s")
            params.append(source_of(self.run))
        if self.only is not None:
            parts.append("f.pair_id = %s::bigint")
            params.append(self.only)
        return " AND ".join(parts) or "true", params


SCOPES = ("annotator", "conflict", "run", "only")
_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_CONFLICT = re.compile(r"([1-9][0-9]{0,17})-([1-9][0-9]{0,17})")


def parse_scope(query: Mapping[str, str]) -> Scope:
    """Read `annotator=7`, `conflict=3-5`, `run=12` and `only=17` of an address.

    Raises:
        Refused: it is no number, or not two different ones.
    """
    annotator, conflict, run, only = (query.get(name) for name in SCOPES)
    if annotator is not None and not _NUMBER.fullmatch(annotator):
        raise Refused(f"annotator is the number of one annotator, not {annotator[:60]!r}.")
    if run is not None and not _NUMBER.fullmatch(run):
        raise Refused(f"run is the number of one run that generated, not {run[:60]!r}.")
    if only is not None and not _NUMBER.fullmatch(only):
        raise Refused(f"only is the number of one pair, not {only[:60]!r}.")
    found = None if conflict is None else _CONFLICT.fullmatch(conflict)
    if conflict is not None and (found is None or found[1] == found[2]):
        raise Refused(f"conflict is the numbers of two principles such as 3-5, not {conflict[:60]!r}.")
    low, high = sorted(int(number) for number in found.groups()) if found else (0, 0)
    return Scope(
        annotator=None if annotator is None else int(annotator),
        conflict=(low, high) if found else None,
        run=None if run is None else int(run),
        only=None if only is None else int(only),
    )


@dataclass(frozen=True)
class Filter:
    """Which slots of which dimensions pass, one interval of numbers and counts, a set of categories; and the scope."""

    passing: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    scope: Scope = Scope()

    def __bool__(self) -> bool:
        return bool(self.passing) or bool(self.scope)

    def sql(self, dims: Iterable[Dimension]) -> tuple[str, list[Any]]:
        """A condition over the stored bins of f (pair_facts)."""
        parts: list[str] = []
        params: list[Any] = []
        for one in dims:
            slots = self.passing.get(one.key)
            if slots is None:
                continue
            column = f"f.{one.bin_column}"
            if len(slots) == slots[-1] - slots[0] + 1:
                parts.append(f"{column} BETWEEN %s AND %s")
                params += [slots[0], slots[-1]]
            else:
                parts.append(f"{column} = ANY(%s::smallint[])")
                params.append(list(slots))
        if self.scope:
            condition, values = self.scope.sql()
            parts.append(condition)
            params += values
        return " AND ".join(parts) or "true", params


def parse(query: Mapping[str, str], dims: Sequence[Dimension]) -> Filter:
    """Read the filters of an address: difficulty=0.55..0.97, discretion=conflict,unknown, dissents=1..1, annotator=7.

    Raises:
        Refused: a name is not a dimension, or a value does not fit it, with what would be right.
    """
    by_key = {one.key: one for one in dims}
    passing = {}
    for key, text in query.items():
        if key in BESIDES:
            allowed = BESIDES[key]
            if allowed and not allowed.fullmatch(text):
                example = "density or discretion" if key == "colour" else "the number of a pair"
                raise Refused(f"{key} is {example}, not {text[:60]!r}.")
            continue
        if key in SCOPES:
            continue
        if key not in by_key:
            raise Refused(f"Unknown filter {key[:60]!r}. Known are {', '.join((*by_key, *SCOPES))}.")
        slots = _slots(by_key[key], text)
        if len(slots) < by_key[key].slots:
            passing[key] = slots
    return Filter(passing, parse_scope(query))


def _slots(one: Dimension, text: str) -> tuple[int, ...]:
    if len(text) > LONGEST:
        raise Refused(f"The filter {one.key} is too long.")
    if one.kind == "category":
        return _chosen(one, text)
    if text in (UNKNOWN, KNOWN) and one.has_unknown:
        return (one.bins,) if text == UNKNOWN else tuple(range(one.bins))
    found = _RANGE.fullmatch(text)
    if not found:
        example = f"{one.lo:g}..{one.hi:g}" if one.kind == "number" else "1..3"
        also = ", known or unknown" if one.has_unknown else ""
        raise Refused(f"{one.key} is a range such as {example}{also}, not {text[:60]!r}.")
    low, high = float(found[1]), float(found[2])
    if one.kind == "count":
        start, end = math.floor(low - one.lo), math.floor(high - one.lo) + 1
    else:
        start, end = (math.floor((value - one.lo) * one.bins / (one.hi - one.lo) + 0.5) for value in (low, high))
    start = max(0, min(one.bins - 1, start))
    end = max(start + 1, min(one.bins, end))
    if (start, end) == (0, one.bins):
        return tuple(range(one.slots))
    return tuple(range(start, end))


def _chosen(one: Dimension, text: str) -> tuple[int, ...]:
    places = {**dict(one.covers), **{name: (place,) for place, name in enumerate(one.values)}}
    if one.has_unknown:
        places[UNKNOWN] = (one.bins,)
    # A value may hold a comma: it is written as %2C once more.
    names = [name.replace("%2C", ",") for name in text.split(",")]
    strange = [name for name in names if name not in places]
    if strange:
        raise Refused(f"{one.key} has no value {strange[0][:60]!r}. Known are {', '.join(places)[:600]}.")
    return tuple(sorted({place for name in names for place in places[name]}))


def named(one: Dimension, slots: Sequence[int]) -> list[str]:
    """A set of categories by as few names as there are: those that cover several values, then what is left."""
    covering = [(name, {*bins}) for name, bins in one.covers if {*bins} <= {*slots}]
    left = {*slots}.difference(*(bins for _, bins in covering))
    return [
        *(name for name, _ in covering),
        *(one.values[slot] if slot < one.bins else UNKNOWN for slot in slots if slot in left),
    ]


@dataclass(frozen=True)
class Order:
    """By which dimension the table is sorted; pairs that are not known there come last."""

    key: str = "difficulty"
    is_descending: bool = True


def orders_of(dims: Sequence[Dimension]) -> tuple[str, ...]:
    """By what a project's table can be sorted: the reward margin too, where it has one."""
    return (*ORDERS, *(one.key for one in dims if one.key == REWARD.key))


def parse_order(text: str, dims: Sequence[Dimension]) -> Order:
    """Read `sort`: a dimension's name, with a dash in front for highest first.

    Raises:
        Refused: the table cannot be sorted by that.
    """
    if not text:
        return Order()
    key = text.removeprefix("-")
    if key not in orders_of(dims):
        raise Refused(
            f"The table cannot be sorted by {key[:60]!r}. "
            f"Known are {', '.join(orders_of(dims))}, with - for highest first."
        )
    return Order(key, text.startswith("-"))


def words(one: Dimension, slots: Sequence[int]) -> str:
    """What a filter lets through, in words: 0.55 to 0.97; conflict or unknown; 3 or more."""
    if one.kind == "category":
        return " or ".join(named(one, slots))
    if slots[0] == one.bins:
        return UNKNOWN
    first, last = slots[0], min(slots[-1], one.bins - 1)
    if one.kind == "number":
        return f"{shown(one, one.edge(first))} to {shown(one, one.edge(last + 1))}"
    end = f"{one.lo + last:g}" + (" or more" if last == one.bins - 1 else "")
    return end if first == last else f"{one.lo + first:g} to {end}"


def shown(one: Dimension, value: float | None) -> str:
    if value is None:
        return UNKNOWN
    return f"{value:.{one.places}f}".replace("-", "−")
