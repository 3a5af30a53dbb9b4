"""Requests -> runs -> results: every write to a run. The state machine is drawn in annotation/models/runs.py."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from annotation.errors import Refused
from annotation.models import Project, Run, User, Worker
from annotation.recording import record
from config.celery import CPU, GPU, ring
from config.version import code_version

# With a sweep every ten seconds, the run of a dead worker goes on within a minute.
LEASE = timedelta(seconds=45)
# A worker that has not been heard of for this long is not alive.
ALIVE = timedelta(seconds=30)
LOG_LINES = 200

QUEUES = {
    Run.Kind.GENERATION: GPU,
    Run.Kind.JUDGING: GPU,
    Run.Kind.MEASUREMENT: CPU,
    Run.Kind.RELEASE: CPU,
    Run.Kind.IMPORT: CPU,
}


class Cancelled(Exception):
    """The run was asked to stop; the worker ends it as cancelled."""


class Superseded(Exception):
    """Another worker holds the run now. This one must write nothing more."""


def queue_of(run: Run) -> str:
    """The queue whose workers can do this run: a measurement that trains names `gpu` in its parameters."""
    return str(run.parameters.get("queue") or QUEUES[Run.Kind(run.kind)])


@transaction.atomic
def request_run(
    *, project: Project | None, kind: str, parameters: dict[str, Any], actor: User | None, seed: int = 0
) -> Run:
    """Write a waiting run and ring the bell once the transaction has committed."""
    run = Run.objects.create(
        project=project, kind=kind, parameters=parameters, seed=seed, code_version=code_version(), started_by=actor
    )
    ring(run.pk, queue=queue_of(run))
    return run


@dataclass
class Hold:
    """What a worker has of a run while it works: the row as claimed, and the token that makes its writes count."""

    run: Run
    token: uuid.UUID

    def _mine(self) -> models.QuerySet[Run]:
        return Run.objects.filter(pk=self.run.pk, token=self.token, state=Run.State.RUNNING)

    def beat(self, *, progress: int | None = None, total: int | None = None) -> None:
        """Renew the lease, tell the progress, and learn whether to stop.

        Raises:
            Cancelled: somebody asked for it.
            Superseded: the lease was lost and the run is another worker's.
        """
        now = timezone.now()
        changes: dict[str, Any] = {"heartbeat_at": now, "lease_until": now + LEASE}
        if progress is not None:
            changes["progress"] = progress
        if total is not None:
            changes["total"] = total
        if not self._mine().update(**changes):
            raise Superseded
        if Run.objects.filter(pk=self.run.pk, cancel_requested=True).exists():
            raise Cancelled

    def say(self, line: str) -> None:
        """Append a line to the run's log, which keeps its last lines."""
        with transaction.atomic():
            run = self._mine().select_for_update().first()
            if run is None:
                raise Superseded
            stamped = f"{timezone.now():%H:%M:%S} {line}"
            run.log = "\n".join([*run.log.split("\n"), stamped][-LOG_LINES:]).lstrip("\n")
            run.save(update_fields=["log"])

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction that commits only while this worker holds the run: lost leases write nothing."""
        with transaction.atomic():
            if not self._mine().select_for_update().exists():
                raise Superseded
            yield

    def finish(self, *, result: dict[str, Any]) -> None:
        if not self._end(Run.State.DONE, result=result):
            raise Superseded

    def fail(self, *, error: str) -> None:
        """End as failed, with a sentence that can be shown."""
        self._end(Run.State.FAILED, error=error or "The run failed and did not say why.")

    def cancel(self) -> None:
        self._end(Run.State.CANCELLED)

    def give_back(self, *, error: str) -> None:
        """An unexpected error: wait for another attempt, or fail after the last one."""
        if self.run.attempt >= Run.MAX_ATTEMPTS:
            self.fail(error=error)
        else:
            due = timezone.now() + timedelta(seconds=2**self.run.attempt)
            self._mine().update(state=Run.State.WAITING, lease_until=None, token=None, error=error, due_at=due)

    def _end(self, state: str, **changes: Any) -> int:
        return self._mine().update(state=state, finished_at=timezone.now(), lease_until=None, token=None, **changes)


def claim(*, run_id: int, worker: str) -> Hold | None:
    """Take a waiting run. None: it is final, running elsewhere, not due, or gone; then there is nothing to do."""
    now = timezone.now()
    token = uuid.uuid4()
    taken = Run.objects.filter(
        pk=run_id, state=Run.State.WAITING, due_at__lte=now, attempt__lt=Run.MAX_ATTEMPTS, cancel_requested=False
    ).update(
        state=Run.State.RUNNING,
        token=token,
        worker=worker,
        attempt=F("attempt") + 1,
        claimed_at=now,
        heartbeat_at=now,
        lease_until=now + LEASE,
        error="",
    )
    return Hold(run=Run.objects.select_related("project").get(pk=run_id), token=token) if taken else None


@transaction.atomic
def cancel_run(*, run: Run, actor: User) -> Run:
    """A waiting run ends at once; a running one at its next heartbeat.

    Raises:
        Refused: the run has ended already.
    """
    run = Run.objects.select_for_update().get(pk=run.pk)
    if run.is_final:
        raise Refused(f"{run} has ended already: {run.get_state_display().lower()}.")
    run.cancel_requested = True
    if run.state == Run.State.WAITING:
        run.state, run.finished_at = Run.State.CANCELLED, timezone.now()
    run.save(update_fields=["cancel_requested", "state", "finished_at"])
    record(act="run.cancel", subject=f"run {run.pk}", actor=actor, project=run.project)
    return run


def sweep_runs(*, queues: Collection[str] | None = None) -> int:
    """Hand back runs whose lease ran out, end those that had their last attempt, and ring for those that are due.

    `queues` limits the bells to runs that these queues serve: where nobody serves a run, bells would only pile up.
    Harmless when two workers do it at once; a run whose row is locked is left for the next sweep.

    Returns how many bells were rung.
    """
    now = timezone.now()
    with transaction.atomic():
        lost = Run.objects.filter(state=Run.State.RUNNING, lease_until__lt=now).select_for_update(skip_locked=True)
        for run in lost.order_by("pk"):
            run.lease_until, run.token = None, None
            if run.cancel_requested:
                run.state, run.finished_at = Run.State.CANCELLED, now
            elif run.attempt >= Run.MAX_ATTEMPTS:
                run.state, run.finished_at = Run.State.FAILED, now
                run.error = (
                    f"The worker died {Run.MAX_ATTEMPTS} times while it worked on this run. "
                    "See the worker's log for the reason, then start a new run."
                )
            else:
                run.state, run.due_at = Run.State.WAITING, now
            run.save(update_fields=["state", "lease_until", "token", "finished_at", "error", "due_at"])
    due = list(Run.objects.waiting().filter(due_at__lte=now, cancel_requested=False))
    served = [run for run in due if queues is None or queue_of(run) in queues]
    for run in served:
        ring(run.pk, queue=queue_of(run))
    return len(served)


def worker_seen(*, name: str, queues: list[str]) -> None:
    """A worker says that it is alive."""
    now = timezone.now()
    Worker.objects.update_or_create(
        name=name,
        defaults={"queues": queues, "seen_at": now, "code_version": code_version()},
        create_defaults={"queues": queues, "seen_at": now, "started_at": now, "code_version": code_version()},
    )


def worker_gone(*, name: str) -> None:
    """A worker says goodbye."""
    Worker.objects.filter(name=name).delete()


def living_workers() -> models.QuerySet[Worker]:
    return Worker.objects.filter(seen_at__gt=timezone.now() - ALIVE)
