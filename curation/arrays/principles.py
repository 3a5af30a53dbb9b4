"""What principles ask for on each pair, and what annotators prefer there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.arrays.crossing import columns
from curation.criteria import Criterion
from curation.metrics.votes import majority_of_votes
from curation.selecting import chosen_sql
from curation.voices import Voices


@dataclass(frozen=True)
class PrincipleVotes:
    """What each principle asks for on each pair, one row per pair that was asked by at least one principle.

    Attributes:
        pair: pair numbers in ascending order, shape (n_rows,).
        principle: principle numbers in ascending order, shape (n_principles,).
        votes: shape (n_rows, n_principles): 1 where the principle prefers the pair's first candidate, -1 where the
            second, nan where it is indifferent, irrelevant, or was never asked.
    """

    pair: NDArray[np.int64]
    principle: NDArray[np.int64]
    votes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pair)

    def rows_of(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each pair number, -1 where it has none. Shape as `pairs`."""
        if not len(self.pair):
            return np.full(len(pairs), -1)
        place = np.minimum(np.searchsorted(self.pair, pairs), len(self.pair) - 1)
        return np.where(self.pair[place] == pairs, place, -1)


def principle_votes(
    *, project: Project, voices: Voices, where: Sequence[Criterion] = (), using: BaseDatabaseWrapper | None = None
) -> PrincipleVotes:
    """The votes by principle of a project, several voters of one cell joined by majority.

    Votes count that stand alone (imported, of a judge) or belong to a current judgement. Per pair and principle the
    most frequent of first, second and indifferent wins; a tie between them is indifferent (METHODS 1.9).

    Args:
        project: whose pairs.
        voices: whose votes.
        where: which pairs; those taken out of play stay out unless a criterion speaks of them.
        using: another connection than the usual one.
    """
    chosen, chosen_params = chosen_sql(project=project.pk, voices=voices, where=where)
    whose, whose_params = voices.sql(is_without_too=True)
    found = columns(
        f"""
        SELECT x.pair_id, x.principle_id, CASE x.vote WHEN 'first' THEN 1 WHEN 'second' THEN -1 ELSE 0 END AS vote
        FROM principle_vote x JOIN annotator n ON n.id = x.annotator_id
        LEFT JOIN judgement j ON j.id = x.judgement_id
        JOIN (SELECT p.id {chosen}) w ON w.id = x.pair_id
        WHERE {whose}
        """,
        [*chosen_params, *whose_params],
        {"pair": pa.int64(), "principle": pa.int64(), "vote": pa.int8()},
        using=using,
    )
    pairs, row = np.unique(found["pair"], return_inverse=True)
    principles, column = np.unique(found["principle"], return_inverse=True)
    size = {"n_rows": len(pairs), "n_principles": len(principles)}
    return PrincipleVotes(pairs, principles, majority_of_votes(row, column, found["vote"], **size))


@dataclass(frozen=True)
class Preferences:
    """Who prefers what, in long form: one entry per current judgement. All arrays have the shape (n_judgements,).

    Attributes:
        pair, annotator: their numbers.
        is_judge: whether a model judged.
        value: 1 for the pair's first candidate, -1 for the second, nan for a tie, both bad or a skip.
    """

    pair: NDArray[np.int64]
    annotator: NDArray[np.int64]
    is_judge: NDArray[np.bool_]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pair)


def preferences(
    *, project: Project, voices: Voices, where: Sequence[Criterion] = (), using: BaseDatabaseWrapper | None = None
) -> Preferences:
    """The preferences that the current judgements of a project state, ordered by annotator and pair."""
    chosen, chosen_params = chosen_sql(project=project.pk, voices=voices, where=where)
    whose, whose_params = voices.sql()
    found = columns(
        f"""
        SELECT a.pair_id, j.annotator_id, n.kind = 'judge' AS is_judge,
               CASE WHEN j.verdict = 'prefer' THEN sign(j.strength)::int ELSE 0 END AS value
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        JOIN (SELECT p.id {chosen}) w ON w.id = a.pair_id
        WHERE a.project_id = %s AND {whose}
        """,
        [*chosen_params, project.pk, *whose_params],
        {"pair": pa.int64(), "annotator": pa.int64(), "is_judge": pa.bool_(), "value": pa.int64()},
        using=using,
    )
    order = np.lexsort((found["pair"], found["annotator"]))
    value = found["value"].astype(np.float64)
    value[value == 0] = np.nan
    return Preferences(found["pair"][order], found["annotator"][order], found["is_judge"][order], value[order])
