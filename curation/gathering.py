"""Judgements and measurements -> the facts of every pair: one derived table, and the board's columns made from it.

A whole gathering does all pairs of a project; a partial one only those about which something was said since, with the
percentiles, reliabilities and categories of the last whole one. A whole one of many pairs is divided into ranges of
their numbers, which several workers replace one by one; the board's columns are the old ones until all are done.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone

from annotation import excluding
from annotation.dividing import PartHold, do_together, help_until_done
from annotation.errors import Refused
from annotation.models import Assignment, Event, Judgement, Pair, Project, Run, User
from annotation.running import Hold, request_run
from config import processes
from curation import packing, percentiles
from curation.categories import values_of
from curation.criteria import MEASURES
from curation.dimensions import REWARD, dimensions
from curation.inline import run_here
from curation.measured import measured_of
from curation.models import FactsArray, FactsState
from curation.tabulating import CODE, WHOSE, tabulate

# An annotator's reliability counts like this many meetings with the others at the project's mean.
PRIOR_MEETINGS = 20
LIGHTEST, HEAVIEST = 0.5, 1.5
# Weights are whole multiples of it. Sums of them are exact, so that facts are the same to the last digit in whatever
# order the database reads the judgements: all at once, in parts, or those of a few pairs.
GRAIN = 2.0**-40

# Not oftener than this, and never more than a twentieth of the time.
REST = timedelta(seconds=60)
REST_TIMES = 20
# More pairs than this at once are a whole gathering.
PART_AT_MOST = 20_000
# Runs that measure, bring pairs, or vote on principles without a judgement; and what leads do to pairs.
MOVING_RUNS = (Run.Kind.MEASUREMENT, Run.Kind.IMPORT, Run.Kind.GENERATION, Run.Kind.JUDGING)
MOVING_ACTS = ("import.undo", "pairs.gold", excluding.OUT, excluding.BACK)
# A judgement is saved within this time of drawing its number; imports and workers take longer, and are runs.
SAVING_SECONDS = 10
# So many of the latest judgements are looked through for numbers that are not there yet.
LATEST = 10_000
# What gatherings of one project hold one after the other; the other half of the key is the project.
GATHER_LOCK = 7_234_006
# Seconds between two looks at whether the gathering before has ended.
LOOK = 0.25
pause = time.sleep
# Pairs of one part of a whole gathering; fewer than two parts are not divided.
PART_PAIRS = 50_000


# ---- asking for it ---------------------------------------------------------------------------------------------------


def gather_facts(
    *, project: Project, model: str = "", workers: int = 1, actor: User | None = None, command: str = ""
) -> Run:
    """Build the facts of all pairs again, here and now, as a finished run.

    `workers`: how many processes do it; with one, all facts change in one transaction.

    Raises:
        Refused: no difficulty was measured for `model`, or the run was cancelled.
    """
    _check_model(project, model)

    def execute_here(hold: Hold) -> dict[str, Any]:
        with processes.helping(workers - 1, "curation.gathering:help_with", hold.run.pk):
            return execute(hold, workers=workers)

    return run_here(
        project=project,
        kind=Run.Kind.FACTS,
        parameters={"model": model, "whole": True},
        actor=actor,
        command=command or "gather_facts",
        execute=execute_here,
    )


@transaction.atomic
def ask_for_facts(*, project: Project, actor: User | None, model: str = "", is_whole: bool = True) -> Run:
    """Let a worker gather; one run that has not begun is enough.

    Raises:
        Refused: no difficulty was measured for `model`.
    """
    _check_model(project, model)
    return _ask(project=project, actor=actor, model=model, is_whole=is_whole)


def _ask(*, project: Project, actor: User | None, model: str, is_whole: bool) -> Run:
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    waiting = Run.objects.waiting().filter(project=project, kind=Run.Kind.FACTS, parameters__model=model).first()
    if waiting and (waiting.parameters.get("whole") or not is_whole):
        return waiting
    parameters = {"model": model, "whole": is_whole}
    return request_run(project=project, kind=Run.Kind.FACTS, parameters=parameters, actor=actor)


def _check_model(project: Project, model: str) -> None:
    if not model:
        return
    known = measured_of(project).difficulty
    if model not in known:
        there = (
            f"It was for {', '.join(known)}." if known else "It was for none: run manage.py measure difficulty first."
        )
        raise Refused(f"No difficulty was measured for the model {model!r}. {there} Nothing was gathered.")


def sweep_facts(*, now: datetime | None = None) -> int:
    """Ask for a gathering wherever something was said or measured since the last one, after a rest. Returns how many.

    Projects with pairs whose facts were never gathered are gathered for the first time.
    """
    now = now or timezone.now()
    asked = 0
    failed = Run.objects.filter(kind=Run.Kind.FACTS).values("project")
    has_pairs = Exists(Pair.objects.filter(project=OuterRef("pk")))
    for project in Project.objects.filter(has_pairs, facts_state=None).exclude(pk__in=failed):
        ask_for_facts(project=project, actor=None)
        asked += 1
    busy = Run.objects.unfinished().filter(kind=Run.Kind.FACTS).values("project")
    states = FactsState.objects.exclude(project__in=busy).select_related("project").defer("summary", "columns")
    for state in states:
        if now - state.gathered_at < max(REST, REST_TIMES * timedelta(seconds=state.seconds)):
            continue
        is_whole = _is_whole_needed(state)
        if is_whole or is_stale(state):
            _ask(project=state.project, actor=None, model=state.model, is_whole=is_whole)
            asked += 1
    return asked


def is_stale(state: FactsState) -> bool:
    """Whether anything was said, taken back, measured or imported since."""
    return bool(_touched(state, most=1)) or _is_whole_needed(state)


def _is_whole_needed(state: FactsState) -> bool:
    """What moves percentiles or votes of any pair, or which pairs there are; or facts from before there were arrays."""
    if not FactsArray.objects.filter(project=state.project_id, key="pair", version=state.version).exists():
        return True
    # What ended while it was gathered may have come too late to be read.
    began = state.gathered_at - timedelta(seconds=state.seconds)
    ended = Run.objects.filter(project=state.project_id, kind__in=MOVING_RUNS, finished_at__gt=began)
    done = Event.objects.filter(project=state.project.slug, act__in=MOVING_ACTS, pk__gt=state.event)
    return ended.exists() or done.exists()


def _touched(state: FactsState, *, most: int) -> list[int]:
    """Pairs with a judgement or an answer taken back since, at most `most`."""
    newest = Judgement.objects.filter(pk__gt=state.judgement, assignment__project=state.project_id)
    pairs = set(newest.order_by("pk").values_list("assignment__pair", flat=True)[:most])
    seats = Assignment.objects.filter(pk__in=_subjects(state, "judgement", "assignment", most=most))
    pairs |= set(seats.filter(project=state.project_id).values_list("pair", flat=True))
    # A ranking that was changed may imply nothing any more of pairs of which it did.
    implied = Judgement.objects.filter(ranking__turn__in=_subjects(state, "ranking", "turn", most=most))
    pairs |= set(implied.filter(assignment__project=state.project_id).values_list("assignment__pair", flat=True))
    return sorted(pairs)


def _subjects(state: FactsState, what: str, of: str, *, most: int) -> list[int]:
    """Numbers of assignments, or turns, whose judgement or ranking was taken back or changed since; at most `most`."""
    acts = (f"{what}.undo", f"{what}.revise")
    said = Event.objects.filter(project=state.project.slug, act__in=acts, pk__gt=state.event)
    return [int(subject.removeprefix(f"{of} ")) for subject in said.values_list("subject", flat=True)[:most]]


# ---- doing it --------------------------------------------------------------------------------------------------------


def execute(hold: Hold, *, workers: int | None = None) -> dict[str, Any]:
    """Gather what a run asks for. Returns the run's result.

    `workers`: how many processes of this one's own do it; None: the queue's, as many as come.

    Raises:
        Refused: a part failed three times.
        Cancelled, Superseded: as `Hold.beat`.
    """
    project = hold.run.project
    assert project is not None
    with _one_at_a_time(hold, project):
        return _gather(hold, project, workers=workers)


@contextmanager
def _one_at_a_time(hold: Hold, project: Project) -> Iterator[None]:
    """Wait until no other process gathers this project: two would put the same pairs in twice, under one version.

    The lock is the connection's, not a transaction's: a gathering has many transactions, and its parts have their own.
    A process that dies lets go of it.
    """
    key = [GATHER_LOCK, project.pk]
    with connection.cursor() as cursor:
        while True:
            cursor.execute("SELECT pg_try_advisory_lock(%s::int, (%s::bigint %% 2147483647)::int)", key)
            if cursor.fetchone()[0]:
                break
            hold.beat()
            pause(LOOK)
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s::int, (%s::bigint %% 2147483647)::int)", key)


def _gather(hold: Hold, project: Project, *, workers: int | None) -> dict[str, Any]:
    run = hold.run
    began = time.monotonic()
    state = FactsState.objects.filter(project=project).defer("summary", "columns").first()
    touched = [] if state is None or run.parameters.get("whole", True) else _touched(state, most=PART_AT_MOST)
    is_part = state is not None and 0 < len(touched) < PART_AT_MOST
    if state is not None and is_part and run.parameters.get("model") not in ("", None, state.model):
        is_part = False
    hold.beat()
    marks = _marks(project)
    measured = measured_of(project)
    if is_part:
        assert state is not None
        weights, values, shown = state.weights, state.values, state.measures
    else:
        weights, values = _reliabilities(project), values_of(project, before=state.values if state else {})
        # The one that was asked for may be gone by now; the state says whose it is.
        asked = run.parameters.get("model")
        model = asked if asked in measured.difficulty else next(iter(measured.difficulty), "")
        shown = measured.shown(model)
        if measured.reward:
            values[REWARD.key] = [measured.rewarder]
    dims = dimensions(values)
    runs = {key: (shown[key]["run"], shown[key]["metric"]) if key in shown else None for key in MEASURES}
    told = {"weights": weights, "values": values}
    told |= {"loss": runs["difficulty"], "margin": runs["margin"], "reward": runs["reward"]}
    version = (state.version if state else 0) + 1
    spans = [] if is_part or workers == 1 else _spans(project)
    if len(spans) > 1:
        _let_planner_know()
        if loss := runs["difficulty"]:
            percentiles.keep(project=project, loss=loss, version=version)
        tasks = [{**told, "span": span, "version": version} for span in spans]
        do_together(hold, tasks, do=execute_part, is_local=workers is not None)
    with hold.fenced():
        if len(spans) < 2:
            _prepare(nested=is_part)
            tabulate(project=project, which=touched if is_part else None, **_as_read(told))
        packed = packing.pack(project=project, dims=dims, version=version)
        FactsState.objects.update_or_create(
            project=project,
            defaults={
                **marks,
                "version": version,
                "gathered_at": timezone.now(),
                "seconds": time.monotonic() - began,
                "is_whole": not is_part,
                "pairs": packed.rows,
                "model": shown.get("difficulty", {}).get("model", ""),
                "measures": shown,
                "models_measured": {name: found[0] for name, found in measured.difficulty.items()},
                "weights": weights,
                "values": values,
                "summary": packed.summary,
                "columns": packed.columns,
            },
        )
        _keep_arrays(project=project, version=version, packed=packed)
    if not is_part and packed.rows > 10_000:
        # The planner must not go by what the table was before; counts read the index alone where pages are all visible.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE pair_facts" if connection.in_atomic_block else "VACUUM (ANALYZE) pair_facts")
    return {"pairs": packed.rows, "gathered": len(touched) if is_part else packed.rows, "version": version}


def execute_part(part: PartHold) -> dict[str, Any]:
    """Gather the pairs of one range again, for the run that another process holds. Returns the part's result.

    Raises:
        Superseded: the part is somebody else's by now, and nothing was written.
    """
    project, task = part.run.project, part.part.task
    assert project is not None
    low, high = task["span"]
    with part.fenced():
        _prepare(nested=True)
        read, ranked = _as_read(task), None
        # Parts that an earlier version made do not say for which version of the facts they are.
        if read["loss"] and "version" in task:
            ranked = percentiles.within((low, high), project=project, loss=read["loss"], version=task["version"])
        tabulate(project=project, which=(low, high), ranked=ranked, **read)
    return {"span": task["span"]}


def help_with(run_id: int) -> None:
    """Gather ranges for the process that started this one, until its run has ended."""
    help_until_done(run_id=run_id, do=execute_part)


def _as_read(told: dict[str, Any]) -> dict[str, Any]:
    """What `tabulate` takes, from what a part's row holds."""
    # Parts that an earlier version made say nothing of rewards.
    runs = {name: tuple(told[name]) if told.get(name) else None for name in ("loss", "margin", "reward")}
    return {"weights": told["weights"], "dims": dimensions(told["values"]), **runs}


