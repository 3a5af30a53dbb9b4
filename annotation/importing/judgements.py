"""Judgements of a file -> assignments without a slot, judgements, rationales. One transaction per file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from annotation.errors import Mendable, Refused
from annotation.importing import checking, layouts, placing, resolving
from annotation.importing.reading import Row
from annotation.importing.reasons import Bad, refusal
from annotation.importing.reporting import Progress, Report, record_import
from annotation.importing.sources import Source, open_source
from annotation.importing.values import PairRow, Value, identifier, integer, some_text, text
from annotation.models import Project, Run, User
from annotation.pairing import as_json, candidate_digest, prompt_digest

BATCH = 5_000
PAIRWISE = "pairwise"
CHOICES = ("a", "b", "tie", "both_bad", "abstain")
# The report names so many other tasks one by one.
MOST_TASKS = 20


@dataclass(slots=True)
class Said:
    """What one annotator said of one item. `strength` is -3..3, positive for `a`; None: which, but not how much."""

    annotator: str
    choice: str
    item: str = ""
    source: str = ""
    # Where the file has no ids: the pair itself.
    pair: PairRow | None = None
    strength: int | None = None
    confidence: float | None = None
    reason: str = ""


# ---- layouts -------------------------------------------------------------------------------------------------------


def read_plumbline(row: Value) -> list[Said]:
    choice = row.get("choice")
    if type(choice) is not str or choice not in CHOICES:
        if "choice" not in row:
            raise Bad("missing_key", "choice is missing.", ", ".join(row))
        raise Bad("unknown_label", f"choice must be one of {', '.join(CHOICES)}.", f"choice: {choice}")
    said = Said(identifier(row, "annotator_id"), choice, identifier(row, "item_id"), some_text(row, "source"))
    value = row.get("value")
    if value is not None:
        if type(value) not in (int, float):
            raise Bad("wrong_type", "value must be a number from 1 (surely a) to 2 (surely b).", f"value: {value}")
        if not 1 <= value <= 2:
            raise Bad(
                "bad_value", f"value is {value}; it must lie from 1 (surely a) to 2 (surely b).", f"value: {value}"
            )
        if (choice == "a" and value > 1.5) or (choice == "b" and value < 1.5):
            raise Bad("bad_value", f"choice is {choice}, but value {value} means the other.", f"value: {value}")
        said.confidence = abs(2 * value - 3)
    return [said]


def read_helpsteer3(row: Value) -> list[Said]:
    pair = layouts.read_helpsteer3(row)
    opinions = row.get("individual_preference")
    if type(opinions) is not list:
        raise Bad("wrong_type", "individual_preference must be a list.", str(opinions))
    out = []
    for n, opinion in enumerate(opinions, 1):
        if type(opinion) is not dict:
            raise Bad("wrong_type", f"Entry {n} of individual_preference must be an object.", str(opinion))
        score = integer(opinion, "score", -3, 3)
        choice = "tie" if score == 0 else "a" if score < 0 else "b"
        reason = some_text(opinion, "reasoning")
        out.append(Said(f"helpsteer3-slot-{n}", choice, pair=pair, strength=-score, reason=reason))
    return out


def read_pandalm(row: Value) -> list[Said]:
    pair = layouts.read_pandalm(row)
    return [
        Said(f"pandalm-ann{n}", layouts.PANDALM_SAID[integer(row, f"annotator{n}", 0, 2)], pair=pair) for n in (1, 2, 3)
    ]


@dataclass(frozen=True)
class Layout:
    title: str
    keys: tuple[str, ...]
    read: Callable[[Value], list[Said]]


LAYOUTS = {
    "plumbline": Layout("Plumbline judgements", ("item_id", "annotator_id", "task", "choice"), read_plumbline),
    "helpsteer3": Layout("HelpSteer3 individual preferences", ("context", "individual_preference"), read_helpsteer3),
    "pandalm": Layout("PandaLM test set", ("instruction", "annotator1", "annotator2", "annotator3"), read_pandalm),
}


def check_layout(layout: str) -> str:
    """Raise `Refused` unless the layout is known, or is to be recognised."""
    if layout != checking.AUTO and layout not in LAYOUTS:
        raise Refused(f"There is no layout {layout!r} for judgements. Known are: auto, {', '.join(LAYOUTS)}.")
    return layout


def _layout_of(source: Source, layout: str) -> str:
    if check_layout(layout) != checking.AUTO:
        return layout
    seen = checking.look_at(source)
    for name, known in LAYOUTS.items():
        if set(known.keys) <= set(seen.columns):
            return name
    have = ", ".join(seen.columns[:12]) or "none that can be read"
    raise Mendable(
        f"No layout of judgements fits {source.name}. Its columns are: {have}.",
        by_command="See docs/importing.md.",
        on_page="Our own layout has item_id, annotator_id, task and choice.",
    )


# ---- the database --------------------------------------------------------------------------------------------------

SAID = (
    "no bigint, line bigint, annotator text, source text, item text, prompt bytea, a bytea, b bytea, choice text, "
    "strength smallint, confidence float8, reason text"
)

# Which pair each row speaks of, and whether its a is the pair's first. By id, or by the texts themselves.
FOUND = """
CREATE TEMP TABLE found ON COMMIT DROP AS
SELECT s.no, min(i.pair_id) AS pair_id, min(i.a) AS a, count(DISTINCT i.pair_id) AS pairs
FROM said s JOIN item i ON i.external_id = s.item AND (s.source = '' OR i.source = s.source)
WHERE s.item <> '' GROUP BY s.no
UNION ALL
SELECT told.no, pair.id, CASE WHEN a_id < b_id THEN 'first' ELSE 'second' END, 1
FROM (
  SELECT s.no, (SELECT id FROM candidate WHERE prompt_id = p.id AND digest = s.a) AS a_id,
    (SELECT id FROM candidate WHERE prompt_id = p.id AND digest = s.b) AS b_id
  FROM said s
  CROSS JOIN LATERAL (SELECT id FROM prompt WHERE project_id = %(project)s AND digest = s.prompt OFFSET 0) AS p
  WHERE s.item = '' OFFSET 0
) AS told
JOIN pair ON pair.first_id = least(a_id, b_id) AND pair.second_id = greatest(a_id, b_id)
"""

READY = """
CREATE TEMP TABLE ready ON COMMIT DROP AS
SELECT s.no, s.line, s.annotator, s.item, found.pair_id, s.confidence, s.reason,
  CASE s.choice WHEN 'tie' THEN 'tie' WHEN 'both_bad' THEN 'both_bad' WHEN 'abstain' THEN 'skip' ELSE 'prefer' END
    AS verdict,
  (CASE WHEN s.choice = 'tie' THEN 0 WHEN s.choice IN ('a', 'b') THEN
    coalesce(s.strength, CASE s.choice WHEN 'a' THEN 1 ELSE -1 END) * CASE found.a WHEN 'first' THEN 1 ELSE -1 END
  END)::smallint AS strength,
  s.choice NOT IN ('a', 'b') OR s.strength IS NOT NULL AS strength_known,
  CASE s.choice WHEN 'abstain' THEN 'cannot_judge' ELSE '' END AS skip_reason
