"""Runs end: done once, refused with a sentence, handed on when a worker dies, failed after three attempts."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from datetime import timedelta

import pytest
from celery.worker import state as worker_state
from django.db import transaction
from django.utils import timezone

from annotation import renewing, running
from annotation.errors import Refused
from annotation.models import Candidate, Project, Run, Worker
from annotation.running import Cancelled, Superseded
from config.celery import CPU, PULSE, app
from tests.workers.asking import PATIENCE, ask_for, attempts, expire_lease, state_of, wait_for
from tests.workers.holding import make_prompts
from workers import tasks
from workers.backends import CannotAnswer, CannotLoad


@pytest.fixture
def make_run(project):
    def make(**fields):
        fields = {"kind": Run.Kind.MEASUREMENT, "code_version": "test", "project": project} | fields
        return Run.objects.create(**fields)

    return make


@pytest.fixture
def handle(monkeypatch):
    """Put a handler in the place of a kind's own, and count its calls."""
    calls = []

    def put(function, kind=Run.Kind.MEASUREMENT):
        def handler(hold):
            calls.append(hold.run.pk)
            return function(hold)

        monkeypatch.setitem(tasks.HANDLERS, kind, handler)
        return calls

    return put


def raising(error):
    def handler(hold):
        raise error

    return handler


# ---- claim, load, call, record ---------------------------------------------------------------------------------------


def test_a_run_is_done_and_its_result_recorded(make_run, handle):
    run = make_run()
    handle(lambda hold: {"pairs": 7})
    tasks.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.result, run.attempt, run.lease_until) == ("done", {"pairs": 7}, 1, None)


def test_a_message_that_comes_twice_does_nothing_the_second_time(make_run, handle):
    run = make_run()
    calls = handle(lambda hold: {})
    tasks.run(run.pk)
    tasks.run(run.pk)
    tasks.run(run.pk + 1000)
    assert calls == [run.pk]


def test_a_refusal_ends_the_run_with_its_sentence(make_run, handle):
    run = make_run()
    handle(raising(Refused("Line 3 has no prompt.")))
    tasks.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "Line 3 has no prompt.")


@pytest.mark.parametrize("kind", [CannotLoad, CannotAnswer])
def test_what_a_model_cannot_do_ends_the_run_with_its_sentence_and_is_not_tried_again(make_run, handle, kind):
    run = make_run()
    calls = handle(raising(kind("The options “A” and “NA” begin with the same token.")))
    tasks.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("failed", "The options “A” and “NA” begin with the same token.")
    assert calls == [run.pk]


def test_a_cancelled_run_ends_as_cancelled(make_run, handle):
    run = make_run()
    handle(raising(Cancelled()))
    tasks.run(run.pk)
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_superseded_worker_writes_nothing(make_run, handle):
    run = make_run()

    def lose_the_lease(hold):
        Run.objects.filter(pk=hold.run.pk).update(token="00000000-0000-4000-8000-000000000000", worker="another")
        return {"mine": True}

    handle(lose_the_lease)
    tasks.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.worker, run.result) == ("running", "another", {})
    Run.objects.filter(pk=run.pk).update(state="waiting", token=None, lease_until=None, attempt=0)
    handle(raising(Superseded()))
    tasks.run(run.pk)
    run.refresh_from_db()
    assert run.state == "running"


def test_an_unexpected_error_is_raised_and_the_run_waits_then_fails_after_three(make_run, handle):
    run = make_run()
    handle(raising(ValueError("the text of candidate 17")))
    for attempt in (1, 2, 3):
        Run.objects.filter(pk=run.pk).update(due_at=timezone.now())
        with pytest.raises(ValueError, match="candidate 17"):
            tasks.run(run.pk)
        run.refresh_from_db()
        assert run.attempt == attempt
        assert run.state == ("failed" if attempt == 3 else "waiting")
        assert run.error == "An unexpected error stopped the run: ValueError. The worker's log says more."
    assert run.due_at <= timezone.now()


@pytest.mark.parametrize("kind", [Run.Kind.GENERATION, Run.Kind.JUDGING])
def test_a_run_with_parameters_that_nobody_knows_ends_with_a_sentence(make_run, kind):
    run = make_run(kind=kind, parameters={"colour": "red"})
    tasks.run(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert f"A {kind} run has no parameter 'colour'. Known are: " in run.error


def test_a_measurement_that_a_page_asks_for_is_done_by_the_worker(make_run):
    run = make_run(parameters={"measure": "agreement", "bootstrap": 0})
    tasks.run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error) == ("done", "")
    assert run.result["judgements"] == 0
    assert run.measurements.filter(metric="alpha_nominal", value=None).exclude(reason=None).count() == 1


