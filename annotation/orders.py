"""What a ranking is: places, ties, what is left out; and what it implies of pairs. Pure: no database."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TypeVar

from django.utils.translation import gettext as _

Name = TypeVar("Name", int, str)


def dense(places: Mapping[Name, int | None]) -> dict[Name, int | None]:
    """Places as ranks that count from 1 without gaps: equal places are a tie, None stays unranked.

    >>> dense({"a": 5, "b": 2, "c": 5, "d": None})
    {'a': 2, 'b': 1, 'c': 2, 'd': None}
    """
    order = {place: rank for rank, place in enumerate(sorted({p for p in places.values() if p is not None}), start=1)}
    return {name: None if place is None else order[place] for name, place in places.items()}


def implied(ranks: Mapping[int, int | None]) -> dict[tuple[int, int], int]:
    """What a ranking says of pairs: (first, second) with first < second -> 1 first is better, -1 second, 0 a tie.

    What is not ranked is in no pair: it was not said to be worse.

    >>> implied({7: 1, 4: 2, 9: None})
    {(4, 7): -1}
    """
    placed = sorted((name, rank) for name, rank in ranks.items() if rank is not None)
    return {
        (one, other): (rank < other_rank) - (rank > other_rank)
        for (one, rank), (other, other_rank) in combinations(placed, 2)
    }


def weight_of(ranked: int) -> float:
    """How much one implied pair of a ranking of so many candidates counts beside a pair that was judged by itself.

    m candidates imply m (m - 1) / 2 pairs and are m - 1 free decisions at most. With 1 / (m - 1) each candidate counts
    once in all, however many it was ranked with; nan below two.
    """
    return 1 / (ranked - 1) if ranked >= 2 else float("nan")


def in_words(ranks: Mapping[str, int | None]) -> str:
    """“B > A = D, C not ranked”: best first, by the letters on the screen."""
    groups: dict[int, list[str]] = {}
    for name, rank in sorted(ranks.items()):
        if rank is not None:
            groups.setdefault(rank, []).append(name.upper())
    order = " > ".join(" = ".join(groups[rank]) for rank in sorted(groups))
    left = [name.upper() for name, rank in sorted(ranks.items()) if rank is None]
    return ", ".join(
        part for part in (order, _("%(letters)s not ranked") % {"letters": ", ".join(left)} if left else "") if part
    )