FROM said s JOIN found USING (no) WHERE found.pairs = 1
"""

SAME = (
    "({0}.verdict = {1}.verdict AND {0}.strength IS NOT DISTINCT FROM {1}.strength "
    "AND {0}.skip_reason = {1}.skip_reason AND {0}.strength_known = {1}.strength_known)"
)

# A second word of one annotator on one pair within the file.
REPEATED = f"""
DELETE FROM ready USING (
  SELECT later.no, CASE WHEN later.item = one.item THEN 'duplicate_judgement' WHEN {SAME.format("later", "one")} THEN ''
    ELSE 'judged_otherwise' END AS reason, one.line AS before
  FROM (SELECT *, first_value(no) OVER (PARTITION BY annotator, pair_id ORDER BY no) AS leader FROM ready) AS later
  JOIN ready one ON one.no = later.leader WHERE later.no <> later.leader
) AS again WHERE again.no = ready.no
RETURNING ready.line, ready.item, again.reason, again.before
"""

# What is here already, the same or not.
KNOWN = f"""
DELETE FROM ready USING (
  SELECT r.no, j.id IS NOT NULL AND {SAME.format("r", "j")} AS is_same
  FROM ready r JOIN annotator ON annotator.project_id = %(project)s AND annotator.external_id = r.annotator
  JOIN assignment ON assignment.pair_id = r.pair_id AND assignment.annotator_id = annotator.id
  LEFT JOIN judgement j ON j.assignment_id = assignment.id AND j.is_current
) AS here WHERE here.no = ready.no
RETURNING ready.line, ready.item, here.is_same
"""

ASSIGNMENTS = """
INSERT INTO assignment (project_id, pair_id, slot, priority, annotator_id, swapped, done_at)
SELECT %(project)s, ready.pair_id, NULL, pair.rank * 1000000, annotator.id, false, %(now)s
FROM ready JOIN pair ON pair.id = ready.pair_id
JOIN annotator ON annotator.project_id = %(project)s AND annotator.external_id = ready.annotator ORDER BY ready.no
"""

# The key is the same for the same annotator and pair: a second writer would be stopped by the constraint `once`.
JUDGEMENTS = """
INSERT INTO judgement (assignment_id, annotator_id, revision, is_current, key, verdict, strength, strength_known,
  confidence, skip_reason, flags, swapped, client, run_id, created_at)
