"""Pairs -> slots -> assignments: who is given what to judge. Reasons and figures: docs/design/0002-assigning.md.

A project with overlap k has k slots per pair. A slot is open, leased to one annotator, or done. What must never happen
(a slot taken twice, an annotator on one pair twice) is refused by constraints of the table; the statements here make
sure that the constraints have little to refuse. `annotator.cursor` and `annotator.dry_until` are hints that keep the
claim fast; nothing is wrong when they are.

Everything here is plain SQL, because the ORM's way costs three times as much on the one path that everybody waits for.
All parameters are sent as text and cast in the statement, so that each statement is prepared once: the driver would
otherwise send an integer of every size as a type of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext, ngettext

from annotation import rendering, typesetting
from annotation.answering import Said
from annotation.models import Annotator, Project
from annotation.wording import NOTHING_TO_JUDGE

# What an annotator holds: the pair on the screen and the next two.
HELD = 3
# How long an annotator who found nothing is not searched for again. Whoever opens slots ends the wait.
DRY_SECONDS = 30
SWEEP_AT_MOST = 1000
# Counting stops here: beyond it the number helps nobody.
COUNT_AT_MOST = 1000
# A claim that loses a race starts again: the winner's row is then in its snapshot.
TRIES = 4
# The order of slots follows the rank of their pairs; the k slots of a pair spread over about 200 pairs, so that
# annotators do not walk in step and meet at the same rows.
RANK_STEP = 1_000_000
SPREAD = 200_000_000

Result = TypeVar("Result")

# ---- the pieces of the claim ----------------------------------------------------------------------------------------

# Names one state of a project's row: the transaction that wrote it, and its place (one transaction may write twice).
VERSION = "p.xmin::text || p.ctid::text"

# The member, found and locked. One annotator makes one claim at a time, so that two tabs get two pairs. NO KEY UPDATE,
# because UPDATE would block the foreign-key check of every judgement that names this annotator. `version` is the
# project row that the answer was checked against: if the lead has changed the project since, nobody is found.
ME = f"""
me AS MATERIALIZED (
  SELECT a.id, a.cursor, p.id AS project_id, p.guideline_id, p.overlap, p.state,
         p.lease_minutes * interval '1 minute' AS lease, coalesce(a.dry_until > now(), false) AS dry
  FROM annotator a JOIN project p ON p.id = a.project_id
  WHERE p.slug = %(slug)s AND a.user_id = %(user)s::bigint AND a.kind = 'person' AND a.is_active
    AND (%(version)s::text IS NULL OR {VERSION} = %(version)s::text)
  FOR NO KEY UPDATE OF a)"""

# The answered slot. Whether the lease is still mine stands in the WHERE: a late answer changes nothing. It is marked
# before the judgement is inserted, so that a slot is never done without one.
DONE = """
done AS (
  UPDATE assignment x SET done_at = now(), lease_until = NULL FROM me
  WHERE x.id = %(assignment)s::bigint AND x.annotator_id = me.id AND x.done_at IS NULL AND me.state = 'judging'
  RETURNING x.id, x.pair_id, x.swapped, me.id AS annotator_id, me.guideline_id)"""

# The judgement, with the order that was really seen. No ON CONFLICT: a key that is used twice must fail the statement,
# or the slot would be done without a judgement. Earlier revisions exist when an answer was taken back.
SAID = """
said AS (
  INSERT INTO judgement (assignment_id, annotator_id, revision, is_current, key, verdict, strength, strength_known,
    deciding_principle_id, overall_first, skip_reason,
    flags, guideline_id, swapped, turned, active_ms, first_key_ms, coverage_first, coverage_second, client,
    created_at)
  SELECT id, annotator_id,
    1 + coalesce((SELECT max(j.revision) FROM judgement j WHERE j.assignment_id = done.id), 0), true, %(key)s::uuid,
    %(verdict)s, CASE WHEN swapped THEN %(swapped_strength)s ELSE %(strength)s END::smallint, true,
    %(deciding)s::bigint, %(overall_first)s::boolean,
    %(skip_reason)s, %(flags)s::varchar[], guideline_id, swapped, %(turned)s::boolean,
    %(active_ms)s::int, %(first_key_ms)s::int,
    CASE WHEN swapped THEN %(swapped_coverage_first)s ELSE %(coverage_first)s END::float8,
    CASE WHEN swapped THEN %(swapped_coverage_second)s ELSE %(coverage_second)s END::float8, %(client)s, now()
  FROM done RETURNING id, verdict, strength, swapped, skip_reason, flags)"""

# Why, if anything was said: in the same statement, so that there is no verdict without its reason.
WHY = """
why AS (
  INSERT INTO rationale (pair_id, annotator_id, judgement_id, text, tags, format, source, template, is_hinted,
    created_at)
  SELECT done.pair_id, done.annotator_id, said.id, %(text)s, %(tags)s::varchar[], 'plain', 'human', '', false, now()
  FROM done, said WHERE %(text)s <> '' OR %(tags)s::varchar[] <> '{}' OR %(spans)s <> '[]'
  RETURNING id, text, tags)"""

# Where: the highlights, whose places judging.py has checked against the raw texts, which never change.
MARKS = """
marks AS (
  INSERT INTO span (rationale_id, candidate_id, message, start, "end", polarity, tag, principle_id)
  SELECT why.id, CASE m.place WHEN 'first' THEN pair.first_id WHEN 'second' THEN pair.second_id END,
    m.message, m.start, m."end", m.polarity, m.tag, m.principle
  FROM why, done JOIN pair ON pair.id = done.pair_id,
    jsonb_to_recordset(CASE WHEN done.swapped THEN %(swapped_spans)s ELSE %(spans)s END::jsonb)
      AS m(place text, message int, start int, "end" int, polarity text, tag text, principle bigint)
  RETURNING 1)"""

# By which principle, with the place at which each was asked.
VOTES = """
votes AS (
  INSERT INTO principle_vote (pair_id, annotator_id, principle_id, judgement_id, vote, position, created_at)
  SELECT done.pair_id, done.annotator_id, v.principle, said.id,
    CASE WHEN done.swapped THEN v.swapped_vote ELSE v.vote END, v.position, now()
  FROM done, said, jsonb_to_recordset(%(votes)s::jsonb)
    AS v(principle bigint, vote text, swapped_vote text, position smallint))"""

# The draft has become a judgement.
GONE = "gone AS (DELETE FROM draft USING done WHERE draft.assignment_id = done.id)"

# The next slot. OFFSET 0 keeps "have I judged this pair?" one probe per row: without it the planner reads everything
# that the annotator ever did (15 times slower after 20,000 claims). SKIP LOCKED: nobody waits for a colleague's claim.
# Slots above the overlap and pairs taken out of play are passed over here, at the only door, whoever forgot to remove
# them. `{when}` says when this statement may claim.
NEXT = """
next AS (
  UPDATE assignment SET annotator_id = (SELECT id FROM me), lease_until = now() + (SELECT lease FROM me),
    swapped = random() < 0.5
  WHERE id = (
    SELECT s.id FROM assignment s
    WHERE s.project_id = (SELECT project_id FROM me) AND s.annotator_id IS NULL
      AND s.priority > (SELECT cursor FROM me) AND (s.slot <= (SELECT overlap FROM me) OR s.is_extra)
      AND (SELECT state = 'judging' AND NOT dry FROM me) AND {when}
      AND NOT EXISTS (SELECT 1 FROM assignment m
        WHERE m.pair_id = s.pair_id AND m.annotator_id = (SELECT id FROM me) OFFSET 0)
      AND NOT EXISTS (SELECT 1 FROM pair o WHERE o.id = s.pair_id AND o.excluded_at IS NOT NULL OFFSET 0)
    ORDER BY s.priority LIMIT 1 FOR UPDATE OF s SKIP LOCKED)
  RETURNING id, pair_id, priority, swapped)"""

# The cursor follows. Without it every claim walks over the entries of claimed slots for as long as an old snapshot (an
# export, a backup) keeps them from being cleaned away.
MOVED = "moved AS (UPDATE annotator a SET cursor = next.priority, dry_until = NULL FROM me, next WHERE a.id = me.id)"

# How many of my latest judgements are of today. The latest only: the cost must not grow with what I have done.
TODAY = f"""
tally AS (
  SELECT count(*) FILTER (WHERE created_at >= date_trunc('day', now())) AS today
  FROM (SELECT created_at FROM judgement WHERE annotator_id = (SELECT id FROM me) AND is_current
    ORDER BY id DESC LIMIT {COUNT_AT_MOST}) AS latest)"""

# How many leases I hold, as the statement found them.
LEASES = "(SELECT count(*) FROM assignment l WHERE l.annotator_id = (SELECT id FROM me) AND l.lease_until IS NOT NULL)"

TEXTS = """
LEFT JOIN pair ON pair.id = n.pair_id
LEFT JOIN prompt ON prompt.id = pair.prompt_id
LEFT JOIN candidate f ON f.id = pair.first_id
LEFT JOIN candidate s ON s.id = pair.second_id"""
ITEM = """n.id, n.swapped, prompt.html, prompt.language, f.html, f.language, s.html, s.language, n.pair_id,
  least(prompt.renderer, f.renderer, s.renderer)"""
SHOWN = f"SELECT {ITEM} FROM assignment n {TEXTS} WHERE n.id = %(assignment)s::bigint"
PAIR_OF = "SELECT pair_id FROM assignment WHERE id = %(assignment)s::bigint"

# Submit and next: one statement, one commit, one round trip. Highlights and votes take part only where there are any:
# their parts cost as much as a third of the rest even when they store nothing.


@functools.cache
def submit_statement(*, with_spans: bool, with_votes: bool) -> str:
    """Without needless blanks: the driver reads a statement of more than 4,096 characters anew each time."""
    extras = [MARKS] * with_spans + [VOTES] * with_votes
    marks = "(SELECT count(*) FROM marks)" if with_spans else "0"
    when = "%(claim)s::boolean AND EXISTS (SELECT 1 FROM done)"
    parts = ", ".join([ME, DONE, SAID, WHY, *extras, GONE, NEXT.format(when=when), MOVED, TODAY])
    statement = f"""
    WITH {parts}
    SELECT me.id, me.state, me.dry, said.verdict, said.strength, said.swapped, said.skip_reason, said.flags,
      why.text, why.tags, {marks}, tally.today, {LEASES}, {ITEM}
    FROM tally LEFT JOIN me ON true LEFT JOIN said ON true LEFT JOIN why ON true LEFT JOIN next n ON true {TEXTS}
    """
    return " ".join(statement.split())


CLAIM = f"""
WITH {ME}, {NEXT.format(when=f"{LEASES} < {HELD}")}, {MOVED}
SELECT me.id, me.state, me.dry, {LEASES}, {ITEM}
FROM (SELECT 1) AS one LEFT JOIN me ON true LEFT JOIN next n ON true {TEXTS}
"""

# My leases, renewed and handed out again: what I have written in first, then in the order of the queue.
MINE = f"""
WITH me AS MATERIALIZED (
  SELECT a.id, p.lease_minutes * interval '1 minute' AS lease FROM annotator a JOIN project p ON p.id = a.project_id
  WHERE p.slug = %(slug)s AND a.user_id = %(user)s::bigint AND a.kind = 'person' AND a.is_active),
