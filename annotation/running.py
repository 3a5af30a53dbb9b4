"""Requests -> runs -> results: every write to a run. The state machine is drawn in annotation/models/runs.py."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import F
from django.utils import timezone

from annotation.errors import Refused
from annotation.models import Project, Run, User, Worker
from annotation.recording import record
from config.celery import CPU, GPU, ring
from config.version import code_version

# With a sweep every ten seconds, the run of a dead worker goes on within 30 seconds. The lease is renewed every two.
LEASE = timedelta(seconds=20)
# A worker that has not been heard of for this long is not alive.
ALIVE = timedelta(seconds=30)
LOG_LINES = 200
MOST_SEED = 2**63 - 1
# The estimate is made once more when so many units have come out, and compared with what the run took.
EARLY = 50

QUEUES = {
    Run.Kind.GENERATION: GPU,
    Run.Kind.JUDGING: GPU,
    Run.Kind.MEASUREMENT: CPU,
    Run.Kind.RELEASE: CPU,
    Run.Kind.IMPORT: CPU,
    Run.Kind.CHECK: GPU,
    Run.Kind.FACTS: CPU,
}


# These two are raised at whatever a handler happens to be doing, by a signal too: in the middle of a library that
# catches every Exception and takes it for its own. So they are none, as KeyboardInterrupt is none.
class Cancelled(BaseException):
    """The run was asked to stop; the worker ends it as cancelled."""


class Superseded(BaseException):
    """Another worker holds the run now. This one must write nothing more."""


def queue_of(run: Run) -> str:
    """The queue whose workers can do this run: a measurement that trains names `gpu` in its parameters."""
    return str(run.parameters.get("queue") or QUEUES[Run.Kind(run.kind)])


def check_seed(seed: int) -> None:
    """What a run can keep, and a generator can begin with.

    Raises:
        Refused: it is another number.
    """
    if not 0 <= seed <= MOST_SEED:
        raise Refused(f"A seed is a whole number from 0 to {MOST_SEED}, not {seed}.")


@transaction.atomic
def request_run(
    *,
    project: Project | None,
    kind: str,
    parameters: dict[str, Any],
    actor: User | None,
    seed: int = 0,
    estimate: dict[str, Any] | None = None,
) -> Run:
    """Write a waiting run and ring the bell once the transaction has committed.

    `estimate` is what was expected: see annotation/estimating.py.

    Raises:
        Refused: the seed is out of range.
    """
    check_seed(seed)
    run = Run.objects.create(
        project=project,
        kind=kind,
        parameters=parameters,
        seed=seed,
        code_version=code_version(),
        started_by=actor,
        estimate=estimate or {},
    )
    ring(run.pk, queue=queue_of(run))
    return run


@dataclass
class Hold:
    """What a worker has of a run while it works: the row as claimed, and the token that makes its writes count."""

    run: Run
    token: uuid.UUID
    # Why to stop, once the thread that renews the lease has learned it.
    stopped: Cancelled | Superseded | None = None
    # The progress of this attempt's first beat: what was there already.
    _first: int | None = None

    def _mine(self) -> models.QuerySet[Run]:
        return Run.objects.filter(pk=self.run.pk, token=self.token, state=Run.State.RUNNING)

    def check(self) -> None:
        """Learn whether to stop, without asking the database: cheap enough to call at every token.

        Raises:
            Cancelled, Superseded: as `beat` does; at most one renewal of the lease later.
        """
        if self.stopped is not None:
            raise self.stopped

    def beat(
        self,
        *,
        progress: int | None = None,
        total: int | None = None,
        tokens: int | None = None,
        passed_over: int = 0,
        ready: bool = False,
    ) -> None:
        """Renew the lease, tell the progress, and learn whether to stop.

        `progress` and `total` count the run's units, those of earlier attempts among them; `tokens` is what a model
        has read and written for this run so far. `passed_over`: so many units of the progress since the last beat
        needed no work, so that they say nothing about the pace. `ready`: everything is loaded, and the pace begins; who
        never says so has it begin when the first units come out.

        Raises:
            Cancelled: somebody asked for it.
            Superseded: the lease was lost and the run is another worker's.
        """
        now = timezone.now()
        told = {"progress": progress, "total": total, "tokens": tokens}
        changes: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
        if progress is not None:
            changes |= self._pace(progress, total, passed_over, now, ready=ready)
        for name, value in changes.items():
            setattr(self.run, name, value)
        if not self._mine().update(heartbeat_at=now, lease_until=now + LEASE, **changes):
            raise Superseded
        if Run.objects.filter(pk=self.run.pk, cancel_requested=True).exists():
            raise Cancelled

    def _pace(
        self, progress: int, total: int | None, passed_over: int, now: datetime, *, ready: bool
    ) -> dict[str, Any]:
        """The start of this attempt's pace; before it was loading. And the early estimate, once enough came out."""
        run, total = self.run, total or self.run.total
        if run.pace_since is None:
            self._first = progress if self._first is None else self._first + passed_over
            return {"pace_since": now, "pace_from": progress} if ready or progress > self._first else {}
        since = run.pace_from + passed_over
        moved = {"pace_from": since} if passed_over else {}
        done, seconds = progress - since, (now - run.pace_since).total_seconds()
        if done < EARLY or not total or "early_seconds" in run.estimate:
            return moved
        left = max(0, total - progress) * seconds / done
        early = round(run.busy_seconds + self._seconds(now) + left, 3)
        return {**moved, "estimate": {**run.estimate, "early_seconds": early, "early_at": progress}}

    def _seconds(self, now: datetime) -> float:
        """How long this attempt has lasted."""
        return (now - (self.run.claimed_at or now)).total_seconds()

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
            now = timezone.now()
            due = now + timedelta(seconds=2**self.run.attempt)
            spent = F("busy_seconds") + self._seconds(now)
            self._mine().update(
                state=Run.State.WAITING, lease_until=None, token=None, error=error, due_at=due, busy_seconds=spent
            )

    def _end(self, state: str, **changes: Any) -> int:
        now = timezone.now()
        changes |= {"state": state, "finished_at": now, "busy_seconds": F("busy_seconds") + self._seconds(now)}
        return self._mine().update(lease_until=None, token=None, **changes)


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
        pace_since=None,
        error="",
    )
    return Hold(run=Run.objects.select_related("project").get(pk=run_id), token=token) if taken else None


