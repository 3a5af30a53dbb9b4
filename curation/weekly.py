"""Agreement week by week and guideline by guideline: did a new guideline help?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import psycopg
from django.db import OperationalError, connection, transaction

from annotation.models import Project
from curation.arrays import TURNED
from curation.metrics.agreement import krippendorff_alpha_of_counts
from curation.metrics.estimates import Estimate

MOST_WEEKS = 12
RESAMPLES = 400
# So many seconds the database may take while somebody waits for the page.
PATIENCE = 8.0

# A pair counts in the week in which it got its last judgement under a guideline version, with all it got under it. The
# database counts how many pairs of a week got the same verdicts: alpha needs no more, and few rows cross however many
# judgements there are. Labels follow the file that a pair came with, as those of every measure do: the weeks and the
# whole are one alpha.
_IS_FIRST = f"(j.strength > 0) <> {TURNED}"
_TALLIES = f"""
WITH said AS (
    SELECT j.guideline_id, max(date_trunc('week', j.created_at, 'UTC')::date - DATE '2000-01-03') AS week,
           count(*) FILTER (WHERE j.verdict = 'prefer' AND {_IS_FIRST}) AS n_first,
           count(*) FILTER (WHERE j.verdict = 'prefer' AND NOT ({_IS_FIRST})) AS n_second,
           count(*) FILTER (WHERE j.verdict = 'tie') AS n_tie,
           count(*) FILTER (WHERE j.verdict = 'both_bad') AS n_both_bad
    FROM judgement j
    JOIN assignment a ON a.id = j.assignment_id
    JOIN pair p ON p.id = a.pair_id
    JOIN annotator n ON n.id = j.annotator_id
    WHERE a.project_id = %s AND j.is_current AND j.verdict <> 'skip' AND n.kind = 'person' AND p.excluded_at IS NULL
    GROUP BY a.pair_id, j.guideline_id)
SELECT week, coalesce(g.version, 0) AS version, n_first, n_second, n_tie, n_both_bad, count(*)
FROM said LEFT JOIN guideline g ON g.id = said.guideline_id
GROUP BY week, version, n_first, n_second, n_tie, n_both_bad
ORDER BY week, version, n_first, n_second, n_tie, n_both_bad
"""
_FIRST_MONDAY = date(2000, 1, 3).toordinal()


@dataclass(frozen=True)
class Week:
    """Krippendorff's alpha (nominal) of the pairs that were finished in one week under one guideline version."""

    monday: date
    # The guideline's version; 0: judged without one, or with an unknown one.
    version: int
    alpha: Estimate

    def as_json(self) -> dict[str, Any]:
        return {"monday": self.monday.isoformat(), "version": self.version, "alpha": self.alpha.as_json()}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Week:
        alpha = stored["alpha"]
        found = Estimate.undefined(alpha["reason"], n=alpha["n"]) if alpha["value"] is None else Estimate(**alpha)
        return cls(date.fromisoformat(stored["monday"]), stored["version"], found)


class TooSlow(Exception):
    """The database took longer than it may."""


def agreement_by_week(project: Project, *, patience: float | None = None) -> list[Week]:
    """The last weeks with judgements, oldest first; within a week by guideline version.

    `patience`: how many seconds the database may take; None: as many as it does. Memory: a row for each different set
    of verdicts of each week.

    Raises:
        TooSlow: nobody should wait for it.
    """
    kinds = np.array(_tallies(project, patience), dtype=np.int64).reshape(-1, 7)
    weeks = sorted(set(zip(kinds[:, 0].tolist(), kinds[:, 1].tolist(), strict=True)))
    rng = np.random.default_rng(project.seed)
    result = []
    for day, version in weeks[-MOST_WEEKS:]:
        mine = kinds[(kinds[:, 0] == day) & (kinds[:, 1] == version)]
        alpha = krippendorff_alpha_of_counts(mine[:, 2:6], times=mine[:, 6], rng=rng, resamples=RESAMPLES)
        result.append(Week(monday=date.fromordinal(_FIRST_MONDAY + day), version=version, alpha=alpha))
    return result


def _tallies(project: Project, patience: float | None = None) -> list[tuple[int, ...]]:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            # What is grouped of a million pairs would spill to disk.
            settings = "SELECT set_config('statement_timeout', %s, true), set_config('work_mem', '64MB', true)"
            cursor.execute(settings, [str(round(1000 * (patience or 0)))])
            cursor.execute(_TALLIES, [project.pk])
            found: list[tuple[int, ...]] = cursor.fetchall()
            cursor.execute("SELECT set_config('statement_timeout', '0', true)")
            return found
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.QueryCanceled):
            raise
        raise TooSlow from error
