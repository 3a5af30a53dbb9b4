"""One's own answers: listed, searched, opened again and changed; nobody else's."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client

from annotation.models import (
    Annotator,
    Judgement,
    Rationale,
)
from tests.annotation.desks import MakePair, SignIn, answered, fields, opened, post

pytestmark = pytest.mark.django_db


def test_my_answers_are_listed_searched_and_paged(
    make_pair: MakePair, desk: Client, sign_in: SignIn, bob: Annotator, django_assert_max_num_queries: Any
) -> None:
    make_pair(prompt="Why is the sky blue?")
    make_pair(prompt="How do tides work?")
    make_pair(prompt="What is 2 + 2?")
    answered(desk, "a1", "b3", "same", note="Rayleigh")
    answered(sign_in(bob), "a3", note="bobs secret words")
    page = desk.get("/p/everyday/answers")
    rows = page.context["rows"]
    assert [row["verdict"] for row in rows] == ["About the same", "B much better", "A slightly better"]
    assert [row["prompt"] for row in rows][-1] == "Why is the sky blue?"
    assert "bobs secret" not in page.content.decode()
    assert len(desk.get("/p/everyday/answers?q=tides").context["rows"]) == 1
    assert len(desk.get("/p/everyday/answers?q=rayLEIGH").context["rows"]) == 3
    assert desk.get("/p/everyday/answers?q=bobs").context["rows"] == []
    assert len(desk.get("/p/everyday/answers?verdict=tie").context["rows"]) == 1
    assert desk.get("/p/everyday/answers?page=99").status_code == 200
    with django_assert_max_num_queries(8):
        assert desk.get("/p/everyday/answers").status_code == 200


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ('say "HI" now', 1),
        ('hi" now please', 1),
        ("a % and a _", 1),
        ("it's why", 1),
        ("first line second", 1),
        ("be terse", 1),
        *((name, 0) for name in ("role", "user", "content", "\\n", "[{", "machine", "%hi%")),
    ],
)
def test_the_search_looks_into_what_was_said_and_written(
    make_pair: MakePair, desk: Client, words: str, found: int
) -> None:
    pair = make_pair(prompt='Say "hi" now\nplease: a % and a _.')
    type(pair.prompt).objects.update(system="Be terse.")
    answered(desk, "a2", note="It's why.\n\nFirst line\nsecond line.")
    why = Rationale.objects.get()
    Rationale.objects.create(
        pair=pair, annotator=why.annotator, judgement=why.judgement, text="By a machine.", source="machine"
    )
    assert len(desk.get("/p/everyday/answers", {"q": words}).context["rows"]) == found


def test_an_answer_is_opened_and_changed(make_pair: MakePair, desk: Client) -> None:
    make_pair()
    (mine,) = answered(desk, "b2", note="first thought")
    path = f"/p/everyday/answers/{mine}"
    page = desk.get(path)
    assert page.context["editing"] is True
    assert page.context["revision"] == 1
    item = page.context["item"]
    assert (item["draft"]["verdict"], item["draft"]["note"]) == ("b2", "first thought")
    sent = {**fields(item, "a1"), "revision": 1, "note": "second thought"}
    answer = desk.post(path, sent)
    assert (answer.status_code, answer["Location"]) == (303, "/p/everyday/answers")
    assert Judgement.objects.current().get().revision == 2
    stale = desk.post(path, {**sent, "key": uuid.uuid4(), "note": "third thought"})
    assert stale.status_code == 409
    assert "third thought" in stale.content.decode(), "Both are kept: one stored, one on the page."
    assert Judgement.objects.count() == 2
    script = post(desk, path, {**sent, "key": uuid.uuid4(), "revision": 2, "verdict": "bad"})
    assert script.json()["saved"] == {"assignment": mine, "text": "Both bad · 2 words", "revision": 3}
    assert post(desk, path, {**sent, "key": uuid.uuid4(), "revision": 2}).status_code == 409
    assert post(desk, path, {**sent, "key": uuid.uuid4(), "revision": 3, "tag": "wit"}).status_code == 422


def test_only_ones_own_judged_pairs_can_be_opened(
    make_pair: MakePair, desk: Client, sign_in: SignIn, bob: Annotator
) -> None:
    make_pair()
    make_pair()
    (theirs,) = answered(sign_in(bob), "a1")
    mine = opened(desk)[0]
    for assignment in (theirs, mine["assignment"], 10**12):
        path = f"/p/everyday/answers/{assignment}"
        assert desk.get(path).status_code == 404
        assert desk.post(path, {**fields(mine), "revision": 1}).status_code == 404
