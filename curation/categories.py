"""Pairs -> the board's categories: which sources, tags, languages and splits have a bin of their own.

The most frequent ones have, as they are counted at every whole gathering. What once had one keeps it, and so does what
a saved selection names: an address that was saved, sent or printed goes on to mean the same pairs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection

from annotation.models import Project
from curation.criteria import NONE_OF, ONE_OF
from curation.dimensions import FIELD_OF, OF_THE_PROJECT, Dimension
from curation.models import Selection
from curation.tabulating import TAG

_SOURCE = {"language": "q.language", "source": "p.source", "split": "p.split", "tag": TAG}
# Of a dimension, beside the most frequent: so many times as many keep their bin. What selections name comes first.
MOST_KEPT = 2


def values_of(project: Project, *, before: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The values that get a bin, by dimension: the most frequent first, then those that keep theirs.

    Args:
        before: the values of the last gathering.
    """
    found = {}
    for one in OF_THE_PROJECT:
        frequent = _counted(project, one, condition="true", params=[], most=one.most)
        named = sorted(_named(project, one) - {*frequent})
        earlier = [value for value in before.get(one.key, ()) if value not in {*frequent, *named}]
        there = _counted(project, one, condition="value = ANY(%s)", params=[earlier], most=len(earlier))
        found[one.key] = [*frequent, *[*named, *there][: MOST_KEPT * one.most]]
    return found


def _counted(project: Project, one: Dimension, *, condition: str, params: list[Any], most: int) -> list[str]:
    """Values of pairs in play, most frequent first."""
    if not most:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            f"""SELECT value FROM (SELECT {_SOURCE[one.key]} AS value FROM pair p JOIN prompt q ON q.id = p.prompt_id
                WHERE p.project_id = %s AND p.excluded_at IS NULL) each
            WHERE value <> '' AND {condition} GROUP BY value ORDER BY count(*) DESC, value LIMIT %s""",
            [project.pk, *params, most],
        )
        return [value for (value,) in cursor.fetchall()]


def _named(project: Project, one: Dimension) -> set[str]:
    """What the saved selections name, whatever the project has of it today."""
    field = FIELD_OF.get(one.key, one.key)
    saved = Selection.objects.filter(project=project).values_list("criteria", flat=True)
    texts = [
        str(each["value"])
        for criteria in saved
        for each in criteria
        if each["field"] == field and each["operator"] in (ONE_OF, NONE_OF)
    ]
    return {name for text in texts for name in text.split("|")} - {""}
