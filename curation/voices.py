"""Whose judgements count, and how far a release had heard, as SQL with parameters. How that is found: hearing.py."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

NO_END = 2**63 - 1
# An int8multirange in which there is no number.
NOTHING = "{}"


@dataclass(frozen=True)
class Missed:
    """Numbers up to the last one heard that the release all the same did not see, as int8multiranges in text.

    A number is drawn before its row is committed: who was still saving while the release took its snapshot may have a
    lower one than somebody who was done.
    """

    pair: str = NOTHING
    judgement: str = NOTHING
    ranking: str = NOTHING
    rationale: str = NOTHING
    reaction: str = NOTHING
    ruling: str = NOTHING


NONE_MISSED = Missed()


@dataclass(frozen=True)
class Heard:
    """How far a release had heard: the last number of each kind that it may look at; None for all that there is.

    `pair`: pairs. `judgement`: judgements of those who count, whatever became of them; of everybody where flags or
    haste are looked at. `undone`: events that took one back. `ranking`: rankings. `rationale`: reasons, and what is
    highlighted with them. `reaction`: what people made of machines' reasons.

    `stood`: judgements that were current then and are not now; `hearing.as_then` finds them. `missed`: what has a
    lower number than the last and came later all the same.
    """

    pair: int | None = None
    judgement: int | None = None
    undone: int | None = None
    ranking: int | None = None
    rationale: int | None = None
    reaction: int | None = None
    stood: tuple[int, ...] = ()
    missed: Missed = NONE_MISSED

    def as_json(self) -> dict[str, int]:
        numbers = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("stood", "missed")}
        return {name: number for name, number in numbers.items() if number is not None}


ALL_THERE_IS = Heard()


def end(number: int | None) -> int:
    """The last number that counts, for a comparison."""
    return NO_END if number is None else number


@dataclass(frozen=True)
class Voices:
    """Whose current judgements count.

    `kind`: "person", "judge" or "all". `prefixes`: only annotators whose name or external identifier begins with one of
    them; empty for all. `through`: only judgements up to this number; None for all. `heard`: how much counts of what
    stands beside them.
    """

    kind: Literal["person", "judge", "all"] = "person"
    prefixes: tuple[str, ...] = ()
    through: int | None = None
    heard: Heard = ALL_THERE_IS

    def sql(self, *, is_without_too: bool = False) -> tuple[str, list[Any]]:
        """A condition over j (judgement) and n (annotator).

        `is_without_too`: what stands without a judgement counts too: votes that were imported or that a judge gave.
        """
        is_current = "j.is_current"
        params: list[Any] = []
        if self.heard.stood:
            is_current = "(j.is_current OR j.id = ANY(%s::bigint[]))"
            params.append(list(self.heard.stood))
        parts: list[str] = [f"coalesce({is_current}, true)" if is_without_too else is_current]
        if self.kind != "all":
            parts.append("n.kind = %s")
            params.append(self.kind)
        if self.prefixes:
            each = "starts_with(n.name, %s) OR starts_with(n.external_id, %s)"
            parts.append("(" + " OR ".join([each] * len(self.prefixes)) + ")")
            params += [prefix for prefix in self.prefixes for _ in range(2)]
        if self.through is not None:
            parts.append("coalesce(j.id, 0) <= %s" if is_without_too else "j.id <= %s")
            params.append(self.through)
        if self.heard.missed.judgement != NOTHING:
            number = "coalesce(j.id, 0)" if is_without_too else "j.id"
            parts.append(f"NOT {number} <@ %s::int8multirange")
            params.append(self.heard.missed.judgement)
        return " AND ".join(parts), params
