"""The board's saved selections over the API: the page's doors, verbs and allow-list."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from annotation.models import Event, Pair, Project
from curation import browsing
from curation.comparing import compare
from curation.criteria import parse_all
from curation.filters import LONGEST, Filter
from curation.gathering import gather_facts
from curation.keeping import address_of, filter_of, query_of, saved_as
from curation.models import FactsState, Selection
from curation.releasing import release

BASE = "/api/v1/projects/everyday/selections"
pytestmark = pytest.mark.django_db


def test_a_selection_is_saved_listed_read_and_saved_as_its_next_version(
    project: Any, lead: Any, many: Any, api: Any
) -> None:
    client = api(lead)
    saved = client.post(BASE, {"name": " hard  ones", "filter": "difficulty=0.75..1&dissents=0..1"}, format="json")
    assert saved.status_code == 201
    one = saved.json()
    assert (one["name"], one["version"], one["owner"]) == ("hard ones", 1, lead.user.email)
    assert one["filter"] == "difficulty=0.75..1&dissents=0..1"
    assert one["where"] == ["difficulty>=0.75", "dissents<2"]
    # The same again is the same; another filter is the next version.
    assert client.post(BASE, {"name": "hard ones", "filter": one["filter"]}, format="json").json() == one
    other = client.post(BASE, {"name": "hard ones", "filter": "difficulty=0.5..1"}, format="json").json()
    assert (other["version"], other["where"]) == (2, ["difficulty>=0.5"])
    everything = client.post(BASE, {"name": "all"}, format="json").json()
    assert (everything["filter"], everything["where"]) == ("", [])
    assert client.get(BASE).json() == {"results": [one, other, everything], "next": None}
    assert client.get(f"{BASE}?name=hard ones").json()["results"] == [one, other]
    assert client.get(f"{BASE}?limit=1&after={one['id']}").json() == {"results": [other], "next": other["id"]}
    assert client.get(f"{BASE}/{one['id']}").json() == one
    assert Event.objects.filter(act="selection.save", actor=lead.user.email).count() == 3


def test_a_field_that_is_not_known_is_refused_and_nothing_saved(lead: Any, many: Any, api: Any) -> None:
    """A misspelt filter must not save all pairs."""
    answer = api(lead).post(BASE, {"name": "hard", "where": ["difficulty>=0.75"]}, format="json")
    assert answer.status_code == 400
    assert answer.json()["detail"] == "where: Unknown field. Known are: filter, name."
    assert not Selection.objects.exists()


def test_the_page_and_the_api_save_the_same(project: Any, lead: Any, many: Any, api: Any, sign_in: Any) -> None:
    text = "difficulty=0.2..0.8&discretion=conflict,unknown"
    sign_in(lead).post("/p/everyday/board/save", {"name": "mine", "filter": text})
    page = Selection.objects.get()
    assert api(lead).post(BASE, {"name": "mine", "filter": text}, format="json").json()["id"] == page.pk
    assert Selection.objects.count() == 1


@pytest.mark.usefixtures("same_connection")
def test_its_criteria_are_what_a_release_takes(project: Any, lead: Any, many: Any, api: Any, tmp_path: Any) -> None:
    one = api(lead).post(BASE, {"name": "some", "filter": "judgements=2..3&difficulty=known"}, format="json").json()
    state = FactsState.objects.get()
    found = compare(
        project=project,
        first=filter_of(state, query_of(one["filter"])),
        second=Filter(),
        dims=browsing.dims_of(state),
    ).n_first
    made = release(
        project=project, version="v1", layout="votes", rule="votes", where=parse_all(one["where"]), out=tmp_path / "v1"
    )
    steps = [step for step in made.release.manifest["steps"] if step["name"] in ("excluded=no", *one["where"])]
    assert (len(steps), steps[-1]["left"]) == (1 + len(one["where"]), found)
    assert 0 < found < 40


@pytest.mark.parametrize(
    ("filter", "says"),
    [
        ("x=1", "Unknown filter 'x'"),
        ("is_excluded=true", "Unknown filter"),
        ("difficulty=1", "is a range such as"),
        ("discretion=chaos", "has no value 'chaos'"),
        ("difficulty=0..1&difficulty=0..0.5", "stands in the address once"),
        ("sort=-difficulty", "'sort' says how the board is shown"),
        ("difficulty=0.8..1&after=zz", "'after' says how the board is shown"),
        ("annotator=999999999", "This project has no annotator 999999999"),
        ("conflict=1-999999999", "This project has no principles"),
        ("tag=%00", "has no value"),
        ("&" * 1999, "The filter is too long"),
        ("x" * (LONGEST + 1), f"no more than {LONGEST} characters"),
        # Short as it is sent, and nine times as long as an address has it.
        (f"source={'質' * 1000}", "The filter is too long"),
    ],
)
def test_what_the_board_does_not_know_is_400_with_a_sentence(
    project: Any, lead: Any, many: Any, api: Any, filter: str, says: str
) -> None:
    client = api(lead)
    saving = client.post(BASE, {"name": "one", "filter": filter}, format="json")
    comparing = client.get(f"{BASE}/compare", {"filter": filter})
    for answer in (saving, comparing):
        assert answer.status_code == 400
        assert says in answer.json()["detail"]
    assert not Selection.objects.exists()


def test_names_and_parameters_that_cannot_be_are_400_with_a_sentence(
    project: Any, lead: Any, many: Any, api: Any
) -> None:
    client = api(lead)
    for given in ({}, {"name": ""}, {"name": "x" * 121}, {"name": "a\0b"}, {"name": "one", "filter": 7.5}):
        answer = client.post(BASE, given, format="json")
        assert answer.status_code == 400, given
        assert answer.json()["detail"].endswith((".", '"'))
    # Behind an @ stands a version; a name that was saved with one goes on.
    refused = client.post(BASE, {"name": "hard@2", "filter": "dissents=0..1"}, format="json")
    assert (refused.status_code, refused.json()["detail"][:36]) == (400, "A name of a selection holds no @: be")
    Selection.objects.create(project=project, name="hard@2")
    again = client.post(BASE, {"name": "hard@2", "filter": "dissents=0..1"}, format="json")
    assert (again.status_code, again.json()["version"]) == (201, 2)
    assert saved_as(project=project, name="hard@2").version == 2
    for query in ("owner=1", "limit=0", "order=name"):
        assert client.get(f"{BASE}?{query}").status_code == 400
    for query in ("first=x", "first=-1", "second=now", "first=1&filter=dissents%3D0..1", "third=1"):
        answer = client.get(f"{BASE}/compare?{query}")
        assert answer.status_code == 400, query
        assert answer.json()["detail"]


def test_before_facts_are_gathered_only_all_pairs_can_be_saved(project: Any, lead: Any, api: Any) -> None:
    client = api(lead)
    refused = client.post(BASE, {"name": "one", "filter": "dissents=0..1"}, format="json")
    assert refused.status_code == 400
    assert "have not been gathered yet" in refused.json()["detail"]
    assert "have not been gathered yet" in client.get(f"{BASE}/compare").json()["detail"]
    assert client.post(BASE, {"name": "all"}, format="json").status_code == 201


def test_two_selections_are_compared_as_on_the_page(project: Any, lead: Any, many: Any, api: Any) -> None:
    client = api(lead)
    one = client.post(BASE, {"name": "judged", "filter": "judgements=2..3"}, format="json").json()
    found = client.get(f"{BASE}/compare?first={one['id']}").json()
    assert (found["n_first"], found["n_second"], found["both"]) == (20, 40, 20)
    expected = compare(
        project=project,
        first=filter_of(FactsState.objects.get(), query_of("judgements=2..3")),
        second=Filter(),
        dims=browsing.dims_of(FactsState.objects.get()),
    )
    assert [line["name"] for line in found["lines"]] == [line.name for line in expected.lines]
    for line, other in zip(found["lines"], expected.lines, strict=True):
        values = [line[name] for name in ("kind", "first", "n_first", "second", "n_second", "low", "high")]
        said = (other.kind, other.first, other.n_first, other.second, other.n_second, other.low, other.high)
        assert values == list(said)
        assert (line["difference"], line["why_not"]) == (other.difference, other.why_not)
    assert any(line["low"] is not None for line in found["lines"])
    # A filter that is not saved in place of the first; and the same the other way round.
    assert client.get(f"{BASE}/compare?filter=judgements%3D2..3").json() == found
    turned = client.get(f"{BASE}/compare?second={one['id']}").json()
    assert (turned["n_first"], turned["n_second"]) == (40, 20)


@pytest.mark.usefixtures("same_connection")
def test_what_a_release_was_asked_for_in_criteria_is_not_compared_as_all_pairs(
    project: Any, lead: Any, many: Any, api: Any, tmp_path: Any
) -> None:
    release(project=project, version="v1", where=parse_all(["judgements>=2"]), out=tmp_path / "v1")
    client = api(lead)
    (one,) = client.get(BASE).json()["results"]
    assert (one["filter"], one["where"]) == ("", ["judgements>=2"])
    for side in ("first", "second"):
        answer = client.get(f"{BASE}/compare?{side}={one['id']}")
        assert answer.status_code == 400
        assert "which the board cannot show as a filter" in answer.json()["detail"]


def test_a_selection_is_compared_however_many_names_its_other_has_by_now(
    project: Any, lead: Any, many: Any, api: Any
) -> None:
    """Its filter of today is longer than what anybody may send."""
    for place, pair in enumerate(many):
        Pair.objects.filter(pk=pair.pk).update(source=f"{place % 20} {'質' * 60}")
    gather_facts(project=project)
    client = api(lead)
    one = client.post(BASE, {"name": "rare", "filter": "source=other"}, format="json").json()
    found = client.get(f"{BASE}/compare?first={one['id']}")
    assert (found.status_code, found.json()["n_first"]) == (200, 20)
    # What was other then is named now.
    Pair.objects.filter(source__startswith="1").update(source="a new one")
    gather_facts(project=project)
    state = FactsState.objects.get()
    address = address_of(Selection.objects.get(), browsing.dims_of(state))
    assert len(address) > LONGEST
    assert client.get(f"{BASE}/compare?first={one['id']}").status_code == 200


def test_leads_of_the_project_alone_may(
    project: Any, lead: Any, alice: Any, adjudicator: Any, stranger: Any, many: Any, api: Any
) -> None:
    one = api(lead).post(BASE, {"name": "one"}, format="json").json()
    elsewhere = Project.objects.create(slug="third", name="Third")
    other = Selection.objects.create(project=elsewhere, name="theirs")
    for address in (f"{BASE}/{other.pk}", f"{BASE}/compare?first={other.pk}", f"{BASE}/compare?second=999999"):
        assert api(lead).get(address).status_code == 404
    for who in (alice, adjudicator, stranger):
        client = api(who)
        for address in (BASE, f"{BASE}/{one['id']}", f"{BASE}/compare"):
            assert client.get(address).status_code == 404
        assert client.post(BASE, {"name": "two"}, format="json").status_code == 404
    assert Selection.objects.filter(project=project).count() == 1


def test_a_list_costs_the_same_queries_for_few_and_many(project: Any, lead: Any, many: Any, api: Any) -> None:
    client, numbers = api(lead), []
    for more in (10, 40):
        for n in range(more):
            Selection.objects.create(project=project, name=f"{more}-{n}", owner=lead.user)
        with CaptureQueriesContext(connection) as seen:
            assert client.get(BASE).status_code == 200
        numbers.append(len(seen))
    assert numbers[0] == numbers[1]
