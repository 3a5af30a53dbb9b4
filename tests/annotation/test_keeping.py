"""Without JavaScript, words that cannot be stored come back to who wrote them."""

from __future__ import annotations

import html
import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotation import drafting, opening, ranking
from annotation.models import Annotator, Assignment, Draft, Judgement, Project, Turn
from annotation.views import keeping
from tests.lineups import answers
from tests.verdicts import MakePair, claim, send, shown

pytestmark = pytest.mark.django_db

JUDGE = "/p/everyday/judge"
WORDS = "B names its source; <b>A</b> does not."
SHOWN = "B names its source; &lt;b&gt;A&lt;/b&gt; does not."


def form(assignment: int, **more: str) -> dict[str, Any]:
    return {"assignment": assignment, "key": uuid.uuid4(), "verdict": "a2", "note": WORDS, **more}


def test_an_answer_whose_lease_was_lost_comes_back(
    make_pair: MakePair, alice: Annotator, bob: Annotator, desk: Client
) -> None:
    make_pair(slots=1)
    mine = claim(alice)
    Assignment.objects.update(lease_until=timezone.now() - timedelta(minutes=1))
    opening.sweep()
    send(bob, shown(claim(bob)))
    answer = desk.post(JUDGE, form(mine))
    assert answer.status_code == 409
    html = answer.content.decode()
    assert "What you wrote is kept on this page." in html
    assert SHOWN in html
    assert not Judgement.objects.filter(annotator=alice).exists()


def test_an_answer_that_was_given_elsewhere_comes_back(make_pair: MakePair, alice: Annotator, desk: Client) -> None:
    make_pair()
    mine = claim(alice)
    send(alice, shown(mine))
    answer = desk.post(JUDGE, form(mine))
    assert answer.status_code == 409
    assert SHOWN in answer.content.decode()


@pytest.mark.parametrize("state", [Project.State.PAUSED, Project.State.CLOSED])
def test_an_answer_to_a_project_that_takes_none_comes_back(
    make_pair: MakePair, alice: Annotator, project: Project, desk: Client, state: str
) -> None:
    make_pair()
    mine = claim(alice)
    Project.objects.update(state=state)
    answer = desk.post(JUDGE, form(mine))
    assert answer.status_code == 423
    assert SHOWN in answer.content.decode()
    assert answer.context["why"]


def test_an_unfit_answer_to_a_pair_that_is_gone_comes_back(
    make_pair: MakePair, alice: Annotator, bob: Annotator, desk: Client
) -> None:
    make_pair(slots=1)
    mine = claim(alice)
    Assignment.objects.update(lease_until=timezone.now() - timedelta(minutes=1))
    opening.sweep()
    send(bob, shown(claim(bob)))
    answer = desk.post(JUDGE, form(mine, verdict="skip", skip_reason=""))
    assert answer.status_code == 409
    assert "no longer open with you" in answer.context["why"]
    assert SHOWN in answer.content.decode()


def test_after_the_session_has_ended_the_words_come_back_with_the_way_to_sign_in(
    make_pair: MakePair, alice: Annotator
) -> None:
    make_pair()
    answer = Client().post(JUDGE, form(claim(alice)))
    assert answer.status_code == 401
    html = answer.content.decode()
    assert SHOWN in html
    assert f"/accounts/login/?next={JUDGE}" in html
    # Without words there is nothing to lose.
    assert Client().post(JUDGE, form(1, note=" "))["Location"].startswith("/accounts/login/")


def test_a_foreign_form_gets_nothing_back(alice: Annotator) -> None:
    strict = Client(enforce_csrf_checks=True)
    answer = strict.post(JUDGE, form(1))
    assert answer.status_code == 403
    assert "names its source" not in answer.content.decode()


def test_the_page_takes_back_an_answer_with_a_plain_form(make_pair: MakePair, alice: Annotator, desk: Client) -> None:
    make_pair()
    make_pair()
    page = desk.get(JUDGE)
    assert f'action="{JUDGE}/undo"' not in page.content.decode(), "There is nothing to take back."
    mine = page.context["item"]["assignment"]
    send(alice, shown(mine, "a2", text="mine"))
    assert f'<noscript>\n            <form method="post" action="{JUDGE}/undo">' in desk.get(JUDGE).content.decode()
    assert desk.post(f"{JUDGE}/undo").status_code == 303
    item = desk.get(JUDGE).context["item"]
    assert (item["assignment"], item["draft"]["note"]) == (mine, "mine")


# ---- a draft of another device that whoever answered had not seen ---------------------------------------------------


def plain_form(page: Any, **more: Any) -> dict[str, Any]:
    """What the plain form sends of itself."""
    found = re.search(r'<input type="hidden" name="beyond" value="([0-9]+)">', page.content.decode())
    assert found, "The form does not say which draft it shows."
    return {"key": uuid.uuid4(), "beyond": found[1], **more}


def write_elsewhere(alice: Annotator, assignment: int, body: dict[str, Any], *, version: int = 5) -> None:
    drafting.save_draft(annotator=alice, assignment_id=assignment, body=json.dumps(body), version=version)


def areas(page: Any) -> list[str]:
    found = re.findall(r"<textarea[^>]*readonly>(.*?)</textarea>", page.content.decode(), re.DOTALL)
    return [html.unescape(text) for text in found]


