"""Without JavaScript, words that cannot be stored come back to who wrote them."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from annotation import opening
from annotation.models import Annotator, Assignment, Judgement, Project
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
