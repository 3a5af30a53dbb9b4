from __future__ import annotations

import pytest

from annotation.errors import Refused
from annotation.models import Run
from annotation.running import Cancelled, Superseded, claim
from curation.inline import run_here


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