def _spans(project: Project) -> list[tuple[int, int]]:
    """Ranges of pair numbers, both ends included, with PART_PAIRS pairs each; the last one has no end."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) - 1 AS place FROM pair WHERE project_id = %s) p"
            " WHERE place %% %s = 0 ORDER BY id",
            [project.pk, PART_PAIRS],
        )
        starts = [number for (number,) in cursor.fetchall()]
    return list(zip(starts, [*(start - 1 for start in starts[1:]), 2**63 - 1], strict=True)) if starts else []


def _prepare(*, nested: bool) -> None:
    """For the statement of this transaction."""
    with connection.cursor() as cursor:
        # A million judgements in 4 MB would spill to disk again and again.
        cursor.execute("SET LOCAL work_mem = '128MB'")
        # After an import the planner knows nothing of the new rows, and would look each of them up in turn.
        cursor.execute(f"SET LOCAL enable_nestloop = {'on' if nested else 'off'}")


def _let_planner_know() -> None:
    """Many parts go by what it thinks of these tables."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE pair, prompt, candidate, assignment, judgement, measurement")


def _keep_arrays(*, project: Project, version: int, packed: packing.Packed) -> None:
    bodies = {"pair": packed.pair.astype("<i8").tobytes()}
    bodies |= {key: rows.astype("<u4").tobytes() for key, rows in packed.orders.items()}
    bodies |= {f"value_{key}": values.astype("<f4").tobytes() for key, values in packed.values.items()}
    FactsArray.objects.filter(project=project).exclude(key__in=bodies).delete()
    for key, body in bodies.items():
        FactsArray.objects.update_or_create(project=project, key=key, defaults={"version": version, "body": body})


