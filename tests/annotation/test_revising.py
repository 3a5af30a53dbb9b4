"""Answers taken back and said anew: what was stored stays on record, and only one is current."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import judging, recalling, revising
from annotation.answering import Unfit
from annotation.errors import Refused, Stale
from annotation.models import Annotator, Assignment, Event, Judgement, Project
from tests.verdicts import MakePair, claim, send, shown


@pytest.mark.django_db
@pytest.mark.parametrize("swapped", [False, True])
def test_undo_reopens_the_latest_answer_as_it_was_left(make_pair: MakePair, alice: Annotator, swapped: bool) -> None:
    make_pair()
    make_pair()
    first, second = claim(alice), claim(alice)
    Assignment.objects.update(swapped=swapped)
    send(alice, shown(first))
    send(alice, shown(second, "b3", text="why", tags=("tone",), flags=("other",)))
    reopened = revising.undo(annotator=alice)
    assert reopened.pk == second
    reopened.refresh_from_db()
    assert reopened.annotator_id == alice.pk
    assert reopened.done_at is None
    assert reopened.lease_until
    assert reopened.lease_until > timezone.now()
    left: dict[str, Any] = {"verdict": "b3", "skip_reason": "", "tag": ["tone"], "note": "why", "flag": ["other"]}
    left |= {"span": [], "vote": {}, "deciding": ""}
    assert reopened.draft.body == left
    old = Judgement.objects.get(assignment=second)
    assert not old.is_current
    assert old.rationales.get().text == "why", "What was said stays on record."
    send(alice, shown(second, "a1"))
    assert list(
        Judgement.objects.filter(assignment=second).order_by("revision").values_list("revision", "is_current")
    ) == [
        (1, False),
        (2, True),
    ]
    assert revising.undo(annotator=alice).pk == second
    assert revising.undo(annotator=alice).pk == first
    with pytest.raises(Refused, match="no answer"):
        revising.undo(annotator=alice)
    assert Event.objects.filter(act="judgement.undo").count() == 3


@pytest.mark.django_db
def test_after_an_undo_the_old_key_is_not_saved_again(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)
    answer = shown(mine)
    send(alice, answer)
    revising.undo(annotator=alice)
    with pytest.raises(judging.LeaseLost, match="taken back"):
        send(alice, answer)
    assert not Judgement.objects.current().exists()


@pytest.mark.django_db
def test_undo_touches_nobody_else(make_pair: MakePair, alice: Annotator, bob: Annotator) -> None:
    make_pair()
    send(alice, shown(claim(alice)))
    with pytest.raises(Refused):
        revising.undo(annotator=bob)
    Project.objects.update(state="paused")
    with pytest.raises(Refused, match="paused"):
        revising.undo(annotator=alice)
    assert Judgement.objects.current().count() == 1


def revise(who: Annotator, assignment_id: int, control: str, *, revision: int, **fields: Any) -> Judgement:
    row = Assignment.objects.get(pk=assignment_id)
    answer = shown(assignment_id, control, **fields).stored(swapped=row.swapped)
    return revising.revise(annotator=who, assignment=row, answer=answer, expected_revision=revision)


@pytest.mark.django_db
def test_revising_appends_a_revision(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    mine = claim(alice)
    send(alice, shown(mine, "a1", text="first thought"))
    key = uuid.uuid4()
    revised = revise(alice, mine, "b2", revision=1, text="second thought", key=key)
    assert (revised.revision, revised.is_current) == (2, True)
    assert recalling.echo(revised) == "B better · 2 words"
    assert revise(alice, mine, "b2", revision=1, text="second thought", key=key).pk == revised.pk, (
        "Sent twice, stored once."
    )
    rows = list(Judgement.objects.order_by("revision"))
    assert [(row.revision, row.is_current, row.rationales.get().text) for row in rows] == [
        (1, False, "first thought"),
        (2, True, "second thought"),
    ]
    with pytest.raises(Stale, match="another window"):
        revise(alice, mine, "a3", revision=1)
    assert Judgement.objects.count() == 2
    event = Event.objects.get(act="judgement.revise")
    assert event.after == {"judgement": revised.pk, "revision": 2, "verdict": "prefer", "strength": revised.strength}
    assert "thought" not in json.dumps(event.before), "The record tells that it was changed, not what was written."


@pytest.mark.django_db
def test_revising_is_for_ones_own_answers_in_an_open_project(
    make_pair: MakePair, alice: Annotator, bob: Annotator
) -> None:
    make_pair()
    mine = claim(alice)
    with pytest.raises(Refused):
        revise(alice, mine, "a1", revision=0)
    send(alice, shown(mine))
    with pytest.raises(Refused):
        revise(bob, mine, "a1", revision=1)
    with pytest.raises(Unfit):
        revise(alice, mine, "a1", revision=1, tags=("wit",))
    Project.objects.update(state="paused")
    revise(alice, mine, "a1", revision=1)
    Project.objects.update(state="closed")
    with pytest.raises(Refused, match="closed"):
        revise(alice, mine, "a1", revision=2)


@pytest.mark.django_db
def test_the_database_refuses_to_change_what_was_said(make_pair: MakePair, alice: Annotator) -> None:
    make_pair()
    send(alice, shown(claim(alice)))
    for change in ({"strength": 1}, {"swapped": True}, {"verdict": "tie", "strength": 0}):
        with pytest.raises(IntegrityError, match="judgement_is_appended"), transaction.atomic():
            Judgement.objects.update(**change)
