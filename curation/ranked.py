"""Rankings -> what a release reads of them."""

from __future__ import annotations

import numpy as np
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from curation.export.records import Ranks
from curation.voices import Voices


def rankings_by_prompt(
    pairs: NDArray[np.int64], *, voices: Voices, using: BaseDatabaseWrapper
) -> dict[int, list[Ranks]]:
    """The rankings of `voices` that imply something, of the prompts of these pairs, as they were made. One query."""
    whose, params = voices.sql()
    with using.cursor() as cursor:
        cursor.execute(
            f"""SELECT l.prompt_id, r.shown, r.ranks
                FROM ranking r JOIN turn t ON t.id = r.turn_id JOIN lineup l ON l.id = t.lineup_id
                JOIN annotator n ON n.id = r.annotator_id
                WHERE l.prompt_id IN (SELECT prompt_id FROM pair WHERE id = ANY(%s))
                  AND EXISTS (SELECT 1 FROM judgement j WHERE j.ranking_id = r.id AND {whose})
                ORDER BY r.id""",
            [pairs.tolist(), *params],
        )
        found = cursor.fetchall()
    by_prompt: dict[int, list[Ranks]] = {}
    for prompt, shown, ranks in found:
        by_prompt.setdefault(prompt, []).append(dict(zip(shown, ranks, strict=True)))
    return by_prompt
