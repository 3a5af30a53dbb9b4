"""Open slots -> assignments: who is given what to judge. Reasons and figures: docs/design/0002-assigning.md.

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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import ngettext

from annotation import opening, rendering, statements, typesetting
from annotation.answering import Said
from annotation.models import Annotator, Assignment, Project
from annotation.wording import NOTHING_TO_JUDGE

# What an annotator holds: the pair on the screen and the next two.
HELD = 3
# How long an annotator who found nothing is not searched for again. Whoever opens slots ends the wait.
DRY_SECONDS = 30
# Counting stops here: beyond it the number helps nobody.
COUNT_AT_MOST = 1000

# ---- the pieces of the claim ----------------------------------------------------------------------------------------

# Names one state of a project's row: the transaction that wrote it, and its place (one transaction may write twice).
VERSION = "p.xmin::text || p.ctid::text"

# The member, found and locked. One annotator makes one claim at a time, so that two tabs get two pairs. NO KEY UPDATE,
# because UPDATE would block the foreign-key check of every judgement that names this annotator. `version` is the
# project row that the answer was checked against: if the lead has changed the project since, nobody is found.
ME = f"""
me AS MATERIALIZED (
  SELECT a.id, a.cursor, p.id AS project_id, p.seed, p.overlap, p.state,
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
  RETURNING x.id, x.pair_id, x.swapped, me.id AS annotator_id)"""

# The judgement, with the order and the version of the guideline that were really seen: judging.py knows the project's
# versions, and `version` vouches that it knows the latest. No ON CONFLICT: a key that is used twice must fail the
# statement, or the slot would be done without a judgement. Earlier revisions exist when an answer was taken back.
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
    %(skip_reason)s, %(flags)s::varchar[], %(guideline)s::bigint, swapped, %(turned)s::boolean,
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

# The draft has become a judgement. One that the page had not seen, of another device, is handed back with its words.
GONE = """
gone AS (DELETE FROM draft USING done WHERE draft.assignment_id = done.id
  RETURNING CASE WHEN version <> ALL(%(beyond)s::bigint[]) THEN body END)"""

# The next slot. OFFSET 0 keeps "have I judged this pair?" one probe per row: without it the planner reads everything
# that the annotator ever did (15 times slower after 20,000 claims). SKIP LOCKED: nobody waits for a colleague's claim.
# Which candidate stands as A is drawn by the project's seed, the annotator and the slot: whoever is given a slot again
# finds it as before, and what their browser kept of it, a draft or an answer that waits, still means the same.
# Slots above the overlap and pairs taken out of play are passed over here, at the only door, whoever forgot to remove
# them. `{when}` says when this statement may claim.
NEXT = """
next AS (
  UPDATE assignment SET annotator_id = (SELECT id FROM me), lease_until = now() + (SELECT lease FROM me),
    swapped = hashint8extended(id, (SELECT seed # id FROM me)) & 1 = 1
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

# How many of my latest judgements are of today. The latest only: the cost must not grow with what I have done. BETWEEN,
# not "=": then no index but that of the history gives this order. With "=" a planner that knows of one annotator only
# (the first one, until the next ANALYZE) reads everybody's judgements by their numbers.
TODAY = f"""
tally AS (
  SELECT count(*) FILTER (WHERE created_at >= date_trunc('day', now())) AS today
  FROM (SELECT created_at FROM judgement
    WHERE annotator_id BETWEEN (SELECT id FROM me) AND (SELECT id FROM me) AND is_current
    ORDER BY annotator_id, id DESC LIMIT {COUNT_AT_MOST}) AS latest)"""

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
      why.text, why.tags, {marks}, tally.today, {LEASES}, (SELECT * FROM gone), {ITEM}
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
            typesetting.typeset_pairs(pairs=[statements.row(PAIR_OF, one)[0]])
            row = (*statements.row(SHOWN, one), *row[10:])
        return cls(*row)


@dataclass(frozen=True, slots=True)
class Submitted:
    """What one submit found and did. `said` is None when nothing was stored; `today` counts up to COUNT_AT_MOST.

    `unseen` is the draft, as JSON text, that was stored and that whoever answered had not seen.
    """

    annotator_id: int | None
    said: Said | None
    today: int
    leases: int
    next: Handed | None
    unseen: str | None = None


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
    found = statements.without_races(lambda: statements.row(statement, values))
    me, state, dry = found[:3]
    why = found[8:11] if found[9] is not None else ("", [], 0)
    said = Said(*found[3:8], *why) if found[3] is not None else None
    today, leases, unseen = found[11:14]
    taken = Handed.of(found[14:])
    if claim and said and not taken and not dry and state == Project.State.JUDGING:
        taken = _when_nothing_was_found(annotator_id=me, user_id=user_id, slug=slug)
    # The statement counted what was there before it: its own judgement is not in, its own lease still is.
    stored = 1 if said else 0
    return Submitted(me, said, today + stored, leases - stored + (taken is not None), taken, unseen)


def claim(*, user_id: int, slug: str) -> Handed | None:
    """Lease one more assignment, unless HELD are leased already. None: there is nothing for this annotator now."""
    values = {"user": str(user_id), "slug": slug, "version": None}
    me, state, dry, leases, *item = statements.without_races(lambda: statements.row(CLAIM, values))
    taken = Handed.of(tuple(item))
    if taken or me is None or dry or leases >= HELD or state != Project.State.JUDGING:
        return taken
    return _when_nothing_was_found(annotator_id=me, user_id=user_id, slug=slug)


def held_by(*, user_id: int, slug: str) -> list[Handed]:
    """What I hold, the leases renewed: first what I have written in, then in the order of the queue."""
    return [one for row in statements.rows(MINE, {"user": str(user_id), "slug": slug}) if (one := Handed.of(row))]


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
    if not statements.row(EVERYTHING_IS_MINE, values)[0]:
        project_id = statements.row("SELECT project_id FROM annotator WHERE id = %(me)s::bigint", values)[0]
        opening.sweep(project_id=project_id)
        statements.do("UPDATE annotator SET cursor = -1, dry_until = NULL WHERE id = %(me)s::bigint", values)
        row = statements.without_races(
            lambda: statements.row(CLAIM, {"user": str(user_id), "slug": slug, "version": None})
        )
        if (taken := Handed.of(row[4:])) is not None:
            return taken
    statements.do(DRY, values)
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
    return statements.do(
        """
        UPDATE assignment x SET lease_until = now() + p.lease_minutes * interval '1 minute'
        FROM annotator a JOIN project p ON p.id = a.project_id
        WHERE a.id = %(me)s::bigint AND a.is_active AND x.annotator_id = a.id AND x.lease_until IS NOT NULL
        """,
        {"me": str(annotator_id)},
    )


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
  (SELECT count(DISTINCT a.pair_id) FROM assignment a
     WHERE a.project_id = p.id AND a.lease_until IS NOT NULL AND a.annotator_id <> me.id
       AND NOT EXISTS (SELECT 1 FROM assignment m WHERE m.pair_id = a.pair_id AND m.annotator_id = me.id OFFSET 0)
       AND NOT {opening.OUT_OF_PLAY}
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


def in_hand(*, annotator_id: int) -> list[int]:
    """The numbers of the assignments that are leased to me."""
    leased = Assignment.objects.filter(annotator=annotator_id, lease_until__isnull=False)
    return list(leased.order_by("pk").values_list("pk", flat=True))


def counts_of(*, annotator_id: int) -> Counts:
    return Counts(*statements.row(COUNTS, {"me": str(annotator_id)}))


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
        sentence = ngettext(
            "of your answers is a skip. You can change it in My answers.",
            "of your answers are skips. You can change them in My answers.",
            c.skipped,
        )
        facts.append((c.skipped, sentence))
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