def test_a_release_that_cannot_be_made_is_refused_with_a_sentence(make_run):
    run = make_run(kind=Run.Kind.RELEASE)
    tasks.run(run.pk)
    run.refresh_from_db()
    assert run.state == "failed"
    assert run.error.endswith(".")


def test_every_kind_has_a_handler():
    assert set(tasks.HANDLERS) == set(Run.Kind)


def test_a_request_runs_at_once_in_tests_after_the_commit(project, lead, handle, django_capture_on_commit_callbacks):
    calls = handle(lambda hold: {})
    with django_capture_on_commit_callbacks(execute=True):
        run = running.request_run(project=project, kind="measurement", parameters={}, actor=lead.user)
        assert calls == []
    assert calls == [run.pk]
    run.refresh_from_db()
    assert run.state == "done"


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_a_handler_is_busy(make_run, handle, monkeypatch):
    monkeypatch.setattr(renewing, "BEAT", 0.05)
    run = make_run()
    seen = []

    def busy(hold):
        first = Run.objects.get(pk=run.pk).lease_until
        wait_for(lambda: Run.objects.get(pk=run.pk).lease_until != first)
        seen.append(True)
        return {}

    handle(busy)
    tasks.run(run.pk)
    assert seen == [True]


@pytest.mark.django_db(transaction=True)
def test_a_cancel_request_reaches_a_handler_at_its_heartbeat(make_run, handle, lead, monkeypatch):
    monkeypatch.setattr(renewing, "BEAT", 0.05)
    run = make_run()

    def work(hold):
        running.cancel_run(run=run, actor=lead.user)
        hold.beat()
        raise AssertionError("The heartbeat did not tell.")

    handle(work)
    tasks.run(run.pk)
    run.refresh_from_db()
    assert run.state == "cancelled"


def test_a_cancel_request_is_met_within_five_seconds():
    """Seen at the next renewal of the lease; a handler that does not look is interrupted a moment later."""
    assert renewing.BEAT + renewing.GRACE < 5
    assert running.LEASE.total_seconds() > 5 * renewing.BEAT
    assert running.LEASE.total_seconds() + PULSE < 60


@pytest.mark.django_db(transaction=True)
def test_a_handler_may_ask_without_the_database_whether_to_stop(make_run, handle, lead, monkeypatch):
    monkeypatch.setattr(renewing, "BEAT", 0.05)
    run = make_run(kind=Run.Kind.GENERATION)

    def work(hold):
        hold.check()
        running.cancel_run(run=run, actor=lead.user)
        wait_for(lambda: hold.stopped is not None)
        hold.check()
        raise AssertionError("The check did not tell.")

    handle(work, kind=Run.Kind.GENERATION)
    tasks.run(run.pk)
    assert state_of(run) == "cancelled"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("inside", [False, True], ids=["between statements", "inside a transaction"])
def test_a_handler_that_never_looks_is_interrupted(make_run, handle, lead, monkeypatch, inside):
    monkeypatch.setattr(renewing, "BEAT", 0.05)
    monkeypatch.setattr(renewing, "GRACE", 0.05)
    run = make_run(kind=Run.Kind.GENERATION)
    seen = []

    def blind(hold):
        running.cancel_run(run=run, actor=lead.user)
        with transaction.atomic() if inside else contextlib.nullcontext():
            if inside:
                Project.objects.filter(pk=run.project_id).update(name="half done")
            for _ in range(int(PATIENCE / 0.01)):
                time.sleep(0.01)
        seen.append("It went on.")
        return {}

    handle(blind, kind=Run.Kind.GENERATION)
    before = signal.getsignal(tasks.INTERRUPT)
    tasks.run(run.pk)
    assert state_of(run) == "cancelled"
    assert (seen, Project.objects.get(pk=run.project_id).name) == ([], "Everyday help")
    assert signal.getsignal(tasks.INTERRUPT) == before


