"""What the better answer of a pair became when somebody edited it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.export.records import Edit
from curation.marks import by_side
from curation.voices import Voices

# An edit belongs to one revision of a judgement and is stored with it; that of the current one counts.
_EDITS = """
    FROM edit e JOIN judgement j ON j.id = e.judgement_id JOIN assignment a ON a.id = j.assignment_id
    JOIN pair p ON p.id = a.pair_id JOIN annotator n ON n.id = j.annotator_id
    WHERE e.candidate_id IN (p.first_id, p.second_id)
"""


def with_edits(
    *, project: Project, voices: Voices, using: BaseDatabaseWrapper
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs whose first, and those whose second, somebody edited; a pair once for each edit of it."""
    whose, params = voices.sql()
    with using.cursor() as cursor:
        cursor.execute(
            f"SELECT p.id, e.candidate_id = p.first_id {_EDITS} AND p.project_id = %s AND {whose}",
            [project.pk, *params],
        )
        return by_side(cursor.fetchall())


def edits_of(
    pairs: NDArray[np.int64], *, voices: Voices, shown: Callable[[int], str], using: BaseDatabaseWrapper
) -> list[list[Edit]]:
    """Every edit of an answer of each pair, in the order in which they were made. One query.

    `shown` turns an annotator's number into what is told of them.
    """
    by_pair: dict[int, list[Edit]] = {pair: [] for pair in pairs.tolist()}
    whose, params = voices.sql()
    with using.cursor() as cursor:
        cursor.execute(
            f"""SELECT p.id, j.annotator_id,
                       CASE WHEN e.candidate_id = p.first_id THEN 'first' ELSE 'second' END, e.text
                {_EDITS} AND p.id = ANY(%s) AND {whose} ORDER BY e.id""",
            [pairs.tolist(), *params],
        )
        for pair, annotator, side, text in cursor.fetchall():
            by_pair[pair].append(Edit(shown(annotator), side, text))
    return [by_pair[pair] for pair in pairs.tolist()]
