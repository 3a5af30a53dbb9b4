"""Judgements and measurements -> the facts of every pair: one derived table, and the board's columns made from it.

One statement of SQL writes all rows, so that a million pairs are not a million objects. A whole gathering does all
pairs of a project; a partial one only those about which something was said since, with the percentiles, reliabilities
and categories of the last whole one. A whole one of many pairs is divided into ranges of their numbers, which several
workers replace one by one; the board's columns are the old ones until all are done.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Exists, Max, OuterRef
from django.utils import timezone

from annotation.dividing import PartHold, do_together, help_until_done
from annotation.models import Assignment, Event, Judgement, Pair, Project, Run, User
from annotation.running import Hold, request_run
from config import processes
from curation import packing
from curation.dimensions import OF_THE_PROJECT, REWARD, Dimension, dimensions, reading_sql
from curation.inline import run_here
from curation.measured import measured_of
from curation.models import FactsArray, FactsState
from curation.selecting import Voices, tallies_sql

# Half a judgement more, split between the answers: a share of three judgements is not as sure as one of thirty.
SHRINK_BY, SHRINK_TO = 0.5, 0.5
# An annotator's reliability counts like this many meetings with the others at the project's mean.
PRIOR_MEETINGS = 20
LIGHTEST, HEAVIEST = 0.5, 1.5

# Not oftener than this, and never more than a twentieth of the time.
REST = timedelta(seconds=60)
REST_TIMES = 20
# More pairs than this at once are a whole gathering.
PART_AT_MOST = 20_000
# Pairs of one part of a whole gathering; fewer than two parts are not divided.
PART_PAIRS = 50_000

WHOSE = Voices(kind="person")


# ---- asking for it ---------------------------------------------------------------------------------------------------


def gather_facts(
    *, project: Project, model: str = "", workers: int = 1, actor: User | None = None, command: str = ""
) -> Run:
    """Build the facts of all pairs again, here and now, as a finished run.

    `workers`: how many processes do it; with one, all facts change in one transaction.

    Raises:
        Refused: the run was cancelled.
    """

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
    """Let a worker gather; one run that has not begun is enough."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    waiting = Run.objects.waiting().filter(project=project, kind=Run.Kind.FACTS, parameters__model=model).first()
    if waiting and (waiting.parameters.get("whole") or not is_whole):
        return waiting
    parameters = {"model": model, "whole": is_whole}
    return request_run(project=project, kind=Run.Kind.FACTS, parameters=parameters, actor=actor)


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
            ask_for_facts(project=state.project, actor=None, model=state.model, is_whole=is_whole)
            asked += 1
    return asked


def is_stale(state: FactsState) -> bool:
    """Whether anything was said, taken back, measured or imported since."""
    return bool(_touched(state, most=1)) or _is_whole_needed(state)


def _is_whole_needed(state: FactsState) -> bool:
    """What moves every pair's percentile, or which pairs there are; and facts from before there were arrays."""
    if not FactsArray.objects.filter(project=state.project_id, key="pair", version=state.version).exists():
        return True
    kinds = (Run.Kind.MEASUREMENT, Run.Kind.IMPORT)
    ended = Run.objects.filter(project=state.project_id, kind__in=kinds, finished_at__gt=state.gathered_at)
    return ended.exists()


def _touched(state: FactsState, *, most: int) -> list[int]:
    """Pairs with a judgement or an answer taken back since, at most `most`."""
    newest = Judgement.objects.filter(pk__gt=state.judgement, assignment__project=state.project_id)
    pairs = set(newest.order_by("pk").values_list("assignment__pair", flat=True)[:most])
    acts = ("judgement.undo", "judgement.revise")
    said = Event.objects.filter(project=state.project.slug, act__in=acts, pk__gt=state.event)
    numbers = [int(subject.removeprefix("assignment ")) for subject in said.values_list("subject", flat=True)[:most]]
    pairs |= set(Assignment.objects.filter(pk__in=numbers, project=state.project_id).values_list("pair", flat=True))
    return sorted(pairs)


# ---- doing it --------------------------------------------------------------------------------------------------------


