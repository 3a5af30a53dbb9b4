"""Saved selections -> the prompts of their pairs, to generate from again."""

from __future__ import annotations

from django.db import connection

from annotation.models import Project
from annotation.prompting import Kept
from curation.keeping import criteria_in, saved_as
from curation.models import Selection
from curation.selecting import chosen_sql
from curation.voices import Voices

# So many are offered on a page; commands and the API reach the others by name.
MOST_LISTED = 60


def listed(project: Project) -> list[tuple[str, str]]:
    """The newest version of each saved selection, by name, and in words whose it is."""
    found = Selection.objects.filter(project=project).select_related("owner").order_by("name", "-version")
    return [
        (f"{one.name}@{one.version}", f"{one}" + (f", saved by {one.owner}" if one.owner else ""))
        for one in found.distinct("name")[:MOST_LISTED]
    ]


def prompts_of(project: Project, name: str) -> tuple[str, tuple[int, ...]]:
    """name@version and the prompts of the pairs in play that meet its criteria now, the oldest first.

    Judgements count as the board counts them: those of people.

    Raises:
        Refused: there is no such selection, or the facts now have another model's measures.
    """
    saved = saved_as(project=project, name=name)
    source, params = chosen_sql(project=project.pk, voices=Voices(), where=criteria_in(saved))
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT DISTINCT p.prompt_id {source} ORDER BY 1", params)
        return f"{saved.name}@{saved.version}", tuple(row[0] for row in cursor.fetchall())


KEPT = Kept(listed=listed, prompts_of=prompts_of)