@pytest.mark.django_db(transaction=True)
def test_an_import_is_not_torn_off(make_run, handle, lead, monkeypatch):
    """It keeps all of a file or nothing, and looks for itself."""
    monkeypatch.setattr(renewing, "BEAT", 0.05)
    monkeypatch.setattr(renewing, "GRACE", 0.05)
    run = make_run(kind=Run.Kind.IMPORT)

    def work(hold):
        running.cancel_run(run=run, actor=lead.user)
        wait_for(lambda: hold.stopped is not None)
        time.sleep(0.2)
        return {"added": 1}

    handle(work, kind=Run.Kind.IMPORT)
    tasks.run(run.pk)
    assert (state_of(run), run.result) == ("done", {"added": 1})


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_lost_its_run_stops_working_on_it(make_run, handle, monkeypatch):
    monkeypatch.setattr(renewing, "BEAT", 0.05)
    monkeypatch.setattr(renewing, "GRACE", 0.05)
    run = make_run(kind=Run.Kind.GENERATION)
    seen = []

    def blind(hold):
        Run.objects.filter(pk=run.pk).update(token="00000000-0000-4000-8000-000000000000", worker="another")
        for _ in range(int(PATIENCE / 0.01)):
            time.sleep(0.01)
        seen.append("It went on.")
        return {}

    handle(blind, kind=Run.Kind.GENERATION)
    tasks.run(run.pk)
    assert (state_of(run), run.worker, seen) == ("running", "another", [])


# ---- the sweep and the pulse -----------------------------------------------------------------------------------------


def test_a_sweep_hands_back_lost_runs_and_rings(make_run, bells):
    run = make_run(
        state="running",
        token="00000000-0000-4000-8000-000000000000",
        attempt=1,
        lease_until=timezone.now() - timedelta(seconds=1),
    )
    tasks.sweep()
    run.refresh_from_db()
    assert run.state == "waiting"
    assert bells == [(run.pk, CPU)]


@pytest.mark.parametrize(("taken", "slots", "rings"), [(1, 1, False), (1, 2, True), (2, 2, False)])
def test_a_worker_rings_while_it_has_a_free_slot_and_hands_back_in_any_case(
    make_run, bells, monkeypatch, taken, slots, rings
):
    lost = make_run(
        state="running",
        token="00000000-0000-4000-8000-000000000000",
        attempt=1,
        lease_until=timezone.now() - timedelta(seconds=1),
    )
    monkeypatch.setattr(worker_state, "reserved_requests", set(range(taken)))
    tasks.sweep(slots=slots)
    assert state_of(lost) == "waiting"
    assert bells == ([(lost.pk, CPU)] if rings else [])


def test_a_sweep_hands_back_expired_assignments(alice, make_pair):
    pair = make_pair(slots=1)
    pair.assignments.update(annotator=alice, lease_until=timezone.now() - timedelta(minutes=1))
    tasks.sweep()
    assert pair.assignments.get().annotator is None


@pytest.mark.django_db(transaction=True)
def test_the_pulse_tells_of_a_living_worker_survives_trouble_and_says_goodbye(monkeypatch):
    troubles = iter([OSError("no folder"), RuntimeError("a fault of ours")])

    def trouble():
        for error in troubles:
            raise error

    monkeypatch.setattr(tasks, "make_folders", trouble)
    pulse = tasks.Pulse(name="cpu@here", queues=[CPU], every=0.02)
    pulse.start()
    wait_for(lambda: Worker.objects.filter(name="cpu@here", queues=[CPU]).exists())
    pulse.ended.set()
    pulse.join(timeout=60)
    assert not pulse.is_alive()
    assert not Worker.objects.exists()


# ---- real processes, the real broker ---------------------------------------------------------------------------------


def test_a_worker_does_a_run_tells_that_it_lives_and_says_goodbye(project, start_worker, folders, tmp_path):
    worker = start_worker(folders)
    run, file = ask_for(project, tmp_path, "count")
    wait_for(lambda: state_of(run) == "done")
    assert attempts(file) == ["attempt 1"]
    assert run.worker == worker.name
    wait_for(lambda: running.living_workers().filter(name=worker.name, queues=[CPU]).exists())
    worker.process.terminate()
    assert worker.process.wait(timeout=PATIENCE) == 0
    assert not Worker.objects.exists()


def test_a_killed_worker_s_run_is_done_once_by_another(project, start_worker, folders, tmp_path):
    gate = tmp_path / "gate"
    first = start_worker(folders)
    run, file = ask_for(project, tmp_path, "wait", gate=str(gate))
    wait_for(lambda: attempts(file) == ["attempt 1"])
    first.kill_all()
    # The killed worker had taken the message with it: nothing is left but the row.
    expire_lease(run)
    gate.touch()
    start_worker(folders)
    wait_for(lambda: state_of(run) == "done")
    assert attempts(file) == ["attempt 1", "attempt 2"]
    assert run.result == {"attempt": 2}


