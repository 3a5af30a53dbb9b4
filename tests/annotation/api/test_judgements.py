"""Judging over the API: the same verbs, as blind as the page."""

from __future__ import annotations

import uuid

import pytest

from annotation import guiding
from annotation.answering import CONTROLS, turned
from annotation.guiding import Entry
from annotation.models import Assignment, Judgement, Span

HOME = "/api/v1/projects/everyday"


def test_what_is_handed_out_is_blind(api, alice, make_pair):
    for n in range(4):
        make_pair(external_id=f"canary-id-{n}", source="canary-source", label="first", tags=["canary-tag"])
    answer = api(alice).post(f"{HOME}/assignments")
    assert len(answer.json()["assignments"]) == 3
    assert "canary" not in answer.content.decode()
    assert set(answer.json()["assignments"][0]) == {"assignment", "lease_until", "system", "prompt", "a", "b"}


def test_the_sides_are_those_that_are_stored(api, alice, make_pair):
    for n in range(3):
        make_pair(first=f"The first of {n}.", second=f"The second of {n}.")
    for item in api(alice).post(f"{HOME}/assignments").json()["assignments"]:
        swapped = Assignment.objects.get(pk=item["assignment"]).swapped
        assert item["a"][0]["content"].startswith("The second" if swapped else "The first")


@pytest.mark.parametrize("control", [name for name in CONTROLS if name != "skip"])
def test_the_stored_value_is_the_chosen_value(api, alice, make_pair, control):
    make_pair()
    client = api(alice)
    for swapped in (False, True):
        taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
        Assignment.objects.filter(pk=taken).update(swapped=swapped)
        answer = client.post(f"{HOME}/judgements", {"assignment": taken, "verdict": control}, format="json")
        assert answer.status_code == 201, answer.json()
        stored = Judgement.objects.current().get(assignment=taken)
        verdict, towards_a = CONTROLS[control]
        assert (stored.verdict, stored.strength) == (verdict, turned(towards_a, swapped=swapped))
        assert client.delete(f"{HOME}/judgements/last").status_code == 200