def ids(page: Any) -> list[str]:
    return re.findall(r'name="unseen" value="([0-9a-f]+)"', page.content.decode())


def test_words_of_another_device_come_back_beside_the_answer_and_stay(
    make_pair: MakePair, alice: Annotator, desk: Client
) -> None:
    for _ in range(3):
        make_pair()
    page = desk.get(JUDGE)
    mine = page.context["item"]["assignment"]
    write_elsewhere(alice, mine, {"note": WORDS, "edit": {"b": "Mine, mended."}})
    sent = plain_form(page, assignment=mine, verdict="a2", note="Shorter.")
    assert desk.post(JUDGE, sent).status_code == 303
    shown_again = desk.get(JUDGE)
    assert "Words from another device" in shown_again.content.decode()
    assert SHOWN in shown_again.content.decode(), "It is escaped."
    assert areas(shown_again) == [WORDS, "Mine, mended."]
    assert areas(desk.get(JUDGE)) == [WORDS, "Mine, mended."], "They outlive a reload."
    assert Judgement.objects.get().assignment_id == mine
    # Sent twice it is kept once.
    assert desk.post(JUDGE, sent).status_code == 303
    assert len(areas(desk.get(JUDGE))) == 2


def test_deleted_is_what_was_shown_and_no_more(make_pair: MakePair, alice: Annotator, desk: Client) -> None:
    for _ in range(3):
        make_pair()
    for note in ("one", "two"):
        page = desk.get(JUDGE)
        mine = page.context["item"]["assignment"]
        write_elsewhere(alice, mine, {"note": note})
        desk.post(JUDGE, plain_form(page, assignment=mine, verdict="a2"))
        first = ids(desk.get(JUDGE))[:1]
    assert areas(desk.get(JUDGE)) == ["one", "two"]
    answer = desk.post(f"{JUDGE}/forget", {"unseen": first})
    assert (answer.status_code, answer["Location"]) == (303, JUDGE)
    assert areas(desk.get(JUDGE)) == ["two"]
    assert desk.post(f"{JUDGE}/forget", {"unseen": first}).status_code == 303
    assert areas(desk.get(JUDGE)) == ["two"]


def test_what_was_seen_or_said_is_not_kept_again(make_pair: MakePair, alice: Annotator, desk: Client) -> None:
    for _ in range(3):
        make_pair()
    mine = desk.get(JUDGE).context["item"]["assignment"]
    write_elsewhere(alice, mine, {"note": WORDS})
    page = desk.get(JUDGE)
    assert page.context["item"]["draft"]["note"] == WORDS, "It stands in the form."
    desk.post(JUDGE, plain_form(page, assignment=mine, verdict="a2", note="Better."))
    page = desk.get(JUDGE)
    assert areas(page) == []
    mine = page.context["item"]["assignment"]
    write_elsewhere(alice, mine, {"note": "One line,\nand one more", "verdict": "b2"})
    desk.post(JUDGE, plain_form(page, assignment=mine, verdict="a2", note="One line,\r\nand one more word"))
    assert areas(desk.get(JUDGE)) == []
    assert not Draft.objects.exists()


def test_a_refused_form_still_says_which_draft_it_was_made_from(
    make_pair: MakePair, alice: Annotator, desk: Client
) -> None:
    make_pair()
    page = desk.get(JUDGE)
    mine = page.context["item"]["assignment"]
    write_elsewhere(alice, mine, {"note": WORDS})
    refused = desk.post(JUDGE, plain_form(page, assignment=mine, verdict="skip", skip_reason=""))
    assert refused.status_code == 422
    desk.post(JUDGE, plain_form(refused, assignment=mine, verdict="a2"))
    assert areas(desk.get(JUDGE)) == [WORDS], "Where nothing is left to judge, too."


def test_kept_words_are_of_one_project_and_bounded(
    make_pair: MakePair, alice: Annotator, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST_UNSEEN", 2)
    for _ in range(3):
        make_pair()
    for n in range(3):
        page = desk.get(JUDGE)
        mine = page.context["item"]["assignment"]
        write_elsewhere(alice, mine, {"note": f"words {n}"})
        desk.post(JUDGE, plain_form(page, assignment=mine, verdict="a2"))
    assert areas(desk.get(JUDGE)) == ["words 1", "words 2"]
    other = Project.objects.create(slug="other", name="Other", state=Project.State.JUDGING)
    Annotator.objects.create(project=other, user=alice.user, name="Alice")
    assert areas(desk.get("/p/other/judge")) == []


def test_a_ranking_gives_back_the_words_of_another_device_too(
    ranking_project: Project, alice: Annotator, desk: Client
) -> None:
    answers(ranking_project, 3)
    page = desk.get("/p/everyday/rank")
    turn, claimed = page.context["turn"].pk, page.context["claim"]
    ranking.save_draft(annotator=alice, turn_id=turn, claim=claimed, body=json.dumps({"note": WORDS}), version=5)
    sent = plain_form(page, turn=turn, claim=claimed, **{"place-a": "1"})
    refused = desk.post("/p/everyday/rank", sent)
    assert refused.status_code == 422
    sent = plain_form(refused, turn=turn, claim=claimed, **{"place-a": "1", "place-b": "2"})
    assert desk.post("/p/everyday/rank", sent).status_code == 303
    assert areas(desk.get("/p/everyday/rank")) == [WORDS]
    assert Turn.objects.get(pk=turn).draft is None
