"""The pairs that a filter of the board finds, by the values of one dimension: how many, and what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.http import QueryDict
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project
from curation import columns
from curation.dimensions import CONFLICT, DISCRETION, UNKNOWN, Dimension
from curation.filters import Filter, words
from curation.models import FactsState
from curation.packing import MEANT

# A slot, its pairs, the means of `MEANT`, and the share of conflicts.
Row = tuple[Any, ...]


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
    *, state: FactsState, asked: Filter, dims: Sequence[Dimension], by: Dimension, query: QueryDict
) -> list[Group]:
    """The groups that are not empty, largest first, equal ones in the order of the board; unknown is one of them.

    The columns in memory are counted; within a scope, or where they are not there, the table of the database.

    Args:
        query: what `asked` was read from; each group's own address is made of it.
    """
    held = None if asked.scope else columns.of(state)
    found = _in_memory(held, asked=asked, by=by) if held is not None else None
    if found is None:
        found = in_the_database(project=state.project, asked=asked, dims=dims, by=by)
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


def _in_memory(held: columns.Columns, *, asked: Filter, by: Dimension) -> list[Row] | None:
    """One pass over the bins; None where the values of this version are gone."""
    values = [held.value(one.key) for one in MEANT]
    if any(one is None for one in values):
        return None
    passing = held.passing(asked)
    slots, category = held.bins[by.key][passing], held.bins[DISCRETION.key][passing]
    counts = np.bincount(slots, minlength=by.slots)
    voted = category < DISCRETION.bins
    conflicts = (category == DISCRETION.values.index(CONFLICT)).astype(np.float32)
    means = [_means(slots, one[passing], n=by.slots) for one in values if one is not None]
    means.append(_means(slots, np.where(voted, conflicts, np.float32(np.nan)), n=by.slots))
    order = sorted(np.nonzero(counts)[0].tolist(), key=lambda slot: (-int(counts[slot]), slot))
    return [(slot, int(counts[slot]), *(mean[slot] for mean in means)) for slot in order]


def _means(slots: NDArray[np.uint8], values: NDArray[np.float32], *, n: int) -> list[float | None]:
    """The mean of what is known, by slot; None where nothing is. `slots` and `values` have the shape (rows,)."""
    known = ~np.isnan(values)
    sums = np.bincount(slots[known], weights=values[known], minlength=n)
    counts = np.bincount(slots[known], minlength=n)
    return [float(total / count) if count else None for total, count in zip(sums, counts, strict=True)]


def in_the_database(*, project: Project, asked: Filter, dims: Sequence[Dimension], by: Dimension) -> list[Row]:
    """The same by the table: one pass over the facts of the project."""
    condition, params = asked.sql(dims)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT f.{by.bin_column}, count(*), avg(f.agreement), avg(f.difficulty), avg(f.strength),
                avg((f.discretion = 'conflict')::int) FILTER (WHERE f.discretion <> '')
            FROM pair_facts f WHERE f.project_id = %s AND NOT f.is_excluded AND {condition}
            GROUP BY 1 ORDER BY 2 DESC, 1""",
            [project.pk, *params],
        )
        return list(cursor.fetchall())


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
