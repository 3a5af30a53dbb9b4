"""What annotators highlighted in the answers of a pair."""

from __future__ import annotations

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.export.records import Mark
from curation.voices import Voices, end

# Highlights in answers of one message, by annotators who count: with a judgement that is current, or with none. What
# lies behind the end of the text touches no step of it. The parameters are the last rationale that counts, and those
# before it that do not.
_MARKS = """
    FROM span s JOIN rationale r ON r.id = s.rationale_id JOIN pair p ON p.id = r.pair_id
    JOIN candidate c ON c.id = s.candidate_id JOIN annotator n ON n.id = r.annotator_id
    LEFT JOIN judgement j ON j.id = r.judgement_id
    WHERE s.candidate_id IN (p.first_id, p.second_id) AND s.message = 0 AND jsonb_array_length(c.messages) = 1
      AND r.id <= %s AND NOT r.id <@ %s::int8multirange
"""


def with_marks(
    *, project: Project, voices: Voices, using: BaseDatabaseWrapper
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs in whose first, and those in whose second, somebody highlighted something."""
    whose, params = voices.sql(is_without_too=True)
    with using.cursor() as cursor:
        cursor.execute(
            f"SELECT DISTINCT p.id, s.candidate_id = p.first_id {_MARKS} AND p.project_id = %s AND {whose}",
            [end(voices.heard.rationale), voices.heard.missed.rationale, project.pk, *params],
        )
        return by_side(cursor.fetchall())


def marks_of(pairs: NDArray[np.int64], *, voices: Voices, using: BaseDatabaseWrapper) -> list[list[Mark]]:
    """What was highlighted in the answers of each pair, in the order in which it was. One query."""
    whose, params = voices.sql(is_without_too=True)
    with using.cursor() as cursor:
        cursor.execute(
            f"""SELECT p.id, r.annotator_id, CASE WHEN s.candidate_id = p.first_id THEN 'first' ELSE 'second' END,
                       s.start, s."end", s.polarity = 'hurts'
                {_MARKS} AND p.id = ANY(%s) AND {whose} ORDER BY s.id""",
            [end(voices.heard.rationale), voices.heard.missed.rationale, pairs.tolist(), *params],
        )
        found = cursor.fetchall()
    by_pair: dict[int, list[Mark]] = {pair: [] for pair in pairs.tolist()}
    for pair, *mark in found:
        by_pair[pair].append(Mark(*mark))
    return [by_pair[pair] for pair in pairs.tolist()]


def by_side(found: list[tuple[int, bool]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of pairs, each with whether it is its first: those of firsts, and those of seconds."""
    first, second = (
        np.array([pair for pair, is_first in found if is_first == side], dtype=np.int64) for side in (True, False)
    )
    return first, second
