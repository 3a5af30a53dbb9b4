"""The board's address, read: which pairs are asked for, within what, and in which order. Pure.

The same rules as static/board/filters.js.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from annotation.errors import Refused
from annotation.pairing import source_of
from curation.dimensions import KNOWN, REWARD, UNKNOWN, Dimension

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
# Characters of a filter as an address has it, where a letter of some scripts is nine. Within another address (Compare,
# Group, Release) all of it is escaped once more, five thirds as long: what servers in front take in one line by usual
# settings, 8 kB with path and method.
LONGEST = 4000


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