n AS (UPDATE assignment SET lease_until = now() + me.lease FROM me
  WHERE annotator_id = me.id AND lease_until IS NOT NULL RETURNING assignment.id, pair_id, priority, swapped)
SELECT {ITEM}, draft.body, coalesce(draft.version, 0) FROM n {TEXTS} LEFT JOIN draft ON draft.assignment_id = n.id
ORDER BY draft.saved_at DESC NULLS LAST, n.priority
"""


# ---- what the statements return -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Handed:
    """An assignment leased to me, with what may be shown of it and the side each candidate stands on."""

    assignment_id: int
    swapped: bool
    prompt: str
    prompt_language: str
    first: str
    first_language: str
    second: str
    second_language: str
    pair_id: int
    # The oldest renderer among those of the three texts.
    renderer: int
    # JSON text, and the number of its last save.
    draft: str | None = None
    draft_version: int = 0

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> Handed | None:
        """None for a row without an assignment. Texts left unset by a big import, or set by an older renderer, are set
        now, once.
        """
        if row[0] is None:
            return None
        if row[9] != rendering.RENDERER:
            one = {"assignment": str(row[0])}
            typesetting.typeset_pairs(pairs=[_row(PAIR_OF, one)[0]])
            row = (*_row(SHOWN, one), *row[10:])
        return cls(*row)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What one submit found and did. `said` is None when nothing was stored; `today` counts up to COUNT_AT_MOST."""

    annotator_id: int | None
    said: Said | None
    today: int
    leases: int
    next: Handed | None


