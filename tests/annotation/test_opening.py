"""Slots: opened once, along the rank; swept when their lease ran out; and two who do either at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from annotation import opening
from annotation.models import Annotator, Assignment, Draft, Pair, Project
from tests.annotation.test_assigning import MakePair, claim, expire, finish
from tests.locks import until_somebody_waits

pytestmark = pytest.mark.django_db


def slots_of(project: Project) -> list[tuple[int, int | None]]:
    return list(project.assignments.order_by("pair_id", "slot").values_list("pair_id", "slot"))


def test_slots_are_opened_once_and_follow_the_overlap(make_pair: MakePair, project: Project, alice: Annotator) -> None:
    pairs = [make_pair(slots=0) for _ in range(4)]
    assert opening.open_slots(project=project) == 12
    assert opening.open_slots(project=project) == 0
    assert slots_of(project) == [(pair.pk, slot) for pair in pairs for slot in (1, 2, 3)]

    Project.objects.filter(pk=project.pk).update(overlap=5)
    assert opening.open_slots(project=project, pairs=[pairs[0].pk]) == 2
    assert opening.open_slots(project=project) == 6

    held, judged = claim(alice), claim(alice)
    assert held
    assert judged
    finish(judged)
    Assignment.objects.filter(pk__in=[held, judged]).update(slot=50)
    Project.objects.filter(pk=project.pk).update(overlap=1)
    assert opening.open_slots(project=project) == 0 + sum(
        1 for pair in pairs if not pair.assignments.filter(slot=1).exists()
    )
    # Open slots above 1 are gone; what is leased or judged stays, whatever its number.
    assert {slot for _, slot in slots_of(project)} == {1, 50}
    assert Assignment.objects.filter(pk__in=[held, judged]).count() == 2


def test_priorities_follow_the_rank_and_spread_the_slots(make_pair: MakePair, project: Project) -> None:
    pairs = [make_pair(slots=0) for _ in range(40)]
    opening.open_slots(project=project)
    for pair in pairs:
        for slot in pair.assignments.all():
            beyond = slot.priority - pair.rank * opening.RANK_STEP
            assert 0 <= beyond < opening.SPREAD
    first = list(project.assignments.order_by("priority").values_list("pair", "slot"))
    project.assignments.all().delete()
    opening.open_slots(project=project)
    assert list(project.assignments.order_by("priority").values_list("pair", "slot")) == first, "The seed decides."


def test_the_sweeper_puts_expired_leases_in_front_of_every_cursor(
    make_pair: MakePair,
    project: Project,
    alice: Annotator,
    bob: Annotator,
    django_capture_on_commit_callbacks: Callable[..., Any],
) -> None:
    for _ in range(6):
        make_pair()
    taken = [claim(alice) for _ in range(3)]
    for _ in range(2):
        claim(bob)
    Draft.objects.create(assignment_id=taken[1], body={"note": "secret"}, version=1, saved_at=timezone.now())
    Annotator.objects.filter(pk=bob.pk).update(dry_until=timezone.now() + timedelta(seconds=30))
    assert opening.sweep() == 0
    expire(annotator=alice)
    assert opening.sweep(project=project) == 3
    assert opening.sweep() == 0
    highest = max(Annotator.objects.values_list("cursor", flat=True))
    back = Assignment.objects.filter(pk__in=taken)
    assert all(row.annotator_id is None and row.priority > highest for row in back)
    assert len({row.priority for row in back}) == 3, "One cursor passes one slot at a time."
    expire(annotator=bob)
    with django_capture_on_commit_callbacks(execute=True):
        assert opening.sweep() == 2
    assert Assignment.objects.open().values("priority").distinct().count() == 18, "Later passes queue up behind."
    assert not Draft.objects.exists(), "The next annotator must not see what Alice wrote."
    bob.refresh_from_db()
    assert bob.dry_until is None


def test_whoever_is_given_a_slot_again_finds_it_the_same_way_round(
    make_pair: MakePair, project: Project, alice: Annotator, bob: Annotator
) -> None:
    """What a browser kept of a pair, by the slot's number, must not come to mean the other candidate."""
    Project.objects.update(overlap=1)
    seen = []
    for _ in range(16):
        make_pair()
        stood = []
        for who in (alice, alice, bob, alice):
            slot = Assignment.objects.get(pk=claim(who))
            stood.append(slot.swapped)
            expire(annotator=who)
            assert opening.sweep(project=project) == 1
        seen.append(tuple(stood))
        slot.delete()
    assert all(first == again == at_last for first, again, _, at_last in seen)
    # Sixteen fair draws are all alike once in 33,000 times.
    assert len({first for first, *_ in seen}) == 2, "It differs by slot."
    assert any(by_bob != first for first, _, by_bob, _ in seen), "And for Bob from what it is for Alice."


def test_the_sweeper_drops_slots_that_nobody_wants_any_more(make_pair: MakePair, alice: Annotator) -> None:
    pair = make_pair()
    taken = claim(alice)
    Pair.objects.filter(pk=pair.pk).update(excluded_at=timezone.now())
    expire()
    assert opening.sweep() == 1
    assert not Assignment.objects.filter(pk=taken).exists()


def test_a_sweep_is_bounded(make_pair: MakePair, alice: Annotator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "SWEEP", opening.SWEEP.replace(f"LIMIT {opening.SWEEP_AT_MOST}", "LIMIT 2"))
    for _ in range(3):
        make_pair()
        claim(alice)
    expire()
    assert [opening.sweep(), opening.sweep(), opening.sweep()] == [2, 1, 0]


@pytest.mark.django_db(transaction=True)
def test_slots_that_two_open_at_once_are_opened_once(project: Project, make_pair: MakePair) -> None:
    for _ in range(3):
        make_pair()
    Assignment.objects.all().delete()
    opened: list[int] = []

    def second() -> None:
        opened.append(opening.open_slots(project=project))
        connection.close()

    with transaction.atomic():
        opened.append(opening.open_slots(project=project))
        other = threading.Thread(target=second)
        other.start()
        until_somebody_waits()
    other.join()
    assert opened == [9, 0]


@pytest.mark.django_db(transaction=True)
def test_all_annotators_are_locked_in_the_order_of_their_ids(project: Project, make_pair: MakePair) -> None:
    """Two who wake everybody at once cannot wait for each other: who waits for the first holds no other."""
    make_pair()
    let_a_lease_run_out(project)
    # Read as they lie, the one with the higher id comes first.
    nothing_found = {"project": project, "dry_until": timezone.now() + timedelta(minutes=1)}
    higher = Annotator.objects.create(pk=1_000_000, name="Higher", external_id="higher", **nothing_found)
    lower = Annotator.objects.create(name="Lower", external_id="lower", **nothing_found)
    assert lower.pk < higher.pk

    def sweep() -> None:
        opening.sweep()
        connection.close()

    with transaction.atomic():
        Annotator.objects.select_for_update(no_key=True).get(pk=lower.pk)
        sweeper = threading.Thread(target=sweep)
        sweeper.start()
        until_somebody_waits()
        assert Annotator.objects.select_for_update(no_key=True, nowait=True).get(pk=higher.pk)
    sweeper.join()
    assert not Annotator.objects.filter(dry_until__isnull=False).exists()


def let_a_lease_run_out(project: Project) -> None:
    """Somebody else's, long ago."""
    carol = Annotator.objects.create(project=project, name="Carol", external_id="carol")
    slot = Assignment.objects.filter(project=project, annotator=None).order_by("pk")[:1].values("pk")
    Assignment.objects.filter(pk__in=slot).update(annotator=carol, lease_until=timezone.now() - timedelta(days=1))