def test_sending_the_same_key_again_stores_nothing_twice(api, alice, make_pair):
    make_pair()
    client = api(alice)
    taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
    body = {"assignment": taken, "verdict": "a1", "key": str(uuid.uuid4()), "text": "It is right.", "tags": ["correct"]}
    answers = [client.post(f"{HOME}/judgements", body, format="json") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert Judgement.objects.count() == 1


def test_an_answer_is_stamped_with_the_version_that_it_names(api, alice, make_pair, project):
    for _ in range(3):
        make_pair()
    client = api(alice)
    guiding.publish_guideline(project=project, text="Old rule.")
    taken = client.post(f"{HOME}/assignments").json()
    assert taken["guideline_version"] == 1
    guiding.publish_guideline(project=project, text="New rule.")
    one, two, three = (item["assignment"] for item in taken["assignments"])

    def submit(assignment, **more):
        return client.post(f"{HOME}/judgements", {"assignment": assignment, "verdict": "a1", **more}, format="json")

    assert submit(one, guideline_version=1).status_code == 201
    assert submit(two).status_code == 201
    assert submit(three, guideline_version=0).status_code == 201
    stamps = {row.assignment_id: row.guideline and row.guideline.version for row in Judgement.objects.all()}
    assert stamps == {one: 1, two: 2, three: None}
    unknown = {"verdict": "b1", "revision": 1, "guideline_version": 3}
    refused = client.put(f"{HOME}/assignments/{one}/judgement", unknown, format="json")
    assert (refused.status_code, Judgement.objects.count()) == (400, 3)
    assert "no version 3" in refused.content.decode()
    assert (
        client.put(
            f"{HOME}/assignments/{one}/judgement", {**unknown, "guideline_version": 1}, format="json"
        ).status_code
        == 200
    )
    assert Judgement.objects.current().filter(assignment=one, guideline__version=1).exists()


def test_an_answer_to_a_pair_that_is_not_leased_is_refused(api, alice, bob, make_pair):
    make_pair()
    taken = api(bob).post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
    answer = api(alice).post(f"{HOME}/judgements", {"assignment": taken, "verdict": "a1"}, format="json")
    assert answer.status_code == 409
    assert answer.json()["detail"]
    assert not Judgement.objects.exists()


def test_undo_and_revise_keep_every_revision(api, alice, lead, make_pair):
    make_pair()
    client = api(alice)
    taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
    client.post(f"{HOME}/judgements", {"assignment": taken, "verdict": "a3"}, format="json")
    assert client.delete(f"{HOME}/judgements/last").json()["assignment"] == taken
    client.post(f"{HOME}/judgements", {"assignment": taken, "verdict": "b2"}, format="json")
    stale = {"verdict": "b1", "revision": 1}
    assert client.put(f"{HOME}/assignments/{taken}/judgement", stale, format="json").status_code == 409
    revised = client.put(f"{HOME}/assignments/{taken}/judgement", {"verdict": "b1", "revision": 2}, format="json")
    assert revised.json()["stored"] == "B slightly better"
    rows = api(lead).get(f"{HOME}/judgements").json()["results"]
    assert [(row["revision"], row["is_current"]) for row in rows] == [(1, False), (2, False), (3, True)]


def test_judgements_are_filtered_by_pair_annotator_and_whether_they_count(api, alice, bob, lead, make_pair):
    pairs = [make_pair(slots=2) for _ in range(2)]
    for who in (alice, bob):
        for _ in pairs:
            client = api(who)
            taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
            client.post(f"{HOME}/judgements", {"assignment": taken, "verdict": "a3"}, format="json")
    api(bob).delete(f"{HOME}/judgements/last")

    def listed(query):
        rows = api(lead).get(f"{HOME}/judgements?{query}").json()["results"]
        return sorted((row["annotator"], row["is_current"]) for row in rows)

    assert listed("") == [(alice.pk, True), (alice.pk, True), (bob.pk, False), (bob.pk, True)]
    assert listed(f"annotator={bob.pk}") == [(bob.pk, False), (bob.pk, True)]
    assert listed(f"annotator={bob.pk}&is_current=false") == [(bob.pk, False)]
    assert sorted(row for pair in pairs for row in listed(f"pair={pair.pk}")) == listed("")
    assert listed(f"pair={pairs[0].pk}&annotator={alice.pk}&is_current=true") == [(alice.pk, True)]
    assert listed(f"pair={pairs[-1].pk + 1}") == []


@pytest.mark.parametrize("query", ["pair=x", "pair=0", "annotator=", "is_current=perhaps", "is_current=", "run=1"])
def test_a_filter_of_judgements_that_does_not_fit_is_refused(api, lead, query):
    answer = api(lead).get(f"{HOME}/judgements?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json()["detail"]


def test_what_the_project_does_not_offer_is_refused(api, alice, make_pair, project):
    make_pair()
    project.scale, project.allow_tie = 2, False
    project.save()
    client = api(alice)
    taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
    for verdict in ("a3", "same"):
        answer = client.post(f"{HOME}/judgements", {"assignment": taken, "verdict": verdict}, format="json")
        assert answer.status_code == 400
        assert answer.json()["detail"]
    nul = client.post(f"{HOME}/judgements", {"assignment": taken, "verdict": "a1", "text": "a\0b"}, format="json")
    assert nul.status_code == 400
    assert not Judgement.objects.exists()


def test_an_empty_queue_says_why(api, alice):
    answer = api(alice).post(f"{HOME}/assignments").json()
    assert answer["assignments"] == []
    assert answer["why_empty"]


def test_strangers_and_leads_of_other_projects_get_404(api, stranger, make_pair):
    make_pair()
    assert api(stranger).post(f"{HOME}/assignments").status_code == 404
    assert (
        api(stranger).post(f"{HOME}/judgements", {"assignment": 1, "verdict": "a1"}, format="json").status_code == 404
    )
    assert api(stranger).delete(f"{HOME}/judgements/last").status_code == 404


def test_the_number_of_queries_does_not_grow(api, alice, lead, make_pair, django_assert_max_num_queries):
    client = api(alice)
    for _ in range(12):
        make_pair()
    for _ in range(12):
        taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
        client.post(f"{HOME}/judgements", {"assignment": taken, "verdict": "a1", "text": "Yes."}, format="json")
    leads = api(lead)
    leads.get(f"{HOME}/judgements?limit=1")
    with django_assert_max_num_queries(8):
        assert len(leads.get(f"{HOME}/judgements").json()["results"]) == 12


@pytest.fixture
def guided(project):
    guideline = guiding.publish_guideline(
        project=project,
        text="# Judge",
        principles=[Entry(short=name, text=f"Be {name}.") for name in ("right", "kind")],
    )
    type(project).objects.update(votes_policy="all")
    return [place.principle_id for place in guideline.places.order_by("position")]


@pytest.mark.parametrize("swapped", [False, True])
def test_highlights_and_votes_are_stored_on_the_candidate_that_was_meant(api, alice, make_pair, guided, swapped):
    pair = make_pair(prompt="Why?", first="One 😀 two.", second="Three é four.")
    client = api(alice)
    taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
    Assignment.objects.filter(pk=taken).update(swapped=swapped)
    on_a = {"place": "a", "start": 0, "end": 5, "polarity": "hurts", "tag": "tone", "principle": guided[1]}
    body = {
        "assignment": taken,
        "verdict": "a2",
        "spans": [on_a, {"place": "prompt", "start": 0, "end": 4}],
        "votes": [{"principle": guided[0], "vote": "a"}, {"principle": guided[1], "vote": "b"}],
        "deciding": guided[0],
    }
    answer = client.post(f"{HOME}/judgements", body, format="json")
    assert answer.status_code == 201, answer.json()
    stored = Judgement.objects.current().get(assignment=taken)
    as_a, as_b = ("second", "first") if swapped else ("first", "second")
    assert dict(stored.votes.values_list("principle_id", "vote")) == {guided[0]: as_a, guided[1]: as_b}
    assert stored.deciding_principle_id == guided[0]
    spans = list(
        Span.objects.filter(rationale__judgement=stored)
        .order_by("id")
        .values_list("candidate_id", "start", "end", "polarity", "tag", "principle_id")
    )
    left = pair.second_id if swapped else pair.first_id
    assert spans == [(left, 0, 5, "hurts", "tone", guided[1]), (None, 0, 4, "supports", "", None)]
    # A lead reads the votes back by principle.
    seen = api(alice).get(f"{HOME}/judgements")
    assert seen.status_code == 404, "An annotator does not."


@pytest.mark.parametrize(
    ("wrong", "status", "told"),
    [
        ({"spans": [{"place": "a", "start": 0, "end": 500}]}, 400, "outside of the text"),
        ({"spans": [{"place": "a", "start": 5, "end": 5}]}, 400, "empty"),
        ({"spans": [{"place": "first", "start": 0, "end": 5}]}, 400, "place"),
        ({"votes": [{"principle": 999_999, "vote": "a"}]}, 400, "guideline has changed"),
        ({"votes": [{"principle": 1, "vote": "first"}]}, 400, "vote"),
        ({"pull": True}, 400, "Say which one decided"),
    ],
)
def test_highlights_and_votes_that_do_not_fit_store_nothing(api, alice, make_pair, guided, wrong, status, told):
    make_pair()
    client = api(alice)
    taken = client.post(f"{HOME}/assignments").json()["assignments"][0]["assignment"]
    if wrong.get("pull"):
        wrong = {"votes": [{"principle": guided[0], "vote": "a"}, {"principle": guided[1], "vote": "b"}]}
    answer = client.post(f"{HOME}/judgements", {"assignment": taken, "verdict": "a2", **wrong}, format="json")
    assert answer.status_code == status
    assert told in answer.content.decode()
    assert not Judgement.objects.exists()