def test_a_second_worker_of_a_name_does_not_start_while_the_first_one_lives(project, start_worker, folders, tmp_path):
    gate = tmp_path / "gate"
    first = start_worker(folders, name="celery@test")
    run, file = ask_for(project, tmp_path, "wait", gate=str(gate))
    wait_for(lambda: attempts(file) == ["attempt 1"])
    second = start_worker(folders, name="celery@test")
    assert second.process.wait(timeout=PATIENCE) != 0
    said = second.log.read_text()
    assert "A worker called celery@test is alive on this machine" in said
    assert "--hostname another-celery@%h" in said
    assert "Traceback" not in said
    assert state_of(run) == "running"
    # Once it is dead its name is free, and what it had is handed back: no lease is waited for.
    first.kill_all()
    gate.touch()
    start_worker(folders, name="celery@test")
    wait_for(lambda: state_of(run) == "done")
    assert attempts(file) == ["attempt 1", "attempt 2"]


def test_a_run_that_always_kills_its_worker_fails_after_exactly_three_attempts(
    project, start_worker, folders, tmp_path
):
    start_worker(folders)
    run, file = ask_for(project, tmp_path, "die")
    for attempt in (1, 2, 3):
        wait_for(lambda attempt=attempt: len(attempts(file)) == attempt)
        expire_lease(run)
    wait_for(lambda: state_of(run) == "failed")
    assert attempts(file) == ["attempt 1", "attempt 2", "attempt 3"]
    assert run.attempt == 3
    assert "died 3 times" in run.error
    # The worker itself is still there and does the next one.
    other, _ = ask_for(project, tmp_path, "count")
    wait_for(lambda: state_of(other) == "done")


def test_a_killed_child_s_run_goes_on_although_the_worker_s_other_slot_is_busy(
    project, start_worker, folders, tmp_path
):
    """Nothing shortens the lease: it runs out by itself. The other run is busy for as long as the gate is closed."""
    gate, made = tmp_path / "gate", tmp_path / "made.txt"
    prompts = make_prompts(project, 40)
    start_worker(folders, slots=2, queues="cpu,gpu", include="tests.workers.engine,bench.surviving_engine")
    busy, file = ask_for(project, tmp_path, "wait", gate=str(gate))
    wait_for(lambda: attempts(file) == ["attempt 1"])
    asked = {"n": 4, "pace": 0.02, "file": str(made)}
    run = running.request_run(project=project, kind=Run.Kind.GENERATION, parameters=asked, actor=None)
    wait_for(lambda: len(attempts(made)) >= 40)
    os.kill(int(attempts(made)[0].split()[0]), signal.SIGKILL)
    assert state_of(run) == "running"
    wait_for(lambda: state_of(run) == "done")
    assert (run.attempt, state_of(busy)) == (2, "running")
    there = sorted(Candidate.objects.filter(run=run).values_list("prompt", "index"))
    assert there == sorted((prompt.pk, index) for prompt in prompts for index in range(4))
    gate.touch()
    wait_for(lambda: state_of(busy) == "done")
    assert attempts(file) == ["attempt 1"]


def test_a_lost_bell_is_rung_again_and_a_removed_folder_comes_back(project, start_worker, folders, tmp_path):
    lost, _ = ask_for(project, tmp_path, "count")
    folders.empty()
    assert state_of(lost) == "waiting"
    start_worker(folders)
    wait_for(lambda: state_of(lost) == "done")
    # Once more, under a living worker.
    folders.empty()
    again, _ = ask_for(project, tmp_path, "count")
    wait_for(lambda: state_of(again) == "done")


def test_a_folder_that_is_deleted_under_a_worker_is_an_empty_queue(folders):
    """Whoever looks first makes it again: a worker that stopped here would tear its run off."""
    folders.start()
    with app.connection_for_read() as connection, connection.SimpleQueue("cpu") as queue:
        queue.put("one")
        folders.empty()
        with pytest.raises(queue.Empty):
            queue.get(block=False)
        folders.empty()
        queue.put("two")
        folders.empty()
        assert queue.qsize() == 0
        folders.empty()
        assert queue.clear() == 0
        queue.put("three")
        assert queue.get(block=False).payload == "three"
