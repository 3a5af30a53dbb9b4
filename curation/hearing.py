"""How far a release has heard, and what stood then: so that nothing that comes later changes what it is derived from.

Judgements, rankings, reasons and events are appended and numbered. What a release may look at is bounded by the last
number that was there; what was current then and is not now is found by the revisions and the undoing that came after.

Numbers are drawn before rows are committed, so that a lower one may come later: what is not there up to the last number
is kept with the release. No transaction's number or snapshot is kept: these do not outlive a dump.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from curation.planning import Plan
from curation.voices import NOTHING, Heard, Missed, end

# Fields of criteria that look at judgements of everybody, whoever counts.
OF_EVERYBODY = ("flag", "hasty")

# The number of the last one. Parameters: the project (of events: its slug), and twice the kind of annotators.
_KIND = "(%s::text = 'all' OR n.kind = %s)"
_LAST = {
    "pair": "SELECT max(id) FROM pair WHERE project_id = %s",
    "judgement": "SELECT max(j.id) FROM judgement j JOIN annotator n ON n.id = j.annotator_id"
    f" WHERE n.project_id = %s AND {_KIND}",
    "undone": "SELECT max(id) FROM event WHERE project = %s AND act IN ('judgement.undo', 'ranking.undo')",
    "ranking": f"SELECT max(r.id) FROM ranking r JOIN annotator n ON n.id = r.annotator_id WHERE n.project_id = %s"
    f" AND {_KIND}",
    "rationale": "SELECT max(r.id) FROM rationale r JOIN annotator n ON n.id = r.annotator_id"
    f" WHERE n.project_id = %s AND {_KIND}",
    "reaction": "SELECT max(x.id) FROM reaction x JOIN offer o ON o.id = x.offer_id"
    " JOIN annotator n ON n.id = o.annotator_id WHERE n.project_id = %s",
}

# A judgement that is not current stopped being so when its annotator took it back (an event names it), revised it (a
# later revision), or took back or revised the ranking that implies it. It stood, if all of these came afterwards.
_STOOD = f"""
    SELECT j.id FROM judgement j JOIN annotator n ON n.id = j.annotator_id
    WHERE n.project_id = %s AND {_KIND} AND NOT j.is_current AND j.id <= %s
      AND NOT j.id <@ %s::int8multirange
      AND NOT EXISTS (SELECT FROM judgement k
                      WHERE k.assignment_id = j.assignment_id AND k.revision > j.revision
                        AND k.id <= %s AND NOT k.id <@ %s::int8multirange)
      AND NOT EXISTS (SELECT FROM ranking r JOIN ranking k ON k.turn_id = r.turn_id AND k.revision > r.revision
                      WHERE r.id = j.ranking_id AND k.id <= %s AND NOT k.id <@ %s::int8multirange)
      AND j.id NOT IN (SELECT (e.before ->> 'judgement')::bigint FROM event e
                       WHERE e.project = %s AND e.act = 'judgement.undo' AND e.id <= %s
                         AND e.before ->> 'judgement' IS NOT NULL)
      AND (j.ranking_id IS NULL OR j.ranking_id NOT IN (
               SELECT (e.before ->> 'ranking')::bigint FROM event e
               WHERE e.project = %s AND e.act = 'ranking.undo' AND e.id <= %s AND e.before ->> 'ranking' IS NOT NULL))
    ORDER BY j.id
"""

# Of each table that is numbered as it is written: how to come from t to what names the project. Events are not among
# them: they are appended one after the other, each committed before the next draws its number.
_OF_PROJECT = {
    "pair": "WHERE t.project_id = %s",
    "judgement": "JOIN annotator n ON n.id = t.annotator_id WHERE n.project_id = %s",
    "ranking": "JOIN annotator n ON n.id = t.annotator_id WHERE n.project_id = %s",
    "rationale": "JOIN annotator n ON n.id = t.annotator_id WHERE n.project_id = %s",
    "reaction": "JOIN offer o ON o.id = t.offer_id JOIN annotator n ON n.id = o.annotator_id WHERE n.project_id = %s",
    "ruling": "JOIN adjudication d ON d.id = t.adjudication_id WHERE d.project_id = %s",
}

# Numbers up to the last that are not there, of all projects: whose row it will be nobody knows yet. Numbers are counted
# in blocks, which several processes of the database do from the index alone; only blocks that are not full are looked
# into. Parameters: none.
_GAPS = """
    WITH last AS (SELECT coalesce(max(id), 0) AS id FROM {table}),
    block AS MATERIALIZED (
        SELECT t.id / 1024 AS place, count(*) AS n FROM {table} t WHERE t.id <= (SELECT id FROM last) GROUP BY 1),
    whole AS (
        SELECT range_agg(int8range(place * 1024, (place + 1) * 1024)) AS numbers FROM block WHERE n = 1024),
    part AS (
        SELECT range_agg(int8range(t.id, t.id + 1)) AS numbers
        FROM block JOIN {table} t ON t.id >= place * 1024 AND t.id < (place + 1) * 1024 WHERE n < 1024)
    SELECT (int8multirange(int8range(1, last.id + 1))
            - coalesce(whole.numbers, '{{}}') - coalesce(part.numbers, '{{}}'))::text
    FROM last, whole, part
