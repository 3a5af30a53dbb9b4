"""The verbs of a run: cancel, retry, hand back, pace; and what the database refuses."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import running
from annotation.errors import Refused
from annotation.estimating import speed_of
from annotation.models import Event, Run
from annotation.running import Superseded

pytestmark = pytest.mark.django_db


@pytest.fixture
def make_run(project):
    def make(**fields):
        return Run.objects.create(**{"kind": "generation", "code_version": "test", "project": project, **fields})

    return make


@pytest.fixture
def held(make_run):
    def hold(**fields) -> Any:
        found = running.claim(run_id=make_run(**fields).pk, worker="gpu@here")
        assert found is not None
        return found

    return hold


def ended(state="failed", **fields):
    error = "The model server went away." if state == "failed" else ""
    return {"state": state, "finished_at": timezone.now(), "error": error, **fields}


# ---- retry -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["failed", "cancelled"])
def test_a_retry_gives_three_new_attempts_and_keeps_what_is_finished(make_run, lead, bells, state):
    run = make_run(**ended(state, attempt=3, progress=1832, total=2000, cancel_requested=state == "cancelled"))
    running.retry_run(run=run, actor=lead.user)
    run.refresh_from_db()
    assert (run.state, run.attempt, run.retries, run.error, run.cancel_requested) == ("waiting", 0, 1, "", False)
    assert (run.progress, run.total, run.missing, run.finished_at) == (1832, 2000, 168, None)
    assert bells == [(run.pk, "gpu")]
    event: Any = Event.objects.get(act="run.retry")
    assert (event.before["attempt"], event.before["progress"], event.after["retries"]) == (3, 1832, 1)
    for attempt in (1, 2, 3):
        hold = running.claim(run_id=run.pk, worker="gpu@here")
        assert hold is not None
        assert hold.run.attempt == attempt
        hold.give_back(error="Again.")
        Run.objects.filter(pk=run.pk).update(due_at=timezone.now())
    run.refresh_from_db()
    assert run.state == "failed"


@pytest.mark.parametrize("kind", ["generation", "judging"])
def test_what_a_model_could_not_answer_is_retried_though_the_run_is_done(make_run, lead, bells, kind):
    run = make_run(**ended("done", kind=kind, progress=396, total=400))
    assert run.is_partial
    running.retry_run(run=run, actor=lead.user)
    run.refresh_from_db()
    assert (run.state, run.retries, run.missing, run.finished_at) == ("waiting", 1, 4, None)
    assert bells == [(run.pk, "gpu")]


def test_what_is_not_over_or_is_done_is_not_retried(make_run, lead, bells):
    for fields, why in (
        ({}, "is waiting"),
        (ended("done"), "nothing of it is missing"),
        (ended("done", progress=400, total=400), "nothing of it is missing"),
        # Its units are steps, and it leaves none out.
        (ended("done", kind="measurement", progress=3, total=4), "nothing of it is missing"),
        (ended(kind="import"), "Import the file again"),
    ):
        run = make_run(**fields)
        with pytest.raises(Refused, match=why):
            running.retry_run(run=run, actor=lead.user)
    assert bells == []


@pytest.mark.parametrize(
    "fields",
    [
        ended("failed", kind="judging", progress=3),
        ended("failed", progress=0),
        ended("cancelled", progress=3, parameters={"pairing": "none"}),
        ended("done", progress=3, total=4),  # Its pairs are made.
    ],
)
def test_where_nothing_waits_to_be_paired_nothing_is(make_run, bells, fields):
    with pytest.raises(Refused, match="no candidates that wait to be paired"):
        running.retry_run(run=make_run(**fields), only_pair=True)
    assert bells == []


def test_a_generation_that_stopped_is_paired_and_a_retry_generates_again(make_run, bells):
    run = make_run(**ended("cancelled", progress=3, total=4, parameters={"n": 2}))
    running.retry_run(run=run, only_pair=True, command="runs")
    run.refresh_from_db()
    assert (run.state, run.parameters) == ("waiting", {"n": 2, "only_pair": True})
    assert Event.objects.get().act == "run.pair"
    Run.objects.filter(pk=run.pk).update(**ended("done"))
    running.retry_run(run=run)
    run.refresh_from_db()
    assert run.parameters["only_pair"] is False


def test_a_command_is_named_in_the_event(make_run):
    run = make_run()
    running.cancel_run(run=run, command="runs")
    running.retry_run(run=run, command="runs")
    assert list(Event.objects.order_by("id").values_list("act", "actor")) == [
        ("run.cancel", "runs"),
        ("run.retry", "runs"),
    ]


# ---- fencing ---------------------------------------------------------------------------------------------------------


def test_who_lost_the_lease_can_write_nothing(held, lead):
    old = held()
    Run.objects.filter(pk=old.run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    assert running.hand_back_lost() == 1
    new = running.claim(run_id=old.run.pk, worker="gpu@there")
    assert new is not None
    with pytest.raises(Superseded):
        old.beat(progress=7)
    with pytest.raises(Superseded):
        old.say("still here")
    with pytest.raises(Superseded), old.fenced():
        raise AssertionError("The fence was open.")
    with pytest.raises(Superseded):
        old.finish(result={"mine": True})
    old.fail(error="Mine.")
    old.cancel()
    old.give_back(error="Mine.")
    run = Run.objects.get(pk=old.run.pk)
    assert (run.state, run.worker, run.attempt, run.progress, run.error) == ("running", "gpu@there", 2, 0, "")
    new.finish(result={"mine": False})


def test_a_worker_that_starts_hands_back_what_its_dead_namesake_had(held, make_run):
    mine, last, cancelled = held(), held(attempt=2), held()
    Run.objects.filter(pk=cancelled.run.pk).update(cancel_requested=True)
    other = running.claim(run_id=make_run().pk, worker="gpu@there")
    assert other is not None
    assert running.hand_back_of(worker="gpu@here") == 3
    states = [Run.objects.get(pk=hold.run.pk).state for hold in (mine, last, cancelled, other)]
    assert states == ["waiting", "failed", "cancelled", "running"]


# ---- pace ------------------------------------------------------------------------------------------------------------


def test_the_pace_begins_with_the_first_progress_and_not_with_the_loading(held):
    hold = held()
    for _ in range(2):
        hold.beat(total=100, progress=16)
    assert Run.objects.get(pk=hold.run.pk).pace_since is None
    hold.beat(progress=20, tokens=4000)
    run = Run.objects.get(pk=hold.run.pk)
    assert run.pace_since is not None
    assert (run.pace_from, run.total, run.tokens) == (20, 100, 4000)


def test_the_pace_begins_when_the_worker_says_that_all_is_loaded(held, monkeypatch):
    hold = held(total=1000)
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    hold.run.claimed_at = now - timedelta(seconds=30)
    hold.beat(progress=100)  # What an earlier attempt made; the model is not there yet.
    assert Run.objects.get(pk=hold.run.pk).pace_since is None
    hold.beat(progress=100, ready=True)
    assert (hold.run.pace_since, hold.run.pace_from) == (now, 100)
    hold.run.pace_since -= timedelta(seconds=16)
    hold.beat(progress=164, ready=True)  # A second model: the pace goes on.
    run = Run.objects.get(pk=hold.run.pk)
    assert (run.pace_since, run.pace_from) == (now, 100)
    # The first batch counts: 64 in 16 seconds, 836 are left, and 30 seconds are over.
    assert run.estimate["early_seconds"] == pytest.approx(30 + 836 / 4)
    Run.objects.filter(pk=run.pk).update(
        state="done",
        progress=164,
        finished_at=now,
        lease_until=None,
        claimed_at=now - timedelta(seconds=46),
        pace_since=now - timedelta(seconds=16),
    )
    speed = speed_of(Run.objects.get(pk=run.pk), now=now)
    assert speed is not None
    assert speed.units == pytest.approx(4)
    assert speed.loading == pytest.approx(30)


def test_what_needed_no_work_is_no_part_of_the_pace(held):
    hold = held()

    def pace():
        run = Run.objects.get(pk=hold.run.pk)
        return run.pace_since is not None, run.progress - run.pace_from if run.pace_since else 0

    hold.beat(progress=0, total=100)
    hold.beat(progress=40, passed_over=40)
    assert pace() == (False, 0)
    hold.beat(progress=50)  # The first ten: from here on it is measured.
    hold.beat(progress=90, passed_over=30)
    assert pace() == (True, 10)
    hold.beat(progress=100, passed_over=10)
    assert pace() == (True, 10)


def test_after_fifty_units_the_estimate_is_made_again_and_kept(held, monkeypatch):
    hold = held(total=1000, estimate={"seconds": 30.0})
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)  # However busy the machine is.
    hold.beat(progress=0)
    hold.beat(progress=8)
    hold.run.pace_since -= timedelta(seconds=5)
    hold.run.claimed_at = now - timedelta(seconds=8)
    hold.beat(progress=57)
    assert "early_seconds" not in Run.objects.get(pk=hold.run.pk).estimate
    hold.beat(progress=58)
    estimate = Run.objects.get(pk=hold.run.pk).estimate
    # 942 are left at ten a second, and eight seconds are over.
    assert estimate["early_seconds"] == pytest.approx(102.2)
    assert (estimate["seconds"], estimate["early_at"]) == (30.0, 58)
    hold.beat(progress=500)
    assert Run.objects.get(pk=hold.run.pk).estimate == estimate


def test_the_time_of_all_attempts_is_kept(held):
    hold = held()
    hold.run.claimed_at -= timedelta(seconds=10)
    hold.give_back(error="Away.")
    Run.objects.filter(pk=hold.run.pk).update(due_at=timezone.now())
    assert running.claim(run_id=hold.run.pk, worker="gpu@here") is not None
    Run.objects.filter(pk=hold.run.pk).update(claimed_at=timezone.now() - timedelta(seconds=20))
    running.hand_back_of(worker="gpu@here")
    third: Any = running.claim(run_id=hold.run.pk, worker="gpu@here")
    third.run.claimed_at -= timedelta(seconds=30)
    third.finish(result={})
    assert Run.objects.get(pk=hold.run.pk).busy_seconds == pytest.approx(60, abs=3)


# ---- what must never be false ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("running_has_a_lease", {"state": "running"}),
        ("running_has_a_lease", {"lease_until": timezone.now()}),
        ("final_has_an_end", {"state": "done"}),
        ("final_has_an_end", {"finished_at": timezone.now()}),
        ("failed_says_why", {"state": "failed", "finished_at": timezone.now()}),
        ("at_most_three_attempts", {"attempt": 4}),
        ("time_spent_is_not_negative", {"busy_seconds": -1}),
    ],
)
def test_the_database_refuses(make_run, name, fields):
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        make_run(**fields)


def test_only_one_of_two_claims_gets_the_run(make_run):
    run = make_run()
    first, second = (running.claim(run_id=run.pk, worker=name) for name in ("a", "b"))
    assert first is not None
    assert second is None
    assert Run.objects.get(pk=run.pk).token == first.token
    assert first.token != uuid.UUID(int=0)
