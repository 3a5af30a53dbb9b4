"""What the database knows of pairs beside their judgements, and by which a release is thinned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project
from curation.arrays import columns, places_in


@dataclass(frozen=True)
class Measured:
    """One measured value for each pair, nan where there is none, and the run that measured it. Shape (n_pairs,)."""

    run: int
    values: NDArray[np.float64]


def measured(
    *, project: Project, metric: str, pairs: NDArray[np.int64], run: int | None, using: BaseDatabaseWrapper
) -> Measured:
    """What the latest finished run (or `run`) measured of each pair. `pairs` ascend.

    Raises:
        Refused: nothing was measured.
    """
    with using.cursor() as cursor:
        cursor.execute(
            "SELECT max(r.id) FROM run r"
            " WHERE r.project_id = %s AND r.state = 'done' AND (%s::bigint IS NULL OR r.id = %s)"
            " AND EXISTS (SELECT FROM measurement m WHERE m.run_id = r.id AND m.metric = %s AND m.pair_id IS NOT NULL)",
            [project.pk, run, run, metric],
        )
        (latest,) = cursor.fetchone()
    if latest is None:
        raise Refused(f"No finished run has measured {metric} of this project's pairs. Measure it first.")
    found = columns(
        "SELECT m.pair_id, m.value FROM measurement m WHERE m.run_id = %s AND m.metric = %s AND m.pair_id IS NOT NULL",
        [latest, metric],
        {"pair": pa.int64(), "value": pa.float64()},
        using=using,
    )
    values = np.full(len(pairs), np.nan)
    here = np.isin(found["pair"], pairs)
    values[places_in(pairs, found["pair"][here])] = found["value"][here]
    return Measured(run=latest, values=values)


@dataclass(frozen=True)
class Flagged:
    """Which pairs are flagged as harmful, shape (n_pairs,), and the last judgement that does; 0 where none does."""

    pairs: NDArray[np.bool_]
    through: int


def flagged_harmful(
    *, project: Project, through: int | None, pairs: NDArray[np.int64], using: BaseDatabaseWrapper
) -> Flagged:
    """Which pairs somebody flagged as harmful in a judgement that is current; whoever it was.

    `through`: only by judgements up to this one; None for all.
    """
    found = columns(
        """SELECT a.pair_id, max(j.id) FROM judgement j JOIN assignment a ON a.id = j.assignment_id
           WHERE a.project_id = %s AND j.is_current AND 'harmful' = ANY(j.flags) AND j.id <= %s GROUP BY a.pair_id""",
        [project.pk, through if through is not None else 2**63 - 1],
        {"pair": pa.int64(), "judgement": pa.int64()},
        using=using,
    )
    here = np.isin(found["pair"], pairs)
    return Flagged(np.isin(pairs, found["pair"]), int(found["judgement"][here].max(initial=0)))


def tagged(*, project: Project, tag: str, pairs: NDArray[np.int64], using: BaseDatabaseWrapper) -> NDArray[np.bool_]:
    """Which pairs have a tag, of their own or of their prompt. Shape (n_pairs,)."""
    found = columns(
        "SELECT p.id FROM pair p JOIN prompt q ON q.id = p.prompt_id"
        " WHERE p.project_id = %s AND %s = ANY(p.tags || q.tags)",
        [project.pk, tag],
        {"pair": pa.int64()},
        using=using,
    )
    return np.isin(pairs, found["pair"])
