"""Pairs -> slots, open to be claimed; leases that ran out -> open slots. Reasons: docs/design/0002-assigning.md.

A slot that opens may lie behind everybody's cursor, and whoever found nothing before is told to look again.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from annotation.models import Project
from annotation.statements import do, row

# The order of slots follows the rank of their pairs; the k slots of a pair spread over about 200 pairs, so that
# annotators do not walk in step and meet at the same rows.
RANK_STEP = 1_000_000
SPREAD = 200_000_000
# Leases of one sweep.
SWEEP_AT_MOST = 1000

# Several annotators at once: locked in the order of their ids, or two who do this together would wait for each other.
# NO KEY UPDATE as in ME.
EVERYBODY = """
annotator.id IN (SELECT id FROM annotator WHERE project_id = ANY(%(projects)s) {which} ORDER BY id FOR NO KEY UPDATE)
"""
# Something opened: whoever found nothing may look again.
WAKE = f"UPDATE annotator SET dry_until = NULL WHERE {EVERYBODY.format(which='AND dry_until IS NOT NULL')}"
# It may lie behind everybody's cursor.
TO_THE_HEAD = f"UPDATE annotator SET cursor = -1, dry_until = NULL WHERE {EVERYBODY.format(which='')}"

# Any number, the same in every process: whoever holds it, with a project's number, may open slots there.
SLOTS_LOCK = 7_234_005


@transaction.atomic
def open_slots(*, project: Project, pairs: Iterable[int] | None = None) -> int:
    """Make the open slots what the project asks for: slots 1..k of every pair in play, and no others.

    Call it after an import, after a change of the overlap, and after pairs were taken out of play or back in; `pairs`
    (their ids) limits it. Missing slots are added in the order of the queue, so that neighbouring claims share pages.
    Open slots above k or of pairs out of play are removed; leases and answers stay. Running it twice changes nothing.
    A pair with a toy's text gets no slot: people are never handed one. Nor does gold: calibrating.py hands it out.
    Where the project ranks, no pair has one: ranking.py hands out lineups.

    Returns how many slots were added.
    """
    values = {"project": str(project.pk), "pairs": None if pairs is None else [int(pair) for pair in pairs]}
    # One at a time, so that whoever comes second sees the slots of the first: ON CONFLICT would cost one more look at
    # the index for every slot.
    do(
        "SELECT pg_advisory_xact_lock(%(lock)s::int, (%(project)s::bigint %% 2147483647)::int)",
        {**values, "lock": str(SLOTS_LOCK)},
    )
    do(REMOVE, values)
    added = do(ADD, values)
    if added > 10_000:
        # The planner must not go by the statistics of an empty table.
        do("ANALYZE assignment", None)
    if added:
        do(WAKE, {"projects": [project.pk]})
    return added


@transaction.atomic
def open_extra_slots(*, project: Project, pairs: Iterable[int], more: int) -> int:
    """Open slots beyond the overlap, so that `more` people judge each pair who have not judged it. Returns how many.

    Asked twice it opens nothing more: extra slots that are still open count. Pairs out of play are passed over.
    """
    values = {"project": str(project.pk), "pairs": [int(pair) for pair in pairs], "more": str(more)}
    added = do(ADD_EXTRA, values)
    if added:
        # They may lie behind everybody's cursor.
        do(TO_THE_HEAD, {"projects": [project.pk]})
    return added


# Behind the slots that the pair has; the open slots that it has already count, extra or not.
ADD_EXTRA = f"""
WITH asked AS (
  SELECT p.id, p.rank, project.id AS project_id, project.seed,
    greatest(coalesce(max(a.slot), 0), project.overlap) AS last,
    count(*) FILTER (WHERE a.slot IS NOT NULL AND a.done_at IS NULL) AS waiting
  FROM project JOIN pair p ON p.project_id = project.id LEFT JOIN assignment a ON a.pair_id = p.id
  WHERE project.id = %(project)s::bigint AND project.task = 'pairs' AND p.excluded_at IS NULL
  AND NOT 'toy' = ANY(p.marks) AND p.gold_use = ''
    AND p.id = ANY(%(pairs)s::bigint[])
  GROUP BY p.id, project.id)
INSERT INTO assignment (project_id, pair_id, slot, priority, swapped, is_extra)
SELECT project_id, id, last + k,
  rank * {RANK_STEP} + (hashint8extended(rank * 64 + last + k, seed) & 9223372036854775807) %% {SPREAD}, false, true
FROM asked CROSS JOIN LATERAL generate_series(1, (%(more)s::int - waiting)::int) AS k
ORDER BY 4
ON CONFLICT (pair_id, slot) DO NOTHING
"""


ADD = f"""
INSERT INTO assignment (project_id, pair_id, slot, priority, swapped)
SELECT p.project_id, p.id, k.slot,
  p.rank * {RANK_STEP} + (hashint8extended(p.rank * 64 + k.slot, project.seed) & 9223372036854775807) %% {SPREAD}, false
