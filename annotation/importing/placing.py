"""Batches -> their places in the database: temporary tables by COPY, and INSERT … SELECT from there.

Everything here runs inside the import's transaction. What concerns the whole file (ids that stand in it twice, the same
two answers under two ids, the order of the pairs) is answered here, by the database, not in Python's memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import psycopg

from annotation.assigning import open_slots
from annotation.importing.batching import Batch
from annotation.importing.reasons import Bad, Refusal, refusal
from annotation.importing.reporting import Report
from annotation.models import Pair, Project
from annotation.pairing import next_rank

Connection = psycopg.Connection[Any]

# From so many new pairs on, the planner must hear of them at once.
MANY = 1_000
FEW = 100
# Any number, the same in every process: whoever holds it, with a project's number, may import there.
IMPORT_LOCK = 7_234_004

TABLES = {
    "incoming_prompt": "digest bytea, messages text, system text, language text, external_id text, source text",
    "incoming_candidate": "prompt bytea, digest bytea, messages text, model text, language text, characters int",
    "incoming_pair": (
        "no bigint, line bigint, source text, external_id text, prompt bytea, a bytea, b bytea, shuffle bigint, "
        "label text, label_kind text, strength smallint, tags text[], marks text[], meta text"
    ),
    # The ids of this file, to find those that stand in it twice.
    "seen": "source text, external_id text, no bigint, line bigint, PRIMARY KEY (source, external_id)",
    # Pairs whose prompt and candidates are in their places; label and strength as first and second see them.
    "staged": (
        "no bigint, line bigint, source text, external_id text, prompt_id bigint, first_id bigint, second_id bigint, "
        "a text, shuffle bigint, label text, label_kind text, strength smallint, tags text[], marks text[], meta text"
    ),
    # Ids that were linked to a pair which is here under another id.
    "alias": "pair_id bigint, source text, external_id text, label text",
}

ALIASES = """
INSERT INTO alias SELECT pair.id, also ->> 'source', also ->> 'id', also ->> 'label'
FROM pair, jsonb_array_elements(pair.meta #> '{imported,also}') AS also WHERE pair.project_id = %(project)s
"""

SEEN = """
INSERT INTO seen SELECT source, external_id, no, line FROM incoming_pair WHERE external_id <> '' ORDER BY no
ON CONFLICT DO NOTHING
"""

TWICE = """
DELETE FROM incoming_pair i USING seen
WHERE seen.source = i.source AND seen.external_id = i.external_id AND seen.no <> i.no
RETURNING i.line, i.external_id, seen.line
"""

# Rows whose id is here already: are the texts and the label the same? The digests know.
KNOWN = """
DELETE FROM incoming_pair i USING (
  SELECT i.no,
    CASE WHEN prompt.digest = i.prompt AND f.digest = i.a AND s.digest = i.b THEN 'a'
         WHEN prompt.digest = i.prompt AND f.digest = i.b AND s.digest = i.a THEN 'b' END AS first_is,
    known.label
  FROM incoming_pair i
  JOIN (
    SELECT id, source, external_id, label FROM pair WHERE project_id = %(project)s AND external_id <> ''
    UNION ALL SELECT pair_id, source, external_id, label FROM alias
  ) AS known ON known.source = i.source AND known.external_id = i.external_id
  JOIN pair ON pair.id = known.id JOIN prompt ON prompt.id = pair.prompt_id
  JOIN candidate f ON f.id = pair.first_id JOIN candidate s ON s.id = pair.second_id
  WHERE i.external_id <> ''
) AS found WHERE found.no = i.no
RETURNING i.line, i.external_id, CASE WHEN first_is IS NULL THEN 'other_text'
  WHEN found.label <> CASE i.label WHEN 'tie' THEN 'tie' WHEN '' THEN '' WHEN first_is THEN 'first' ELSE 'second' END
  THEN 'other_label' ELSE '' END
"""

PROMPTS = """
INSERT INTO prompt (project_id, messages, system, language, tags, source, external_id, meta, digest, html, renderer,
  imported_by_id, created_at)
SELECT %(project)s, messages::jsonb, system, language, '{}', source, external_id, '{}', digest, '', 0, %(run)s, %(now)s
FROM incoming_prompt i WHERE NOT %(some)s OR digest IN (SELECT prompt FROM incoming_pair)
ON CONFLICT (project_id, digest) DO NOTHING RETURNING digest, id
"""

# Candidates of a prompt that was just made cannot be here yet, and nobody else can see it: they go straight to their
# table.
FRESH = """
COPY candidate (prompt_id, messages, digest, index, model, revision, strategy, polarity, template_version, language,
  html, renderer, characters, imported_by_id, created_at) FROM STDIN
"""

# Those of older prompts may be here.
CANDIDATES = """
INSERT INTO candidate (prompt_id, messages, digest, index, model, revision, strategy, polarity, template_version,
  language, html, renderer, characters, imported_by_id, created_at)
SELECT (SELECT id FROM prompt WHERE project_id = %(project)s AND digest = i.prompt), messages::jsonb, digest, 0, model,
  '', '', '', '', language, '', 0, characters, %(run)s, %(now)s
FROM incoming_candidate i
WHERE NOT %(some)s OR (prompt, digest) IN (
  SELECT prompt, a FROM incoming_pair UNION ALL SELECT prompt, b FROM incoming_pair)
ON CONFLICT (prompt_id, digest) DO NOTHING
"""

STAGED = """
INSERT INTO staged
SELECT no, line, source, external_id, prompt_id, least(a_id, b_id), greatest(a_id, b_id),
  CASE WHEN a_id < b_id THEN 'first' ELSE 'second' END, shuffle,
  CASE label WHEN 'a' THEN CASE WHEN a_id < b_id THEN 'first' ELSE 'second' END
             WHEN 'b' THEN CASE WHEN a_id < b_id THEN 'second' ELSE 'first' END ELSE label END,
  label_kind, CASE WHEN a_id < b_id THEN strength ELSE -strength END, tags, marks, meta
FROM (
  SELECT i.no, i.line, i.source, i.external_id, p.id AS prompt_id, i.shuffle, i.label, i.label_kind, i.strength, i.tags,
    i.marks, i.meta,
    (SELECT id FROM candidate WHERE prompt_id = p.id AND digest = i.a) AS a_id,
    (SELECT id FROM candidate WHERE prompt_id = p.id AND digest = i.b) AS b_id
  FROM incoming_pair i
  CROSS JOIN LATERAL (SELECT id FROM prompt WHERE project_id = %(project)s AND digest = i.prompt OFFSET 0) AS p
  OFFSET 0
) AS placed
"""

# The same two candidates as a pair that is here, or as an earlier row of the file.
TWINS = """
CREATE TEMP TABLE twin ON COMMIT DROP AS
SELECT no
FROM (SELECT no, first_id, second_id, first_value(no) OVER (PARTITION BY first_id, second_id ORDER BY no) AS leader
      FROM staged) AS w
WHERE leader <> no OR %(full)s AND EXISTS (
  SELECT 1 FROM pair WHERE pair.first_id = w.first_id AND pair.second_id = w.second_id)
"""

PAIRS = """
INSERT INTO pair (project_id, prompt_id, first_id, second_id, rank, source, external_id, tags, marks, label, label_kind,
  label_strength, meta, is_gold, split, imported_by_id, created_at)
SELECT %(project)s, prompt_id, first_id, second_id, %(rank)s + row_number() OVER (ORDER BY shuffle, no) - 1, source,
  external_id, tags, marks, label, label_kind, strength, ('{"imported":{"a":"' || a || '"}' || meta)::jsonb, false, '',
  %(run)s, %(now)s
FROM staged WHERE NOT %(some)s OR no NOT IN (SELECT no FROM twin)
ORDER BY shuffle, no
"""

LINKS = """
UPDATE pair SET meta = meta || jsonb_build_object('imported', coalesce(meta -> 'imported', '{}') ||
  jsonb_build_object('also', coalesce(meta #> '{imported,also}', '[]') || links.also))
FROM (
  SELECT pair.id, jsonb_agg(jsonb_build_object('source', s.source, 'id', s.external_id, 'a', s.a, 'label', s.label)
    ORDER BY s.no) AS also
  FROM twin JOIN staged s USING (no)
  JOIN pair ON pair.first_id = s.first_id AND pair.second_id = s.second_id
  WHERE s.external_id <> '' GROUP BY pair.id
) AS links WHERE pair.id = links.id
"""


@dataclass
class Outcome:
    """What became of a batch in the database."""

    refusals: list[Refusal]
    already: int = 0


def begin(raw: Connection, values: dict[str, Any], *, is_full: bool) -> bool:
    """Take the lock, make the temporary tables. True: there are pairs to compare with."""
    with raw.cursor() as cursor:
        if values["project"] > 0:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s::int, (%s::bigint %% 2147483647)::int)",
                [IMPORT_LOCK, values["project"]],
            )
        # Keys are checked batch by batch: a queue of all of them would grow with the file. The statistics are those of
        # the tables as they were: without this the planner would read a table that it takes for empty, once per row.
        for setting in ("CONSTRAINTS ALL IMMEDIATE", "LOCAL enable_seqscan = off", "LOCAL work_mem = '64MB'"):
            cursor.execute(f"SET {setting}".encode())
        for name, columns in TABLES.items():
            cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}".encode())
            cursor.execute(f"CREATE TEMP TABLE {name} ({columns}) ON COMMIT DROP".encode())
        if is_full:
            cursor.execute(ALIASES, values)
    return is_full


def load(
    raw: Connection, batch: Batch, values: dict[str, Any], *, store: bool, has_pairs: bool, is_first: bool
) -> Outcome:
    """One batch into its place. Runs beside the reader, which does not touch the connection meanwhile."""
    outcome = Outcome(batch.refusals)
    values["some"] = False
    with raw.cursor() as cursor:
        cursor.execute("TRUNCATE incoming_prompt, incoming_candidate, incoming_pair")
        _copy(cursor, "incoming_pair", batch.pairs)
        if batch.with_item and cursor.execute(SEEN).rowcount < batch.with_item:
            for line, item, before in cursor.execute(TWICE).fetchall():
                bad = Bad("duplicate_id", f"The id {item!r} stands in line {before:,} already.", item)
                outcome.refusals.append(refusal(line, bad, item))
                values["some"] = True
        if batch.with_item and has_pairs:
            for line, item, reason in cursor.execute(KNOWN, values).fetchall():
                values["some"] = True
                if reason:
                    what = "another label" if reason == "other_label" else "other text"
                    bad = Bad(reason, f"The id {item!r} is already here with {what}.", item)
                    outcome.refusals.append(refusal(line, bad, item))
                else:
                    outcome.already += 1
        if store and not (values["some"] and len(batch.pairs) == outcome.already):
            _copy(cursor, "incoming_prompt", batch.prompts.values())
            new = dict(cursor.execute(PROMPTS, values).fetchall())
            if is_first and len(new) > FEW:
                # A new project has no statistics: the planner would read all of its prompts to find one.
                cursor.execute("ANALYZE prompt (project_id, digest)")
            fresh, others = batch.candidates_in_order(new, values)
            _copy(cursor, "incoming_candidate", others)
            _copy(cursor, FRESH, fresh)
            if others:
                cursor.execute(CANDIDATES, values)
            cursor.execute(STAGED, values)
    return outcome


def _copy(cursor: psycopg.Cursor[Any], into: str, lines: Iterable[bytes]) -> None:
    statement = into if "COPY" in into else f"COPY {into} FROM STDIN"
    with cursor.copy(statement.encode()) as copy:
        copy.write(b"".join(lines))


def finish(raw: Connection, report: Report, values: dict[str, Any], *, project: Project, is_full: bool) -> None:
    """Pairs, links and slots of what was staged."""
    values |= {"full": is_full, "rank": next_rank(project=project)}
    with raw.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.twin")
        twins = cursor.execute(TWINS, values).rowcount
        values["some"] = twins > 0
        report.added = cursor.execute(PAIRS, values).rowcount
        if twins:
            cursor.execute(LINKS, values)
            found = cursor.execute(
                "SELECT count(*) FROM twin JOIN staged USING (no) WHERE external_id <> ''"
            ).fetchone()
            report.linked = found[0] if found else 0
            report.already += twins - report.linked
        if report.added >= MANY:
            for table, columns in (
                ("candidate", "prompt_id, digest"),
                ("pair", "project_id, prompt_id, first_id, second_id, rank, source, external_id, excluded_at"),
            ):
                cursor.execute(f"ANALYZE {table} ({columns})".encode())
        cursor.execute("SET LOCAL enable_seqscan = on")
        cursor.execute("RESET work_mem")
    if report.added:
        new = Pair.objects.filter(project=project, rank__gte=values["rank"])
        few = list(new.values_list("pk", flat=True)) if is_full and report.added <= MANY else None
        report.made["slots opened"] = open_slots(project=project, pairs=few)
