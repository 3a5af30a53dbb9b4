"""The tasks: claim, load, call, record. And the pulse of a worker: it says that it is alive, and sweeps.

A message carries the number of a run and nothing else. The row is the truth: a message that comes twice, late or for a
run that somebody else holds finds nothing to claim and does nothing.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from celery import signals
from celery.worker import state as worker_state
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections

from annotation import dividing, opening, running
from annotation.dividing import PartHold
from annotation.errors import Refused
from annotation.models import Run
from annotation.renewing import renewing
from annotation.running import Cancelled, Hold, Superseded
from config.celery import PULSE, RUN, app, make_folders, or_no_start
from workers.backends.primitives import CannotAnswer, CannotLoad

log = structlog.get_logger("plumbline.worker")

INTERRUPT = signal.SIGUSR2


@app.task(name=RUN)
def run(run_id: int) -> None:
    """Do one run, unless there is nothing to claim. How it ended stands in its row."""
    hold = running.claim(run_id=run_id, worker=_name())
    if hold is None:
        _help(run_id)
        return
    with _renewing(hold):
        _work(hold)


def _help(run_id: int) -> None:
    """Do parts of a run that another worker holds, for as long as there are some that nobody does."""
    while (part := dividing.claim_part(run_id=run_id, worker=_name())) is not None:
        # The interruption may come after the last step of the part.
        with contextlib.suppress(Superseded), _renewing(part), _interruptible(part):
            dividing.attempt(part, PART_HANDLERS[Run.Kind(part.run.kind)])


def _work(hold: Hold) -> None:
    try:
        with _interruptible(hold):
            result = HANDLERS[Run.Kind(hold.run.kind)](hold)
        hold.finish(result=result)
    except Cancelled:
        hold.cancel()
    except Superseded:
        log.warning("run.superseded", run=hold.run.pk, why="The lease was lost; another worker has the run.")
    except (Refused, CannotAnswer, CannotLoad) as refusal:
        hold.fail(error=str(refusal))
    except Exception as error:
        # The text of an unexpected error may hold the data it choked on: the log has it, the page gets its kind.
        hold.give_back(
            error=f"An unexpected error stopped the run: {type(error).__name__}. The worker's log says more."
        )
        raise


# ---- one handler per kind: calls one verb and returns the result to record ------------------------------------------


def _import(hold: Hold) -> dict[str, Any]:
    from annotation.importing import uploads

    return uploads.execute(hold)


def _measure(hold: Hold) -> dict[str, Any]:
    from curation import measuring

    match hold.run.parameters.get("measure"):
        case "difficulty":
            from workers import difficulty

            return difficulty.execute(hold)
        case "margins":
            from workers import margins

            return margins.execute(hold)
        case "embeddings":
            from workers import embedding

            return embedding.execute(hold)
        case "rewards":
            from workers import rewards

            return rewards.execute(hold)
        case "faithfulness":
            from workers import faithfulness

            return faithfulness.execute(hold)
    return measuring.execute(hold)


def _release(hold: Hold) -> dict[str, Any]:
    from curation import releasing

    return releasing.execute(hold)


def _check(hold: Hold) -> dict[str, Any]:
    from workers import checking

    return checking.execute(hold)


def _generate(hold: Hold) -> dict[str, Any]:
    from workers import generating

    return generating.execute(hold)


def _judge(hold: Hold) -> dict[str, Any]:
    from workers import judging

    return judging.execute(hold)


def _gather(hold: Hold) -> dict[str, Any]:
    from curation import gathering

    return gathering.execute(hold)


HANDLERS: dict[Run.Kind, Callable[[Hold], dict[str, Any]]] = {
    Run.Kind.IMPORT: _import,
    Run.Kind.MEASUREMENT: _measure,
    Run.Kind.RELEASE: _release,
    Run.Kind.CHECK: _check,
    Run.Kind.GENERATION: _generate,
    Run.Kind.JUDGING: _judge,
    Run.Kind.FACTS: _gather,
}


def _release_part(part: PartHold) -> dict[str, Any]:
    from curation import releasing

    return releasing.execute_part(part)


def _gather_part(part: PartHold) -> dict[str, Any]:
    from curation import gathering

    return gathering.execute_part(part)


# Kinds that are done in parts: by whoever holds the run, and by every worker that is rung for it meanwhile.
PART_HANDLERS: dict[Run.Kind, Callable[[PartHold], dict[str, Any]]] = {
    Run.Kind.RELEASE: _release_part,
    Run.Kind.FACTS: _gather_part,
}


# ---- the lease of a run, while it works -----------------------------------------------------------------------------


@contextmanager
def _renewing(hold: Hold | PartHold) -> Iterator[None]:
    """Renew the lease meanwhile; a handler that looks at nothing is interrupted by a signal; see `_interruptible`."""

    def interrupt() -> None:
        signal.pthread_kill(threading.main_thread().ident or 0, INTERRUPT)

    # An import keeps all of a file or nothing, and looks for itself between two rows: it is never torn off.
    can_interrupt = hold.run.kind in Run.CAN_GO_ON and threading.current_thread() is threading.main_thread()
    before = signal.signal(INTERRUPT, _interrupt) if can_interrupt else None
    try:
        with renewing(hold, interrupt=interrupt if can_interrupt else None):
            yield
    finally:
        if can_interrupt:
            signal.signal(INTERRUPT, before)


_at_work: Hold | PartHold | None = None


@contextmanager
def _interruptible(hold: Hold | PartHold) -> Iterator[None]:
    """While this is open, the signal INTERRUPT raises what `hold.stopped` holds, between two steps of the handler."""
    global _at_work
    _at_work = hold
    try:
        yield
    finally:
        _at_work = None
        if hold.stopped is not None:
            _forget_connection()


def _interrupt(*_: Any) -> None:
    if _at_work is not None:
        _at_work.check()


def _forget_connection() -> None:
    """A connection that was torn off in the middle of a statement is of no use, nor is a transaction half closed."""
    torn = connection.in_atomic_block
    connection.close()
    if torn:
        del connections[DEFAULT_DB_ALIAS]


# ---- the pulse of a worker process ----------------------------------------------------------------------------------


def sweep(queues: Collection[str] | None = None, *, slots: int = 1) -> None:
    """Hand back what was lost (leases of runs and of assignments), and ring for runs that are due.

    slots: how many runs this worker does at a time.
    """
    from curation import gathering

    # However busy this worker is: what was lost may be another slot's, whose child was killed.
    running.hand_back_lost()
    # With every slot taken it does not ring: nobody would come, and the bells would pile up until one is free.
    if len(worker_state.reserved_requests) < slots:
        running.ring_for_runs(queues=queues)
        dividing.ring_for_parts(queues=queues)
    opening.sweep()
    gathering.sweep_facts()


class Pulse(threading.Thread):
    """Every ten seconds: the worker is alive, and it sweeps. Lives in the worker's main process, beside its pool."""

    def __init__(self, *, name: str, queues: list[str], every: float, slots: int = 1) -> None:
        super().__init__(name="pulse", daemon=True)
        self.worker, self.queues, self.every, self.slots = name, queues, every, slots
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            self._beat()
            self.ended.wait(self.every)
        with contextlib.suppress(DatabaseError):
            running.worker_gone(name=self.worker)
        connection.close()

    def _beat(self) -> None:
        """Nothing that happens here ends the pulse: it would leave a worker that looks dead and sweeps nothing."""
        try:
            make_folders()
            running.worker_seen(name=self.worker, queues=self.queues)
            sweep(self.queues, slots=self.slots)
        except (DatabaseError, OSError) as error:
            log.warning("worker.pulse", error=str(error), why="The database or a folder is away; trying again.")
            with contextlib.suppress(Exception):
                connection.close()
        except Exception:
            log.exception("worker.pulse")


_pulse: Pulse | None = None


def _name() -> str:
    return str(getattr(app.current_worker_task and app.current_worker_task.request, "hostname", None) or "here")


@signals.worker_init.connect
def hand_back_of_predecessor(sender: Any, **_: Any) -> None:
    """Before this worker takes its first message: later, what runs under its name may be its own."""
    with or_no_start():
        running.hand_back_of(worker=sender.hostname)
        dividing.hand_back_parts_of(worker=sender.hostname)


@signals.worker_ready.connect
def start_pulse(sender: Any, **_: Any) -> None:
    """Touches nothing that could be away: a worker without a pulse would look dead for ever."""
    global _pulse
    queues, slots = sorted(sender.app.amqp.queues.consume_from), sender.pool.num_processes
    _pulse = Pulse(name=sender.hostname, queues=queues, every=PULSE, slots=slots)
    _pulse.start()


@signals.worker_shutdown.connect
def stop_pulse(**_: Any) -> None:
    if _pulse is not None:
        _pulse.ended.set()
        _pulse.join(timeout=5)
