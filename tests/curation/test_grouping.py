"""Pairs by the values of one dimension: the groups are a partition, and each address finds its own."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from curation import browsing, columns, gathering, grouping, keeping
from curation.models import FactsArray, FactsState, PairFact

pytestmark = pytest.mark.django_db


def grouped(project: Any, text: str, by: str) -> list[grouping.Group]:
    state = FactsState.objects.get(project=project)
    dims, query = browsing.dims_of(state), QueryDict(text)
    asked = keeping.filter_of(state, query)
    return grouping.groups(state=state, asked=asked, dims=dims, by=grouping.parse_by(by, dims), query=query)


@pytest.mark.parametrize("text", ["", "judgements=1..8", "dissents=0..0&discretion=conflict,consensus"])
def test_groups_are_a_partition_and_each_address_finds_its_own(project: Any, many: Any, text: str) -> None:
    state = FactsState.objects.get(project=project)
    dims = browsing.dims_of(state)
    whole = browsing.count(project=project, asked=keeping.filter_of(state, QueryDict(text)), dims=dims)
    assert whole > 0
    for by in grouping.groupable(dims):
        found = grouped(project, text, by)
        assert sum(group.pairs for group in found) == whole
        assert sum(group.share for group in found) == pytest.approx(1)
        assert [group.pairs for group in found] == sorted((group.pairs for group in found), reverse=True)
        for group in found:
            asked = keeping.filter_of(state, QueryDict(group.query))
            # The last count holds everything from there on, and so does its filter.
            assert browsing.count(project=project, asked=asked, dims=dims) == group.pairs, (by, group)


@pytest.mark.parametrize("text", ["", "judgements=1..8", "discretion=conflict,unknown&strength=unknown"])
def test_memory_and_table_say_the_same(project: Any, many: Any, text: str) -> None:
    state = FactsState.objects.get(project=project)
    dims, query = browsing.dims_of(state), QueryDict(text)
    asked = keeping.filter_of(state, query)
    held = columns.of(state)
    assert held is not None
    for by in grouping.groupable(dims).values():
        with CaptureQueriesContext(connection) as queries:
            found = grouping.groups(state=state, asked=asked, dims=dims, by=by, query=query)
        assert not [one for one in queries if "pair_facts" in one["sql"]]
        assert [(one.pairs, one.agreement, one.difficulty, one.strength, one.conflict) for one in found] == [
            (pairs, *(None if mean is None else pytest.approx(float(mean), abs=1e-6) for mean in means))
            for _, pairs, *means in grouping.in_the_database(project=project, asked=asked, dims=dims, by=by)
        ]
    assert held.size > sum(one.nbytes for one in held.bins.values()) + 3 * 4 * len(held.pair)


def test_means_are_over_what_is_known_and_unknown_is_a_group(project: Any, make_pair: Any) -> None:
    pairs = [
        make_pair(slots=0, source=source, external_id=f"{n}") for n, source in enumerate(["a, b", "a, b", "c", ""])
    ]
    gathering.gather_facts(project=project)
    PairFact.objects.filter(pair=pairs[0]).update(agreement=0.5, strength=1.0, discretion="conflict", n_relevant=2)
    PairFact.objects.filter(pair=pairs[1]).update(strength=2.0)
    # What is in the table only is told by the table.
    FactsArray.objects.all().delete()
    columns.forget()
    found = {group.name: group for group in grouped(project, "", "source")}
    assert [*found] == ["a, b", "c", "unknown"]
    one = found["a, b"]
    assert (one.pairs, one.share, one.agreement, one.strength, one.conflict) == (2, 0.5, 0.5, 1.5, 1.0)
    assert (one.difficulty, found["c"].agreement, found["c"].conflict) == (None, None, None)
    assert keeping.filter_of(FactsState.objects.get(), QueryDict(one.query)).passing == {"source": (0,)}


def test_the_page_and_the_api_show_the_same_groups(
    project: Any, lead: Any, alice: Any, sign_in: Any, api: Any, many: Any
) -> None:
    page = sign_in(lead).get(f"/p/{project.slug}/board/groups", {"filter": "judgements=1..8", "by": "reading"})
    told = api(lead).get("/api/v1/projects/everyday/board/groups", {"filter": "judgements=1..8", "by": "reading"})
    assert [(one["value"], one["pairs"]) for one in told.json()["results"]] == [
        (group.value, group.pairs) for group in page.context["groups"]
    ]
    assert len(told.json()["results"]) > 1
    assert sign_in(alice).get(f"/p/{project.slug}/board/groups").status_code == 404


@pytest.mark.parametrize("query", ["by=difficulty", "by=prompt", "by=b_source", "by=", "by=a%00b", "filter=mood=good"])
def test_what_is_not_on_the_list_is_400(project: Any, lead: Any, sign_in: Any, api: Any, many: Any, query: str) -> None:
    page = sign_in(lead).get(f"/p/{project.slug}/board/groups?{query}")
    assert (page.status_code, page.content.decode()[-1]) == (400, ".")
    assert api(lead).get(f"/api/v1/projects/everyday/board/groups?{query}").status_code == 400
