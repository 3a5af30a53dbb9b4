"""Where a model's own likelihood goes against what was preferred: in all, by strategy, and by annotator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation.models import Candidate, Project, Run
from curation import arrays
from curation.measuring.preferred import ModelRequest, Preferred
from curation.measuring.storing import as_row
from curation.metrics.difficulty import assessment_misalignment
from curation.metrics.estimates import Estimate
from curation.metrics.people import LEAST_JUDGEMENTS
from curation.models import Measurement

# Strategies with the most pairs.
MOST_STRATEGIES = 20
METRIC = "assessment_misalignment"


def rows(
    run: Run, asked: ModelRequest, chosen: Preferred, *, total: NDArray[np.float64], tokens: NDArray[np.float64]
) -> list[Measurement]:
    """The measurement of all pairs, with those of each strategy in its detail, and one for every annotator.

    Args:
        run, asked, chosen: what is measured, and of which pairs.
        total, tokens: log-probability and number of tokens of the better and the other candidate, (n_pairs, 2).
    """
    assert run.project is not None
    detail = {"by_strategy": _by_strategy(run.project, chosen, total, tokens)}
    of_all = as_row(run, METRIC, _misaligned(total, tokens), detail=detail)
    return [of_all, *_by_annotator(run, run.project, asked, chosen, total, tokens)]


def _misaligned(total: NDArray[np.float64], tokens: NDArray[np.float64], *, least: int = 1) -> Estimate:
    return assessment_misalignment(total[:, 0], total[:, 1], tokens[:, 0], tokens[:, 1], least=least)


def _by_strategy(
    project: Project, chosen: Preferred, total: NDArray[np.float64], tokens: NDArray[np.float64]
) -> list[dict[str, Any]]:
    """One entry for each strategy, those with the most pairs first; `strategy` has two names where the two differ.

    Empty where no candidate says what made it.
    """
    made = Candidate.objects.filter(prompt__project=project).order_by("strategy")
    names = list(made.values_list("strategy", flat=True).distinct())
    if not any(names):
        return []
    found = arrays.columns(
        """SELECT p.id, array_position(%s::text[], one.strategy::text), array_position(%s::text[], other.strategy::text)
           FROM pair p JOIN candidate one ON one.id = p.first_id JOIN candidate other ON other.id = p.second_id
           WHERE p.project_id = %s""",
        [names, names, project.pk],
        {"pair": pa.int64(), "one": pa.int32(), "other": pa.int32()},
    )
    order = np.argsort(found["pair"])
    at = order[arrays.places_in(found["pair"][order], chosen.pair)]
    both = np.sort(np.column_stack([found["one"][at], found["other"][at]]) - 1, axis=1)
    kinds, kind, counts = np.unique(both, axis=0, return_inverse=True, return_counts=True)
    entries = []
    for place in np.argsort(-counts, kind="stable")[:MOST_STRATEGIES].tolist():
        of = kind.ravel() == place
        who = list(dict.fromkeys(names[code] for code in kinds[place].tolist()))
        entries.append({"strategy": who, **_misaligned(total[of], tokens[of]).as_json()})
    return entries


def _by_annotator(
    run: Run,
    project: Project,
    asked: ModelRequest,
    chosen: Preferred,
    total: NDArray[np.float64],
    tokens: NDArray[np.float64],
) -> list[Measurement]:
    """By what each of them preferred, which need not be what most did."""
    said = arrays.preferences(project=project, voices=asked.voices, where=asked.where)
    place = np.minimum(np.searchsorted(chosen.pair, said.pair), len(chosen) - 1)
    counts = (chosen.pair[place] == said.pair) & ~np.isnan(said.value)
    place, annotator, value = place[counts], said.annotator[counts], said.value[counts]
    with_most = (value > 0) == chosen.first[place]
    # The preferred candidate first, whichever of the two it is.
    own = np.where(with_most[:, None], [0, 1], [1, 0])
    mine, length = (np.take_along_axis(column[place], own, axis=1) for column in (total, tokens))
    return [
        as_row(
            run,
            METRIC,
            _misaligned(mine[annotator == who], length[annotator == who], least=LEAST_JUDGEMENTS),
            annotator_id=who,
        )
        for who in np.unique(annotator).tolist()
    ]