# ---- submitting and claiming ----------------------------------------------------------------------------------------


def submit(
    *, user_id: int, slug: str, version: str | None, answer: Mapping[str, str | None], claim: bool = True
) -> Submitted:
    """Store an answer to a leased assignment and, with `claim`, lease the next one.

    `answer` holds the statement's parameters; judging.py makes them. `annotator_id` is None when nobody active with
    this account judges in that project, or when the project row is no longer `version`.

    Raises:
        IntegrityError: the key is used already (constraint `once`). Nothing was stored.
    """
    values = {**answer, "user": str(user_id), "slug": slug, "version": version, "claim": "true" if claim else "false"}
    statement = submit_statement(with_spans=answer["spans"] != "[]", with_votes=answer["votes"] != "[]")
    row = without_races(lambda: _row(statement, values))
    me, state, dry = row[:3]
    why = row[8:11] if row[9] is not None else ("", [], 0)
    said = Said(*row[3:8], *why) if row[3] is not None else None
    today, leases = row[11:13]
    taken = Handed.of(row[13:])
    if claim and said and not taken and not dry and state == Project.State.JUDGING:
        taken = _when_nothing_was_found(annotator_id=me, user_id=user_id, slug=slug)
    # The statement counted what was there before it: its own judgement is not in, its own lease still is.
    stored = 1 if said else 0
    return Submitted(me, said, today + stored, leases - stored + (taken is not None), taken)


