"""The pairs that a filter of the board finds, by the values of one dimension: how many, and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.http import QueryDict

from annotation.errors import Refused
from annotation.models import Project
from curation.dimensions import UNKNOWN, Dimension, Filter, words


@dataclass(frozen=True)
class Group:
    """Pairs with one value. Means are over the pairs of which the number is known; None where it is of none."""

    value: str
    name: str
    pairs: int
    share: float
    agreement: float | None
    difficulty: float | None
    strength: float | None
    # Of the pairs with votes on principles, how many have some that ask for different candidates, 0 to 1.
    conflict: float | None
    # The filter of these pairs alone, as the board's address has it.
    query: str

    @property
    def percent(self) -> float:
        return 100 * self.share

    @property
    def conflict_percent(self) -> float | None:
        return None if self.conflict is None else 100 * self.conflict


def groupable(dims: Sequence[Dimension]) -> dict[str, Dimension]:
    """By what pairs can be grouped: whatever has values and not a range of numbers."""
    return {one.key: one for one in dims if one.kind != "number"}


def parse_by(text: str, dims: Sequence[Dimension]) -> Dimension:
    """Read `by`.

    Raises:
        Refused: pairs cannot be grouped by that, with what they can be grouped by.
    """
    allowed = groupable(dims)
    if text not in allowed:
        raise Refused(f"Pairs cannot be grouped by {text[:60]!r}. Known are {', '.join(allowed)}.")
    return allowed[text]


def groups(
    *, project: Project, asked: Filter, dims: Sequence[Dimension], by: Dimension, query: QueryDict
) -> list[Group]:
    """The groups that are not empty, largest first, equal ones in the order of the board; unknown is one of them.

    Args:
        query: what `asked` was read from; each group's own address is made of it.
    """
    condition, params = asked.sql(dims)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT f.{by.bin_column}, count(*), avg(f.agreement), avg(f.difficulty), avg(f.strength),
                avg((f.discretion = 'conflict')::int) FILTER (WHERE f.discretion <> '')
            FROM pair_facts f WHERE f.project_id = %s AND NOT f.is_excluded AND {condition}
            GROUP BY 1 ORDER BY 2 DESC, 1""",
            [project.pk, *params],
        )
        found = cursor.fetchall()
    whole = sum(row[1] for row in found)
    return [
        Group(
            value=_value(by, slot),
            name=words(by, [slot]),
            pairs=pairs,
            share=pairs / whole,
            agreement=agreement,
            difficulty=difficulty,
            strength=strength,
            conflict=None if conflict is None else float(conflict),
            query=_alone(query, by, slot),
        )
        for slot, pairs, agreement, difficulty, strength, conflict in found
    ]


def _value(by: Dimension, slot: int) -> str:
    """A slot as a filter of the address says it."""
    if slot == by.bins:
        return UNKNOWN
    if by.kind == "count":
        return f"{by.lo + slot:g}..{by.lo + slot:g}"
    return by.values[slot].replace(",", "%2C")


def _alone(query: QueryDict, by: Dimension, slot: int) -> str:
    narrowed = query.copy()
    narrowed[by.key] = _value(by, slot)
    return narrowed.urlencode(safe=",")
