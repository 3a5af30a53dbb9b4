"""Batches -> their places in the database, by binary COPY.

What is new gets its ids here, drawn from the sequences for a whole batch, so that no row is looked up again: prompts
and candidates go straight to their tables. Pairs wait in a temporary table until the file has ended, because their
order is drawn over all of them.

Everything here runs inside the import's transaction. What concerns the whole file (ids that stand in it twice, the same
two answers under two ids, the order of the pairs) is answered here, by the database, not in Python's memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from annotation.importing import binary
from annotation.importing.batching import CANDIDATE, INCOMING, PROMPT, STAGED, Batch
from annotation.importing.batching import SEEN as SEEN_COLUMNS
from annotation.importing.reasons import Bad, Refusal, refusal
from annotation.importing.reporting import Report
from annotation.models import Pair, Project
from annotation.opening import open_slots
from annotation.pairing import next_rank

Connection = psycopg.Connection[Any]

# From so many new pairs on, the planner must hear of them at once.
MANY = 1_000
# How often a batch starts anew because somebody else made one of its texts at the same moment.
TRIES = 3
# Any number, the same in every process: whoever holds it, with a project's number, may import there.
IMPORT_LOCK = 7_234_004

TABLES = {
    # The rows of a batch, while they are compared with what is here.
    "incoming": (
        "no bigint, line bigint, key bigint, prompt bytea, a bytea, b bytea, source text, external_id text, label text"
    ),
    # The ids of this file, to find those that stand in it twice. The key is made of source and id; should two ids ever
    # have the same one, `one_pair_per_external_id` still holds.
    "seen": "no bigint, line bigint, key bigint PRIMARY KEY, source text, external_id text",
    # Pairs whose prompt and candidates are in their places; label and strength as first and second see them.
    "staged": (
        "no bigint, line bigint, shuffle bigint, prompt_id bigint, first_id bigint, second_id bigint, a text, "
        "label text, strength smallint, source text, external_id text, label_kind text, tags text[], marks text[], "
        "meta text"
    ),
    # Ids that were linked to a pair which is here under another id.
    "alias": "pair_id bigint, source text, external_id text, label text",
}

ALIASES = """
INSERT INTO alias SELECT pair.id, also ->> 'source', also ->> 'id', also ->> 'label'
FROM pair, jsonb_array_elements(pair.meta #> '{imported,also}') AS also WHERE pair.project_id = %(project)s
"""

SEEN = """
INSERT INTO seen SELECT no, line, key, source, external_id FROM incoming WHERE external_id <> '' ORDER BY no
ON CONFLICT DO NOTHING
"""

TWICE = """
DELETE FROM incoming i USING seen
WHERE seen.key = i.key AND seen.source = i.source AND seen.external_id = i.external_id AND seen.no <> i.no
RETURNING i.no, i.line, i.external_id, seen.line
"""

# Rows whose id is here already: are the texts and the label the same? The digests know.
KNOWN = """
SELECT no, line, external_id, CASE WHEN first_is IS NULL THEN 'other_text'
  WHEN known_label <> CASE label WHEN 'tie' THEN 'tie' WHEN '' THEN '' WHEN first_is THEN 'first' ELSE 'second' END
  THEN 'other_label' ELSE '' END
FROM (
  SELECT i.no, i.line, i.external_id, i.label, known.label AS known_label,
    CASE WHEN prompt.digest = i.prompt AND f.digest = i.a AND s.digest = i.b THEN 'a'
         WHEN prompt.digest = i.prompt AND f.digest = i.b AND s.digest = i.a THEN 'b' END AS first_is
  FROM incoming i
  JOIN (
    SELECT id, source, external_id, label FROM pair WHERE project_id = %(project)s AND external_id <> ''
    UNION ALL SELECT pair_id, source, external_id, label FROM alias
  ) AS known ON known.source = i.source AND known.external_id = i.external_id
  JOIN pair ON pair.id = known.id JOIN prompt ON prompt.id = pair.prompt_id
  JOIN candidate f ON f.id = pair.first_id JOIN candidate s ON s.id = pair.second_id
  WHERE i.external_id <> ''
) AS found
"""

# The digests come as one value, 32 bytes each: a batch is one statement, and each of them one look at the constraint's
# index. OFFSET 0 keeps it so, whatever the statistics say.
PROMPTS = """
SELECT n, p.id FROM generate_series(0, length(%(digests)s) / 32 - 1) AS n CROSS JOIN LATERAL (
  SELECT id FROM prompt WHERE project_id = %(project)s AND digest = substring(%(digests)s FROM n * 32 + 1 FOR 32)
  OFFSET 0
) AS p
"""

CANDIDATES = """
SELECT one.n - 1, c.id FROM unnest(%(prompts)s::bigint[]) WITH ORDINALITY AS one(prompt_id, n) CROSS JOIN LATERAL (
  SELECT id FROM candidate
  WHERE prompt_id = one.prompt_id AND digest = substring(%(digests)s FROM (one.n::int - 1) * 32 + 1 FOR 32)
  OFFSET 0
) AS c
"""

NUMBERS = "SELECT nextval(%s::regclass) FROM generate_series(1, %s)"

# The same two candidates as a pair that is here, or as an earlier row of the file.
TWINS = """
CREATE TEMP TABLE twin ON COMMIT DROP AS
SELECT no
FROM (SELECT no, first_id, second_id, first_value(no) OVER (PARTITION BY first_id, second_id ORDER BY no) AS leader
      FROM staged) AS w
WHERE leader <> no OR %(full)s AND EXISTS (
  SELECT 1 FROM pair WHERE pair.first_id = w.first_id AND pair.second_id = w.second_id)
"""

# Ids and rows follow the file, in which a pair's candidates lie beside those of the next one: each key is checked by
# looking at a candidate, and whoever reads pairs by their numbers reads texts page by page. The queue goes by the rank.
PAIRS = """
INSERT INTO pair (id, project_id, prompt_id, first_id, second_id, rank, source, external_id, tags, marks, label,
  label_kind, label_strength, meta, is_gold, split, imported_by_id, created_at)
SELECT nextval(%(sequence)s::regclass), %(project)s, prompt_id, first_id, second_id, rank, source, external_id, tags,
  marks, label, label_kind, strength, ('{"imported":{"a":"' || a || '"}' || meta)::jsonb, false, '', %(run)s, %(now)s
FROM (
  SELECT staged.*, %(rank)s + row_number() OVER (ORDER BY shuffle, no) - 1 AS rank
  FROM staged WHERE NOT %(some)s OR no NOT IN (SELECT no FROM twin)
  ORDER BY no OFFSET 0
) AS placed
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


def one_at_a_time(cursor: Any, project: int) -> None:
    """Nobody else imports into the project until the surrounding transaction ends."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s::int, (%s::bigint %% 2147483647)::int)", [IMPORT_LOCK, project])


def begin(raw: Connection, values: dict[str, Any]) -> bool:
    """Take the lock, make the temporary tables. True: there are pairs to compare with."""
    with raw.cursor() as cursor:
        is_full = False
        if values["project"] > 0:
            one_at_a_time(cursor, values["project"])
            # Asked behind the lock: what an import that was under way has brought is here by now.
            found = cursor.execute(
                "SELECT EXISTS (SELECT 1 FROM pair WHERE project_id = %(project)s)", values
            ).fetchone()
            is_full = bool(found and found[0])
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


def load(raw: Connection, batch: Batch, values: Mapping[str, Any], *, store: bool, has_pairs: bool) -> Outcome:
    """One batch into its place. Runs beside the reader, which does not touch the connection meanwhile."""
    outcome = Outcome(batch.refusals)
    with raw.cursor() as cursor:
        if has_pairs or not _all_new(raw, cursor, batch):
            batch.drop(_compare(cursor, batch, values, outcome, has_pairs=has_pairs))
    for left in reversed(range(TRIES)):
        try:
            if store and batch.pairs:
                with raw.transaction(), raw.cursor() as cursor:
                    _place(cursor, batch, values)
            return outcome
        except psycopg.errors.UniqueViolation:
            # Another transaction has made one of the prompts or candidates since they were looked for. Now it is there.
            if not left:
                raise
    return outcome


def _all_new(raw: Connection, cursor: psycopg.Cursor[Any], batch: Batch) -> bool:
    """Keep the ids of a batch in mind. False, and nothing kept, when one of them stood in the file before."""
    try:
        with raw.transaction():
            _copy(cursor, "seen", SEEN_COLUMNS, batch.seen())
    except psycopg.errors.UniqueViolation:
        return False
    return True


def _compare(
    cursor: psycopg.Cursor[Any], batch: Batch, values: Mapping[str, Any], outcome: Outcome, *, has_pairs: bool
) -> set[int]:
    """Set aside rows whose id stood in the file before, or is here already. Returns their numbers."""
    cursor.execute("TRUNCATE incoming")
    _copy(cursor, "incoming", INCOMING, batch.incoming())
    gone: set[int] = set()
    with_item = sum(pair.has_item for pair in batch.pairs)
    if with_item and cursor.execute(SEEN).rowcount < with_item:
        for no, line, item, before in cursor.execute(TWICE).fetchall():
            bad = Bad("duplicate_id", f"The id {item!r} stands in line {before:,} already.", item)
            outcome.refusals.append(refusal(line, bad, item))
            gone.add(no)
    if with_item and has_pairs:
        for no, line, item, reason in cursor.execute(KNOWN, values).fetchall():
            gone.add(no)
            if reason:
                what = "another label" if reason == "other_label" else "other text"
                bad = Bad(reason, f"The id {item!r} is already here with {what}.", item)
                outcome.refusals.append(refusal(line, bad, item))
            else:
                outcome.already += 1
    return gone


def _place(cursor: psycopg.Cursor[Any], batch: Batch, values: Mapping[str, Any]) -> None:
    """Find the prompts and candidates of a batch, make those that are new, and stage the pairs."""
    wanted = list(batch.prompts)
    found = cursor.execute(PROMPTS, {**values, "digests": b"".join(wanted)}, binary=True).fetchall()
    known = {wanted[n]: number for n, number in found}
    new = [digest for digest in wanted if digest not in known]
    prompts = dict(zip(new, _numbers(cursor, "prompt", len(new)), strict=True))
    _copy(cursor, "prompt", PROMPT, batch.prompt_rows(prompts, values))
    prompts |= known
    # Within a prompt the candidates get their numbers by digest: the order says nothing about the file's sides.
    keys = sorted((prompts[prompt], prompt, digest) for prompt, digest in batch.candidates)
    candidates: dict[tuple[bytes, bytes], int] = {}
    # Those of a prompt that was just made cannot be here.
    if known and (older := [key for key in keys if key[1] in known]):
        lookup = {"prompts": [parent for parent, _, _ in older], "digests": b"".join(digest for _, _, digest in older)}
        for n, number in cursor.execute(CANDIDATES, lookup, binary=True).fetchall():
            candidates[older[n][1:]] = number
        keys = [key for key in keys if key[1:] not in candidates]
    numbers = _numbers(cursor, "candidate", len(keys))
    _copy(cursor, "candidate", CANDIDATE, batch.candidate_rows(keys, numbers, values))
    candidates |= {key[1:]: number for key, number in zip(keys, numbers, strict=True)}
    _copy(cursor, "staged", STAGED, batch.staged(prompts, candidates))


def _numbers(cursor: psycopg.Cursor[Any], table: str, count: int) -> list[int]:
    """So many ids for new rows of a table, in ascending order. What is not used leaves a gap."""
    if not count:
        return []
    drawn = cursor.execute(NUMBERS, [_sequence(cursor, table), count], binary=True).fetchall()
    return sorted(number for (number,) in drawn)


def _sequence(cursor: psycopg.Cursor[Any], table: str) -> str:
    """The name of the sequence from which a table's ids are drawn."""
    row = cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table]).fetchone()
    assert row is not None
    return str(row[0])


def _copy(cursor: psycopg.Cursor[Any], table: str, columns: str, rows: Iterable[bytes]) -> None:
    whole = b"".join(rows)
    if whole:
        with cursor.copy(f"COPY {table} ({columns}) FROM STDIN (FORMAT binary)".encode()) as copy:
            copy.write(b"".join((binary.HEADER, whole, binary.END)))


def finish(raw: Connection, report: Report, values: dict[str, Any], *, project: Project, is_full: bool) -> None:
    """Pairs, links and slots of what was staged."""
    values |= {"full": is_full, "rank": next_rank(project=project)}
    with raw.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.twin")
        twins = cursor.execute(TWINS, values).rowcount
        values["some"] = twins > 0
        values["sequence"] = _sequence(cursor, "pair")
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
