"""How far a release has heard, and what stood then: so that nothing that comes later changes what it is derived from.

Judgements, rankings, reasons and events are appended and numbered. What a release may look at is bounded by the last
number that was there; what was current then and is not now is found by the revisions and the undoing that came after.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from curation.planning import Plan
from curation.selecting import Heard, end

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
      AND NOT EXISTS (SELECT FROM judgement k
                      WHERE k.assignment_id = j.assignment_id AND k.revision > j.revision AND k.id <= %s)
      AND NOT EXISTS (SELECT FROM ranking r JOIN ranking k ON k.turn_id = r.turn_id AND k.revision > r.revision
                      WHERE r.id = j.ranking_id AND k.id <= %s)
      AND j.id NOT IN (SELECT (e.before ->> 'judgement')::bigint FROM event e
                       WHERE e.project = %s AND e.act = 'judgement.undo' AND e.id <= %s
                         AND e.before ->> 'judgement' IS NOT NULL)
      AND (j.ranking_id IS NULL OR j.ranking_id NOT IN (
               SELECT (e.before ->> 'ranking')::bigint FROM event e
               WHERE e.project = %s AND e.act = 'ranking.undo' AND e.id <= %s AND e.before ->> 'ranking' IS NOT NULL))
    ORDER BY j.id
"""


def heard_by(asked: Plan, *, using: BaseDatabaseWrapper) -> Heard:
    """The last of each that is there now, 0 where there is none; None for what this release does not read.

    What it does not read stays out, so that the same release made again after it is still the same.
    """
    layout, kind = asked.layout, _whose(asked)
    are_people = kind != "judge"
    reads = {
        "pair": True,
        "judgement": True,
        # Only people take back, rank and react.
        "undone": are_people,
        "ranking": are_people,
        "rationale": layout.tells or layout.reasons or layout.marks,
        "reaction": (layout.tells or layout.reasons) and are_people,
    }
    last: dict[str, Any] = {}
    with using.cursor() as cursor:
        for name, is_read in reads.items():
            if is_read:
                statement = _LAST[name]
                of = asked.project.slug if name == "undone" else asked.project.pk
                # Reasons are told of those who count, whoever's flags are looked at.
                whose = asked.voices.kind if name == "rationale" else kind
                cursor.execute(statement, [of, *([whose, whose] if _KIND in statement else [])])
                last[name] = int(cursor.fetchone()[0] or 0)
    return Heard(**last)


def as_then(asked: Plan, *, using: BaseDatabaseWrapper) -> Plan:
    """The plan of a release that was made, with the judgements that stood when it was.

    Unchanged where the release does not say how far it had heard.
    """
    heard = asked.heard
    if heard.judgement is None:
        return asked
    kind, slug, undone = _whose(asked), asked.project.slug, heard.undone or 0
    last = [heard.judgement, heard.judgement, end(heard.ranking)]
    with using.cursor() as cursor:
        cursor.execute(_STOOD, [asked.project.pk, kind, kind, *last, slug, undone, slug, undone])
        stood = tuple(number for (number,) in cursor.fetchall())
    return replace(asked, heard=replace(heard, stood=stood))


def _whose(asked: Plan) -> str:
    """Whose judgements a release reads: those that count, and everybody's where criteria look at all."""
    return "all" if any(one.field in OF_EVERYBODY for one in asked.where) else asked.voices.kind
