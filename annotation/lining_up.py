"""Candidates -> lineups -> turns: which candidates are ranked together, and how many people rank them.

A prompt whose candidates stand in pairs that are in play, three or more of them, gets one lineup. Every two of its
candidates are a pair, so that what a ranking implies has its place; pairs that were missing are made here. The work is
done in pieces along the queue, by whoever finds nothing to rank: an import of a hundred thousand pairs waits for none.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import combinations

from django.db import connection, transaction

from annotation import typesetting
from annotation.models import Lineup, Pair, Project
from annotation.models.rankings import FEWEST, MOST
from annotation.pairing import next_rank, shuffle_key

# Prompts that are looked at together.
AT_ONCE = 100

# Prompts without a lineup that could have one: candidates that say the same count once.
_WITHOUT = """
FROM pair p JOIN candidate c ON c.id IN (p.first_id, p.second_id)
WHERE p.project_id = ANY(%(projects)s) AND p.excluded_at IS NULL AND NOT 'toy' = ANY(p.marks) AND p.gold_use = ''
  AND NOT EXISTS (SELECT 1 FROM lineup l WHERE l.prompt_id = p.prompt_id)
GROUP BY p.project_id, p.prompt_id HAVING count(DISTINCT md5(c.messages::text)) >= %(fewest)s
"""
_LACKING = f"""
SELECT p.prompt_id, min(p.rank), array_agg(DISTINCT c.id ORDER BY c.id) {_WITHOUT}
ORDER BY min(p.rank) LIMIT %(most)s
"""
_HOW_MANY = f"SELECT project_id, count(*) FROM (SELECT p.project_id {_WITHOUT}) AS prompt GROUP BY project_id"
_TEXTS = "SELECT id, md5(messages::text) FROM candidate WHERE id = ANY(%s) ORDER BY id"

_ADD_TURNS = """
INSERT INTO turn (lineup_id, slot, shown, draft_version)
SELECT l.id, k.slot, '{}', 0
FROM lineup l JOIN project ON project.id = l.project_id CROSS JOIN generate_series(1, project.overlap::int) AS k(slot)
WHERE l.project_id = %(project)s
ON CONFLICT (lineup_id, slot) DO NOTHING
"""
# A turn that carries a ranking which was taken back stays; the claim passes it over.
_REMOVE_TURNS = """
DELETE FROM turn WHERE id IN (
  SELECT t.id FROM turn t JOIN lineup l ON l.id = t.lineup_id JOIN project ON project.id = l.project_id
  WHERE l.project_id = %(project)s AND t.annotator_id IS NULL AND t.slot > project.overlap
    AND NOT EXISTS (SELECT 1 FROM ranking r WHERE r.turn_id = t.id) FOR UPDATE OF t SKIP LOCKED)
"""


@transaction.atomic
def open_lineups(*, project: Project, most: int = AT_ONCE) -> int:
    """Line up the candidates of the next `most` prompts that have none, and open their turns. Returns how many.

    More than MOST candidates: as good as drawn by the project's seed, the same each time. Twice adds nothing.
    """
    rank = next_rank(project=project)
    with connection.cursor() as cursor:
        cursor.execute(_LACKING, {"projects": [project.pk], "fewest": FEWEST, "most": most})
        found = cursor.fetchall()
    made = Lineup.objects.bulk_create(
        Lineup(project=project, prompt_id=prompt, candidates=_chosen(project, candidates), rank=first)
        for prompt, first, candidates in found
    )
    _pair_up(project, made, rank=rank)
    open_turns(project=project)
    return len(made)


def lacking(*, projects: Collection[int]) -> dict[int, int]:
    """How many prompts could be lined up and are not yet, by project; those without any are left out."""
    with connection.cursor() as cursor:
        cursor.execute(_HOW_MANY, {"projects": list(projects), "fewest": FEWEST})
        return dict(cursor.fetchall())


def _chosen(project: Project, candidates: list[int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(_TEXTS, [candidates])
        texts = cursor.fetchall()
    firsts: dict[str, int] = {}
    for candidate, text in texts:
        firsts.setdefault(text, candidate)
    drawn = sorted(firsts.values(), key=lambda one: shuffle_key(project.seed, "lineup", str(one)))[:MOST]
    return sorted(drawn)


def _pair_up(project: Project, lineups: list[Lineup], *, rank: int) -> None:
    """The pairs that are missing, behind all others, and their texts set. They go when their import goes."""
    prompts = {one.prompt_id for one in lineups}
    imports = Pair.objects.filter(prompt__in=prompts, imported_by__isnull=False).order_by("-pk")
    importer = dict(imports.values_list("prompt_id", "imported_by"))
    here = set(Pair.objects.filter(prompt__in=prompts).values_list("first_id", "second_id"))
    wanted = [(one.prompt_id, *two) for one in lineups for two in combinations(one.candidates, 2) if two not in here]
    Pair.objects.bulk_create(
        Pair(
            project=project,
            prompt_id=prompt,
            first_id=first,
            second_id=second,
            rank=rank + at,
            source="lineup",
            imported_by_id=importer.get(prompt),
            meta={"pairing": "lineup"},
        )
        for at, (prompt, first, second) in enumerate(wanted)
    )
    typesetting.typeset_pairs(pairs=Pair.objects.filter(prompt__in=prompts).values_list("pk", flat=True))


@transaction.atomic
def open_turns(*, project: Project) -> None:
    """Make the open turns what the project's overlap asks for. Twice is as good as once; leases and rankings stay."""
    with connection.cursor() as cursor:
        cursor.execute(_REMOVE_TURNS, {"project": project.pk})
        cursor.execute(_ADD_TURNS, {"project": project.pk})


def candidates_in_pairs(lineup: Lineup) -> dict[tuple[int, int], Pair]:
    """The pairs of a lineup's candidates by (first, second)."""
    found = Pair.objects.filter(prompt=lineup.prompt_id, first__in=lineup.candidates, second__in=lineup.candidates)
    return {(pair.first_id, pair.second_id): pair for pair in found}
