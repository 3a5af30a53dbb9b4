"""The board's columns in memory: they say what the database says, page for page, and step aside where they cannot."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotation.models import Run
from curation import browsing, columns, gathering
from curation.browsing import Mark
from curation.filters import ORDERS, Filter, Order, Scope
from curation.models import FactsArray, FactsState, Measurement
from tests.curation.conftest import random_filter

pytestmark = pytest.mark.django_db


@pytest.fixture
def state(project: Any, many: Any) -> FactsState:
    return FactsState.objects.get(project=project)


def all_pages(state: FactsState, asked: Filter, order: Order, size: int = 7) -> list[dict[str, Any]]:
    rows, after = [], ""
    for _ in range(20):
        page = browsing.page(
            state=state, asked=asked, order=order, dims=browsing.dims_of(state), after=after, size=size
        )
        rows += page.rows
        after = page.after
        if not after:
            return rows
    raise AssertionError("The pages do not end.")


@pytest.mark.parametrize("key", ORDERS)
@pytest.mark.parametrize("is_descending", [True, False])
def test_pages_are_those_of_the_database(state: FactsState, many: Any, key: str, is_descending: bool) -> None:
    dims, order, draw = browsing.dims_of(state), Order(key, is_descending), random.Random(key)
    seen = set()
    for asked in [Filter(), *(random_filter(draw, dims) for _ in range(12))]:
        rows = browsing.page_of_the_database(state=state, asked=asked, order=order, dims=dims, mark=None, size=100)
        expected = [row[0] for row in rows]
        seen.add(len(expected))
        assert [row["pair_id"] for row in all_pages(state, asked, order)] == expected, asked
    assert len(seen) > 3, "The filters must cut in many ways."


def test_all_pages_together_are_all_pairs_in_order_and_what_is_unknown_comes_last(state: FactsState, many: Any) -> None:
    for key in ORDERS:
        rows = all_pages(state, Filter(), Order(key))
        assert sorted(row["pair_id"] for row in rows) == sorted(pair.pk for pair in many)
        values = [row["value"] for row in rows]
        known = [value for value in values if value is not None]
        assert known == sorted(known, reverse=True)
        assert values[: len(known)] == known


@pytest.fixture
def rewarded(project: Any, many: Any) -> FactsState:
    """A reward model measured most of the pairs, and the facts are gathered again."""
    run = Run.objects.create(
        project=project, kind="measurement", state="done", finished_at=timezone.now(), code_version="t",
        parameters={"measure": "rewards", "model": "a reward model"},
    )  # fmt: skip
    for place, pair in enumerate(many):
        if place % 7:
            Measurement.objects.create(run=run, metric="reward_margin", pair=pair, value=float(place * 13 % 40 - 20))
    gathering.gather_facts(project=project)
    return FactsState.objects.get(project=project)


@pytest.mark.parametrize("is_held", [True, False], ids=["columns", "database"])
@pytest.mark.parametrize("is_descending", [True, False])
def test_the_table_is_sorted_by_the_reward_margin_where_there_is_one(
    rewarded: FactsState, many: Any, is_descending: bool, is_held: bool
) -> None:
    if not is_held:
        # As in facts that were gathered before it was an order.
        assert FactsArray.objects.filter(key="reward").delete()[0] == 1
    for asked in (Filter(), Filter({"judgements": (1, 2, 3)})):
        rows = all_pages(rewarded, asked, Order("reward", is_descending))
        values = [row["value"] for row in rows]
        known = [value for value in values if value is not None]
        assert len(known) > 20
        assert known == sorted(known, reverse=is_descending)
        assert values[len(known) :] == [None] * (len(values) - len(known))
    assert len(all_pages(rewarded, Filter(), Order("reward", is_descending))) == len(many)


def test_a_filtered_page_asks_the_database_for_its_rows_only(state: FactsState) -> None:
    dims = browsing.dims_of(state)
    asked = Filter({"dissents": (0, 1)})
    browsing.page(state=state, asked=asked, order=Order(), dims=dims)
    with CaptureQueriesContext(
        connection,
    ) as seen:
        browsing.page(state=state, asked=asked, order=Order("margin"), dims=dims)
    statements = [one["sql"] for one in seen.captured_queries]
    assert not any("count(*)" in one or "b_dissents" in one for one in statements)
    assert len(statements) == 3, "The order, which is read once; the rows; their prompts."
    with CaptureQueriesContext(connection) as again:
        browsing.page(state=state, asked=asked, order=Order("margin"), dims=dims)
    assert len(again) == 2


def test_facts_that_were_gathered_anew_between_two_pages_leave_no_gap(state: FactsState, project: Any) -> None:
    dims, asked, order = browsing.dims_of(state), Filter({"judgements": (0, 1, 2, 3)}), Order("strength")
    first = browsing.page(state=state, asked=asked, order=order, dims=dims, size=7)
    gathering.gather_facts(project=project)
    now = FactsState.objects.get(project=project)
    rows, after = list(first.rows), first.after
    while after:
        page = browsing.page(state=now, asked=asked, order=order, dims=dims, after=after, size=7)
        rows, after = rows + page.rows, page.after
    assert len({row["pair_id"] for row in rows}) == len(rows) == first.found
    mark = Mark.read(first.after)
    assert mark is not None
    assert mark.version == state.version != now.version


def test_columns_of_a_version_that_is_gone_are_none_and_the_page_is_there(state: FactsState, project: Any) -> None:
    old = FactsState.objects.get(project=project)
    gathering.gather_facts(project=project)
    columns.forget()
    assert columns.of(old) is None
    page = browsing.page(state=old, asked=Filter({"dissents": (0,)}), order=Order(), dims=browsing.dims_of(old))
    assert page.found == len(page.rows) > 0


def test_an_order_that_is_gone_is_asked_of_the_database(state: FactsState) -> None:
    columns.forget()
    FactsArray.objects.filter(key="margin").delete()
    rows = all_pages(state, Filter({"judgements": (0, 1, 2, 3)}), Order("margin"))
    assert len(rows) == state.pairs


def test_one_version_of_a_project_is_held_and_no_more_than_there_is_room_for(
    state: FactsState, project: Any, make_pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from annotation.models import Project

    columns.forget()
    first = columns.of(state)
    assert first is columns.of(FactsState.objects.get(project=project)), "Read once."
    gathering.gather_facts(project=project)
    second = columns.of(FactsState.objects.get(project=project))
    assert second is not None
    assert [one.version for one in columns.held()] == [second.version]
    other = Project.objects.create(slug="other", name="Other")
    make_pair(into=other)
    gathering.gather_facts(project=other)
    monkeypatch.setattr(columns, "MOST_BYTES", second.size)
    assert columns.of(FactsState.objects.get(project=other)) is not None
    assert [one.project for one in columns.held()] == [other.pk]


def test_memory_is_what_the_docs_say(state: FactsState) -> None:
    held = columns.of(state)
    assert held is not None
    assert held.size == len(held.pair) * (8 + len(held.bins))
    assert held.pair.dtype == np.int64


def test_within_a_scope_the_table_holds_what_the_scope_leaves(state: FactsState, crowd: Any) -> None:
    asked = Filter({"judgements": (2, 3)}, Scope(annotator=crowd[1].pk))
    rows = all_pages(state, asked, Order("agreement"))
    assert len(rows) == browsing.count(project=state.project, asked=asked, dims=browsing.dims_of(state)) == 20
