"""The board over the API: the page's numbers and rows, and its acts by the page's verbs."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.http import QueryDict
from django.test.utils import CaptureQueriesContext

from annotation.models import Assignment, Event, Pair
from annotation.running import claim
from curation import browsing, gathering
from curation.filters import parse
from curation.keeping import NO_FACTS
from curation.models import Adjudication, FactsState

BASE = "/api/v1/projects/everyday/board"
pytestmark = pytest.mark.django_db
SOME = "dissents=0..0"


@pytest.fixture
def found(project: Any, many: Any, api: Any, lead: Any) -> int:
    """How many pairs the filter of these tests finds, as the API says."""
    told = api(lead).get(f"{BASE}/count", {"filter": SOME})
    assert told.status_code == 200
    n: int = told.json()["pairs"]
    assert 1 < n < project.pairs.count()
    return n


def test_the_count_and_the_rows_of_a_filter_are_those_of_the_page(
    project: Any, lead: Any, api: Any, sign_in: Any, make_pair: Any, found: int
) -> None:
    for n in range(60):
        make_pair(slots=0, external_id=f"more-{n}")
    gathering.gather_facts(project=project)
    client, state = api(lead), FactsState.objects.get(project=project)
    told = client.get(f"{BASE}/count").json()
    assert (told["pairs"], told["version"]) == (state.pairs, state.version)
    rows, after = [], ""
    while True:
        page = client.get(f"{BASE}/rows", {"sort": "-judgements", "after": after}).json()
        assert page["found"] == state.pairs
        rows += page["results"]
        after = page["next"]
        if not after:
            break
    assert len({row["pair"] for row in rows}) == len(rows) == state.pairs > browsing.PAGE
    assert [row["judgements"] for row in rows] == sorted((row["judgements"] for row in rows), reverse=True)
    shown = sign_in(lead).get(f"/p/{project.slug}/board/rows?sort=-judgements").context["page"].rows
    assert [row["pair"] for row in rows[: browsing.PAGE]] == [row["pair_id"] for row in shown]


def test_pairs_are_counted_in_memory_and_within_a_scope_by_the_table(
    project: Any, lead: Any, api: Any, many: Any, crowd: Any
) -> None:
    """An index serves only the filters that it begins with."""
    client, dims = api(lead), browsing.dims_of(FactsState.objects.get(project=project))
    for query, is_scoped in ((SOME, False), ("source=s1,s2&strength=1..2", False), (f"annotator={crowd[0].pk}", True)):
        with CaptureQueriesContext(connection) as seen:
            told = client.get(f"{BASE}/count", {"filter": query}).json()["pairs"]
        asked = parse(QueryDict(query).dict(), dims)
        assert told == browsing.count(project=project, asked=asked, dims=dims) > 0
        assert any("pair_facts" in one["sql"] for one in seen) == is_scoped, query


def test_pairs_are_sent_to_adjudication_and_asked_again(project: Any, lead: Any, api: Any, found: int) -> None:
    client = api(lead)
    sent = client.post(f"{BASE}/adjudicate", {"filter": SOME, "expected": found}, format="json")
    assert sent.json() == {"found": found, "done": found}
    assert Adjudication.objects.filter(because=SOME, asked_by=lead.user).count() == found
    again = client.post(f"{BASE}/adjudicate", {"filter": SOME, "expected": found}, format="json")
    assert again.json() == {"found": found, "done": 0}
    open_before = Assignment.objects.filter(is_extra=True).count()
    asked = client.post(f"{BASE}/ask-again", {"filter": SOME, "expected": found, "more": 9}, format="json").json()
    assert asked["found"] == found
    assert Assignment.objects.filter(is_extra=True).count() - open_before == asked["done"] > 0


def test_pairs_leave_play_and_come_back(project: Any, lead: Any, api: Any, found: int) -> None:
    client = api(lead)
    gone = client.post(
        f"{BASE}/excluded", {"filter": SOME, "expected": found, "because": "Copied."}, format="json"
    ).json()
    assert gone == {"found": found, "done": found}
    assert Pair.objects.exclude(excluded_at=None).count() == found
    assert gathering.is_stale(FactsState.objects.get(project=project)), "The board is to be drawn anew."
    (batch,) = client.get(f"{BASE}/excluded").json()["results"]
    assert (batch["pairs"], batch["because"], batch["actor"]) == (found, "Copied.", lead.user.email)
    assert Event.objects.filter(act="pairs.exclude", after__filter=SOME).count() == 1
    one = Pair.objects.exclude(excluded_at=None).earliest("pk").pk
    back = client.post(f"{BASE}/put-back", {"pairs": [one, one]}, format="json").json()
    assert back == {"found": 1, "done": 1}
    assert client.post(f"{BASE}/put-back", {"at": batch["at"]}, format="json").json()["done"] == found - 1
    assert client.get(f"{BASE}/excluded").json() == {"results": []}
    assert client.post(f"{BASE}/excluded", {"pairs": [one], "because": "Broken."}, format="json").json()["done"] == 1
    assert [one for (one,) in Pair.objects.exclude(excluded_at=None).values_list("pk")] == [one]


@pytest.mark.parametrize(
    ("address", "sent", "says"),
    [
        ("adjudicate", {"filter": SOME, "expected": 1}, "not the 1 that you confirmed"),
        ("ask-again", {"filter": SOME, "expected": 1}, "not the 1 that you confirmed"),
        ("excluded", {"filter": SOME, "expected": 1, "because": "x"}, "not the 1 that you confirmed"),
        ("adjudicate", {"filter": "mood=good", "expected": 1}, "Unknown filter 'mood'"),
        ("adjudicate", {"filter": "sort=difficulty", "expected": 1}, "says how the board is shown"),
        ("adjudicate", {"filter": SOME}, "expected"),
        ("ask-again", {"filter": SOME, "expected": 1, "more": 11}, "more"),
        ("excluded", {"filter": SOME, "because": "x"}, "or a filter with the number it finds"),
        ("excluded", {"filter": "", "expected": 1, "pairs": [1], "because": "x"}, "or a filter with the number"),
        ("excluded", {"pairs": [1], "because": " "}, "because"),
        ("put-back", {}, "Say which pairs come back"),
        ("put-back", {"at": "yesterday"}, "A batch is named by the moment"),
        ("put-back", {"at": "2026-99-99T00:00:00Z"}, "A batch is named by the moment"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_sentence(
    project: Any, lead: Any, api: Any, found: int, address: str, sent: dict[str, Any], says: str
) -> None:
    answer = api(lead).post(f"{BASE}/{address}", sent, format="json")
    assert answer.status_code == 400
    assert says in answer.content.decode()
    assert not Adjudication.objects.exists()
    assert not Pair.objects.exclude(excluded_at=None).exists()


@pytest.mark.parametrize("query", ["filter=mood=good", "sort=prompt", "after=zz", "mood=good", "filter=a%00"])
def test_an_unknown_filter_order_or_page_is_400(project: Any, lead: Any, api: Any, many: Any, query: str) -> None:
    assert api(lead).get(f"{BASE}/rows?{query}").status_code == 400


def test_without_facts_it_says_how_to_have_some(project: Any, lead: Any, api: Any, make_pair: Any) -> None:
    make_pair()
    answer = api(lead).get(f"{BASE}/count")
    assert (answer.status_code, answer.json()["detail"]) == (400, NO_FACTS)


def test_facts_are_gathered_by_a_worker_for_a_model_that_was_measured(
    project: Any, lead: Any, api: Any, many: Any
) -> None:
    client, before = api(lead), FactsState.objects.get(project=project)
    asked = client.post(f"{BASE}/gather", {"model": "tiny"}, format="json")
    assert asked.status_code == 202
    run = project.runs.get(pk=asked.json()["id"])
    assert (run.kind, run.state, run.parameters) == ("facts", "waiting", {"model": "tiny", "whole": True})
    # One that has not begun is enough.
    assert client.post(f"{BASE}/gather", {"model": "tiny"}, format="json").json()["id"] == run.pk
    refused = client.post(f"{BASE}/gather", {"model": "large"}, format="json")
    assert (refused.status_code, "It was for tiny." in refused.json()["detail"]) == (400, True)
    assert client.post(f"{BASE}/gather", {"modell": "tiny"}, format="json").status_code == 400
    hold = claim(run_id=run.pk, worker="here")
    assert hold is not None
    hold.finish(result=gathering.execute(hold))
    told = client.get(f"{BASE}/count").json()
    assert told["version"] == before.version + 1


def test_only_leads_reach_it(project: Any, alice: Any, stranger: Any, api: Any, many: Any) -> None:
    for client in (api(alice), api(stranger)):
        for name in ("count", "rows", "excluded"):
            assert client.get(f"{BASE}/{name}").status_code == 404
        for name in ("gather", "adjudicate", "ask-again", "excluded", "put-back"):
            assert client.post(f"{BASE}/{name}", {}, format="json").status_code == 404