def claim(*, user_id: int, slug: str) -> Handed | None:
    """Lease one more assignment, unless HELD are leased already. None: there is nothing for this annotator now."""
    values = {"user": str(user_id), "slug": slug, "version": None}
    me, state, dry, leases, *item = without_races(lambda: _row(CLAIM, values))
    taken = Handed.of(tuple(item))
    if taken or me is None or dry or leases >= HELD or state != Project.State.JUDGING:
        return taken
    return _when_nothing_was_found(annotator_id=me, user_id=user_id, slug=slug)


def held_by(*, user_id: int, slug: str) -> list[Handed]:
    """What I hold, the leases renewed: first what I have written in, then in the order of the queue."""
    return [one for row in _rows(MINE, {"user": str(user_id), "slug": slug}) if (one := Handed.of(row))]


def hand_out(*, user_id: int, slug: str) -> list[Handed]:
    """What I hold, topped up to HELD."""
    handed = held_by(user_id=user_id, slug=slug)
    while len(handed) < HELD:
        one = claim(user_id=user_id, slug=slug)
        if one is None:
            break
        handed.append(one)
    return handed


def _when_nothing_was_found(*, annotator_id: int, user_id: int, slug: str) -> Handed | None:
    """The queue looks empty from the cursor on. Look everywhere, once more, before saying so.

    Slots may have opened behind the cursor, leases may have run out with no worker there to sweep, and a slot that was
    locked a moment ago may be open again.
    """
    values = {"me": str(annotator_id)}
    if not _row(EVERYTHING_IS_MINE, values)[0]:
        project_id = _row("SELECT project_id FROM annotator WHERE id = %(me)s::bigint", values)[0]
        sweep(project_id=project_id)
        _do("UPDATE annotator SET cursor = -1, dry_until = NULL WHERE id = %(me)s::bigint", values)
        row = without_races(lambda: _row(CLAIM, {"user": str(user_id), "slug": slug, "version": None}))
        if (taken := Handed.of(row[4:])) is not None:
            return taken
    _do(DRY, values)
    return None


# Whatever opens next may lie behind the cursor.
DRY = f"""
UPDATE annotator SET cursor = -1, dry_until = now() + interval '{DRY_SECONDS} s' WHERE id = %(me)s::bigint
"""

