"""A run -> parts that several processes do at once: every write to a part. annotation/models/parts.py draws the states.

As with runs, the row is the truth and a message only a bell: a worker that is rung for a run that somebody else holds
looks for parts of it that nobody does. A process that dies in the middle of a part loses its lease, and the next one
does that part again; what it still writes counts for nothing, because its token is no longer the row's.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone

from annotation.errors import Refused
from annotation.models import Part, Run
from annotation.running import LEASE, Cancelled, Hold, Superseded, queue_of
from config.celery import ring

# Bells at most: one that comes too late finds nothing to do.
MOST_BELLS = 16
# Seconds between two looks at parts that others are doing.
LOOK = 0.1
# Seconds between two heartbeats of whoever waits for others.
BEAT = 2.0


@dataclass
class PartHold:
    """What a process has of a part while it does it: the row as claimed, and the token that makes its writes count."""

    part: Part
    token: uuid.UUID
    # Why to stop, once the thread that renews the lease has learned it.
    stopped: Cancelled | Superseded | None = None

    @property
    def run(self) -> Run:
        return self.part.run

    def check(self) -> None:
        """Learn whether to stop, without asking the database.

        Raises:
            Superseded: as `beat`; at most one renewal of the lease later.
        """
        if self.stopped is not None:
            raise self.stopped

    def beat(self) -> None:
        """Renew the lease, and learn whether to stop.

        Raises:
            Superseded: the lease was lost, or the run has ended, waits for its cancellation or was taken over.
        """
        self._write(lease_until=timezone.now() + LEASE)

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A transaction that commits only while this process has the part, and its run goes on."""
        with transaction.atomic():
            yield
            self.beat()

    def finish(self, *, result: dict[str, Any]) -> None:
        """Raises:
        Superseded: the part is another process's by now, or nobody's.
        """
        self._write(state=Part.State.DONE, lease_until=None, token=None, result=result)

    def fail(self, *, error: str) -> None:
        """End as failed, with a sentence that can be shown; then the run fails with it."""
        self._mine().update(state=Part.State.FAILED, lease_until=None, token=None, error=error)

    def give_back(self, *, error: str) -> None:
        """An unexpected error: another attempt, or fail after the last one."""
        if self.part.attempt >= Part.MAX_ATTEMPTS:
            self.fail(error=error)
        else:
            self._mine().update(state=Part.State.WAITING, lease_until=None, token=None, error=error)

    def _mine(self) -> Any:
        alive = Run.objects.filter(
            pk=OuterRef("run"), state=Run.State.RUNNING, token=OuterRef("run_token"), cancel_requested=False
        )
        return Part.objects.filter(Exists(alive), pk=self.part.pk, token=self.token, state=Part.State.RUNNING)

    def _write(self, **changes: Any) -> None:
        if not self._mine().update(**changes):
            raise Superseded


def divide(hold: Hold, tasks: Sequence[dict[str, Any]], *, is_local: bool = False) -> None:
    """Write the parts of a run, in place of those of an earlier attempt, and ring for helpers.

    Args:
        hold: the run.
        tasks: what is to be done, one for each part.
        is_local: only processes that this one started may help.

    Raises:
        Superseded: the run is another worker's.
    """
    queue = "" if is_local else queue_of(hold.run)
    with hold.fenced():
        Part.objects.filter(run=hold.run).delete()
        Part.objects.bulk_create(
            Part(run=hold.run, place=place, run_token=hold.token, queue=queue, task=task)
            for place, task in enumerate(tasks)
        )
        if queue:
            for _ in range(min(len(tasks) - 1, MOST_BELLS)):
                ring(hold.run.pk, queue=queue)


def claim_part(*, run_id: int, worker: str, is_local: bool = False) -> PartHold | None:
    """Take the first part of a run that nobody does. None: there is none, or the run is not being done.

    `is_local`: by a process of the run's own, which may take any; others only those that they were rung for.
    """
    now = timezone.now()
    is_free = Q(state=Part.State.WAITING) | Q(state=Part.State.RUNNING, lease_until__lt=now)
    with transaction.atomic():
        free = (
            Part.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("run", "run__project")
            .filter(is_free, run=run_id, attempt__lt=Part.MAX_ATTEMPTS)
            .filter(run__state=Run.State.RUNNING, run__token=F("run_token"), run__cancel_requested=False)
            .order_by("place")
        )
        part = (free if is_local else free.exclude(queue="")).first()
        if part is None:
            return None
        part.state, part.token, part.worker = Part.State.RUNNING, uuid.uuid4(), worker
        part.attempt, part.lease_until, part.error = part.attempt + 1, now + LEASE, ""
        part.save(update_fields=["state", "token", "worker", "attempt", "lease_until", "error"])
        assert part.token is not None
        return PartHold(part=part, token=part.token)