"""

# Which of them are rows of the project by now.
_CAME = """
    SELECT coalesce(range_agg(int8range(t.id, t.id + 1)), '{{}}')::text
    FROM unnest(%s::int8multirange) gap JOIN {table} t ON t.id >= lower(gap) AND t.id < upper(gap) {of_project}
"""


def heard_by(asked: Plan, *, using: BaseDatabaseWrapper) -> Heard:
    """The last of each that is there now, 0 where there is none; None for what this release does not read.

    What it does not read stays out, so that the same release made again after it is still the same.
    """
    kind, reads = _whose(asked), _reads(asked)
    last: dict[str, Any] = {}
    with using.cursor() as cursor:
        for name in reads:
            statement = _LAST[name]
            of = asked.project.slug if name == "undone" else asked.project.pk
            # Reasons are told of those who count, whoever's flags are looked at.
            whose = asked.voices.kind if name == "rationale" else kind
            cursor.execute(statement, [of, *([whose, whose] if _KIND in statement else [])])
            last[name] = int(cursor.fetchone()[0] or 0)
    return Heard(**last)


def missed_by(asked: Plan, *, using: BaseDatabaseWrapper) -> dict[str, str]:
    """Of what this release reads, the numbers up to the last that its snapshot does not see: as int8multiranges.

    Most of them will never be seen: an attempt that was rolled back has drawn its number all the same. These are not
    part of what is released, and so of no file of it: the same release made again finds others.
    """
    found = {}
    with using.cursor() as cursor:
        for name in [*_reads(asked), "ruling"]:
            if name in _OF_PROJECT:
                cursor.execute(_GAPS.format(table=name))
                found[name] = str(cursor.fetchone()[0])
    return {name: numbers for name, numbers in found.items() if numbers != NOTHING}


def as_then(asked: Plan, *, using: BaseDatabaseWrapper) -> Plan:
    """The plan of a release that was made, with the judgements that stood when it was.

    Unchanged where the release does not say how far it had heard.
    """
    heard = asked.heard
    if heard.judgement is None:
        return asked
    kind, slug, undone = _whose(asked), asked.project.slug, heard.undone or 0
    with using.cursor() as cursor:
        missed = _came_later(asked, cursor)
        judgements: list[Any] = [heard.judgement, missed.judgement]
        last = [*judgements, *judgements, end(heard.ranking), missed.ranking]
        cursor.execute(_STOOD, [asked.project.pk, kind, kind, *last, slug, undone, slug, undone])
        stood = tuple(number for (number,) in cursor.fetchall())
    return replace(asked, heard=replace(heard, stood=stood, missed=missed))


def _came_later(asked: Plan, cursor: CursorWrapper) -> Missed:
    """Of the numbers that the release did not see, those that are the project's by now: seldom any."""
    found = {}
    for name, numbers in asdict(asked.heard.missed).items():
        if numbers != NOTHING:
            cursor.execute(_CAME.format(table=name, of_project=_OF_PROJECT[name]), [numbers, asked.project.pk])
            found[name] = str(cursor.fetchone()[0])
    return Missed(**found)


def _reads(asked: Plan) -> list[str]:
    """Which of what is numbered a release looks at."""
    layout, are_people = asked.layout, _whose(asked) != "judge"
    reads = {
        "pair": True,
        "judgement": True,
        # Only people take back, rank and react.
        "undone": are_people,
        "ranking": are_people,
        "rationale": layout.tells or layout.reasons or layout.marks,
        "reaction": (layout.tells or layout.reasons) and are_people,
    }
    return [name for name, is_read in reads.items() if is_read]


def _whose(asked: Plan) -> str:
    """Whose judgements a release reads: those that count, and everybody's where criteria look at all."""
    return "all" if any(one.field in OF_EVERYBODY for one in asked.where) else asked.voices.kind