# Not more pairs in the project than I have done or hold: answered without reading the queue.
EVERYTHING_IS_MINE = """
WITH mine AS (
  SELECT (SELECT count(*) FROM judgement WHERE annotator_id = me.id AND is_current)
       + (SELECT count(*) FROM assignment WHERE annotator_id = me.id AND lease_until IS NOT NULL) AS n, me.project_id
  FROM annotator me WHERE me.id = %(me)s::bigint)
SELECT (SELECT count(*) FROM (SELECT 1 FROM pair WHERE project_id = mine.project_id LIMIT mine.n + 1) AS few) <= mine.n
FROM mine
"""


def renew(*, annotator_id: int) -> int:
    """The heartbeat: my leases start anew. Returns how many I hold."""
    return _do(
        """
        UPDATE assignment x SET lease_until = now() + p.lease_minutes * interval '1 minute'
        FROM annotator a JOIN project p ON p.id = a.project_id
        WHERE a.id = %(me)s::bigint AND a.is_active AND x.annotator_id = a.id AND x.lease_until IS NOT NULL
        """,
        {"me": str(annotator_id)},
    )


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

# ---- slots and leases -----------------------------------------------------------------------------------------------


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
    _do(
        "SELECT pg_advisory_xact_lock(%(lock)s::int, (%(project)s::bigint %% 2147483647)::int)",
        {**values, "lock": str(SLOTS_LOCK)},
    )
    _do(REMOVE, values)
    added = _do(ADD, values)
    if added > 10_000:
        # The planner must not go by the statistics of an empty table.
        _do("ANALYZE assignment", None)
    if added:
        _do(WAKE, {"projects": [project.pk]})
    return added


@transaction.atomic
def open_extra_slots(*, project: Project, pairs: Iterable[int], more: int) -> int:
    """Open slots beyond the overlap, so that `more` people judge each pair who have not judged it. Returns how many.

    Asked twice it opens nothing more: extra slots that are still open count. Pairs out of play are passed over.
    """
    values = {"project": str(project.pk), "pairs": [int(pair) for pair in pairs], "more": str(more)}
    added = _do(ADD_EXTRA, values)
    if added:
        # They may lie behind everybody's cursor.
        _do(TO_THE_HEAD, {"projects": [project.pk]})
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

# A slot that carries a judgement which was taken back stays; the claim passes it over.
SURPLUS = """((SELECT task FROM project WHERE id = a.project_id) <> 'pairs'
  OR NOT a.is_extra AND a.slot > (SELECT overlap FROM project WHERE id = a.project_id)
  OR EXISTS (SELECT 1 FROM pair WHERE pair.id = a.pair_id
    AND (pair.excluded_at IS NOT NULL OR 'toy' = ANY(pair.marks) OR pair.gold_use <> '')))
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
    """
    only = project.pk if project is not None else project_id
    row = _row(SWEEP, {"project": None if only is None else str(only)})
    if row[0]:
        # A statement of its own: it locks annotators, and claims lock annotators first and slots second.
        _do(WAKE, {"projects": row[1]})
    return int(row[0])


SWEEP = f"""
WITH due AS MATERIALIZED (
  SELECT a.id, a.project_id, a.lease_until, {SURPLUS} AS surplus FROM assignment a
  WHERE a.lease_until < now() AND (%(project)s::bigint IS NULL OR a.project_id = %(project)s::bigint)
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
removed AS (DELETE FROM assignment a USING due WHERE a.id = due.id AND due.surplus)
SELECT count(*), coalesce(array_agg(DISTINCT project_id), '{{}}') FROM due
"""


# ---- why there is nothing to judge ----------------------------------------------------------------------------------

