"""Agreement in parts: under each version of the guideline, week by week, and of the commonest tags and sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from django.db import connection

from annotation.models import Project
from annotation.running import Hold
from curation import arrays
from curation.criteria import Criterion
from curation.measuring.request import Request
from curation.metrics.agreement import krippendorff_alpha, percent_agreement
from curation.metrics.labels import Labels

MOST_VERSIONS = 12
MOST_WEEKS = 26
# Of tags and of sources, those on the most pairs.
MOST_NAMES = 8

_COMMONEST = {
    "tag": "SELECT t, count(*) FROM pair p JOIN prompt q ON q.id = p.prompt_id, unnest(p.tags || q.tags) t "
    "WHERE p.project_id = %s AND p.excluded_at IS NULL GROUP BY t ORDER BY 2 DESC, 1 LIMIT %s",
    "source": "SELECT p.source, count(*) FROM pair p WHERE p.project_id = %s AND p.excluded_at IS NULL "
    "AND p.source <> '' GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %s",
}

Parts = dict[str, list[dict[str, Any]]]


def parts(hold: Hold, project: Project, asked: Request) -> Parts:
    """For each way to part the judgements its parts: `key`, `judgements`, `alpha` and `percent` as estimates.

    A version has the judgements that were given under it; a week the pairs that got their last judgement in it, with
    all of theirs; a tag and a source the pairs that have it. Versions and weeks stand in their order, names by how many
    pairs they have. One version, one source are no parts: the whole says it.
    """
    judged = arrays.judged(project=project, voices=asked.voices, where=asked.where)
    labels, kept = judged.labels()
    version, week = judged.guideline[kept], judged.week[kept]
    last = np.zeros(labels.n_items, dtype=np.int64)
    np.maximum.at(last, labels.item, week)
    last_of = last[labels.item]
    versions = np.unique(version[version > 0]).tolist()[-MOST_VERSIONS:]
    weeks = np.unique(last_of).tolist()[-MOST_WEEKS:]
    found: Parts = {"guideline": [], "week": [], "tag": [], "source": []}
    for key in versions if len(versions) > 1 or (version == 0).any() else []:
        found["guideline"].append(_part(hold, asked, int(key), labels.keep(version == key)))
    for key in weeks if len(weeks) > 1 else []:
        found["week"].append(_part(hold, asked, int(key), labels.keep(last_of == key)))
    for field in _COMMONEST:
        names = list(_commonest(project, field))
        for name in names if field == "tag" or len(names) > 1 else []:
            where = (*asked.where, Criterion(field, "=", name))
            found[field].append(
                _part(hold, asked, name, arrays.judgement_labels(project=project, voices=asked.voices, where=where))
            )
    return found


def _commonest(project: Project, field: str) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(_COMMONEST[field], [project.pk, MOST_NAMES])
        rows: Sequence[tuple[str, int]] = cursor.fetchall()
    return (str(name) for name, _ in rows)


def _part(hold: Hold, asked: Request, key: int | str, labels: Labels) -> dict[str, Any]:
    hold.beat()
    rng = np.random.default_rng(hold.run.seed) if asked.bootstrap else None
    return {
        "key": key,
        "judgements": len(labels),
        "alpha": krippendorff_alpha(labels, level="nominal", rng=rng, resamples=asked.bootstrap).as_json(),
        "percent": percent_agreement(labels, rng=rng, resamples=asked.bootstrap).as_json(),
    }