def attempt(part: PartHold, do: Callable[[PartHold], dict[str, Any]]) -> None:
    """Do a part for another process's run. How it ended stands in its row; the run's own process reads it there.

    Raises:
        Exception: what nobody expected, after the part was given back.
    """
    try:
        part.finish(result=do(part))
    except Superseded:
        pass  # The run has ended, or another process has this part.
    except Refused as refusal:
        part.fail(error=str(refusal))
    except Exception as error:
        part.give_back(
            error=f"An unexpected error stopped {part.part}: {type(error).__name__}. The worker's log says more."
        )
        raise


def help_until_done(*, run_id: int, do: Callable[[PartHold], dict[str, Any]]) -> None:
    """Do parts of a run for the process that started this one, until the run has ended."""
    name = f"helper {os.getpid()}"
    while Run.objects.filter(pk=run_id, state=Run.State.RUNNING).exists():
        part = claim_part(run_id=run_id, worker=name, is_local=True)
        if part is None:
            time.sleep(LOOK)
        else:
            attempt(part, do)


def do_together(
    hold: Hold,
    tasks: Sequence[dict[str, Any]],
    *,
    do: Callable[[PartHold], dict[str, Any]],
    is_local: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[dict[str, Any]]:
    """Have parts done by this process and by whoever helps. Returns their results, in the order of `tasks`.

    Args:
        hold: the run, whose lease is renewed here between parts; within one `do` may do so.
        tasks: what is to be done, one for each part.
        do: does a part here. It may be done twice, elsewhere and at the same time, and must come out the same.
        is_local: as `divide`.
        progress: called with parts done and parts in all.

    Raises:
        Refused: what a part refuses, or three processes died doing it.
        Cancelled, Superseded: as `Hold.beat`.
    """
    divide(hold, tasks, is_local=is_local)
    try:
        beat_at = time.monotonic()
        while True:
            part = claim_part(run_id=hold.run.pk, worker=hold.run.worker, is_local=True)
            if part is not None:
                _do(part, do)
            done = _outcome(hold)
            if progress is not None:
                progress(len(done), len(tasks))
            if len(done) == len(tasks):
                return done
            if time.monotonic() - beat_at > BEAT:
                hold.beat()
                beat_at = time.monotonic()
            if part is None:
                time.sleep(LOOK)
    finally:
        # What is done is told by the result; what is not, nobody need begin any more.
        Part.objects.filter(run=hold.run, run_token=hold.token).delete()


def _do(part: PartHold, do: Callable[[PartHold], dict[str, Any]]) -> None:
    """Do a part in the process that holds the run: what goes wrong, goes wrong with the run."""
    try:
        part.finish(result=do(part))
    except Superseded:
        return  # It took longer than its lease and another process has it; or the run is lost, as its next beat says.


def _outcome(hold: Hold) -> list[dict[str, Any]]:
    """The results of the parts that are done, in order.

    Raises:
        Refused: a part failed.
    """
    parts = list(Part.objects.filter(run=hold.run, run_token=hold.token).order_by("place"))
    for part in parts:
        if part.state == Part.State.FAILED:
            raise Refused(part.error)
        is_lost = part.lease_until is not None and part.lease_until < timezone.now()
        if is_lost and part.attempt >= Part.MAX_ATTEMPTS:
            raise Refused(
                f"{Part.MAX_ATTEMPTS} processes died while they worked on part {part.place + 1} of {hold.run}. "
                "See the workers' logs for the reason and mend it, then retry."
            )
    return [part.result for part in parts if part.state == Part.State.DONE]


def hand_back_parts_of(*, worker: str) -> int:
    """A worker starts: whatever ran under its name ran in a process that is gone. Returns how many parts that were."""
    lost = Part.objects.filter(worker=worker, state=Part.State.RUNNING)
    return lost.update(lease_until=timezone.now() - timedelta(seconds=1))


def ring_for_parts(*, queues: Collection[str] | None = None) -> int:
    """Ring for runs with parts that nobody does; where a bell did not ring, or whoever heard it died.

    `queues` as in `ring_for_runs`. Returns how many bells were rung.
    """
    is_free = Q(state=Part.State.WAITING) | Q(state=Part.State.RUNNING, lease_until__lt=timezone.now())
    free = Part.objects.filter(is_free, attempt__lt=Part.MAX_ATTEMPTS, run__state=Run.State.RUNNING).exclude(queue="")
    found = free.filter(run__token=F("run_token")).values_list("run", "queue").distinct()
    served = [(run, queue) for run, queue in found if queues is None or queue in queues]
    for run, queue in served:
        ring(run, queue=queue)
    return len(served)