FROM project JOIN pair p ON p.project_id = project.id CROSS JOIN generate_series(1, project.overlap::int) AS k(slot)
WHERE project.id = %(project)s::bigint AND project.task = 'pairs' AND p.excluded_at IS NULL
  AND NOT 'toy' = ANY(p.marks) AND p.gold_use = ''
  AND (%(pairs)s::bigint[] IS NULL OR p.id = ANY(%(pairs)s::bigint[]))
  AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.pair_id = p.id AND a.slot = k.slot)
ORDER BY 4
"""

# Slots that nobody is given once they are let go: above the overlap, of pairs out of play, of gold.
OUT_OF_PLAY = """((SELECT task FROM project WHERE id = a.project_id) <> 'pairs'
  OR NOT a.is_extra AND a.slot > (SELECT overlap FROM project WHERE id = a.project_id)
  OR EXISTS (SELECT 1 FROM pair WHERE pair.id = a.pair_id
    AND (pair.excluded_at IS NOT NULL OR 'toy' = ANY(pair.marks) OR pair.gold_use <> '')))"""

# A slot that carries a judgement which was taken back stays; the claim passes it over.
SURPLUS = f"""{OUT_OF_PLAY}
  AND NOT EXISTS (SELECT 1 FROM judgement j WHERE j.assignment_id = a.id)"""

REMOVE = f"""
DELETE FROM assignment WHERE id IN (
  SELECT a.id FROM assignment a
  WHERE a.project_id = %(project)s::bigint AND a.annotator_id IS NULL AND {SURPLUS}
    AND (%(pairs)s::bigint[] IS NULL OR a.pair_id = ANY(%(pairs)s::bigint[]))
  FOR UPDATE OF a SKIP LOCKED)
"""


def sweep(*, project: Project | None = None, project_id: int | None = None) -> int:
    """Hand back leases that ran out, at most SWEEP_AT_MOST, of one project or of all. Returns how many there were.

    They go in front of every annotator's cursor, one behind the other, so that nobody has to start from the head to
    find them. Their drafts go too: the next annotator must not see them, and the page that wrote them has its own copy.
    The slot of a check goes; its number is kept for whoever had it. One that was answered, and the answer taken back,
    stays with its annotator.

    Within a transaction, whoever found nothing is told to look again once it has committed.
    """
    only = project.pk if project is not None else project_id
    swept, projects = row(SWEEP, {"project": None if only is None else str(only)})
    if swept:
        # Once the slots are let go: it locks annotators, and claims lock annotators first and slots second. Should it
        # never come to it, they look again by themselves after some seconds.
        transaction.on_commit(lambda: do(WAKE, {"projects": projects}))
    return int(swept)


# A check whose answer was taken back stays with whoever took it back, however long they are away: nobody else waits for
# it, and an answer to it that came from another hand would count in no round.
OWN = """(EXISTS (SELECT 1 FROM pair WHERE pair.id = a.pair_id AND pair.gold_use = 'check')
  AND EXISTS (SELECT 1 FROM judgement j WHERE j.assignment_id = a.id))"""

SWEEP = f"""
WITH due AS MATERIALIZED (
  SELECT a.id, a.project_id, a.pair_id, a.annotator_id, a.lease_until, {SURPLUS} AS surplus FROM assignment a
  WHERE a.lease_until < now() AND (%(project)s::bigint IS NULL OR a.project_id = %(project)s::bigint) AND NOT {OWN}
  ORDER BY a.lease_until LIMIT {SWEEP_AT_MOST} FOR UPDATE OF a SKIP LOCKED),
drafts AS (DELETE FROM draft USING due WHERE draft.assignment_id = due.id),
furthest AS (SELECT project_id, max(cursor) AS cursor FROM annotator
  WHERE project_id IN (SELECT project_id FROM due) GROUP BY 1),
front AS (SELECT f.project_id, coalesce(max(a.priority), f.cursor) AS cursor FROM furthest f
  LEFT JOIN assignment a ON a.project_id = f.project_id AND a.annotator_id IS NULL
    AND a.priority > f.cursor AND a.priority <= f.cursor + {SWEEP_AT_MOST}
  GROUP BY f.project_id, f.cursor),
placed AS (SELECT due.id,
    front.cursor + row_number() OVER (PARTITION BY due.project_id ORDER BY due.lease_until) AS priority
  FROM due JOIN front USING (project_id) WHERE NOT due.surplus),
back AS (UPDATE assignment a SET annotator_id = NULL, lease_until = NULL, priority = greatest(placed.priority, 0)
  FROM placed WHERE a.id = placed.id),
numbers AS (INSERT INTO check_seat (pair_id, annotator_id, assignment_number)
  SELECT due.pair_id, due.annotator_id, due.id FROM due JOIN pair ON pair.id = due.pair_id
  WHERE due.surplus AND pair.gold_use = 'check' ON CONFLICT (pair_id, annotator_id) DO NOTHING),
removed AS (DELETE FROM assignment a USING due WHERE a.id = due.id AND due.surplus)
SELECT count(*), coalesce(array_agg(DISTINCT project_id), '{{}}') FROM due
"""
