"""A run in parts: whoever comes does them, each counts once, and what a lost process writes counts for nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import dividing, running
from annotation.dividing import attempt, claim_part, divide, do_together, hand_back_parts_of, ring_for_parts
from annotation.errors import Refused
from annotation.models import Part, Run
from annotation.running import Cancelled, Hold, Superseded

pytestmark = pytest.mark.django_db


@pytest.fixture
def hold(project: Any) -> Hold:
    run = Run.objects.create(project=project, kind=Run.Kind.RELEASE, code_version="test")
    found = running.claim(run_id=run.pk, worker="first")
    assert found is not None
    return found


def number(part: Any) -> dict[str, Any]:
    return {"number": part.part.task["number"]}


def tasks(count: int) -> list[dict[str, Any]]:
    return [{"number": place} for place in range(count)]


def expire(**which: Any) -> None:
    past = timezone.now() - timedelta(seconds=1)
    assert Part.objects.filter(state="running", **which).update(lease_until=past) == 1


def helper(hold: Hold, worker: str = "second", **more: Any) -> Any:
    found = claim_part(run_id=hold.run.pk, worker=worker, **more)
    assert found is not None
    return found


def test_one_process_alone_does_all_parts_in_order(hold: Hold) -> None:
    done: list[int] = []
    told: list[tuple[int, int]] = []

    def do(part: Any) -> dict[str, Any]:
        done.append(part.part.place)
        return number(part)

    results = do_together(hold, tasks(3), do=do, progress=lambda *so_far: told.append(so_far))
    assert results == [{"number": place} for place in range(3)]
    assert (done, told) == ([0, 1, 2], [(1, 3), (2, 3), (3, 3)])
    assert not Part.objects.exists()


def test_who_helps_does_what_nobody_does_and_the_results_stand_in_order(hold: Hold) -> None:
    helped: list[int] = []

    def do(part: Any) -> dict[str, Any]:
        while (other := claim_part(run_id=hold.run.pk, worker="second")) is not None:
            assert other.part.place not in (part.part.place, *helped)
            helped.append(other.part.place)
            attempt(other, number)
        return number(part)

    assert do_together(hold, tasks(4), do=do) == [{"number": place} for place in range(4)]
    assert helped == [1, 2, 3]


def test_the_part_of_a_process_that_died_is_done_by_the_next(hold: Hold) -> None:
    divide(hold, tasks(1))
    lost = helper(hold)
    assert claim_part(run_id=hold.run.pk, worker="third") is None
    expire(worker="second")
    found = helper(hold, "third")
    assert (found.part.place, found.part.attempt) == (lost.part.place, 2)
    # Whoever was thought dead wakes up: nothing that it says counts.
    for act in (lost.beat, lambda: lost.finish(result={"number": 99})):
        with pytest.raises(Superseded):
            act()
    lost.fail(error="Mine.")
    lost.give_back(error="Mine.")
    found.finish(result={"number": 0})
    assert (Part.objects.get().state, Part.objects.get().result) == ("done", {"number": 0})


def test_a_worker_that_starts_again_waits_for_no_lease_of_its_own(hold: Hold) -> None:
    divide(hold, tasks(2))
    helper(hold, "second")
    helper(hold, "third")
    assert hand_back_parts_of(worker="second") == 1
    assert helper(hold, "fourth").part.place == 0


def test_three_deaths_at_one_part_end_the_run_with_a_sentence(hold: Hold) -> None:
    def die(part: Any) -> dict[str, Any]:
        for _ in range(2):
            expire()
            helper(hold)
        expire()
        raise Superseded

    with pytest.raises(Refused, match=f"3 processes died while they worked on part 1 of Run {hold.run.pk}"):
        do_together(hold, tasks(2), do=die)
    assert not Part.objects.exists()


def test_what_a_part_refuses_the_run_refuses(hold: Hold) -> None:
    def do(part: Any) -> dict[str, Any]:
        def refuse(_: Any) -> dict[str, Any]:
            raise Refused("Pair 7: the prompt has no message.")

        attempt(helper(hold), refuse)
        return number(part)

    with pytest.raises(Refused, match=r"Pair 7: the prompt has no message\."):
        do_together(hold, tasks(3), do=do)


def test_an_unexpected_error_is_tried_three_times_and_its_text_stays_in_the_log(hold: Hold) -> None:
    divide(hold, tasks(1))

    def stumble(_: Any) -> dict[str, Any]:
        raise ValueError("the text of candidate 17")

    for state in ("waiting", "waiting", "failed"):
        with pytest.raises(ValueError, match="candidate 17"):
            attempt(helper(hold), stumble)
        assert Part.objects.get().state == state
    assert Part.objects.get().error.startswith("An unexpected error stopped Part 1")
    assert "candidate 17" not in Part.objects.get().error


def test_parts_of_an_earlier_attempt_are_nobodys(hold: Hold) -> None:
    divide(hold, tasks(2))
    old = helper(hold)
    Run.objects.filter(pk=hold.run.pk).update(state="waiting", token=None, lease_until=None)
    assert claim_part(run_id=hold.run.pk, worker="second") is None
    again = running.claim(run_id=hold.run.pk, worker="first")
    assert again is not None
    assert claim_part(run_id=hold.run.pk, worker="second") is None
    with pytest.raises(Superseded):
        old.finish(result={})
    with pytest.raises(Superseded):
        divide(hold, tasks(1))
    assert do_together(again, tasks(1), do=number) == [{"number": 0}]


def test_a_run_that_is_to_be_cancelled_gives_out_no_part_and_stops(hold: Hold, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dividing, "BEAT", 0.0)

    def do(part: Any) -> dict[str, Any]:
        other = helper(hold)
        running.cancel_run(run=hold.run, command="test")
        with pytest.raises(Superseded):
            other.beat()
        assert claim_part(run_id=hold.run.pk, worker="third") is None
        return number(part)

    with pytest.raises(Cancelled):
        do_together(hold, tasks(3), do=do)
    assert not Part.objects.exists()


def test_parts_of_a_command_are_for_its_own_processes(hold: Hold) -> None:
    divide(hold, tasks(1), is_local=True)
    assert claim_part(run_id=hold.run.pk, worker="a worker of the queue") is None
    assert ring_for_parts() == 0
    assert helper(hold, is_local=True).part.place == 0


def test_a_bell_is_rung_for_each_part_but_ones_own_and_again_while_one_is_free(
    hold: Hold, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung: list[tuple[int, str]] = []
    monkeypatch.setattr(dividing, "ring", lambda run, *, queue: rung.append((run, queue)))
    divide(hold, tasks(3))
    assert rung == [(hold.run.pk, "cpu")] * 2
    assert (ring_for_parts(queues=["gpu"]), ring_for_parts(queues=["cpu"]), ring_for_parts()) == (0, 1, 1)
    for _ in range(3):
        helper(hold)
    assert ring_for_parts() == 0
    expire(place=1)
    assert ring_for_parts() == 1


@pytest.mark.parametrize(
    ("wrong", "constraint"),
    [
        ({"state": "running"}, "running_part_has_a_lease"),
        ({"state": "waiting", "lease_until": timezone.now()}, "running_part_has_a_lease"),
        ({"state": "failed"}, "failed_part_says_why"),
        ({"attempt": 4}, "at_most_three_attempts_at_a_part"),
        ({"place": 0}, "one_part_per_place"),
    ],
)
def test_what_must_not_be_cannot_be(hold: Hold, wrong: dict[str, Any], constraint: str) -> None:
    divide(hold, tasks(1))
    with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
        Part.objects.create(**{"run": hold.run, "place": 1, "run_token": hold.token, **wrong})
