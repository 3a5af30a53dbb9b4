"""The engine room as pages show it: which workers live, what their runs do. Reads only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count
from django.utils import timezone

from annotation.estimating import in_words_of, speed_of
from annotation.models import Event, LanguageModel, Run, User, Worker
from annotation.pacing import duration, duration_range, time_left
from annotation.running import QUEUES, living_workers, queue_of
from config import engine
from config.celery import CPU, GPU

# How many runs a worker does at a time, as docker/worker has it: each of a GPU's would load a model of its own.
SLOTS = {CPU: 2, GPU: 1}


def command_for(queues: Collection[str]) -> str:
    """What starts a worker for these queues, with a name of its own on each machine."""
    slots = min(SLOTS[queue] for queue in queues)
    return (
        f"python -m celery -A config.celery worker --queues {','.join(queues)} "
        f"--hostname {'-'.join(queues)}@%h --concurrency {slots}"
    )


@dataclass(frozen=True)
class Workers:
    """The engine room as of now."""

    alive: int
    by_queue: list[tuple[str, int]]
    seen_at: datetime | None
    # The last one that was heard of, when none is alive.
    last: Worker | None
    running: int
    waiting: int
    # Queues in which runs wait and that no living worker serves.
    unserved: tuple[str, ...] = ()

    @property
    def banner(self) -> str:
        """What the banner says, as a mark: a page that polls has it said anew only when it is another. Empty: none."""
        if not (self.waiting and self.unserved):
            return ""
        return "-".join([str(self.waiting), "some" if self.alive else "none", *self.unserved])

    @property
    def wants_engine(self) -> bool:
        """This installation, which starts its own workers, can ask endpoints only: it cannot load any model."""
        return settings.EMBEDDED and not engine.is_installed()

    @property
    def command(self) -> str:
        """What starts the worker that is missing."""
        return command_for(self.unserved or (CPU,))


def workers_now(project_ids: Collection[int]) -> Workers:
    """Living workers, and the runs of these projects that they work on or that wait for one."""
    alive = list(living_workers().order_by("-seen_at"))
    queues: dict[str, int] = {}
    for worker in alive:
        for queue in worker.queues:
            queues[queue] = queues.get(queue, 0) + 1
    runs = Run.objects.unfinished().filter(project__in=project_ids)
    states: dict[str, int] = {}
    wanted: set[str] = set()
    rows = runs.values_list("state", "kind", "parameters__queue").annotate(n=Count("pk")).order_by()
    for state, kind, queue, n in rows:
        states[state] = states.get(state, 0) + n
        if state == Run.State.WAITING:
            wanted.add(queue or QUEUES[Run.Kind(kind)])
    last = None if alive else Worker.objects.order_by("-seen_at").first()
    return Workers(
        alive=len(alive),
        by_queue=sorted(queues.items()),
        seen_at=alive[0].seen_at if alive else None,
        last=last,
        running=states.get(Run.State.RUNNING, 0),
        waiting=states.get(Run.State.WAITING, 0),
        unserved=tuple(sorted(wanted - set(queues))),
    )


@dataclass(frozen=True)
class RunRow:
    """A run as the list shows it, in words; empty where there is nothing to say."""

    run: Run
    about: str
    left: str
    left_range: str
    speed: str
    minutes: str
    is_waiting_for_worker: bool
    # Under the row, in sentences: why it failed, what it made and left out, how good the estimate was.
    why: str
    is_bad: bool
    # What the buttons say; empty where there is none.
    retry: str
    pair: str

    @property
    def mark(self) -> tuple[str, str]:
        """The class of the state's mark, and its word."""
        if self.run.cancel_requested and not self.run.is_final:
            return "off", "Stopping"
        if self.run.is_partial or (self.run.state == Run.State.FAILED and self.run.progress and self.run.total):
            return "part", "Partly finished"
        if self.is_waiting_for_worker:
            return "", "Waiting for a worker"
        return {
            Run.State.WAITING: ("", "Waiting"),
            Run.State.RUNNING: ("run", "Running"),
            Run.State.DONE: ("done", "Finished"),
            Run.State.FAILED: ("fail", "Failed"),
            Run.State.CANCELLED: ("off", "Cancelled"),
        }[Run.State(self.run.state)]


