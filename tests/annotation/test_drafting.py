"""Drafts: kept by version while the pair is open, never over what is not seen, refused where they cannot be stored."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from annotation import drafting, guiding, judging
from annotation.answering import Unfit
from annotation.models import Annotator, Draft, Project
from tests.verdicts import MakePair, claim, send, shown


@pytest.mark.django_db
def test_drafts_are_kept_by_version(make_pair: MakePair, alice: Annotator, bob: Annotator) -> None:
    make_pair()
    mine = claim(alice)

    def save(who: Annotator, body: str, version: int) -> int:
        return drafting.save_draft(annotator=who, assignment_id=mine, body=body, version=version).version

    assert save(alice, '{"note": "one"}', 5) == 5
    assert save(alice, '{"note": "late"}', 4) == 5
    assert save(alice, '{"note": "one"}', 5) == 5, "Its reply was lost, and it is sent again."
    assert Draft.objects.get().body == {"note": "one"}
    assert save(alice, '{"note": "two", "tag": ["tone"]}', 6) == 6
    assert Draft.objects.get().body == {"note": "two", "tag": ["tone"]}
    with pytest.raises(judging.LeaseLost):
        save(bob, '{"note": "not mine"}', 7)
    send(alice, shown(mine))
    with pytest.raises(judging.LeaseLost):
        save(alice, '{"note": "after the fact"}', 8)
    assert not Draft.objects.exists()


@pytest.mark.django_db
def test_nothing_is_laid_over_what_its_writer_has_not_seen(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)

    def save(body: str, version: int, *beyond: int) -> drafting.Stands:
        return drafting.save_draft(annotator=alice, assignment_id=mine, body=body, version=version, beyond=beyond)

    assert save('{"note": "one"}', 5, 0) == drafting.Stands(5)
    # Another device began from nothing too. Its clock is ahead, and that counts for nothing.
    assert save('{"note": "two"}', 900, 0) == drafting.Stands(5, {"note": "one"})
    assert Draft.objects.get().body == {"note": "one"}
    assert save('{"note": "one"}', 5, 0) == drafting.Stands(5), "Its reply was lost, and it is sent again."
    # Having seen it, it may replace it, though its clock is behind now.
    assert save('{"note": "two"}', 4, 0, 5) == drafting.Stands(4)
    assert save('{"note": "one more"}', 6, 5) == drafting.Stands(4, {"note": "two"})
    # Of two saves of one page the first was stored unheard; or it comes late.
    assert save('{"note": "two, longer"}', 8, 4, 7) == drafting.Stands(8)
    assert save('{"note": "two, lon"}', 7, 4) == drafting.Stands(8, {"note": "two, longer"})
    # The lease ran out meanwhile, and the draft went with it: there is nothing to be laid over.
    Draft.objects.all().delete()
    assert save('{"note": "again"}', 9, 8) == drafting.Stands(9)


@pytest.mark.django_db
def test_the_page_is_answered_with_the_draft_that_it_has_not_seen(
    make_pair: MakePair, alice: Annotator, sign_in: Any
) -> None:
    make_pair()
    desk, judge = sign_in(alice), "/p/everyday/judge"
    mine = desk.get(judge).context["item"]["assignment"]

    def send(version: int, note: str, beyond: list[int]) -> Any:
        draft = {"assignment": mine, "version": version, "body": json.dumps({"note": note}), "beyond": beyond}
        return desk.post(f"{judge}/draft", draft, headers={"X-Plumbline": "1"})

    assert send(1, "Mine", [0]).status_code == 204
    refused = send(2, "Theirs", [0])
    assert (refused.status_code, refused.json()["version"], refused.json()["draft"]) == (409, 1, {"note": "Mine"})
    assert send(3, "Both", [0, 1]).status_code == 204
    # A page of before, which does not say what it has seen, counts up as it did.
    old = {"assignment": mine, "version": 2, "body": '{"note": "Old"}'}
    assert desk.post(f"{judge}/draft", old, headers={"X-Plumbline": "1"}).status_code == 409
    assert desk.post(f"{judge}/draft", {**old, "version": 4}, headers={"X-Plumbline": "1"}).status_code == 204


@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "nonsense",
        '{"note": "\\u0000"}',
        '{"note": "\\ud800"}',
        '{"n": NaN}',
        '{"n": 1e999}',
        "[" * 60_000,
        '{"n":"' + "x" * drafting.LARGEST_DRAFT + '"}',
    ],
)
def test_drafts_that_cannot_be_stored_are_refused(make_pair: MakePair, alice: Annotator, body: str) -> None:
    make_pair()
    with pytest.raises(Unfit):
        drafting.save_draft(annotator=alice, assignment_id=claim(alice), body=body, version=1)
    assert not Draft.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("verdict", ["a2"]),
        ("note", {"a": 1}),
        ("deciding", []),
        ("skip_reason", 5),
        ("tag", 5),
        ("tag", [5]),
        ("flag", "harmful"),
        ("span", 5),
        ("span", [5]),
        ("vote", 5),
        ("vote", {"1": 5}),
        ("edit", 5),
        ("edit", {"a": None}),
        ("place", [1]),
        ("place", {"a": []}),
    ],
)
def test_drafts_of_another_shape_are_refused_and_the_page_stands(
    project: Project, make_pair: MakePair, alice: Annotator, sign_in: Any, field: str, sent: Any
) -> None:
    guiding.publish_guideline(project=project, text="Be kind.", principles=[guiding.Entry(short="Kind", text="It is.")])
    Project.objects.update(votes_policy=Project.VotesPolicy.ALL, allow_edits=True)
    make_pair()
    desk, judge = sign_in(alice), "/p/everyday/judge"
    mine = desk.get(judge).context["item"]["assignment"]
    draft = {"assignment": mine, "version": 1, "body": json.dumps({field: sent})}
    refused = desk.post(f"{judge}/draft", draft, headers={"X-Plumbline": "1"})
    assert (refused.status_code, refused.json()["field"]) == (422, "body")
    assert f"“{field}”" in refused.json()["error"]
    assert desk.get(judge).status_code == 200


@pytest.mark.django_db
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80))
def test_a_draft_comes_back_as_it_was_written(text: str) -> None:
    body = drafting.readable_draft(json.dumps({"note": text}))
    with connection.cursor() as cursor:
        cursor.execute("SELECT (%s::jsonb)->>'note'", [body])
        assert cursor.fetchone()[0] == text


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("beyond", "handed_back"),
    [((0,), True), ((0, 7), True), ((0, 5), False), ((5,), False), (None, False)],
    ids=["nothing", "another", "that one", "it alone", "not said"],
)
def test_an_answer_hands_back_the_draft_that_its_page_had_not_seen(
    make_pair: MakePair, alice: Annotator, beyond: tuple[int, ...] | None, handed_back: bool
) -> None:
    make_pair()
    make_pair()
    mine = claim(alice)
    drafting.save_draft(annotator=alice, assignment_id=mine, body='{"note": "elsewhere"}', version=5, beyond=(0,))
    outcome = send(alice, shown(mine, beyond=beyond))
    assert outcome.unseen == ({"note": "elsewhere"} if handed_back else None)
    assert not Draft.objects.exists()


@pytest.mark.django_db
def test_the_page_hears_of_a_draft_that_it_had_not_seen_with_its_answer(
    make_pair: MakePair, alice: Annotator, desk: Any
) -> None:
    for _ in range(2):
        make_pair()
    mine = claim(alice)
    for seen in (["0"], ["0", "5"]):
        drafting.save_draft(annotator=alice, assignment_id=mine, body='{"note": "elsewhere"}', version=5, beyond=(0,))
        body = {"assignment": mine, "key": str(uuid.uuid4()), "verdict": "a2", "beyond": seen}
        told = desk.post("/p/everyday/judge", body, headers={"X-Plumbline": "1"}).json()
        assert told.get("unseen") == ({"note": "elsewhere"} if seen == ["0"] else None)
        assert told["saved"]["text"] == "A better"
        mine = told["item"] and told["item"]["assignment"]
