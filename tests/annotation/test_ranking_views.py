"""Rankings over HTTP: the page with and without its script, my rankings, and who finds nothing."""

from __future__ import annotations

import json
import re
import threading
import uuid
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from annotation import guiding, judging, ranking
from annotation.models import Annotator, Candidate, Project, Ranking, Turn
from tests.lineups import answers, rank
from tests.locks import until_somebody_waits

RANK = "/p/everyday/rank"
FETCH = {"X-Plumbline": "1"}


@pytest.fixture
def desk(sign_in: Any, alice: Annotator) -> Client:
    client: Client = sign_in(alice)
    return client


def form_of(client: Client) -> dict[str, Any]:
    context = client.get(RANK).context
    return {"turn": context["turn"].pk, "claim": context["claim"], "key": str(context["key"])}


@pytest.mark.django_db
def test_the_page_ranks_without_the_script(ranking_project: Project, desk: Client) -> None:
    answers(ranking_project, 4)
    form = form_of(desk)
    answer = desk.post(RANK, {**form, "place-a": "2", "place-b": "1", "place-c": "2", "place-d": "", "note": "So."})
    assert (answer.status_code, answer["Location"]) == (303, RANK)
    made = Ranking.objects.get()
    assert (made.ranks, made.note) == ([2, 1, 2, None], "So.")
    assert "B &gt; A = C, D not ranked" in desk.get(RANK).content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_draft_of_another_device_that_comes_just_before_the_ranking_is_handed_back(
    ranking_project: Project, alice: Annotator, desk: Client
) -> None:
    """The ranking was sent before the draft was stored, and is stored after it."""
    answers(ranking_project, 3)
    form = form_of(desk)
    told: list[Any] = []

    def send() -> None:
        fields = {**form, "place-a": "1", "place-b": "2", "place-c": "3", "beyond": ["0"]}
        told.append(desk.post(RANK, fields, headers=FETCH).json())
        connection.close()

    with transaction.atomic():
        judging.lock(alice)
        page = threading.Thread(target=send)
        page.start()
        until_somebody_waits()
        ranking.save_draft(
            annotator=alice, turn_id=form["turn"], claim=form["claim"], body='{"note": "elsewhere"}', version=5,
            beyond=(0,),
        )  # fmt: skip
    page.join()
    assert told[0]["unseen"] == {"note": "elsewhere"}
    assert Turn.objects.get(pk=form["turn"]).draft is None


@pytest.mark.django_db
def test_a_refused_form_keeps_everything_in_it(ranking_project: Project, desk: Client) -> None:
    answers(ranking_project, 3)
    form = {**form_of(desk), "place-a": "1", "place-b": "", "place-c": "x", "note": "My words.", "flag": "harmful"}
    page = desk.post(RANK, form)
    assert page.status_code == 422
    text = page.content.decode()
    assert "My words." in text
    assert re.search(r'name="place-a"[^>]*value="1"', text)
    assert re.search(r'value="harmful" checked', text)
    assert not Ranking.objects.exists()


@pytest.mark.django_db
def test_the_script_gets_json_for_everything(ranking_project: Project, desk: Client) -> None:
    answers(ranking_project, 3)
    form = form_of(desk)
    draft = {**form, "version": 5, "body": json.dumps({"place": {"a": 1}, "note": "half"})}
    assert desk.post(f"{RANK}/draft", draft, headers=FETCH).status_code == 204
    late = desk.post(f"{RANK}/draft", {**draft, "version": 4, "body": "{}"}, headers=FETCH)
    assert (late.status_code, late.json()["version"]) == (409, 5), "It is not called saved."
    assert desk.get(RANK).context["draft"] == {"place": {"a": 1}, "note": "half", "version": 5}
    assert desk.post(f"{RANK}/draft", {**draft, "body": "[]"}, headers=FETCH).status_code == 422
    assert desk.post(f"{RANK}/beat", headers=FETCH).status_code == 204
    few = desk.post(RANK, {**form, "place-a": "1"}, headers=FETCH)
    assert (few.status_code, few.json()["field"]) == (422, "place")
    done = desk.post(RANK, {**form, "place-a": "1", "place-b": "2"}, headers=FETCH)
    assert done.json() == {"saved": {"text": "Saved: A > B, C not ranked"}, "next": RANK}
    late = desk.post(RANK, {**form, "key": str(uuid.uuid4()), "place-a": "1", "place-b": "2"}, headers=FETCH)
    assert late.status_code == 409
    assert desk.post(f"{RANK}/undo", headers=FETCH).json() == {"next": RANK}
    assert desk.get(RANK).context["candidates"][0]["place"] == 1
    Project.objects.update(state="paused")
    closed = desk.post(RANK, {**form_of_closed(form), "place-a": "1", "place-b": "2"}, headers=FETCH)
    assert closed.status_code == 423


def form_of_closed(form: dict[str, Any]) -> dict[str, Any]:
    return {**form, "key": str(uuid.uuid4())}


