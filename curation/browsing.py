"""The board's questions to the facts: how many pairs, and which ones. Reads only."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db import connection
from django.db.models import Exists, OuterRef

from annotation.errors import Refused
from annotation.models import Annotator, Judgement, Pair, Principle, Project, Run
from curation import columns
from curation.dimensions import DIFFICULTY, READINGS, Dimension, dimensions
from curation.filters import Filter, Order, Scope, shown
from curation.models import FactsState

PAGE = 50
# What a row of the table shows, and what the plane needs to ring its cell.
_ROW = (
    "pair_id",
    "judgements",
    "dissents",
    "agreement",
    "item_agreement",
    "discretion",
    "strength",
    "difficulty",
    "margin",
    "reward_margin",
    "length_difference",
    "tag",
    "b_difficulty",
    "b_agreement",
    "b_strength",
    "b_reading",
)


def state_of(project: Project) -> FactsState | None:
    """The latest gathering, without its columns."""
    state = FactsState.objects.filter(project=project).defer("summary", "columns").first()
    if state is not None:
        state.project = project
    return state


def dims_of(state: FactsState) -> tuple[Dimension, ...]:
    return dimensions(state.values)


def count(*, project: Project, asked: Filter, dims: Sequence[Dimension]) -> int:
    """How many pairs in play pass."""
    condition, params = asked.sql(dims)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT count(*) FROM pair_facts f WHERE f.project_id = %s AND NOT f.is_excluded AND {condition}",
            [project.pk, *params],
        )
        return int(cursor.fetchone()[0])


def found(*, state: FactsState, asked: Filter, dims: Sequence[Dimension]) -> int:
    """The same by the columns in memory, where they know it: at a million pairs a millisecond, whatever is asked."""
    held = None if asked.scope else columns.of(state)
    if held is None:
        return count(project=state.project, asked=asked, dims=dims)
    return int(np.count_nonzero(held.passing(asked)))


# A list of more is no list to choose from; an address reaches the others.
MOST_LISTED = 300


def annotators_of(project: Project) -> list[tuple[int, str]]:
    """Number and name of everybody with a judgement, people and judges, by name."""
    judged = Judgement.objects.filter(annotator=OuterRef("pk"), is_current=True)
    found = Annotator.objects.filter(Exists(judged), project=project).order_by("name", "pk")
    return list(found.values_list("pk", "name")[:MOST_LISTED])


def scope_in_words(project: Project, scope: Scope) -> str:
    """Which pairs a scope leaves, as the end of "Only pairs …".

    Raises:
        Refused: the project has no such annotator, principle or pair, or no such run that generated.
    """
    said = []
    if scope.annotator is not None:
        annotator = Annotator.objects.filter(project=project, pk=scope.annotator).first()
        if annotator is None:
            raise Refused(f"This project has no annotator {scope.annotator}.")
        said.append(f"that {annotator.name} judged")
    if scope.conflict is not None:
        shorts = dict(Principle.objects.filter(project=project, pk__in=scope.conflict).values_list("pk", "short"))
        if len(shorts) < len(scope.conflict):
            raise Refused(f"This project has no principles {' and '.join(map(str, scope.conflict))}.")
        one, other = (shorts[number] for number in scope.conflict)
        said.append(f"on which “{one}” and “{other}” ask for different candidates")
    if scope.run is not None:
        if not project.runs.filter(kind=Run.Kind.GENERATION, pk=scope.run).exists():
            raise Refused(f"This project has no run {scope.run} that generated.")
        said.append(f"that run {scope.run} made")
    if scope.only is not None:
        if not Pair.objects.filter(project=project, pk=scope.only).exists():
            raise Refused(f"This project has no pair {scope.only}.")
        said.append(f"with the number {scope.only}")
    return " and ".join(said)


def pairs_sql(*, project: Project, asked: Filter, dims: Sequence[Dimension]) -> tuple[str, list[Any]]:
    """A query of the numbers of all pairs that pass."""
    condition, params = asked.sql(dims)
    sql = f"SELECT f.pair_id FROM pair_facts f WHERE f.project_id = %s AND NOT f.is_excluded AND {condition}"
    return sql, [project.pk, *params]


# ---- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """Rows as dictionaries, and the mark to go on from, empty at the end; `found` counts all pairs that pass."""

    rows: list[dict[str, Any]]
    after: str
    found: int


@dataclass(frozen=True)
class Mark:
    """Where a page ended: the value it was ordered by, the pair, and the version of the facts it was read from."""

    value: float | None
    pair: int
    version: int

    @property
    def text(self) -> str:
        text = json.dumps([self.value, self.pair, self.version])
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    @classmethod
    def read(cls, text: str) -> Mark | None:
        """None for the first page.

        Raises:
            Refused: it is not such a mark.
        """
        if not text:
            return None
        try:
            value, pair, version = json.loads(base64.urlsafe_b64decode(text[:200] + "=" * (-len(text[:200]) % 4)))
            if not all(isinstance(one, int) and 0 < one < 2**63 for one in (pair, version)):
                raise ValueError
            if value is not None and not abs(float(value)) < 1e12:
                raise ValueError
        except (ValueError, TypeError):
            raise Refused("This address does not say where the next page begins. Go back to the first page.") from None
        return cls(None if value is None else float(value), pair, version)


def page(
    *, state: FactsState, asked: Filter, order: Order, dims: Sequence[Dimension], after: str = "", size: int = PAGE
) -> Page:
    """One page of the table, from the mark that the page before gave. Pairs that are unknown in the order come last.

    The columns in memory say which pairs, and the database what is known of them. The database says both where the
    columns cannot: within a scope, or when the facts were gathered anew between two pages. And where nothing is
    filtered, because an index then serves the usual order with nothing to be read first.

    Raises:
        Refused: `after` is not such a mark.
    """
    mark, one = Mark.read(after), next(each for each in dims if each.key == order.key)
    is_indexed = not asked and one == DIFFICULTY
    held = None if is_indexed or asked.scope or (mark and mark.version != state.version) else columns.of(state)
    if held is not None:
        passing = held.passing(asked)
        pairs = held.page(passing, order=order, bins=one.bins, after=mark.pair if mark else None, size=size + 1)
        if pairs is not None:
            there = {row[0]: row for row in _fetch("f.pair_id = ANY(%s)", [state.project_id, pairs], f"f.{one.column}")}
            # A pair may have gone since.
            found, more = [there[pair] for pair in pairs[:size] if pair in there], len(pairs) > size
            return _page(found, state=state, one=one, dims=dims, more=more, count=int(np.count_nonzero(passing)))
    found = page_of_the_database(state=state, asked=asked, order=order, dims=dims, mark=mark, size=size + 1)
    counted = count(project=state.project, asked=asked, dims=dims) if asked else state.pairs
    return _page(found[:size], state=state, one=one, dims=dims, more=len(found) > size, count=counted)


def _page(
    found: list[tuple[Any, ...]],
    *,
    state: FactsState,
    one: Dimension,
    dims: Sequence[Dimension],
    more: bool,
    count: int,
) -> Page:
    rows = [_row(dict(zip((*_ROW, "value"), each, strict=True)), dims) for each in found]
    last = found[-1] if more and found else None
    return Page(
        rows=_with_prompts(rows),
        after=Mark(None if last[-1] is None else float(last[-1]), last[0], state.version).text if last else "",
        found=count,
    )


def page_of_the_database(
    *, state: FactsState, asked: Filter, order: Order, dims: Sequence[Dimension], mark: Mark | None, size: int
) -> list[tuple[Any, ...]]:
    """The same rows as the columns give, from the table alone: `_ROW`, and the value of the order."""
    found: list[tuple[Any, ...]] = []
    if mark is None or mark.value is not None:
        found = _known(project=state.project, asked=asked, order=order, dims=dims, mark=mark, size=size)
    if len(found) < size:
        rest = mark if mark is not None and mark.value is None else None
        found += _unknown(project=state.project, asked=asked, order=order, dims=dims, mark=rest, size=size - len(found))
    return found


def _known(
    *,
    project: Project,
    asked: Filter,
    order: Order,
    dims: Sequence[Dimension],
    mark: Mark | None,
    size: int,
) -> list[tuple[Any, ...]]:
    one = next(each for each in dims if each.key == order.key)
    way, compare = ("DESC", "<") if order.is_descending else ("ASC", ">")
    condition, params = asked.sql(dims)
    # Bins follow the value: ordered by both, the index of bins serves the filter and the order at once.
    b, v = f"f.{one.bin_column}", f"f.{one.column}"
    follows = ""
    if mark is not None:
        follows = f"AND ({b}, {v}, f.pair_id) {compare} (%s, %s, %s)"
        params += [one.bin_of(mark.value), mark.value, mark.pair]
    return _fetch(
        f"{condition} AND {b} < {one.bins} {follows} ORDER BY {b} {way}, {v} {way}, f.pair_id {way} LIMIT %s",
        [project.pk, *params, size],
        v,
    )


def _unknown(
    *,
    project: Project,
    asked: Filter,
    order: Order,
    dims: Sequence[Dimension],
    mark: Mark | None,
    size: int,
) -> list[tuple[Any, ...]]:
    one = next(each for each in dims if each.key == order.key)
    if not one.has_unknown or size <= 0:
        return []
    condition, params = asked.sql(dims)
    follows = "AND f.pair_id > %s" if mark else ""
    return _fetch(
        f"{condition} AND f.{one.bin_column} = {one.bins} {follows} ORDER BY f.{one.bin_column}, f.{one.column},"
        " f.pair_id LIMIT %s",
        [project.pk, *params, *([mark.pair] if mark else []), size],
        "NULL",
    )


def _fetch(rest: str, params: list[Any], value: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join('f.' + name for name in _ROW)}, {value} FROM pair_facts f"
            f" WHERE f.project_id = %s AND NOT f.is_excluded AND {rest}",
            params,
        )
        return list(cursor.fetchall())


def _row(found: dict[str, Any], dims: Sequence[Dimension]) -> dict[str, Any]:
    by_key = {one.key: one for one in dims}
    n, dissents = found["judgements"], found["dissents"] or 0
    reading = found["b_reading"]
    return found | {
        "votes": [index < n - dissents for index in range(min(n, 12))],
        "agreeing": n - dissents,
        "shown": {
            key: shown(by_key[key], found[by_key[key].column])
            for key in ("difficulty", "agreement", "strength", "margin", "reward", "length")
            if key in by_key
        },
        "reading": READINGS[reading - 1].name if reading else "",
    }


def _with_prompts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    pairs = Pair.objects.filter(pk__in=[row["pair_id"] for row in rows]).select_related("prompt")
    texts = {
        pair.pk: (str(pair), pair.prompt) for pair in pairs.only("external_id", "prompt__messages", "prompt__language")
    }
    # A pair may have gone since, when an import was undone.
    there = [row for row in rows if row["pair_id"] in texts]
    for row in there:
        name, prompt = texts[row["pair_id"]]
        row |= {"name": name, "prompt": prompt.last[:200], "prompt_language": prompt.language}
    return there