def _marks(project: Project) -> dict[str, int]:
    """How far judgements and events had come: read before the facts, so that what is said meanwhile counts as new.

    A judgement draws its number before it is there for others to see. So the mark stands before the first number that
    is missing among those of the last seconds: what comes late is new, and what was heard already is heard again.
    """
    newest = Judgement.objects.filter(assignment__project=project)
    last = newest.aggregate(last=Max("pk"))["last"] or 0
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT min(before) FROM (
                SELECT id, created_at, lag(id) OVER (ORDER BY id) AS before
                FROM (SELECT id, created_at FROM judgement ORDER BY id DESC LIMIT %s) latest) j
            WHERE id - before > 1 AND created_at > now() - make_interval(secs => %s)""",
            [LATEST, SAVING_SECONDS],
        )
        gap = cursor.fetchone()[0]
    return {
        "judgement": last if gap is None else min(last, gap),
        "event": Event.objects.filter(project=project.slug).aggregate(last=Max("pk"))["last"] or 0,
    }


def _reliabilities(project: Project) -> dict[str, float]:
    """Weight by annotator number, mean 1: how often they agree with the others on a pair, drawn towards the mean."""
    whose, params = WHOSE.sql()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH said AS (
                SELECT a.pair_id, j.annotator_id, {CODE} AS code
                FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
                WHERE a.project_id = %s AND {whose} AND j.verdict <> 'skip'),
            met AS (
                SELECT annotator_id, count(*) OVER (PARTITION BY pair_id, code) - 1 AS same,
                       count(*) OVER (PARTITION BY pair_id) - 1 AS others FROM said)
            SELECT annotator_id, sum(same), sum(others), count(*) FROM met GROUP BY annotator_id
            """,
            [project.pk, *params],
        )
        found = [(number, float(same), float(met), count) for number, same, met, count in cursor.fetchall()]
    met = sum(others for _, _, others, _ in found)
    mean = sum(same for _, same, _, _ in found) / met if met else 0.0
    if not mean:
        return {}
    raw = {who: (same + PRIOR_MEETINGS * mean) / (others + PRIOR_MEETINGS) for who, same, others, _ in found}
    return {str(who): round(min(max(value / mean, LIGHTEST), HEAVIEST) / GRAIN) * GRAIN for who, value in raw.items()}