SELECT assignment.id, annotator.id, 1, true, md5('import ' || annotator.id || ' ' || ready.pair_id)::uuid, verdict,
  strength, strength_known, confidence, skip_reason, '{}', false, 'import', %(run)s, %(now)s
FROM ready JOIN annotator ON annotator.project_id = %(project)s AND annotator.external_id = ready.annotator
JOIN assignment ON assignment.pair_id = ready.pair_id AND assignment.annotator_id = annotator.id ORDER BY ready.no
"""

RATIONALES = """
INSERT INTO rationale (pair_id, annotator_id, judgement_id, text, tags, format, source, template, is_hinted, run_id,
  created_at)
SELECT ready.pair_id, annotator.id, judgement.id, ready.reason, '{}', 'plain', 'imported', '', false, %(run)s, %(now)s
FROM ready JOIN annotator ON annotator.project_id = %(project)s AND annotator.external_id = ready.annotator
JOIN assignment ON assignment.pair_id = ready.pair_id AND assignment.annotator_id = annotator.id
JOIN judgement ON judgement.assignment_id = assignment.id WHERE ready.reason <> ''
"""


def import_judgements(
    *,
    project: Project,
    path: Path | str,
    layout: str = checking.AUTO,
    on_error: str = "stop",
    judges: frozenset[str] | set[str] = frozenset(),
    actor: User | None = None,
    run: Run | None = None,
    progress: Progress | None = None,
    name: str = "",
) -> Report:
    """Import what annotators elsewhere said of pairs that are in the project. All of it, or nothing.

    Annotators become annotators without an account, by their id in the file; those in `judges` become judges (models).
    Rows about other tasks or other items are left out and counted. The same file twice adds nothing; a row that says
    something else than what is here is refused. Counts of the report are judgements: a row of HelpSteer3 or PandaLM
    holds three.

    Raises:
        Refused: the file cannot be read, an option is wrong, or a judge is here as a person.
    """
    checking.check_on_error(on_error)
    source = open_source(path, name=name)
    layout = _layout_of(source, layout)
    report = Report(file=source.name, layout=layout, unit=source.unit)
    began = time.monotonic()
    values = {"project": str(project.pk), "run": run.pk if run else None, "now": timezone.now()}
    with transaction.atomic(), connection.cursor() as cursor:
        placing.one_at_a_time(cursor, project.pk)
        resolving.make_table(cursor, "said", SAID)
        resolving.make_items(cursor, project)

        def read(row: Row) -> Iterator[tuple[Any, ...]]:
            return (_columns(said, source) for said in _read(row, layout, report))

        for batch in resolving.batches(source, report, read, size=BATCH, item=resolving.item_of):
            resolving.copy(cursor, "said", ((no, line, *columns) for no, line, columns in batch))
            if progress:
                progress(report.read)
        cursor.execute("SELECT DISTINCT annotator FROM said")
        checked = resolving.check_judges(judges, {who for (who,) in cursor.fetchall()}, file=source.name)
        _resolve(cursor, values, report)
        if on_error == "stop" and len(report.refusals):
            transaction.set_rollback(True)
        else:
            _store(cursor, values, report, project=project, judges=checked)
            report.seconds = time.monotonic() - began
            record_import(report, of="judgements", project=project, actor=actor)
    report.seconds = time.monotonic() - began
    return report


def _read(row: Row, layout: str, report: Report) -> list[Said]:
    if row.bad is not None:
        raise row.bad
    assert row.value is not None
    if layout == "plumbline":
        task = text(row.value, "task")
        if task != PAIRWISE:
            label = f"task {task[:40]}"
            if label not in report.elsewhere and len(report.elsewhere) >= MOST_TASKS:
                label = "other tasks"
            report.elsewhere[label] += 1
            report.read += 1
            return []
    return LAYOUTS[layout].read(row.value)


def _columns(said: Said, source: Source) -> tuple[Any, ...]:
    checking.check_names(
        (said.annotator, "annotator", 200),
        (said.item, "item", 300),
        (said.source, "source", 200),
        (said.reason, "reasoning", 0),
        broken=source.broken_text,
    )
    try:
        digests = _digests(said.pair) if said.pair else (None, None, None)
    except UnicodeEncodeError as error:
        raise Bad(source.broken_text, "A text holds what no character is.", str(error.object)) from error
    heads = (said.annotator, said.source, said.item, *digests)
    return (*heads, said.choice, said.strength, said.confidence, said.reason)


def _digests(pair: PairRow) -> tuple[bytes, bytes, bytes]:
    said_a, said_b = as_json(pair.a), as_json(pair.b)
    is_twin = said_a == said_b and pair.model_a == pair.model_b
    return (
        prompt_digest(as_json(pair.prompt), pair.system),
        candidate_digest(said_a, pair.model_a),
        candidate_digest(said_b, pair.model_b, ordinal=int(is_twin)),
    )


def _resolve(cursor: Any, values: dict[str, Any], report: Report) -> None:
    """Find the pairs; set aside what is elsewhere, repeated, or here already."""
    for table in ("found", "ready"):
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
    # Without statistics the planner would take these tables for small, and compare all with all.
    cursor.execute("ANALYZE said")
    with resolving.by_index(cursor):
        cursor.execute(FOUND, values)
    cursor.execute("ANALYZE found")
    refused = resolving.without_a_pair(cursor, "said", report)
    cursor.execute(READY)
    cursor.execute("ANALYZE ready")
    cursor.execute(REPEATED)
    for line, item, reason, before in cursor.fetchall():
        if reason:
            what = f"Line {before:,} has a judgement of the same annotator on the same pair."
            refused.append(refusal(line, Bad(reason, what, item), item))
        else:
            report.already += 1
    with resolving.by_index(cursor):
        cursor.execute(KNOWN, values)
        here = cursor.fetchall()
    for line, item, is_same in here:
        if is_same:
            report.already += 1
        else:
            bad = Bad(
                "judged_otherwise", "This annotator's judgement of this pair is here, and it is another one.", item
            )
            refused.append(refusal(line, bad, item))
    report.refusals.add(refused)


def _store(cursor: Any, values: dict[str, Any], report: Report, *, project: Project, judges: frozenset[str]) -> None:
    cursor.execute("SELECT DISTINCT annotator FROM ready")
    names = [who for (who,) in cursor.fetchall()]
    made = resolving.ensure_annotators(project=project, names=names, judges=judges)
    cursor.execute(ASSIGNMENTS, values)
    cursor.execute(JUDGEMENTS, values)
    report.added = cursor.rowcount
    cursor.execute(RATIONALES, values)
    report.made = {"annotators made": made, "rationales": cursor.rowcount}
    report.stored = True
    if report.added > 1_000:
        cursor.execute("ANALYZE assignment")
        cursor.execute("ANALYZE judgement")
