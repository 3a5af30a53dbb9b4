"""Ranking over the API: the same verbs and the same blindness as the page; and the origin of what is implied."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from annotation.models import Candidate, Judgement, Project, Ranking, Turn
from tests.lineups import answers

HOME = "/api/v1/projects/everyday"
pytestmark = pytest.mark.django_db


def take(client: Any) -> dict[str, Any]:
    turn = client.post(f"{HOME}/turns").json()["turn"]
    assert isinstance(turn, dict)
    return turn


def send(client: Any, turn: dict[str, Any], places: dict[str, int | None] | None = None, **more: Any) -> Any:
    body = {"turn": turn["turn"], "claim": turn["claim"], **more}
    return client.post(f"{HOME}/rankings", {**body, **({} if places is None else {"places": places})}, format="json")


def test_what_is_handed_out_is_blind(ranking_project: Project, api: Any, alice: Any) -> None:
    prompt = answers(ranking_project, 4)
    Candidate.objects.filter(prompt=prompt).update(strategy="canary-strategy")
    answer = api(alice).post(f"{HOME}/turns")
    assert "canary" not in answer.content.decode()
    turn = answer.json()["turn"]
    assert set(turn) == {"turn", "claim", "lease_until", "system", "prompt", "candidates"}
    assert [set(one) for one in turn["candidates"]] == [{"letter", "messages"}] * 4
    assert [one["letter"] for one in turn["candidates"]] == ["a", "b", "c", "d"]
    texts = [one["messages"][0]["content"] for one in turn["candidates"]]
    shown = Turn.objects.get(pk=turn["turn"]).shown
    assert texts == [Candidate.objects.get(pk=number).text for number in shown]
    assert take(api(alice))["claim"] == turn["claim"], "Taken again it is the same one, in the same order."


def test_the_stored_ranks_are_those_that_were_sent_and_imply_their_pairs(
    ranking_project: Project, api: Any, alice: Any, lead: Any
) -> None:
    answers(ranking_project, 4)
    client = api(alice)
    turn = take(client)
    answer = send(client, turn, {"a": 2, "b": 1, "c": 2, "d": None}, note="B is right.", flags=["other"])
    assert answer.status_code == 201, answer.json()
    assert answer.json() == {"turn": turn["turn"], "revision": 1, "stored": "B > A = C, D not ranked"}
    made = Ranking.objects.get()
    assert (made.ranks, made.note, made.flags, made.client) == ([2, 1, 2, None], "B is right.", ["other"], "api")
    [row] = api(lead).get(f"{HOME}/rankings").json()["results"]
    assert (row["candidates"], row["ranks"]) == (made.shown, [2, 1, 2, None])
    assert (row["annotator"], row["prompt"], row["is_current"]) == (alice.pk, made.turn.lineup.prompt_id, True)
    judged = api(lead).get(f"{HOME}/judgements").json()["results"]
    assert [one["ranking"] for one in judged] == [made.pk] * 3
    [mine] = client.get(f"{HOME}/rankings/mine").json()["results"]
    assert mine["places"] == {"a": 2, "b": 1, "c": 2, "d": None}
    assert mine["claim"] == turn["claim"]
    assert "candidates" not in mine


def test_the_same_key_again_stores_nothing_twice(ranking_project: Project, api: Any, alice: Any) -> None:
    answers(ranking_project, 3)
    client = api(alice)
    turn, key = take(client), str(uuid.uuid4())
    sent = [send(client, turn, {"a": 1, "b": 2, "c": 3}, key=key) for _ in range(2)]
    assert [one.status_code for one in sent] == [201, 201]
    assert sent[0].json() == sent[1].json()
    assert Ranking.objects.count() == 1


def test_take_back_and_revise_keep_every_revision(ranking_project: Project, api: Any, alice: Any, lead: Any) -> None:
    answers(ranking_project, 3)
    client = api(alice)
    turn = take(client)
    send(client, turn, {"a": 1, "b": 2, "c": 3})
    reopened = client.delete(f"{HOME}/rankings/last")
    assert (reopened.status_code, reopened.json()["claim"]) == (200, turn["claim"])
    assert reopened.json()["candidates"] == turn["candidates"]
    assert not Judgement.objects.current().exists()
    assert client.get(f"{HOME}/rankings/mine").json()["results"] == []
    assert client.delete(f"{HOME}/rankings/last").status_code == 400
    send(client, turn, {"a": 3, "b": 2, "c": 1})
    place = f"{HOME}/turns/{turn['turn']}/ranking"
    body = {"claim": turn["claim"], "places": {"a": 1, "b": 1, "c": 2}}
    assert client.put(place, {**body, "revision": 1}, format="json").status_code == 409
    revised = client.put(place, {**body, "revision": 2}, format="json")
    assert revised.json() == {"turn": turn["turn"], "revision": 3, "stored": "A = B > C"}
    rows = api(lead).get(f"{HOME}/rankings").json()["results"]
    assert [(row["revision"], row["is_current"]) for row in rows] == [(1, False), (2, False), (3, True)]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"places": {"a": 1}}, 400),
        ({"places": {"a": 1, "z": 2}}, 400),
        ({"places": {"a": 0, "b": 1}}, 400),
        ({"places": {"a": 1, "b": 2}, "note": "a\0b"}, 400),
        ({"skip_reason": "bored"}, 400),
        ({"places": {"a": 1, "b": 2}, "claim": "of another time"}, 409),
        ({"places": {"a": 1, "b": 2}, "turn": 2**40}, 409),
    ],
)
def test_what_cannot_be_stored_is_refused(
    ranking_project: Project, api: Any, alice: Any, more: dict[str, Any], status: int
) -> None:
    answers(ranking_project, 3)
    client = api(alice)
    answer = send(client, {**take(client), **{name: more.pop(name) for name in ("turn",) if name in more}}, **more)
    assert answer.status_code == status
    assert answer.json()["detail"]
    assert not Ranking.objects.exists()


def test_a_skip_has_a_reason(ranking_project: Project, api: Any, alice: Any) -> None:
    answers(ranking_project, 3)
    client = api(alice)
    assert send(client, take(client), skip_reason="language").status_code == 201
    assert Ranking.objects.get().ranks == [None, None, None]


def test_nothing_to_rank_says_why(project: Project, api: Any, alice: Any) -> None:
    told = api(alice).post(f"{HOME}/turns").json()
    assert told["turn"] is None
    assert "judgements of pairs" in told["why_empty"]
    Project.objects.update(task="rankings")
    assert "three candidates" in api(alice).post(f"{HOME}/turns").json()["why_empty"]


def test_nobody_reaches_what_is_not_theirs(
    ranking_project: Project, api: Any, alice: Any, bob: Any, stranger: Any
) -> None:
    answers(ranking_project, 3)
    turn = take(api(alice))
    send(api(alice), turn, {"a": 1, "b": 2, "c": 3})
    body = {"claim": turn["claim"], "places": {"a": 2, "b": 1}, "revision": 1}
    for who in (bob, stranger):
        assert api(who).put(f"{HOME}/turns/{turn['turn']}/ranking", body, format="json").status_code == 404
    assert api(bob).get(f"{HOME}/rankings/mine").json()["results"] == []
    assert api(bob).get(f"{HOME}/rankings").status_code == 404
    assert send(api(bob), turn, {"a": 2, "b": 1}).status_code == 409
    for path in ("turns", "rankings"):
        assert api(stranger).post(f"{HOME}/{path}", {}, format="json").status_code == 404
    for path in ("rankings", "rankings/mine"):
        assert api(stranger).get(f"{HOME}/{path}").status_code == 404
    assert api(stranger).delete(f"{HOME}/rankings/last").status_code == 404
    assert Ranking.objects.count() == 1


def test_the_queries_do_not_grow(
    ranking_project: Project, api: Any, alice: Any, lead: Any, django_assert_max_num_queries: Any
) -> None:
    client = api(alice)
    for n in range(12):
        answers(ranking_project, 3, text=f"Prompt {n}?")
    for _ in range(12):
        send(client, take(client), {"a": 1, "b": 2, "c": 3})
    leads = api(lead)
    with django_assert_max_num_queries(5):
        assert len(leads.get(f"{HOME}/rankings").json()["results"]) == 12
    with django_assert_max_num_queries(6):
        page = client.get(f"{HOME}/rankings/mine?limit=5").json()
    assert len(page["results"]) == 5
    assert page["next"] == page["results"][-1]["id"]
    assert client.get(f"{HOME}/rankings/mine?order=up").status_code == 400
