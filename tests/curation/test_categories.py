"""Which categories the board has: the most frequent, and those that somebody's address goes by."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict

from annotation.models import Pair
from curation import browsing, categories, gathering, keeping
from curation.criteria import from_json
from curation.dimensions import OTHER, SOURCE
from curation.filters import Order
from curation.models import FactsState, Selection

pytestmark = pytest.mark.django_db


def sources(project: Any) -> list[str]:
    return list(FactsState.objects.get(project=project).values["source"])


def found_by(project: Any, query: str) -> set[str]:
    """The sources of the pairs that an address of the board finds."""
    state = browsing.state_of(project)
    assert state is not None
    dims = browsing.dims_of(state)
    asked = keeping.filter_of(state, QueryDict(query))
    pages = browsing.page(state=state, asked=asked, order=Order(), dims=dims, size=200)
    return {*Pair.objects.filter(pk__in=[row["pair_id"] for row in pages.rows]).values_list("source", flat=True)}


def come(make_pair: Any, counts: dict[str, int]) -> None:
    for source, n in counts.items():
        for place in range(n):
            make_pair(slots=0, source=source, external_id=f"{source}-{place}-{n}")


@pytest.fixture
def overtaken(project: Any, make_pair: Any) -> dict[str, Selection]:
    """A board with ten sources of their own and one other; its selections are saved, then ten larger ones come."""
    come(make_pair, {f"s{n}": 2 for n in range(9)} | {"old, really": 2, "tail": 1})
    gathering.gather_facts(project=project)
    state = browsing.state_of(project)
    assert state is not None
    saved = {}
    for name, query in (("old", "source=old%252C+really"), ("rest", "source=other"), ("both", "source=s1,other")):
        asked = keeping.filter_of(state, QueryDict(query))
        saved[name] = keeping.save_selection(
            project=project, name=name, asked=asked, dims=browsing.dims_of(state), query=query, actor=project.owner
        )
    come(make_pair, {f"new{n}": 3 for n in range(10)})
    gathering.gather_facts(project=project)
    return saved


@pytest.fixture(autouse=True)
def owner(project: Any, lead: Any) -> None:
    project.owner = lead.user


def test_what_a_selection_names_keeps_its_bin_when_others_become_more_frequent(
    project: Any, overtaken: dict[str, Selection]
) -> None:
    assert sources(project)[: SOURCE.most] == [f"new{n}" for n in range(10)]
    assert {"old, really", "s0", "s8"} <= {*sources(project)}
    assert "tail" not in sources(project)
    assert found_by(project, overtaken["old"].query) == {"old, really"}


def test_the_address_of_a_selection_goes_on_to_mean_the_pairs_of_its_criteria(
    project: Any, lead: Any, sign_in: Any, overtaken: dict[str, Selection]
) -> None:
    state = browsing.state_of(project)
    assert state is not None
    client = sign_in(lead)
    page = client.get(f"/p/{project.slug}/board")
    told = {str(one.name): address for one, address in page.context["selections"]}
    then = {"old": {"old, really"}, "rest": {"tail"}, "both": {"tail", "s1"}}
    new = {f"new{n}" for n in range(10)}
    for name, saved in overtaken.items():
        # What came since was none of the values of then: of "other" it is a part, in the criteria as on the board.
        expected = then[name] if name == "old" else then[name] | new
        assert found_by(project, told[name]) == expected
        assert chosen_by(project, saved) == expected
        assert client.get(f"/p/{project.slug}/board/compare?first={saved.pk}").status_code == 200


def chosen_by(project: Any, saved: Selection) -> set[str]:
    """The sources of the pairs that a release of the selection takes."""
    conditions = [one.sql() for one in from_json(saved.criteria)]
    sql = " AND ".join(condition for condition, _ in conditions)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT p.source FROM pair p JOIN prompt q ON q.id = p.prompt_id"
            f" WHERE p.project_id = %s AND {sql}",
            [project.pk, *(value for _, values in conditions for value in values)],
        )
        return {source for (source,) in cursor.fetchall()}


def test_what_had_a_bin_once_keeps_it_while_pairs_have_it_and_there_is_room(project: Any, make_pair: Any) -> None:
    come(make_pair, {f"s{n:02}": 1 for n in range(10)})
    before = {"source": [f"s{n:02}" for n in range(10)] + ["gone"]}
    assert categories.values_of(project, before=before)["source"] == before["source"][:10]
    come(make_pair, {f"t{n:02}": 2 for n in range(10)} | {f"u{n:02}": 1 for n in range(15)})
    before = {"source": [*before["source"], *(f"u{n:02}" for n in range(15))]}
    found = categories.values_of(project, before=before)["source"]
    assert found[:10] == [f"t{n:02}" for n in range(10)]
    assert len(found) == (1 + categories.MOST_KEPT) * SOURCE.most
    assert {f"s{n:02}" for n in range(10)} < {*found}
    assert "gone" not in found
    assert OTHER not in found


@pytest.mark.parametrize("query", ["source=other", "source=unknown,other"])
def test_all_but_ten_long_names_are_saved_and_released(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, same_connection: Any, query: str
) -> None:
    names = [f"https://example.org/a/long/address/of/a/source/of/pairs/{n:02}" for n in range(14)]
    come(make_pair, {name: 3 if n < 10 else 1 for n, name in enumerate(names)})
    gathering.gather_facts(project=project)
    client, home = sign_in(lead), f"/p/{project.slug}"
    client.post(f"{home}/board/save", {"name": "tail", "filter": query})
    saved = Selection.objects.get()
    assert chosen_by(project, saved) == {*names[10:]}
    to = client.get(f"{home}/board/release", {"filter": query})
    assert to.status_code == 302
    draft = client.get(to["Location"])
    assert draft.context["form"].errors == {}
    assert draft.context["counted"].selected == 4


def test_a_filter_that_no_address_holds_says_how_to_release_it(
    project: Any, lead: Any, sign_in: Any, make_pair: Any, same_connection: Any
) -> None:
    names = [f"{'数据' * 45}{n:02}" for n in range(12)]
    come(make_pair, {name: 2 if n < 10 else 1 for n, name in enumerate(names)})
    gathering.gather_facts(project=project)
    client, home = sign_in(lead), f"/p/{project.slug}"
    answer = client.get(f"{home}/board/release", {"filter": "source=other"})
    assert answer.status_code == 400
    assert "Save the selection" in answer.content.decode()
    client.post(f"{home}/board/save", {"name": "tail", "filter": "source=other"})
    draft = client.get(f"{home}/releases/new", {"selection": Selection.objects.get().pk})
    assert draft.context["counted"].selected == 2
