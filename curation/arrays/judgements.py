"""The current judgements of a project, as labels and with what is known of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.arrays.crossing import columns
from curation.arrays.sayings import GOLD, SKIP, STRENGTHS, TURNED, VERDICTS
from curation.criteria import Criterion
from curation.metrics.labels import Labels
from curation.selecting import chosen_sql
from curation.voices import Voices

WEEK_SECONDS = 7 * 24 * 3600
# Weeks begin on a Monday; the first day of the epoch was a Thursday.
_MONDAY = 3 * 24 * 3600


def judgement_labels(
    *,
    project: Project,
    level: Literal["nominal", "ordinal"] = "nominal",
    voices: Voices | None = None,
    where: Sequence[Criterion] = (),
    using: BaseDatabaseWrapper | None = None,
) -> Labels:
    """The current judgements of a project as labels; items are pair numbers, annotators are annotator numbers.

    Args:
        project: whose.
        level: "nominal" gives the verdicts first, second, tie, both_bad; "ordinal" the strengths -3 to 3 (positive
            for the first candidate) of judgements whose strength is known. First is the first of the file that the
            pair came with; of other pairs it is the pair's first.
        voices: whose judgements; by default those of people.
        where: which pairs; those taken out of play stay out unless a criterion speaks of them.
        using: another connection than the usual one.

    Returns:
        One label per judgement. Skips say nothing about the pair and never become labels.
    """
    voices = voices or Voices()
    chosen, chosen_params = chosen_sql(project=project.pk, voices=voices, where=where)
    whose, whose_params = voices.sql()
    if level == "nominal":
        prefers = "CASE WHEN (j.strength > 0) <> w.is_turned THEN 0 ELSE 1 END"
        value = f"CASE j.verdict WHEN 'prefer' THEN {prefers} WHEN 'tie' THEN 2 ELSE 3 END"
        says = "j.verdict <> 'skip'"
        names: NDArray[Any] = np.array(VERDICTS)
    else:
        value = "CASE WHEN w.is_turned THEN -j.strength ELSE j.strength END + 3"
        says, names = "j.strength IS NOT NULL AND j.strength_known", np.array(STRENGTHS)
    found = columns(
        f"""
        SELECT a.pair_id, j.annotator_id, {value} AS value
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        JOIN (SELECT p.id, {TURNED} AS is_turned {chosen}) w ON w.id = a.pair_id
        WHERE a.project_id = %s AND {whose} AND {says}
        """,
        [*chosen_params, project.pk, *whose_params],
        {"pair": pa.int64(), "annotator": pa.int64(), "value": pa.int64()},
        using=using,
    )
    items, item = np.unique(found["pair"], return_inverse=True)
    annotators, annotator = np.unique(found["annotator"], return_inverse=True)
    return Labels(item, annotator, found["value"], items, annotators, names)


@dataclass(frozen=True)
class Judged:
    """What is known of every current judgement. All arrays have the shape (n_judgements,).

    Attributes:
        pair, annotator: their numbers.
        is_judge: whether a model judged.
        says: a code of `VERDICTS`, first and second as the pair has them, or SKIP.
        chose_left: 1 left, 0 right, nan where no candidate was chosen.
        active_ms: milliseconds; nan unknown.
        length_ratio: log2 of length of the pair's first / length of its second; infinite or nan where one is empty.
        guideline: the version in force; 0 none.
        week: weeks since the Monday before the epoch, UTC.
        gold: the code of the right verdict of a gold pair: what was said when it was made gold, otherwise the label
            that it came with; -1: it is none.
        is_turned: the file had the pair's candidates the other way round.
    """

    pair: NDArray[np.int64]
    annotator: NDArray[np.int64]
    is_judge: NDArray[np.bool_]
    says: NDArray[np.int8]
    chose_left: NDArray[np.float64]
    active_ms: NDArray[np.float64]
    length_ratio: NDArray[np.float64]
    guideline: NDArray[np.int32]
    week: NDArray[np.int32]
    gold: NDArray[np.int8]
    is_turned: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pair)

    def take(self, rows: NDArray[Any]) -> Judged:
        return Judged(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    @property
    def is_decided(self) -> NDArray[np.bool_]:
        """It says something of its pair."""
        decided: NDArray[np.bool_] = self.says != SKIP
        return decided

    def labels(self) -> tuple[Labels, NDArray[np.int64]]:
        """The judgements as `judgement_labels` gives them, and which of them each label is."""
        kept = np.flatnonzero(self.is_decided)
        value = self.says[kept].astype(np.int64)
        value = np.where(self.is_turned[kept] & (value < 2), 1 - value, value)
        items, item = np.unique(self.pair[kept], return_inverse=True)
        annotators, annotator = np.unique(self.annotator[kept], return_inverse=True)
        return Labels(item, annotator, value, items, annotators, np.array(VERDICTS)), kept


def judged(
    *, project: Project, voices: Voices, where: Sequence[Criterion] = (), using: BaseDatabaseWrapper | None = None
) -> Judged:
    """What is known of the current judgements of a project, ordered by annotator and pair. About 70 bytes each."""
    chosen, chosen_params = chosen_sql(project=project.pk, voices=voices, where=where)
    whose, whose_params = voices.sql()
    codes = "WHEN 'first' THEN 0 WHEN 'second' THEN 1 WHEN 'tie' THEN 2"
    gold = f"CASE WHEN p.is_gold THEN CASE {GOLD} {codes} ELSE -1 END ELSE -1 END"
    types: dict[str, pa.DataType] = {"pair": pa.int64(), "annotator": pa.int64(), "is_judge": pa.bool_()}
    types |= {"says": pa.int8(), "chose_left": pa.float64(), "active_ms": pa.float64(), "first_length": pa.float64()}
    types |= {"second_length": pa.float64(), "guideline": pa.int32(), "week": pa.int32(), "gold": pa.int8()}
    found = columns(
        f"""
        SELECT a.pair_id, j.annotator_id, n.kind = 'judge',
               CASE j.verdict WHEN 'prefer' THEN CASE WHEN j.strength > 0 THEN 0 ELSE 1 END
                              WHEN 'tie' THEN 2 WHEN 'both_bad' THEN 3 ELSE {SKIP} END,
               CASE WHEN j.verdict = 'prefer' THEN ((j.strength > 0) <> j.swapped)::int::float8 END,
               j.active_ms::float8, one.characters::float8, other.characters::float8, g.version,
               floor((extract(epoch FROM j.created_at) + {_MONDAY}) / {WEEK_SECONDS}), w.gold, w.is_turned
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        JOIN (SELECT p.id, p.first_id, p.second_id, {gold} AS gold, {TURNED} AS is_turned
              {chosen}) w ON w.id = a.pair_id
        JOIN candidate one ON one.id = w.first_id JOIN candidate other ON other.id = w.second_id
        LEFT JOIN guideline g ON g.id = j.guideline_id
        WHERE a.project_id = %s AND {whose}
        """,
        [*chosen_params, project.pk, *whose_params],
        {**types, "is_turned": pa.bool_()},
        using=using,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        found["length_ratio"] = np.log2(found.pop("first_length") / found.pop("second_length"))
    order = np.lexsort((found["pair"], found["annotator"]))
    return Judged(**{name: column[order] for name, column in found.items()})
