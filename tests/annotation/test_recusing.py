"""Who settled a pair is never handed it, at whatever moment somebody hands it out."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from annotation import assigning
from annotation.errors import Refused
from annotation.models import Annotator, Assignment, Draft
from annotation.recusing import recuse
from tests.locks import until_somebody_waits

pytestmark = pytest.mark.django_db


def claim(who: Any) -> int | None:
    """The pair that was handed out."""
    taken = assigning.claim(user_id=who.user_id, slug=who.project.slug)
    return taken.pair_id if taken else None


def hand(who: Any, pair: Any) -> Assignment:
    seat: Assignment = pair.assignments.get(slot=1)
    Assignment.objects.filter(pk=seat.pk).update(annotator=who, lease_until=timezone.now() + timedelta(minutes=20))
    return seat


def test_a_recused_pair_is_passed_over_and_everything_else_comes(make_pair: Any, adjudicator: Any) -> None:
    settled, other = make_pair(), make_pair()
    for _ in range(2):
        recuse(annotator=adjudicator, pair_id=settled.pk)
    assert claim(adjudicator) == other.pk
    assert claim(adjudicator) is None
    row = settled.assignments.get(annotator=adjudicator)
    assert (row.slot, row.is_recused, row.lease_until) == (None, True, None)
    assert settled.assignments.open().count() == 3, "Others still judge it."


def test_a_lease_goes_back_to_the_queue_unless_something_is_written(
    make_pair: Any, adjudicator: Any, alice: Any
) -> None:
    pair, begun = make_pair(slots=1), make_pair(slots=1)
    hand(adjudicator, pair)
    recuse(annotator=adjudicator, pair_id=pair.pk)
    assert pair.assignments.get(slot=1).annotator_id is None
    assert claim(alice) in (pair.pk, begun.pk)
    Draft.objects.create(assignment=hand(adjudicator, begun), body={}, saved_at=timezone.now())
    with pytest.raises(Refused, match="You have begun to judge this pair"):
        recuse(annotator=adjudicator, pair_id=begun.pk)
    Draft.objects.all().delete()
    seat = begun.assignments.get(slot=1)
    Assignment.objects.filter(pk=seat.pk).update(lease_until=None, done_at=timezone.now())
    with pytest.raises(Refused, match="You have judged this pair"):
        recuse(annotator=adjudicator, pair_id=begun.pk)


def test_the_database_keeps_it_so(make_pair: Any, adjudicator: Any) -> None:
    pair = make_pair()
    recuse(annotator=adjudicator, pair_id=pair.pk)
    open_slot = pair.assignments.get(slot=1)
    later = timezone.now() + timedelta(minutes=1)
    with pytest.raises(IntegrityError, match="never_twice"), transaction.atomic():
        Assignment.objects.filter(pk=open_slot.pk).update(annotator=adjudicator, lease_until=later)
    with pytest.raises(IntegrityError, match="recused_has_no_slot"), transaction.atomic():
        Assignment.objects.filter(annotator=adjudicator).update(slot=9)


@pytest.mark.django_db(transaction=True)
def test_a_claim_at_the_same_moment_gets_another_pair(make_pair: Any, adjudicator: Any) -> None:
    """The claim's snapshot does not know the recusal yet; the constraint makes it wait, and it looks again."""
    settled, other = make_pair(slots=1), make_pair(slots=1)
    Assignment.objects.filter(pair=other).update(priority=10**15)
    got: list[Any] = []

    def judge() -> None:
        got.append(claim(adjudicator))
        connection.close()

    with transaction.atomic():
        recuse(annotator=adjudicator, pair_id=settled.pk)
        tab = threading.Thread(target=judge)
        tab.start()
        until_somebody_waits()
    tab.join()
    assert got == [other.pk]


@pytest.mark.django_db(transaction=True)
def test_who_was_handed_the_pair_at_the_same_moment_does_not_settle_it(make_pair: Any, adjudicator: Any) -> None:
    pair = make_pair(slots=1)
    said: list[str] = []

    def settle() -> None:
        try:
            recuse(annotator=adjudicator, pair_id=pair.pk)
        except Refused as refusal:
            said.append(str(refusal))
        connection.close()

    with transaction.atomic():
        assert claim(adjudicator) == pair.pk
        tab = threading.Thread(target=settle)
        tab.start()
        until_somebody_waits()
    tab.join()
    assert said == ["This pair has just been handed to you to judge. Look again in a moment."]
    assert not Assignment.objects.filter(is_recused=True).exists()


@pytest.mark.django_db(transaction=True)
def test_who_is_told_to_look_again_is_not_waited_for(make_pair: Any, adjudicator: Any, bob: Any) -> None:
    """Bob locks himself and then his slot; whoever holds slots and waits for Bob would wait for ever."""
    pair = make_pair(slots=1)
    seat = hand(adjudicator, pair)
    Annotator.objects.filter(pk=bob.pk).update(dry_until=timezone.now() + timedelta(minutes=1))

    def settle() -> None:
        recuse(annotator=adjudicator, pair_id=pair.pk)
        connection.close()

    with transaction.atomic():
        Annotator.objects.select_for_update(no_key=True).get(pk=bob.pk)
        tab = threading.Thread(target=settle)
        tab.start()
        until_somebody_waits()
        assert Assignment.objects.select_for_update(nowait=True).get(pk=seat.pk).annotator_id is None
    tab.join()
    bob.refresh_from_db()
    assert bob.dry_until is None
