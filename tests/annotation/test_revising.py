"""Answers taken back and said anew: what was stored stays on record, and only one is current."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import judging, opening, recalling, revising
from annotation.answering import Unfit
from annotation.errors import Refused, Stale
from annotation.models import Annotator, Assignment, Event, Judgement, Project
from curation import haste
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


# ---- the reading that came before -----------------------------------------------------------------------------------

LONG = "word " * 300


def reading(assignment: int) -> list[tuple[int | None, int | None, float | None, float | None]]:
    """What was measured, revision by revision: active and first-key milliseconds, the coverage of both."""
    mine = Judgement.objects.filter(assignment=assignment).order_by("revision")
    return list(mine.values_list("active_ms", "first_key_ms", "coverage_first", "coverage_second"))


def hasty(assignment: int) -> tuple[str, ...]:
    current = Judgement.objects.current().select_related("assignment__pair__first", "assignment__pair__second")
    one = current.get(assignment=assignment)
    pair = one.assignment.pair
    return haste.marks(
        active_ms=one.active_ms,
        characters=pair.first.characters + pair.second.characters,
        coverage_first=one.coverage_first,
        coverage_second=one.coverage_second,
    )


READ: dict[str, Any] = {"active_ms": 90_000, "first_key_ms": 8_000, "coverage_a": 1.0, "coverage_b": 0.9}
GLANCED: dict[str, Any] = {"active_ms": 1_500, "first_key_ms": 200, "coverage_a": 0.3, "coverage_b": 0.95}


@pytest.mark.django_db
def test_who_corrects_a_slip_at_once_has_not_judged_in_haste(make_pair: MakePair, alice: Annotator) -> None:
    for _ in range(2):
        make_pair(first=LONG, second=LONG)
    mine, other = claim(alice), claim(alice)
    Assignment.objects.update(swapped=False)
    send(alice, shown(mine, "a2", **READ))
    assert hasty(mine) == ()
    revising.undo(annotator=alice)
    send(alice, shown(mine, "b2", **GLANCED))
    assert hasty(mine) == ()
    change(alice, mine, "a1", expected=2, **GLANCED)
    assert hasty(mine) == ()
    assert reading(mine) == [(90_000, 8_000, 1.0, 0.9), (91_500, 8_000, 1.0, 0.95), (93_000, 8_000, 1.0, 0.95)]
    # The other way round: haste is not mended by a second glance, and is by reading on.
    send(alice, shown(other, "a2", **GLANCED))
    assert hasty(other) == ("short", "fast", "unseen")
    change(alice, other, "b2", expected=1, **{**GLANCED, "active_ms": 1_600})
    assert hasty(other) == ("fast", "unseen")
    change(alice, other, "a2", expected=2, **READ)
    assert hasty(other) == ()


@pytest.mark.django_db
def test_a_reading_that_was_not_measured_is_not_known_after_a_correction(make_pair: MakePair, alice: Annotator) -> None:
    make_pair(first=LONG, second=LONG)
    mine = claim(alice)
    send(alice, shown(mine, "a2"))
    change(alice, mine, "b2", expected=1, **GLANCED)
    assert reading(mine) == [(None,) * 4] * 2
    assert hasty(mine) == ()


@pytest.mark.django_db
def test_the_reading_of_somebody_else_is_not_mine(make_pair: MakePair, alice: Annotator, bob: Annotator) -> None:
    Project.objects.update(overlap=1)
    make_pair(first=LONG, second=LONG)
    mine = claim(alice)
    send(alice, shown(mine, "a2", **READ))
    revising.undo(annotator=alice)
    Assignment.objects.filter(pk=mine).update(lease_until=timezone.now() - timedelta(minutes=1))
    opening.sweep()
    assert claim(bob) == mine
    Assignment.objects.update(swapped=False)
    send(bob, shown(mine, "b2", **GLANCED))
    assert reading(mine)[1] == (1_500, 200, 0.3, 0.95)
    assert hasty(mine) == ("short", "fast", "unseen")


def change(who: Annotator, assignment: int, control: str, *, expected: int, **measured: Any) -> None:
    """Change a stored answer, measured as on the page."""
    slot = Assignment.objects.select_related("pair").get(pk=assignment)
    answer = shown(assignment, control, **measured).stored(swapped=slot.swapped)
    revising.revise(annotator=who, assignment=slot, answer=answer, expected_revision=expected)
