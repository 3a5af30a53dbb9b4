"""Votes principle by principle of a file -> principles and principle votes. One transaction per file."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from annotation.errors import Refused
from annotation.importing import checking, placing, resolving
from annotation.importing.reading import Row, rows
from annotation.importing.reasons import Bad, refusal
from annotation.importing.reporting import Progress, Report, record_import
from annotation.importing.sources import Source, open_source
from annotation.importing.values import Value, identifier, some_text, text
from annotation.models import Principle, Project, Run, User

BATCH = 2_000
MOST_PRINCIPLES = 10_000

VOTED = "no bigint, line bigint, annotator text, source text, item text, list text, votes smallint[]"

FOUND = """
CREATE TEMP TABLE found ON COMMIT DROP AS
SELECT v.no, min(i.pair_id) AS pair_id, min(i.a) AS a, count(DISTINCT i.pair_id) AS pairs
FROM voted v JOIN item i ON i.external_id = v.item AND (v.source = '' OR i.source = v.source) GROUP BY v.no
"""

# One row per vote. A vote of 1 is for the file's a; 0 says that the principle does not decide.
READY = """
CREATE TEMP TABLE ready ON COMMIT DROP AS
SELECT v.no, v.line, v.item, v.annotator, found.pair_id, principle.id AS principle_id,
  CASE WHEN one.vote = 0 THEN 'irrelevant' WHEN (one.vote = 1) = (found.a = 'first') THEN 'first' ELSE 'second' END
    AS vote