@transaction.atomic
def cancel_run(*, run: Run, actor: User | None = None, command: str = "") -> Run:
    """A waiting run ends at once; a running one within five seconds, at its worker's next heartbeat.

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
    record(act="run.cancel", subject=f"run {run.pk}", actor=actor, command=command, project=run.project)
    return run


@transaction.atomic
def retry_run(*, run: Run, actor: User | None = None, command: str = "", only_pair: bool = False) -> Run:
    """Let a run go on that failed, was cancelled or left something out: three new attempts, for what is missing. What
    is finished is kept.

    only_pair: of a generation that stopped early, only pair the candidates that are there; it then ends without the
    others, and can still be retried for them.

    Raises:
        Refused: the run is waiting or running, nothing of it is missing, it is an import, or has nothing to be paired.
    """
    run = Run.objects.select_for_update().get(pk=run.pk)
    if not run.is_final:
        raise Refused(f"{run} is {run.get_state_display().lower()}. Wait until it has ended, or cancel it first.")
    if run.state == Run.State.DONE and not run.is_partial:
        raise Refused(f"{run} is done, so nothing of it is missing. Start a new one to do it again.")
    if not run.can_be_retried:
        raise Refused(f"{run} keeps all of a file or nothing. Import the file again on its page.")
    if only_pair and not run.can_be_paired:
        raise Refused(f"{run} has no candidates that wait to be paired.")
    if run.kind == Run.Kind.GENERATION:
        run.parameters = {**run.parameters, "only_pair": only_pair}
    before = {"state": run.state, "attempt": run.attempt, "progress": run.progress, "error": run.error}
    run.state, run.attempt, run.retries = Run.State.WAITING, 0, run.retries + 1
    run.cancel_requested, run.finished_at, run.error, run.due_at = False, None, "", timezone.now()
    changed = ["state", "attempt", "retries", "parameters", "cancel_requested", "finished_at", "error", "due_at"]
    run.save(update_fields=changed)
    record(
        act="run.pair" if only_pair else "run.retry",
        subject=f"run {run.pk}",
        actor=actor,
        command=command,
        project=run.project,
        before=before,
        after={"retries": run.retries, "code_version": code_version()},
    )
    ring(run.pk, queue=queue_of(run))
    return run


def hand_back_lost() -> int:
    """Hand back runs whose lease ran out, and end those that had their last attempt. Returns how many that were.

    Harmless when two workers do it at once; a run whose row is locked is left for the next sweep.
    """
    now = timezone.now()
    return _hand_back(Run.objects.filter(lease_until__lt=now), now)


def ring_for_runs(*, queues: Collection[str] | None = None) -> int:
    """Ring for the runs that are due.

    `queues` limits the bells to runs that these queues serve: where nobody serves a run, bells would only pile up.

    Returns how many bells were rung.
    """
    waiting = Run.objects.waiting().filter(due_at__lte=timezone.now(), cancel_requested=False)
    served = [run for run in waiting.defer("log", "result") if queues is None or queue_of(run) in queues]
    for run in served:
        ring(run.pk, queue=queue_of(run))
    return len(served)


def hand_back_of(*, worker: str) -> int:
    """A worker starts: whatever ran under its name ran in a process that is gone. Nobody waits for those leases.

    Returns how many runs were handed back. Where two workers share a name (on two machines; on one, the second does not
    start), the fencing token keeps their writes right.
    """
    return _hand_back(Run.objects.filter(worker=worker), timezone.now())


@transaction.atomic
def _hand_back(runs: models.QuerySet[Run], now: datetime) -> int:
    """Lost runs wait again; those that were to be cancelled or had their last attempt end."""
    lost = list(runs.filter(state=Run.State.RUNNING).select_for_update(skip_locked=True).order_by("pk"))
    for run in lost:
        run.lease_until, run.token = None, None
        if run.heartbeat_at and run.claimed_at:
            run.busy_seconds += max(0.0, (run.heartbeat_at - run.claimed_at).total_seconds())
        if run.cancel_requested:
            run.state, run.finished_at = Run.State.CANCELLED, now
        elif run.attempt >= Run.MAX_ATTEMPTS:
            run.state, run.finished_at = Run.State.FAILED, now
            run.error = (
                f"The worker died {Run.MAX_ATTEMPTS} times while it worked on this run. "
                "See the worker's log for the reason and mend it, then retry."
            )
        else:
            run.state, run.due_at = Run.State.WAITING, now
        run.save(update_fields=["state", "lease_until", "token", "finished_at", "error", "due_at", "busy_seconds"])
    return len(lost)


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