@pytest.mark.django_db
def test_my_rankings_are_listed_and_changed(ranking_project: Project, desk: Client, alice: Annotator) -> None:
    answers(ranking_project, 3)
    made = rank(alice, 1, 2, 3)
    assert "A &gt; B &gt; C" in desk.get("/p/everyday/rankings").content.decode()
    path = f"/p/everyday/rankings/{made.turn_id}"
    page = desk.get(path)
    form = {"turn": made.turn_id, "claim": page.context["claim"], "key": str(page.context["key"]), "revision": 1}
    assert [one["place"] for one in page.context["candidates"]] == [1, 2, 3]
    assert desk.post(path, {**form, "place-a": "3", "place-b": "2", "place-c": "1"}).status_code == 303
    assert "C &gt; B &gt; A" in desk.get("/p/everyday/rankings").content.decode()
    stale = desk.post(path, {**form, "key": str(uuid.uuid4()), "place-a": "1", "place-b": "2"}, headers=FETCH)
    assert stale.status_code == 409


@pytest.mark.django_db
def test_strangers_find_nothing_and_nobody_opens_another_persons_ranking(
    ranking_project: Project, alice: Annotator, bob: Annotator, stranger: Annotator, sign_in: Any
) -> None:
    answers(ranking_project, 3)
    made = rank(alice, 1, 2, 3)
    path = f"/p/everyday/rankings/{made.turn_id}"
    for who, paths in ((stranger, [RANK, "/p/everyday/rankings", path]), (bob, [path])):
        for one in paths:
            assert sign_in(who).get(one).status_code == 404, one
    assert sign_in(stranger).post(f"{RANK}/undo", headers=FETCH).status_code == 404
    assert Client().get(RANK, headers=FETCH).status_code == 401


@pytest.mark.django_db
def test_the_page_shows_nothing_but_texts(ranking_project: Project, desk: Client, bob: Annotator) -> None:
    """No model, no number of a candidate, nothing that somebody else said."""
    prompt = answers(ranking_project, 5)
    Candidate.objects.filter(prompt=prompt).update(strategy="canary-strategy", polarity="better")
    rank(bob, 1, 2, 3, 4, 5, note="canary-note")
    text = desk.get(RANK).content.decode()
    assert "canary" not in text
    numbers = {str(pk) for pk in Candidate.objects.values_list("pk", flat=True) if pk > 20}
    assert not numbers & set(re.findall(r'(?:value|name|id|data-[a-z]+)="(?:[a-z-]*)(\d+)"', text)) - {
        str(Turn.objects.get(annotator__user__email="alice@example.org").pk)
    }


@pytest.mark.django_db
def test_a_project_that_ranks_leads_from_the_judging_page_and_back(
    ranking_project: Project, project: Project, desk: Client
) -> None:
    assert desk.get("/p/everyday/judge")["Location"] == RANK
    Project.objects.update(task="pairs")
    assert desk.get(RANK)["Location"] == "/p/everyday/judge"
    assert "not ranked anything" in desk.get("/p/everyday/rankings").content.decode()


@pytest.mark.django_db
def test_with_nothing_to_rank_the_page_says_why(ranking_project: Project, desk: Client, alice: Annotator) -> None:
    assert "three candidates or more" in desk.get(RANK).content.decode()
    answers(ranking_project, 3)
    rank(alice, 1, 2, 3)
    assert "last lineup for you" in desk.get(RANK).content.decode()
    Project.objects.update(state="paused")
    assert "This project is paused." in desk.get(RANK).content.decode()


@pytest.mark.django_db
def test_the_queries_of_the_list_do_not_grow(
    ranking_project: Project, desk: Client, alice: Annotator, django_assert_max_num_queries: Any
) -> None:
    for n in range(12):
        answers(ranking_project, 3, text=f"Prompt {n}?")
        rank(alice, 1, 2, 3)
    assert connection.vendor == "postgresql"
    with django_assert_max_num_queries(8):
        assert desk.get("/p/everyday/rankings").status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["overview", "board", "people", "settings", "agreement_report", "people_report"])
def test_the_leads_pages_stand_in_a_project_that_ranks(
    ranking_project: Project, alice: Annotator, lead: Annotator, sign_in: Any, name: str
) -> None:
    from django.urls import reverse

    answers(ranking_project, 4)
    rank(alice, 1, 2, 3, None)
    assert sign_in(lead).get(reverse(name, args=["everyday"])).status_code == 200


@pytest.mark.django_db
def test_a_guideline_is_news_until_it_is_acknowledged(ranking_project: Project, desk: Client, alice: Annotator) -> None:
    answers(ranking_project, 3)
    shown = guiding.publish_guideline(project=ranking_project, text="Be kind.").pk
    assert "data-unread" in desk.get(RANK).content.decode()
    # Without the script it holds a ranking once, which keeps everything in it.
    form = {**form_of(desk), "place-a": "1", "place-b": "2", "note": "So."}
    held = desk.post(RANK, form)
    assert held.status_code == 422
    assert 'name="reminded" value="1"' in held.content.decode()
    assert re.search(r'name="place-b"[^>]*value="2"', held.content.decode())
    assert not Ranking.objects.exists()
    guiding.publish_guideline(project=ranking_project, text="Be kind and short.")
    assert desk.post(RANK, {**form, "guideline": 10**15, "reminded": "1"}).status_code == 422
    assert f'name="guideline" value="{shown}"' in held.content.decode()
    assert desk.post(RANK, {**form, "guideline": shown, "reminded": "1"}).status_code == 303
    assert Ranking.objects.get().guideline_id == shown, "The version on the screen, not the one in force."
    # Never acknowledged, but ranked under: what is new is shown against that.
    assert "<ins>" in desk.get("/p/everyday/judge/guideline").content.decode()
    assert desk.post("/p/everyday/judge/guideline", headers=FETCH).status_code == 204
    assert "data-unread" not in desk.get(RANK).content.decode()