FROM voted v JOIN found USING (no)
CROSS JOIN LATERAL unnest(v.votes) WITH ORDINALITY AS one(vote, place)
JOIN order_of_principles o ON o.list = v.list AND o.place = one.place
JOIN principle ON principle.project_id = %(project)s AND principle.source = v.list AND principle.key = o.key
WHERE found.pairs = 1
"""

# A second row of one oracle on one pair and list.
REPEATED = """
DELETE FROM found USING (
  SELECT v.no, v.line, v.item, first_value(v.no) OVER (PARTITION BY annotator, pair_id, list ORDER BY v.no) AS leader
  FROM voted v JOIN found USING (no) WHERE found.pairs = 1
) AS again WHERE again.no = found.no AND again.no <> again.leader
RETURNING again.line, again.item
"""

KNOWN = """
SELECT ready.no, min(ready.line), min(ready.item), bool_and(ready.vote = here.vote), count(*)
FROM ready JOIN annotator ON annotator.project_id = %(project)s AND annotator.external_id = ready.annotator
-- OFFSET 0: one look at the constraint's index for each vote, whatever the statistics say.
CROSS JOIN LATERAL (
  SELECT vote FROM principle_vote v WHERE v.annotator_id = annotator.id AND v.pair_id = ready.pair_id
    AND v.principle_id = ready.principle_id AND v.judgement_id IS NULL OFFSET 0
) AS here
GROUP BY ready.no
"""

VOTES = """
INSERT INTO principle_vote (pair_id, annotator_id, principle_id, vote, run_id, created_at)
SELECT ready.pair_id, annotator.id, ready.principle_id, ready.vote, %(run)s, %(now)s
FROM ready JOIN annotator ON annotator.project_id = %(project)s AND annotator.external_id = ready.annotator
ORDER BY ready.no, ready.principle_id
"""


@dataclass(frozen=True)
class Listed:
    """A principle as the file of principles has it."""

    key: str
    short: str
    text: str


def import_principle_votes(
    *,
    project: Project,
    path: Path | str,
    principles: Path | str,
    on_error: str = "stop",
    judges: frozenset[str] | set[str] = frozenset(),
    actor: User | None = None,
    run: Run | None = None,
    progress: Progress | None = None,
    name: str = "",
) -> Report:
    """Import which answer follows each principle better, said by the `oracle` of each row. All of it, or nothing.

    `votes` of a row are -1 (b), 0, 1 (a), one per principle of its list, in the order of `principle_id`; a and b are
    the file's, however the pair is stored. 0 becomes "irrelevant": the file does not tell "the same" from it. Counts of
    the report are rows; `made` counts the votes.

    Raises:
        Refused: a file cannot be read, an option is wrong, or a principle is here with another text.
    """
    checking.check_on_error(on_error)
    lists = read_principles(principles)
    source = open_source(path, name=name)
    report = Report(file=source.name, layout="principle_votes", unit=source.unit)
    began = time.monotonic()
    values = {"project": str(project.pk), "run": run.pk if run else None, "now": timezone.now()}
    with transaction.atomic(), connection.cursor() as cursor:
        placing.one_at_a_time(cursor, project.pk)
        resolving.make_table(cursor, "voted", VOTED)
        resolving.make_table(cursor, "order_of_principles", "list text, place int, key text")
        resolving.make_items(cursor, project)

        def read(row: Row) -> list[tuple[Any, ...]]:
            return [_read(row, lists, source)]

        for batch in resolving.batches(source, report, read, size=BATCH, item=resolving.item_of):
            resolving.copy(cursor, "voted", ((no, line, *columns) for no, line, columns in batch))
            if progress:
                progress(report.read)
        cursor.execute("SELECT DISTINCT annotator FROM voted")
        checked = resolving.check_judges(judges, {who for (who,) in cursor.fetchall()}, file=source.name)
        made = _resolve(cursor, values, report, project=project, lists=lists)
        if on_error == "stop" and len(report.refusals):
            transaction.set_rollback(True)
        else:
            cursor.execute("SELECT DISTINCT annotator FROM ready")
            names = [who for (who,) in cursor.fetchall()]
            people = resolving.ensure_annotators(project=project, names=names, judges=checked)
            cursor.execute("SELECT count(DISTINCT no) FROM ready")
            report.added = cursor.fetchone()[0]
            cursor.execute(VOTES, values)
            votes = cursor.rowcount
            if votes > 1_000:
                cursor.execute("ANALYZE principle_vote")
            report.made = {"votes": votes, "principles made": made, "annotators made": people}
            report.stored = True
            report.seconds = time.monotonic() - began
            record_import(report, of="principle_votes", project=project, actor=actor)
    report.seconds = time.monotonic() - began
    return report


# ---- principles ----------------------------------------------------------------------------------------------------


def read_principles(path: Path | str) -> dict[str, list[Listed]]:
    """The lists of a file of principles (list, principle_id, text, short), each in the order of `principle_id`.

    Raises:
        Refused: a row is not a principle, or an id stands twice in a list.
    """
    source = open_source(path)
    found: dict[str, dict[str, Listed]] = {}
    for n, row in enumerate(rows(source), 1):
        try:
            if row.bad is not None:
                raise row.bad
            assert row.value is not None
            name, key = text(row.value, "list"), identifier(row.value, "principle_id")
            said = text(row.value, "text")
            short = some_text(row.value, "short") or said
            for value in (name, key, said):
                checking.check_text(value, "A value")
                value.encode()
            if not said.strip() or max(len(name), len(key)) > 100:
                raise Bad("bad_value", "A principle needs a text, and names of at most 100 characters.", said)
            if key in found.setdefault(name, {}):
                raise Bad("duplicate_id", f"The principle {key} stands in the list {name} twice.", key)
        except UnicodeEncodeError as error:
            raise Refused(
                f"{source.name}, line {row.line}: a text holds what no character is. Write it again."
            ) from error
        except Bad as bad:
            told = refusal(row.line, bad)
            raise Refused(f"{source.name}, line {row.line}: {told.sentence}") from bad
        found[name][key] = Listed(key, short if len(short) <= 100 else short[:99] + "…", said)
        if n > MOST_PRINCIPLES:
            raise Refused(f"{source.name} has more than {MOST_PRINCIPLES:,} principles. Give a shorter list.")
    return {name: sorted(listed.values(), key=_order) for name, listed in found.items()}


def _order(principle: Listed) -> tuple[bool, int, str]:
    is_number = principle.key.isascii() and principle.key.isdigit()
    return (not is_number, int(principle.key) if is_number else 0, principle.key)


def _ensure_principles(project: Project, used: dict[str, list[Listed]]) -> int:
    made = 0
    for name, listed in used.items():
        here = {p.key: p for p in Principle.objects.filter(project=project, source=name)}
        for one in listed:
            if one.key in here and here[one.key].text != one.text:
                raise Refused(
                    f"The principle {one.key} of {name} is here with another text. "
                    f"Give the list another name, or the old text."
                )
        new = [
            Principle(project=project, source=name, key=p.key, short=p.short, text=p.text)
            for p in listed
            if p.key not in here
        ]
        made += len(Principle.objects.bulk_create(new))
    return made


# ---- votes ---------------------------------------------------------------------------------------------------------


def _read(row: Row, lists: dict[str, list[Listed]], source: Source) -> tuple[Any, ...]:
    if row.bad is not None:
        raise row.bad
    assert row.value is not None
    item, oracle = identifier(row.value, "item_id"), identifier(row.value, "oracle")
    name, named_source = text(row.value, "principle_list"), some_text(row.value, "source")
    checking.check_names(
        (item, "item_id", 300), (oracle, "oracle", 200), (named_source, "source", 200), broken=source.broken_text
    )
    if name not in lists:
        raise Bad("unknown_principles", f"The list {name[:60]!r} is not in the file of principles.", name)
    votes = _votes(row.value)
    if len(votes) != len(lists[name]):
        what = f"The row has {len(votes)} votes; the list {name} has {len(lists[name])} principles."
        raise Bad("vote_count", what, str(votes))
    return oracle, named_source, item, name, votes


def _votes(row: Value) -> list[int]:
    votes = row.get("votes")
    if type(votes) is not list:
        raise Bad("wrong_type" if "votes" in row else "missing_key", "votes must be a list of numbers.", str(votes))
    for vote in votes:
        if type(vote) is not int or vote not in (-1, 0, 1):
            raise Bad("bad_value", "Each vote must be -1, 0 or 1.", str(votes))
    return votes


def _resolve(
    cursor: Any, values: dict[str, Any], report: Report, *, project: Project, lists: dict[str, list[Listed]]
) -> int:
    """Find pairs and principles; set aside what is elsewhere, repeated, or here. How many principles were made."""
    for table in ("found", "ready"):
        cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{table}")
    cursor.execute("ANALYZE voted")
    cursor.execute(FOUND)
    cursor.execute("ANALYZE found")
    refused = resolving.without_a_pair(cursor, "voted", report)
    cursor.execute("SELECT DISTINCT list FROM voted JOIN found USING (no)")
    used = {name: lists[name] for (name,) in cursor.fetchall()}
    made = _ensure_principles(project, used)
    places = [(name, place, one.key) for name, listed in used.items() for place, one in enumerate(listed, 1)]
    resolving.copy(cursor, "order_of_principles", places)
    cursor.execute(REPEATED)
    for line, item in cursor.fetchall():
        bad = Bad("duplicate_judgement", "An earlier row has votes of the same oracle on the same pair.", item)
        refused.append(refusal(line, bad, item))
    if made:
        cursor.execute("ANALYZE principle")
    with resolving.by_index(cursor):
        cursor.execute(READY, values)
    # Without statistics the planner would take these tables for small, and compare all with all.
    cursor.execute("ANALYZE ready")
    with resolving.by_index(cursor):
        cursor.execute(KNOWN, values)
        here = cursor.fetchall()
    for _, line, item, is_same, _ in here:
        if is_same:
            report.already += 1
        else:
            bad = Bad("voted_otherwise", "This oracle's votes on this pair are here, and they are others.", item)
            refused.append(refusal(line, bad, item))
    if here:
        cursor.execute("DELETE FROM ready WHERE no = ANY(%s)", [[no for no, *_ in here]])
    report.refusals.add(refused)
    return made