def row_of(run: Run, *, served: Collection[str], now: datetime | None = None) -> RunRow:
    """`served`: the queues that living workers serve."""
    now = now or timezone.now()
    left = time_left(run, now=now)
    seconds = run.busy_seconds
    if run.state == Run.State.RUNNING and run.claimed_at:
        seconds += (now - run.claimed_at).total_seconds()
    expected = run.estimate.get("seconds")
    why, is_bad = _why(run)
    return RunRow(
        run=run,
        about=about(run),
        left=duration(left.likely) if left else "",
        left_range=duration_range(left.early, left.late) if left else "",
        speed=in_words_of(speed_of(run, now=now)),
        minutes=_minutes(seconds, expected, is_final=run.is_final),
        is_waiting_for_worker=run.state == Run.State.WAITING and queue_of(run) not in served,
        why=why,
        is_bad=is_bad,
        retry=_retry(run),
        pair=f"Pair the {run.progress:,}" if run.can_be_paired else "",
    )


def about(run: Run) -> str:
    """What the run works on, in a few words."""
    told: Mapping[str, Any] = run.parameters
    if run.kind == Run.Kind.GENERATION:
        models = ", ".join(told.get("models", []))
        return f"{models} · {told.get('strategy', '')} × {told.get('n', '')}"
    if run.kind == Run.Kind.JUDGING and told.get("simulated") and not told.get("model"):
        return "reasons, simulated"
    if run.kind == Run.Kind.JUDGING:
        return f"{told.get('model', '')} · {told.get('template', '')}, both orders"
    if run.kind == Run.Kind.CHECK:
        return str(LanguageModel.objects.filter(pk=int(told.get("model", 0))).first() or "")
    return str(told.get("file") or told.get("measure") or told.get("release") or "")


def _minutes(seconds: float, expected: float | None, *, is_final: bool) -> str:
    if not seconds:
        return f"about {duration(expected)}" if expected and not is_final else ""
    spent = duration(seconds)
    return f"{spent} of about {duration(expected)}" if expected and not is_final else spent


def _why(run: Run) -> tuple[str, bool]:
    kept = f" What was finished is kept: {run.progress:,} of {run.total:,}." if run.progress and run.total else ""
    if kept and run.can_be_paired:
        kept += " Pairs are made at the end."
    if run.state == Run.State.FAILED:
        return run.error + (kept if run.kind in Run.CAN_GO_ON else ""), not kept
    if run.state == Run.State.CANCELLED:
        return f"Cancelled.{kept}" if run.kind in Run.CAN_GO_ON and kept else "", False
    if run.state == Run.State.WAITING and run.error:
        return f"{run.error} It is tried again: {run.attempt} of {Run.MAX_ATTEMPTS} attempts are over.", True
    if run.state == Run.State.DONE:
        return " ".join(filter(None, [outcome(run), _took(run)])), False
    return "", False


def outcome(run: Run) -> str:
    """What a run that asked models left out and paired, in sentences; empty where there is nothing to say."""
    told = run.result
    said = []
    if run.is_partial:
        item, unit = ("prompt", "candidates") if run.kind == Run.Kind.GENERATION else ("pair", "answers")
        number, because = told.get(f"{item}s_left_out"), told.get("left_out_because")
        said.append(f"{run.missing:,} of {run.total:,} {unit} are missing.")
        if number:
            said.append(
                f"The model could not answer {number:,} {item}{'' if number == 1 else 's'}; the log names them."
            )
        if because:
            said.append(f"The last reason: {because}")
    if run.kind == Run.Kind.GENERATION and "pairs" in told:
        left_out = ", ".join(f"{n:,} {why.replace('_', '-')}" for why, n in told.get("pairs_left_out", {}).items())
        made = f"{told['pairs']:,} pair{'' if told['pairs'] == 1 else 's'} made"
        said.append(f"{made}; left out: {left_out}." if left_out else f"{made}.")
    return " ".join(said)


def who_stopped(run: Run) -> str:
    """Who asked the run to stop: a person, or a command; empty where nobody did."""
    if not run.cancel_requested or run.project is None:
        return ""
    asked = Event.objects.filter(project=run.project.slug, act="run.cancel", subject=f"run {run.pk}")
    actor = asked.order_by("-id").values_list("actor", flat=True).first() or ""
    return str(User.objects.filter(email=actor).first() or actor)


def _took(run: Run) -> str:
    if not run.estimate.get("seconds") or run.parameters.get("only_pair"):
        return ""
    low, high = run.estimate["low"], run.estimate["high"]
    return (
        f"Took {duration(run.busy_seconds)}; the estimate was {duration(run.estimate['seconds'])} "
        f"({duration_range(low, high)})."
    )


def _retry(run: Run) -> str:
    """What the button says; empty where nothing can be retried."""
    if not run.can_be_retried:
        return ""
    if run.progress and run.missing:
        is_cancelled = run.state == Run.State.CANCELLED
        return f"Go on from {run.progress:,}" if is_cancelled else f"Retry the {run.missing:,}"
    return "Retry" if run.state == Run.State.FAILED else "Start again"
