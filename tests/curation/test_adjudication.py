"""Adjudication: in which order pairs wait, the page and the API. Settling itself: test_settling.py."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.urls import reverse

from annotation.models import Event, Judgement
from curation import docket, gathering
from curation.adjudicating import waiting_for
from curation.docket import letter
from curation.models import Adjudication, Ruling
from tests.curation.settled import settle

ADDRESS = "/p/everyday/adjudication"


def test_disagreement_comes_first_then_what_waits_longest(
    project: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, waiting: Any
) -> None:
    agreed, divided, torn, unknown = (make_pair() for _ in range(4))
    for pair, verdicts in (
        (agreed, ("first",) * 3),
        (divided, ("first", "first", "second")),
        (torn, ("first", "second", "tie")),
    ):
        for who, what in zip(crowd, verdicts, strict=True):
            say(who, pair, what)
    gathering.gather_facts(project=project)
    later = make_pair()
    for pair in (unknown, agreed, divided, torn, later):
        waiting(pair)
    assert [one.pair for one in waiting_for(adjudicator)] == [torn, divided, agreed, unknown, later]


def test_a_letter_stays_with_its_annotator(alice: Any, bob: Any, robot: Any, make_pair: Any, say: Any) -> None:
    pair = make_pair()
    say(bob, pair, "first")
    say(robot, pair, "tie")
    say(alice, pair, "second")
    say(bob, pair, "second", 3)
    Judgement.objects.filter(annotator=robot).update(is_current=False)
    voices = docket.voices_of(pair)
    assert [(one.name, one.judgement.annotator, one.judgement.strength) for one in voices] == [
        ("A", bob, -3),
        ("C", alice, -1),
    ]
    assert [letter(place) for place in (0, 25, 26, 701, 702)] == ["A", "Z", "AA", "ZZ", "AAA"]


# ---- the page ----


@pytest.mark.parametrize("who", ["alice", "stranger"])
def test_the_page_is_for_adjudicators_and_leads(request: Any, project: Any, sign_in: Any, who: str) -> None:
    assert sign_in(request.getfixturevalue(who)).get(ADDRESS).status_code == 404


def test_names_and_models_are_hidden(
    adjudicator: Any, alice: Any, bob: Any, make_pair: Any, say: Any, waiting: Any, sign_in: Any
) -> None:
    from annotation.models import Rationale, Span

    pair = make_pair(prompt="What is zażółć?", first="A Polish phrase.", second="A city.")
    one = say(alice, pair, "first", 2)
    say(bob, pair, "second", 3)
    why = Rationale.objects.create(
        pair=pair, annotator=alice, judgement=one, text="It says <b>why</b>.", tags=["correct"]
    )
    Span.objects.create(rationale=why, candidate=pair.first, start=2, end=8)
    waiting(pair)
    text = sign_in(adjudicator).get(ADDRESS).content.decode()
    for there in (
        "Annotator A",
        "Annotator B",
        "It says &lt;b&gt;why&lt;/b&gt;.",
        '<q dir="auto">Polish</q>',
        "first, 2 of 3",
        "second, 3 of 3",
    ):
        assert there in text, there
    for hidden in ("Alice", "Bob", "canary-first", "canary-second", 'example.org">Al'):
        assert hidden not in text, hidden
    assert reverse("board", args=["everyday"]) not in text, "The lead's pages are no use to an adjudicator."


def test_a_form_settles_and_undo_brings_the_words_back(adjudicator: Any, waiting: Any, sign_in: Any) -> None:
    one = waiting()
    client = sign_in(adjudicator)
    page = client.get(ADDRESS)
    form = {
        "adjudication": one.pk,
        "key": page.context["key"],
        "outcome": "unclear",
        "reason": "Both could do.",
        "note": "Length is not mentioned.",
    }
    answer = client.post(ADDRESS, {**form, "note": ""})
    assert answer.status_code == 422
    assert b"what the guideline leaves unclear" in answer.content
    assert b"Both could do." in answer.content, "No word is lost."
    answer = client.post(ADDRESS, form, follow=True)
    assert "the guideline is unclear" in answer.content.decode()
    assert "Nothing to settle" in answer.content.decode()
    late = client.post(ADDRESS, {**form, "key": uuid.uuid4(), "reason": "Once more."})
    assert (late.status_code, b"settled meanwhile" in late.content, b"Once more." in late.content) == (422, True, True)
    answer = client.post(f"{ADDRESS}/undo", {"adjudication": one.pk}, follow=True)
    text = answer.content.decode()
    assert "waits again" in text
    assert "Both could do." in text
    assert "Length is not mentioned." in text
    assert client.post(ADDRESS, {**form, "key": "x"}).status_code == 422
    assert client.post(ADDRESS, {**form, "adjudication": 987654321}).status_code == 404


def test_who_judged_everything_that_waits_reads_why(
    adjudicator: Any, lead: Any, make_pair: Any, say: Any, waiting: Any, sign_in: Any
) -> None:
    pair = make_pair()
    say(adjudicator, pair, "first")
    waiting(pair)
    client = sign_in(adjudicator)
    assert "Other adjudicators of this project can." in client.get(ADDRESS).content.decode()
    lead.is_active = False
    lead.save()
    assert "There is no other adjudicator" in client.get(ADDRESS).content.decode()


def test_an_admin_without_a_seat_looks_and_does_not_settle(admin: Any, waiting: Any, sign_in: Any) -> None:
    one = waiting()
    client = sign_in(admin)
    assert b"Settling needs a seat of your own" in client.get(ADDRESS).content
    answer = client.post(ADDRESS, {"adjudication": one.pk, "key": uuid.uuid4(), "outcome": "tie"})
    assert answer.status_code == 422
    assert not Ruling.objects.exists()


def test_another_projects_adjudications_are_not_there(stranger: Any, waiting: Any, sign_in: Any) -> None:
    one = waiting()
    client = sign_in(stranger)
    for path in ("", "/undo"):
        assert client.post(f"/p/elsewhere/adjudication{path}", {"adjudication": one.pk}).status_code == 404


def test_the_page_asks_the_same_questions_for_few_and_many(
    adjudicator: Any,
    crowd: Any,
    make_pair: Any,
    say: Any,
    waiting: Any,
    sign_in: Any,
    django_assert_max_num_queries: Any,
) -> None:
    for _ in range(30):
        pair = make_pair()
        for who in crowd:
            say(who, pair, "first")
        waiting(pair)
    client = sign_in(adjudicator)
    with django_assert_max_num_queries(32):
        assert client.get(ADDRESS).status_code == 200


def test_a_lead_sends_the_most_divided_with_a_number_to_confirm(
    project: Any, lead: Any, adjudicator: Any, crowd: Any, make_pair: Any, say: Any, sign_in: Any
) -> None:
    pairs = [make_pair() for _ in range(4)]
    for n, pair in enumerate(pairs):
        for place, who in enumerate(crowd):
            say(who, pair, "second" if place < n else "first")
    gathering.gather_facts(project=project)
    client = sign_in(lead)
    text = client.get(f"{ADDRESS}?send=1").content.decode()
    assert "1 pair would wait for an adjudicator" in text
    assert not Adjudication.objects.exists(), "Looking sends nothing."
    client.post(f"{ADDRESS}/send", {"n": 5, "expected": 5})
    assert not Adjudication.objects.exists(), "The number that was confirmed is not the number that is found."
    for _ in range(2):
        client.post(f"{ADDRESS}/send", {"n": 5, "expected": 2})
    assert {one.pair for one in Adjudication.objects.all()} == set(pairs[1:3]), "Pairs that agree are none."
    assert Event.objects.filter(act="adjudication.send").count() == 1
    assert sign_in(adjudicator).post(f"{ADDRESS}/send", {"n": 5, "expected": 0}).status_code == 404


def test_a_program_sends_the_most_divided_with_the_number_that_it_was_told(
    project: Any, lead: Any, adjudicator: Any, alice: Any, crowd: Any, make_pair: Any, say: Any, api: Any
) -> None:
    pairs = [make_pair() for _ in range(4)]
    for n, pair in enumerate(pairs):
        for place, who in enumerate(crowd):
            say(who, pair, "second" if place < n else "first")
    gathering.gather_facts(project=project)
    client, address = api(lead), "/api/v1/projects/everyday/adjudications/most-divided"
    told = client.get(f"{address}?n=5").json()
    assert {*told["pairs"]} == {one.pk for one in pairs[1:3]}
    assert told["highest"] >= told["lowest"] > 0
    assert client.get(f"{address}?n=1").json()["pairs"] == told["pairs"][:1]
    assert client.post(address, {"n": 5, "expected": 5}, format="json").status_code == 400
    assert not Adjudication.objects.exists()
    assert client.post(address, {"n": 5, "expected": 2}, format="json").json() == {"sent": 2}
    assert [one.pair_id for one in Adjudication.objects.order_by("pk")] == told["pairs"]
    assert client.get(f"{address}?n=5").json() == {"pairs": [], "highest": None, "lowest": None}
    for wrong in ("", "n=0", "n=x", "n=5&more=1"):
        assert client.get(f"{address}?{wrong}").status_code == 400
    for who in (adjudicator, alice):
        assert api(who).get(f"{address}?n=5").status_code == 404
        assert api(who).post(address, {"n": 5, "expected": 2}, format="json").status_code == 404


def test_what_is_unclear_reaches_the_lead(
    project: Any, lead: Any, adjudicator: Any, waiting: Any, sign_in: Any
) -> None:
    settle(waiting(), adjudicator, "unclear", note="Is a joke harmful?")
    waiting()
    text = sign_in(lead).get(ADDRESS).content.decode()
    assert "Is a joke harmful?" in text
    overview = sign_in(lead).get("/p/everyday/").content.decode()
    assert "1 pair waits for an adjudicator" in overview
    assert "The guideline is unclear on 1 pair" in overview
    assert "Is a joke harmful?" not in sign_in(adjudicator).get(ADDRESS).content.decode().split("Your decisions")[0]


# ---- the API ----


def test_the_api_lists_settles_and_takes_back(
    project: Any, adjudicator: Any, alice: Any, waiting: Any, make_pair: Any, say: Any, api: Any
) -> None:
    pair = make_pair()
    say(alice, pair, "first", 2)
    one = waiting(pair)
    client, base = api(adjudicator), "/api/v1/projects/everyday/adjudications"
    listed = client.get(base).json()["results"]
    assert [(row["id"], row["pair"]) for row in listed] == [(one.pk, pair.pk)]
    said = {"verdict": "prefer", "strength": 2, "reasons": [], "cause": ""}
    assert listed[0]["voices"] == [{"name": "A", "is_judge": False, **said}]
    assert "Alice" not in str(listed)
    address, key = f"{base}/{one.pk}/ruling", str(uuid.uuid4())
    assert client.put(address, {"outcome": "left"}, format="json").status_code == 400
    for _ in range(2):
        answer = client.put(address, {"outcome": "ambiguous", "reason": "It depends.", "key": key}, format="json")
        assert (answer.status_code, answer.json()["revision"]) == (200, 1)
    assert client.put(address, {"outcome": "tie"}, format="json").status_code == 409
    assert client.get(base).json()["results"] == []
    assert client.delete(address).json()["outcome"] == ""
    assert len(client.get(base).json()["results"]) == 1
    assert api(alice).get(base).status_code == 404