def execute(hold: Hold, *, workers: int | None = None) -> dict[str, Any]:
    """Gather what a run asks for. Returns the run's result.

    `workers`: how many processes of this one's own do it; None: the queue's, as many as come.

    Raises:
        Refused: a part failed three times.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run, project = hold.run, hold.run.project
    assert project is not None
    began = time.monotonic()
    state = FactsState.objects.filter(project=project).defer("summary", "columns").first()
    touched = [] if state is None or run.parameters.get("whole", True) else _touched(state, most=PART_AT_MOST)
    is_part = state is not None and 0 < len(touched) < PART_AT_MOST
    if state is not None and is_part and run.parameters.get("model") not in ("", None, state.model):
        is_part = False
    hold.beat()
    marks = _marks(project)
    measured = measured_of(project)
    model = run.parameters.get("model") or next(iter(measured.difficulty), "")
    if is_part:
        assert state is not None
        weights, values, model = state.weights, state.values, state.model
    else:
        weights, values = _reliabilities(project), _values(project)
        if measured.reward:
            values[REWARD.key] = [measured.rewarder]
    dims = dimensions(values)
    told = {"weights": weights, "values": values, "loss": measured.difficulty.get(model), "margin": measured.margin}
    told["reward"] = measured.reward
    spans = [] if is_part or workers == 1 else _spans(project)
    if len(spans) > 1:
        _let_planner_know()
        tasks = [{**told, "span": span} for span in spans]
        do_together(hold, tasks, do=execute_part, is_local=workers is not None)
    with hold.fenced():
        if len(spans) < 2:
            _prepare(nested=is_part)
            _write(project=project, which=touched if is_part else None, **_as_read(told))
        version = (state.version if state else 0) + 1
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
                "model": model if model in measured.difficulty else "",
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
        _write(project=project, which=(low, high), **_as_read(task))
    return {"span": task["span"]}


def help_with(run_id: int) -> None:
    """Gather ranges for the process that started this one, until its run has ended."""
    help_until_done(run_id=run_id, do=execute_part)


def _as_read(told: dict[str, Any]) -> dict[str, Any]:
    """What `_write` takes, from what a part's row holds."""
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
    FactsArray.objects.filter(project=project).exclude(key__in=bodies).delete()
    for key, body in bodies.items():
        FactsArray.objects.update_or_create(project=project, key=key, defaults={"version": version, "body": body})


def _marks(project: Project) -> dict[str, int]:
    """How far judgements and events had come: read before the facts, so that what is said meanwhile counts as new."""
    newest = Judgement.objects.filter(assignment__project=project)
    return {
        "judgement": newest.aggregate(last=Max("pk"))["last"] or 0,
        "event": Event.objects.filter(project=project.slug).aggregate(last=Max("pk"))["last"] or 0,
    }


