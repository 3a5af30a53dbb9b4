"""Pairs out of play and back: their slots, what somebody holds or has said of them, and what the record tells."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from annotation import excluding, opening
from annotation.errors import Refused
from annotation.models import Assignment, Draft, Event, Judgement, Pair
from tests.annotation.test_assigning import claim, finish

pytestmark = pytest.mark.django_db


def test_open_slots_go_at_once_and_come_back(project: Any, lead: Any, make_pair: Any, alice: Any) -> None:
    gone, stays = make_pair(), make_pair()
    assert excluding.exclude(project=project, pairs=[gone.pk], because="Copied.", actor=lead.user) == 1
    assert not gone.assignments.exists()
    taken = claim(alice)
    assert Assignment.objects.get(pk=taken).pair_id == stays.pk
    assert claim(alice) is None
    assert excluding.put_back(project=project, pairs=[gone.pk], actor=lead.user) == 1
    assert gone.assignments.count() == project.overlap
    assert claim(alice), "Back in play, and found at once."


def test_who_holds_the_pair_finishes_and_what_they_said_counts_once_it_is_back(
    project: Any, lead: Any, make_pair: Any, alice: Any
) -> None:
    pair = make_pair()
    held = claim(alice)
    Draft.objects.create(assignment_id=held, body={"text": "half a thought"}, version=1, saved_at=timezone.now())
    excluding.exclude(project=project, pairs=[pair.pk], because="Copied.", actor=lead.user)
    assert {*pair.assignments.values_list("pk", flat=True)} == {held}
    finish(held)
    assert Judgement.objects.filter(assignment=held, is_current=True).exists()
    excluding.put_back(project=project, pairs=[pair.pk], actor=lead.user)
    assert pair.assignments.count() == project.overlap, "Two slots more beside the answer."
    assert Judgement.objects.filter(assignment=held, is_current=True).exists()


def test_a_lease_that_runs_out_takes_its_slot_along(project: Any, lead: Any, make_pair: Any, alice: Any) -> None:
    pair = make_pair()
    held = claim(alice)
    excluding.exclude(project=project, pairs=[pair.pk], because="Copied.", actor=lead.user)
    Assignment.objects.filter(pk=held).update(lease_until=timezone.now() - timedelta(seconds=1))
    opening.sweep()
    assert not pair.assignments.exists()


def test_twice_is_as_good_as_once_and_a_batch_comes_back_as_a_whole(project: Any, lead: Any, make_pair: Any) -> None:
    pairs = [make_pair().pk for _ in range(3)]
    first = excluding.exclude(project=project, pairs=pairs[:2], because=" Copied \n from elsewhere. ", actor=lead.user)
    again = excluding.exclude(project=project, pairs=pairs, because="Broken.", actor=lead.user)
    assert [first, again] == [2, 1]
    assert excluding.exclude(project=project, pairs=pairs, because="Broken.", actor=lead.user) == 0
    told = excluding.batches(project)
    assert [(one.pairs, one.because, one.actor) for one in told] == [
        (1, "Broken.", lead.user.email),
        (2, "Copied from elsewhere.", lead.user.email),
    ]
    pair = Pair.objects.get(pk=pairs[0])
    assert excluding.batch_of(pair) == told[1]
    assert excluding.put_back(project=project, batch=told[1].at, actor=lead.user) == 2
    assert excluding.put_back(project=project, batch=told[1].at, actor=lead.user) == 0
    assert excluding.batches(project) == told[:1]
    assert {*Pair.objects.in_play().values_list("pk", flat=True)} == {*pairs[:2]}
    acts = list(Event.objects.filter(act__startswith="pairs.").order_by("pk").values_list("act", "after__n"))
    assert acts[:3] == [("pairs.exclude", 2), ("pairs.exclude", 1), ("pairs.put_back", 2)]


def test_pairs_of_another_project_stay_where_they_are(project: Any, lead: Any, stranger: Any, make_pair: Any) -> None:
    from annotation.models import Project

    other = Project.objects.create(slug="other", name="Other")
    pair = make_pair()
    assert excluding.exclude(project=other, pairs=[pair.pk], because="Copied.", actor=lead.user) == 0
    excluding.exclude(project=project, pairs=[pair.pk], because="Copied.", actor=lead.user)
    assert excluding.put_back(project=other, pairs=[pair.pk], actor=lead.user) == 0
    assert Pair.objects.get(pk=pair.pk).excluded_at is not None


@pytest.mark.parametrize("because", ["", "  ", "x" * 501, "a\0b"])
def test_a_reason_is_needed(project: Any, lead: Any, make_pair: Any, because: str) -> None:
    pair = make_pair()
    with pytest.raises(Refused, match="Say why the pairs leave"):
        excluding.exclude(project=project, pairs=[pair.pk], because=because, actor=lead.user)
    assert Pair.objects.in_play().filter(pk=pair.pk).exists()


def test_what_comes_back_is_named_in_one_way(project: Any, lead: Any) -> None:
    both: list[dict[str, Any]] = [{}, {"pairs": [1], "batch": timezone.now()}]
    for which in both:
        with pytest.raises(Refused, match="Say which pairs come back"):
            excluding.put_back(project=project, actor=lead.user, **which)


@pytest.mark.django_db(transaction=True)
def test_two_who_take_out_the_same_pairs_take_each_out_once(project: Any, lead: Any, make_pair: Any) -> None:
    pairs = [make_pair().pk for _ in range(6)]
    together, gone = threading.Barrier(2), []

    def act(order: list[int]) -> None:
        together.wait(timeout=30)
        gone.append(excluding.exclude(project=project, pairs=order, because="Copied.", actor=lead.user))
        connection.close()

    threads = [threading.Thread(target=act, args=(order,)) for order in (pairs, pairs[::-1])]
    for one in threads:
        one.start()
    for one in threads:
        one.join(timeout=60)
    assert sorted(gone) == [0, 6]
    assert Pair.objects.in_play().count() == 0
    assert Event.objects.filter(act="pairs.exclude").count() == 1
