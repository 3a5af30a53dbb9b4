"""What the database knows of pairs beside their judgements, and by which a release is thinned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.errors import Refused
from annotation.models import Project, Run
from curation.arrays import columns, places_in
from curation.voices import Heard, end


@dataclass(frozen=True)
class Measured:
    """One measured value for each pair, nan where there is none, and the run that measured it. Shape (n_pairs,).

    `model`: for which; empty where the run names none.
    """

    run: int
    model: str
    values: NDArray[np.float64]


def measured(
    *, project: Project, metric: str, model: str, pairs: NDArray[np.int64], run: int | None, using: BaseDatabaseWrapper
) -> Measured:
    """What the latest finished run (or `run`) measured of each pair, for `model` where one is named. `pairs` ascend.

    Raises:
        Refused: nothing was measured.
    """
    with using.cursor() as cursor:
        cursor.execute(
            "SELECT r.id, coalesce(r.parameters ->> 'model', '') FROM run r"
            " WHERE r.project_id = %s AND r.state = 'done' AND (%s::bigint IS NULL OR r.id = %s)"
            " AND (%s::text = '' OR r.parameters ->> 'model' = %s::text)"
            " AND EXISTS (SELECT FROM measurement m WHERE m.run_id = r.id AND m.metric = %s AND m.pair_id IS NOT NULL)"
            " ORDER BY r.id DESC LIMIT 1",
            [project.pk, run, run, model, model, metric],
        )
        latest = cursor.fetchone()
    if latest is None:
        raise Refused(
            f"No finished run has measured {metric}{f' for {model}' if model else ''} of this project's pairs. "
            f"Measure it first: manage.py measure difficulty --project {project.slug} --set model=NAME."
        )
    number, measured_for = latest
    found = columns(
        "SELECT m.pair_id, m.value FROM measurement m WHERE m.run_id = %s AND m.metric = %s AND m.pair_id IS NOT NULL",
        [number, metric],
        {"pair": pa.int64(), "value": pa.float64()},
        using=using,
    )
    values = np.full(len(pairs), np.nan)
    here = np.isin(found["pair"], pairs)
    values[places_in(pairs, found["pair"][here])] = found["value"][here]
    return Measured(run=number, model=measured_for, values=values)


def models_measured(project: Project) -> list[str]:
    """The models for which finished runs have measured how hard the pairs are, by name. One query."""
    runs = project.runs.filter(kind=Run.Kind.MEASUREMENT, state=Run.State.DONE, parameters__measure="difficulty")
    return sorted(set(runs.values_list("parameters__model", flat=True)) - {None, ""})


@dataclass(frozen=True)
class Flagged:
    """Which pairs are flagged as harmful, shape (n_pairs,), and the last judgement that does; 0 where none does."""

    pairs: NDArray[np.bool_]
    through: int


def flagged_harmful(
    *,
    project: Project,
    through: int | None,
    heard: Heard,
    pairs: NDArray[np.int64],
    using: BaseDatabaseWrapper,
) -> Flagged:
    """Which pairs somebody flagged as harmful in a judgement that is current; whoever it was.

    `through`: only by judgements up to this one; None for all. `heard`: which count as current all the same, and which
    do not although their number is lower.
    """
    found = columns(
        """SELECT a.pair_id, max(j.id) FROM judgement j JOIN assignment a ON a.id = j.assignment_id
           WHERE a.project_id = %s AND (j.is_current OR j.id = ANY(%s::bigint[])) AND 'harmful' = ANY(j.flags)
             AND j.id <= %s AND NOT j.id <@ %s::int8multirange GROUP BY a.pair_id""",
        [project.pk, list(heard.stood), end(through), heard.missed.judgement],
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
