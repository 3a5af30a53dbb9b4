"""Every judgement that compares two candidates, with the models that wrote them and the ranking it follows from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Candidate, Project
from annotation.orders import weight_of
from curation.arrays.crossing import columns
from curation.criteria import Criterion
from curation.selecting import chosen_sql
from curation.voices import Voices


@dataclass(frozen=True)
class Comparisons:
    """Who won which comparison. All arrays have the shape (n_comparisons,).

    Attributes:
        prompt, annotator: their numbers.
        first, second: the numbers of the two candidates.
        first_model, second_model: codes of `models`; -1: the candidate names no model.
        won: 1 the first, 0 the second, .5 a tie. Both bad and skips compare nothing.
        ranked: how many candidates the ranking holds that the judgement follows from; 0: it was judged by itself.
        models: the names of the models, in the order of the alphabet.
    """

    prompt: NDArray[np.int64]
    annotator: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    first_model: NDArray[np.int64]
    second_model: NDArray[np.int64]
    won: NDArray[np.float64]
    ranked: NDArray[np.int64]
    models: list[str]

    def __len__(self) -> int:
        return len(self.won)

    @property
    def weight(self) -> NDArray[np.float64]:
        """How much each counts: 1, or what `annotation.orders.weight_of` gives what follows from a ranking."""
        found = np.ones(len(self))
        for ranked in np.unique(self.ranked[self.ranked > 0]).tolist():
            found[self.ranked == ranked] = weight_of(ranked)
        return found


def comparisons(
    *, project: Project, voices: Voices, where: Sequence[Criterion] = (), using: BaseDatabaseWrapper | None = None
) -> Comparisons:
    """Read the current judgements that compare, ordered by prompt, annotator and candidates. About 70 bytes each."""
    named = Candidate.objects.filter(prompt__project=project).exclude(model="")
    models = sorted(named.values_list("model", flat=True).distinct())
    chosen, chosen_params = chosen_sql(project=project.pk, voices=voices, where=where)
    whose, whose_params = voices.sql()
    found = columns(
        f"""
        SELECT w.prompt_id, j.annotator_id, w.first_id, w.second_id,
               coalesce(array_position(%s::text[], one.model::text), 0) - 1,
               coalesce(array_position(%s::text[], other.model::text), 0) - 1,
               CASE WHEN j.verdict = 'tie' THEN 0.5 WHEN j.strength > 0 THEN 1 ELSE 0 END::float8,
               coalesce(cardinality(array_remove(r.ranks, NULL)), 0)
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        JOIN (SELECT p.id, p.prompt_id, p.first_id, p.second_id {chosen}) w ON w.id = a.pair_id
        JOIN candidate one ON one.id = w.first_id JOIN candidate other ON other.id = w.second_id
        LEFT JOIN ranking r ON r.id = j.ranking_id
        WHERE a.project_id = %s AND {whose} AND j.verdict IN ('prefer', 'tie')
        """,
        [models, models, *chosen_params, project.pk, *whose_params],
        {name: pa.int64() for name in ("prompt", "annotator", "first", "second", "first_model", "second_model")}
        | {"won": pa.float64(), "ranked": pa.int64()},
        using=using,
    )
    order = np.lexsort((found["second"], found["first"], found["annotator"], found["prompt"]))
    return Comparisons(**{name: column[order] for name, column in found.items()}, models=models)
