from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from annotation import renewing
from annotation.errors import Refused
from annotation.models import Run
from annotation.running import Cancelled, Superseded, cancel_run, claim, hand_back_lost
from curation.inline import run_here
from tests.workers.asking import wait_for


def here(project, execute, **changes):
    return run_here(
        **{
            "project": project,
            "kind": "measurement",
            "parameters": {},
            "actor": None,
            "command": "test",
            "execute": execute,
            **changes,
        }
    )


def test_a_run_is_done_with_its_result(project):
    run = here(project, lambda hold: {"seed": hold.run.seed}, seed=4)
    assert (run.state, run.result, run.worker) == (Run.State.DONE, {"seed": 4}, "command test")


def test_no_worker_can_take_it_while_it_is_done_here(project):
    taken = []

    def try_to_take(hold):
        taken.append(claim(run_id=hold.run.pk, worker="another"))
        return {}

    here(project, try_to_take)
    assert taken == [None]


@pytest.mark.django_db(transaction=True)
def test_the_lease_is_renewed_while_one_step_takes_longer_than_it(project, monkeypatch):
    monkeypatch.setattr(renewing, "BEAT", 0.05)

    def busy(hold):
        mine = Run.objects.filter(pk=hold.run.pk)
        mine.update(lease_until=timezone.now() - timedelta(hours=1))
        # As if the step had outlasted the lease: it says nothing, and still no sweep hands its run back.
        wait_for(lambda: mine.filter(lease_until__gt=timezone.now()).exists())
        hand_back_lost()
        return {"told": 1}

    run = here(project, busy)
    assert (run.state, run.result, run.attempt) == (Run.State.DONE, {"told": 1}, 1)


@pytest.mark.django_db(transaction=True)
def test_a_cancel_request_is_met_where_the_step_asks(project, lead, monkeypatch):
    monkeypatch.setattr(renewing, "BEAT", 0.05)

    def asks(hold):
        cancel_run(run=hold.run, actor=lead.user)
        wait_for(lambda: hold.stopped is not None)
        hold.check()
        raise AssertionError("The check did not tell.")

    with pytest.raises(Refused, match="was cancelled"):
        here(project, asks)
    assert Run.objects.get().state == Run.State.CANCELLED


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [
        (Refused("Not so."), Run.State.FAILED, "Not so."),
        (Cancelled(), Run.State.CANCELLED, "was cancelled"),
        (ValueError("secret text"), Run.State.FAILED, "ValueError"),
    ],
)
def test_what_goes_wrong_ends_the_run_and_is_told(project, error, state, said):
    def fail(hold):
        raise error

    with pytest.raises((Refused, ValueError), match=said if not isinstance(error, ValueError) else "secret"):
        here(project, fail)
    run = Run.objects.get()
    assert run.state == state
    assert "secret" not in run.error


def test_a_run_that_a_worker_took_over_is_left_to_it(project):
    def lose(hold):
        Run.objects.filter(pk=hold.run.pk).update(state="waiting", token=None, lease_until=None)
        raise Superseded

    with pytest.raises(Refused, match="took it over"):
        here(project, lose)
    assert Run.objects.get().state == Run.State.WAITING