COUNTS = f"""
SELECT
  (SELECT count(*) FROM judgement WHERE annotator_id = me.id AND is_current) AS done,
  (SELECT count(*) FROM judgement
     WHERE annotator_id = me.id AND is_current AND created_at >= date_trunc('day', now())) AS today,
  (SELECT count(*) FROM judgement WHERE annotator_id = me.id AND is_current AND verdict = 'skip') AS skipped,
  (SELECT count(*) FROM assignment WHERE annotator_id = me.id AND lease_until IS NOT NULL) AS mine,
  (SELECT count(DISTINCT pair_id) FROM (
     SELECT s.pair_id FROM assignment s
     WHERE s.project_id = p.id AND s.annotator_id IS NULL AND (s.slot <= p.overlap OR s.is_extra)
       AND NOT EXISTS (SELECT 1 FROM assignment m WHERE m.pair_id = s.pair_id AND m.annotator_id = me.id OFFSET 0)
       AND NOT EXISTS (SELECT 1 FROM pair o WHERE o.id = s.pair_id AND o.excluded_at IS NOT NULL OFFSET 0)
     LIMIT {COUNT_AT_MOST}) AS open) AS open,
  (SELECT count(DISTINCT l.pair_id) FROM assignment l
     WHERE l.project_id = p.id AND l.lease_until IS NOT NULL AND l.annotator_id <> me.id
       AND NOT EXISTS (SELECT 1 FROM assignment m WHERE m.pair_id = l.pair_id AND m.annotator_id = me.id OFFSET 0)
  ) AS elsewhere,
  (SELECT count(*) FROM (
     SELECT 1 FROM pair WHERE project_id = p.id AND excluded_at IS NULL LIMIT {COUNT_AT_MOST}) AS few) AS pairs,
  p.state
FROM annotator me JOIN project p ON p.id = me.project_id WHERE me.id = %(me)s::bigint
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Where an annotator stands. `open` (pairs that could come to me) and `pairs` are counted up to COUNT_AT_MOST."""

    done: int
    today: int
    skipped: int
    mine: int
    open: int
    elsewhere: int
    pairs: int
    state: str


def counts_of(*, annotator_id: int) -> Counts:
    return Counts(*_row(COUNTS, {"me": str(annotator_id)}))


def why_empty(*, project: Project, annotator: Annotator) -> dict[str, Any]:
    """Why there is nothing to judge, in words.

    Returns `reason` (paused, closed, setup, no_pairs, elsewhere, yours_done, all_done, waiting), `title`, `text`,
    `counts`, and `facts`: pairs of a number and the sentence that goes with it.
    """
    c = counts_of(annotator_id=annotator.pk)
    reason = _reason(c)
    title, text = NOTHING_TO_JUDGE[reason]
    facts = [(c.done, ngettext("answer is yours, and saved.", "answers are yours, and saved.", c.done))]
    if c.elsewhere:
        sentence = ngettext(
            "pair is open with other annotators. If someone lets one go, it comes to you.",
            "pairs are open with other annotators. If someone lets one go, it comes to you.",
            c.elsewhere,
        )
        facts.append((c.elsewhere, sentence))
    if c.skipped:
        facts.append((c.skipped, gettext("of your answers are skips. You can change them in My answers.")))
    numbers = {"done": c.done, "skipped": c.skipped, "elsewhere": c.elsewhere, "open": c.open, "pairs": c.pairs}
    return {"reason": reason, "title": str(title), "text": str(text), "counts": numbers, "facts": facts}


def _reason(c: Counts) -> str:
    if c.state != Project.State.JUDGING:
        return c.state
    if not c.pairs:
        return "no_pairs"
    if c.open:
        return "waiting"
    if c.elsewhere:
        return "elsewhere"
    return "yours_done" if c.done >= c.pairs else "all_done"


# ---- talking to the database ----------------------------------------------------------------------------------------


def without_races(statement: Callable[[], Result]) -> Result:
    """Run a statement again when it lost a race.

    A statement's snapshot is older than the lock it waited for, so two tabs of one annotator can pick one pair, or
    count one revision too few. Then a constraint answers, and the next try sees what the other did.
    """
    for left in reversed(range(TRIES)):
        try:
            # Inside a transaction a failed statement must not take the rest with it; outside, a savepoint would cost.
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                return statement()
        except IntegrityError as error:
            if not left or constraint_of(error) not in ("never_twice", "one_revision", "one_row_per_slot"):
                raise
    raise AssertionError("unreachable")


def constraint_of(error: IntegrityError) -> str:
    """The name of the constraint that refused."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""


def _row(statement: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()  # type: ignore[no-any-return]


def _rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _do(statement: str, values: Mapping[str, Any] | None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)