def _reliabilities(project: Project) -> dict[str, float]:
    """Weight by annotator number, mean 1: how often they agree with the others on a pair, drawn towards the mean."""
    whose, params = WHOSE.sql()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH said AS (
                SELECT a.pair_id, j.annotator_id, {_CODE} AS code
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
    return {str(who): min(max(value / mean, LIGHTEST), HEAVIEST) for who, value in raw.items()}


def _values(project: Project) -> dict[str, list[str]]:
    """The most frequent values of each category that the project names itself."""
    source = {"language": "q.language", "source": "p.source", "split": "p.split", "tag": _TAG}
    found = {}
    with connection.cursor() as cursor:
        for one in OF_THE_PROJECT:
            cursor.execute(
                f"""SELECT value FROM (SELECT {source[one.key]} AS value FROM pair p JOIN prompt q ON q.id = p.prompt_id
                    WHERE p.project_id = %s AND p.excluded_at IS NULL) each
                WHERE value <> '' GROUP BY value ORDER BY count(*) DESC, value LIMIT %s""",
                [project.pk, one.most],
            )
            found[one.key] = [value for (value,) in cursor.fetchall()]
    return found


_TAG = "coalesce((p.tags || q.tags)[1], '')"
_CODE = (
    "CASE WHEN j.verdict = 'prefer' AND j.strength > 0 THEN 0 WHEN j.verdict = 'prefer' THEN 1"
    " WHEN j.verdict = 'tie' THEN 2 ELSE 3 END"
)

# One row per pair with votes: principles that favour first and second. People's votes; where there are none, judges'.
# Several voters on one principle: what more of them say than anything else; otherwise it is indifferent (1.9, 1.3).
_VOTES = """
    SELECT pair_id, kind, count(*) FILTER (WHERE says > 0) AS plus, count(*) FILTER (WHERE says < 0) AS minus,
        coalesce(array_agg(principle_id ORDER BY principle_id) FILTER (WHERE says > 0), '{{}}') AS favour_first,
        coalesce(array_agg(principle_id ORDER BY principle_id) FILTER (WHERE says < 0), '{{}}') AS favour_second
    FROM (SELECT x.pair_id, n.kind, x.principle_id,
            CASE WHEN count(*) FILTER (WHERE vote = 'first')
                    > greatest(count(*) FILTER (WHERE vote = 'second'), count(*) FILTER (WHERE vote IN {neither}))
                 THEN 1
                 WHEN count(*) FILTER (WHERE vote = 'second')
                    > greatest(count(*) FILTER (WHERE vote = 'first'), count(*) FILTER (WHERE vote IN {neither}))
                 THEN -1 ELSE 0 END AS says
        FROM principle_vote x JOIN annotator n ON n.id = x.annotator_id LEFT JOIN judgement j ON j.id = x.judgement_id
        WHERE n.project_id = %s AND (x.judgement_id IS NULL OR j.is_current) {which}
        GROUP BY x.pair_id, n.kind, x.principle_id) each
    GROUP BY pair_id, kind"""
_NEITHER = "('same', 'irrelevant')"


def _write(
    *,
    project: Project,
    which: list[int] | tuple[int, int] | None,
    weights: dict[str, float],
    dims: Sequence[Dimension],
    loss: tuple[int, str] | None,
    margin: tuple[int, str] | None,
    reward: tuple[int, str] | None,
) -> None:
    """Replace the facts of all pairs, of these, or of those in a range of numbers (a tuple)."""
    some, chosen = _condition(which)
    tallies, tally_params = tallies_sql(project=project.pk, voices=WHOSE)
    whose, whose_params = WHOSE.sql()
    tallies = tallies.replace("GROUP BY", f"{some.format('a.pair_id')} GROUP BY")
    tally_params = [*tally_params, *chosen]
    kept = _remove(project=project, which=some.format("pair_id"), chosen=chosen)
    if not isinstance(which, list):
        losses = """
            SELECT m.pair_id, m.value AS loss,
                   (rank() OVER by_loss + (count(*) OVER (PARTITION BY m.value) - 1) / 2.0 - 0.5)
                     / count(*) OVER () AS difficulty
            FROM measurement m JOIN pair p ON p.id = m.pair_id AND p.excluded_at IS NULL
            WHERE m.run_id = %s AND m.metric = %s AND m.value IS NOT NULL WINDOW by_loss AS (ORDER BY m.value)"""
        loss_params: list[Any] = list(loss or (0, ""))
    else:
        # Percentiles are those of the last whole gathering.
        losses = "SELECT * FROM unnest(%s::bigint[], %s::float8[], %s::float8[]) AS k (pair_id, loss, difficulty)"
        loss_params = [list(column) for column in zip(*kept, strict=True)] or [[], [], []]
    bins = [(one.bin_column, *one.sql()) for one in dims if one.column]
    votes = _VOTES.format(neither=_NEITHER, which=some.format("x.pair_id"))
    # Pairs of the same prompts, whether they are asked for or not: among them are the duplicates.
    theirs = some and f"AND prompt_id IN (SELECT o.prompt_id FROM pair o WHERE true {some.format('o.id')})"
    statement = f"""
    WITH tally AS ({tallies}),
    weight AS (SELECT * FROM unnest(%s::bigint[], %s::float8[]) AS w (annotator_id, w)),
    weighed AS (
        SELECT a.pair_id, sum(w) FILTER (WHERE {_CODE} = 0) AS w0, sum(w) FILTER (WHERE {_CODE} = 1) AS w1,
               sum(w) FILTER (WHERE {_CODE} = 2) AS w2, sum(w) FILTER (WHERE {_CODE} = 3) AS w3, sum(w) AS w
        FROM (SELECT j.*, coalesce(weight.w, 1) AS w FROM judgement j LEFT JOIN weight USING (annotator_id)) j
        JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        WHERE a.project_id = %s AND {whose} AND j.verdict <> 'skip' {some.format("a.pair_id")} GROUP BY a.pair_id),
    told AS (
        SELECT a.pair_id, count(*) FILTER (WHERE j.flags <> '{{}}') AS flags,
            array_agg(j.annotator_id ORDER BY j.annotator_id) FILTER (WHERE j.verdict <> 'skip') AS annotators
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id
        WHERE a.project_id = %s AND j.is_current {some.format("a.pair_id")} GROUP BY a.pair_id),
    voted AS (SELECT DISTINCT ON (pair_id) * FROM ({votes}) v ORDER BY pair_id, kind = 'judge'),
    loss AS ({losses}),
    margin AS (SELECT pair_id, value AS margin FROM measurement WHERE run_id = %s AND metric = %s),
    reward AS (SELECT pair_id, value AS reward_margin FROM measurement WHERE run_id = %s AND metric = %s),
    shared AS (
        SELECT prompt_id FROM pair p WHERE project_id = %s {theirs} GROUP BY prompt_id HAVING count(*) > 1),
    texts AS (
        SELECT p.id, count(*) OVER (PARTITION BY p.prompt_id, least(md5(f.messages::text), md5(s.messages::text)),
                 greatest(md5(f.messages::text), md5(s.messages::text))) - 1 AS duplicates
        FROM shared JOIN pair p USING (prompt_id) JOIN candidate f ON f.id = p.first_id
        JOIN candidate s ON s.id = p.second_id WHERE p.project_id = %s),
    counted AS (
        SELECT p.id AS pair_id, p.project_id, p.excluded_at IS NOT NULL AS is_excluded, p.source, p.split, p.is_gold,
            q.language, p.tags || q.tags AS tags, {_TAG} AS tag, f.characters AS length_first,
            s.characters AS length_second, coalesce(v.n_first, 0) AS n_first, coalesce(v.n_second, 0) AS n_second,
            coalesce(v.n_tie, 0) AS n_tie, coalesce(v.n_both_bad, 0) AS n_both_bad, coalesce(v.n_skip, 0) AS skips,
            coalesce(v.n_first + v.n_second + v.n_tie + v.n_both_bad, 0) AS judgements,
            abs(v.strength_sum::float8 / nullif(v.n_strength, 0)) AS strength, g.w0, g.w1, g.w2, g.w3, g.w,
            l.loss, l.difficulty, m.margin, u.reward_margin, d.plus, d.minus,
            coalesce(d.favour_first, '{{}}') AS favour_first, coalesce(d.favour_second, '{{}}') AS favour_second,
            coalesce(k.flags, 0) AS flags, coalesce(k.annotators, '{{}}') AS annotators,
            coalesce(t.duplicates, 0) AS duplicates
        FROM pair p JOIN prompt q ON q.id = p.prompt_id JOIN candidate f ON f.id = p.first_id
        JOIN candidate s ON s.id = p.second_id LEFT JOIN tally v ON v.pair_id = p.id
        LEFT JOIN weighed g ON g.pair_id = p.id LEFT JOIN loss l ON l.pair_id = p.id
        LEFT JOIN margin m ON m.pair_id = p.id LEFT JOIN reward u ON u.pair_id = p.id
        LEFT JOIN voted d ON d.pair_id = p.id LEFT JOIN told k ON k.pair_id = p.id LEFT JOIN texts t ON t.id = p.id
        WHERE p.project_id = %s {some.format("p.id")}),
    derived AS (
        SELECT *, greatest(n_first, n_second, n_tie, n_both_bad) AS most,
            CASE WHEN plus IS NULL THEN '' WHEN plus > 0 AND minus > 0 THEN 'conflict'
                 WHEN plus + minus > 0 THEN 'consensus' ELSE 'indifference' END AS discretion,
            CASE WHEN 2 * n_first > judgements THEN 'first' WHEN 2 * n_second > judgements THEN 'second'
                 WHEN 2 * n_tie > judgements THEN 'tie' WHEN 2 * n_both_bad > judgements THEN 'both_bad' ELSE '' END
              AS majority
        FROM counted),
    facts AS (
        SELECT pair_id, project_id, is_excluded, judgements, skips, n_first, n_second, n_tie, n_both_bad, majority,
            CASE WHEN judgements >= 1 THEN most::float8 / judgements END AS share,
            CASE WHEN judgements >= 2 THEN
              (n_first * n_first + n_second * n_second + n_tie * n_tie + n_both_bad * n_both_bad - judgements)::float8
              / (judgements * (judgements - 1)) END AS item_agreement,
            CASE WHEN judgements >= 2 THEN (SELECT coalesce(sum(c::float8 / judgements * ln(judgements::float8 / c)), 0)
              FROM unnest(ARRAY[n_first, n_second, n_tie, n_both_bad]) c WHERE c > 0) END AS entropy,
            CASE WHEN judgements >= 2 THEN (greatest(w0, w1, w2, w3) + {SHRINK_BY * SHRINK_TO}) / (w + {SHRINK_BY}) END
              AS agreement,
            CASE WHEN judgements >= 1 THEN judgements - most END AS dissents, strength, loss, difficulty, margin,
            reward_margin, discretion, plus + minus AS n_relevant, favour_first, favour_second,
            CASE WHEN discretion = 'consensus' THEN CASE WHEN plus > 0 THEN 1 ELSE -1 END END AS direction,
            CASE WHEN plus IS NULL THEN NULL WHEN discretion <> 'consensus' THEN 0
                 WHEN plus > 0 THEN n_second ELSE n_first END AS arbitrary,
            length_first, length_second,
            CASE majority WHEN 'first' THEN length_first - length_second
                          WHEN 'second' THEN length_second - length_first END AS length_difference,
            language, source, tag, tags, split, duplicates, flags, is_gold, annotators,
            CASE WHEN flags > 0 THEN 'flagged' WHEN is_gold THEN 'gold' WHEN duplicates > 0 THEN 'duplicate'
                 ELSE 'plain' END AS marked
        FROM derived),
    binned AS (SELECT *, {", ".join(f"{expression} AS {name}" for name, expression, _ in bins)} FROM facts)
    INSERT INTO pair_facts (pair_id, {_NAMES}, {", ".join(name for name, _, _ in bins)}, b_reading)
    SELECT pair_id, {_NAMES}, {", ".join(name for name, _, _ in bins)}, {reading_sql()} FROM binned
    ORDER BY b_difficulty, difficulty, pair_id
    """
    params: list[Any] = [*tally_params]
    params += [[int(who) for who in weights], list(weights.values()), project.pk, *whose_params, *chosen]
    params += [project.pk, *chosen, project.pk, *chosen]
    params += [*loss_params, *(margin or (0, "")), *(reward or (0, ""))]
    params += [project.pk, *chosen, project.pk, project.pk, *chosen]
    params += [value for _, _, values in bins for value in values]
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


def _condition(which: list[int] | tuple[int, int] | None) -> tuple[str, list[Any]]:
    """What a statement asks of a column with pair numbers, and its parameters."""
    if which is None:
        return "", []
    return ("AND {} BETWEEN %s AND %s", list(which)) if isinstance(which, tuple) else ("AND {} = ANY(%s)", [which])


def _remove(*, project: Project, which: str, chosen: list[Any]) -> list[tuple[int, float, float]]:
    """Remove the facts of the chosen pairs, or of all. Returns the chosen pairs' losses and percentiles."""
    with connection.cursor() as cursor:
        if not chosen:
            cursor.execute("DELETE FROM pair_facts WHERE project_id = %s", [project.pk])
            return []
        returning = "RETURNING pair_id, loss, difficulty"
        cursor.execute(f"DELETE FROM pair_facts WHERE project_id = %s {which} {returning}", [project.pk, *chosen])
        return list(cursor.fetchall())


_NAMES = """project_id, is_excluded, judgements, skips, n_first, n_second, n_tie, n_both_bad, majority, share,
    item_agreement, entropy, agreement, dissents, strength, loss, difficulty, margin, reward_margin, discretion,
    n_relevant, favour_first, favour_second, direction, arbitrary, length_first, length_second, length_difference,
    language, source, tag, tags, split, duplicates, flags, is_gold, annotators, marked"""
