"""A run that is done where it is asked for, by the same code that a worker would run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import transaction

from annotation.errors import Refused
from annotation.models import Project, Run, User
from annotation.renewing import renewing
from annotation.running import Cancelled, Hold, Superseded, claim, request_run


def run_here(
    *,
    project: Project,
    kind: str,
    parameters: dict[str, Any],
    actor: User | None,
    command: str,
    execute: Callable[[Hold], dict[str, Any]],
    seed: int = 0,
) -> Run:
    """Write a run, do it now, and return it finished. If this process dies, a worker takes it over.

    The lease is renewed meanwhile, as a worker does it: `execute` may be busy for longer than a lease lasts.

    Raises:
        Refused: what `execute` refuses, or somebody cancelled the run. It has ended as failed or cancelled then.
    """
    with transaction.atomic():
        # Claimed before the bell can be heard: no worker takes it too.
        run = request_run(project=project, kind=kind, parameters=parameters, actor=actor, seed=seed)
        hold = claim(run_id=run.pk, worker=f"command {command}" if command else "the web server")
    assert hold is not None
    try:
        with renewing(hold):
            hold.finish(result=execute(hold))
    except Cancelled as error:
        hold.cancel()
        raise Refused(f"{run} was cancelled.") from error
    except Superseded as error:
        raise Refused(f"{run} took so long between two signs of life that a worker took it over.") from error
    except Refused as error:
        hold.fail(error=str(error))
        raise
    except BaseException as error:
        hold.fail(error=f"An unexpected error stopped the run: {type(error).__name__}.")
        raise
    run.refresh_from_db()
    return run
