"""Agreement week by week and guideline by guideline: did a new guideline help?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
from django.db import connection

from annotation.models import Project
from curation.arrays import VERDICTS
from curation.metrics.agreement import krippendorff_alpha
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels

# What the page compares on the spot; beyond it the measurement of the whole stands alone.
MOST_JUDGEMENTS = 200_000
MOST_WEEKS = 12
RESAMPLES = 400

# A pair counts in the week in which it got its last judgement under a guideline version, with all it got under it.
_LABELS = """
SELECT a.pair_id, j.annotator_id,
       CASE j.verdict WHEN 'prefer' THEN CASE WHEN j.strength > 0 THEN 0 ELSE 1 END WHEN 'tie' THEN 2 ELSE 3 END,
       max(date_trunc('week', j.created_at, 'UTC')::date - DATE '2000-01-03')
         OVER (PARTITION BY a.pair_id, j.guideline_id),
       coalesce(g.version, 0)
FROM judgement j
JOIN assignment a ON a.id = j.assignment_id
JOIN pair p ON p.id = a.pair_id
JOIN annotator n ON n.id = j.annotator_id
LEFT JOIN guideline g ON g.id = j.guideline_id
WHERE a.project_id = %s AND j.is_current AND j.verdict <> 'skip' AND n.kind = 'person' AND p.excluded_at IS NULL
"""
_FIRST_MONDAY = date(2000, 1, 3).toordinal()


@dataclass(frozen=True)
class Week:
    """Krippendorff's alpha (nominal) of the pairs that were finished in one week under one guideline version."""

    monday: date
    # The guideline's version; 0: judged without one, or with an unknown one.
    version: int
    alpha: Estimate


def agreement_by_week(project: Project) -> list[Week]:
    """The last weeks with judgements, oldest first; within a week by guideline version."""
    with connection.cursor() as cursor:
        cursor.execute(_LABELS, [project.pk])
        pair, annotator_id, verdict, day_of, version_of = np.array(cursor.fetchall(), dtype=np.int64).reshape(-1, 5).T
    weeks = sorted(set(zip(day_of.tolist(), version_of.tolist(), strict=True)))
    rng = np.random.default_rng(project.seed)
    result = []
    for day, version in weeks[-MOST_WEEKS:]:
        rows = (day_of == day) & (version_of == version)
        items, item = np.unique(pair[rows], return_inverse=True)
        annotators, annotator = np.unique(annotator_id[rows], return_inverse=True)
        labels = Labels(item, annotator, verdict[rows], items, annotators, np.array(VERDICTS))
        alpha = krippendorff_alpha(labels, rng=rng, resamples=RESAMPLES)
        result.append(Week(monday=date.fromordinal(_FIRST_MONDAY + day), version=version, alpha=alpha))
    return result
