"""Pairs -> the scenarios that they are of, and how a judge does in each of them. Reads only.

RMB reports a judge by scenario and language. Here a pair says of which scenario it is by its tags and its prompt's, and
by its source; a pair may be of several.

Source: Zhou et al., RMB, arXiv 2410.09893.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from django.db import connection
from numpy.typing import NDArray

from annotation.models import Project
from curation.arrays import columns
from curation.metrics.estimates import Estimate
from curation.metrics.judges import best_of_n_accuracy, order_consistency, pairwise_accuracy
from curation.metrics.labels import Codes, Floats

# The ways to part pairs. Of each the names on the most pairs that judges have answered: RMB has 49 scenarios.
WAYS = ("tag", "source", "language")
MOST_NAMES = 60

_PARTS = """
WITH judged AS (
  SELECT DISTINCT s.pair_id AS id FROM judge_answer s JOIN pair p ON p.id = s.pair_id
  WHERE p.project_id = %s AND p.excluded_at IS NULL AND s.principle_id IS NULL AND s.injection = ''
), said AS (
  SELECT p.id, p.source, q.language, p.tags || q.tags AS tags
  FROM judged JOIN pair p ON p.id = judged.id JOIN prompt q ON q.id = p.prompt_id
), part AS (
  SELECT DISTINCT said.id, 'tag' AS way, tag AS name FROM said, unnest(said.tags) tag
  UNION ALL SELECT said.id, 'source', said.source FROM said WHERE said.source <> ''
  UNION ALL SELECT said.id, 'language', said.language FROM said WHERE said.language <> ''
)
"""
_NAMES = f"""{_PARTS}
SELECT way, name FROM (
  SELECT way, name, row_number() OVER (PARTITION BY way ORDER BY count(*) DESC, name) AS place
  FROM part GROUP BY way, name
) counted WHERE place <= %s ORDER BY way, place
"""
_MEMBERS = f"""{_PARTS}
SELECT part.id, array_position(%s::text[], part.way || ':' || part.name) FROM part
WHERE part.way || ':' || part.name = ANY(%s::text[])
"""


@dataclass(frozen=True)
class Scenarios:
    """Which of a project's judged pairs are of which scenario: `names` as (way, name), and (n,) pairs with (n,) places
    in `names`, sorted by place.
    """

    names: Sequence[tuple[str, str]]
    pair: NDArray[np.int64]
    place: NDArray[np.int64]


@dataclass(frozen=True)
class ScenarioReport:
    """One judge in one scenario: the figures of a judge, of the pairs in it. `way` is one of WAYS."""

    way: str
    name: str
    pairs: int
    pairwise: Estimate
    best_of_n: Estimate
    order_consistency: Estimate

    def as_json(self) -> dict[str, Any]:
        figures = ("pairwise", "best_of_n", "order_consistency")
        told = {name: getattr(self, name).as_json() for name in figures}
        return {"way": self.way, "name": self.name, "pairs": self.pairs, "figures": told}


def scenarios_of(project: Project) -> Scenarios:
    """The commonest scenarios of the pairs that judges have answered overall, and which pairs are of them.

    One source or one language for all is no scenario: the whole says it.
    """
    with connection.cursor() as cursor:
        cursor.execute(_NAMES, [project.pk, MOST_NAMES])
        found: list[tuple[str, str]] = [(way, name) for way, name in cursor.fetchall()]
    several = {way for way in WAYS if way == "tag" or sum(one == way for one, _ in found) > 1}
    names = sorted((one for one in found if one[0] in several), key=lambda one: WAYS.index(one[0]))
    keys = [f"{way}:{name}" for way, name in names]
    members = columns(_MEMBERS, [project.pk, keys, keys], {"pair": pa.int64(), "place": pa.int64()})
    order = np.argsort(members["place"], kind="stable")
    # The database counts from 1.
    return Scenarios(names, members["pair"][order], members["place"][order] - 1)


def scenario_reports(
    scenarios: Scenarios,
    *,
    pair: Codes,
    prompt: Codes,
    first: Codes,
    second: Codes,
    preference: Floats,
    people: Floats,
    said: Floats,
) -> tuple[ScenarioReport, ...]:
    """How one judge does in each scenario of which it has answered a pair, in the order of `scenarios`.

    Args:
        pair, prompt, first, second: the numbers of the judge's pairs, of their prompts and candidates, shape (n,).
        preference, people: what the judge and what people prefer, shape (n,), as in curation.metrics.judges.
        said: by order, shape (n, 2), as in `order_consistency`.
    """
    if not len(pair):
        return ()
    order = np.argsort(pair, kind="stable")
    at = np.minimum(np.searchsorted(pair[order], scenarios.pair), len(pair) - 1)
    there = pair[order][at] == scenarios.pair
    row, place = order[at[there]], scenarios.place[there]
    if not len(row):
        return ()
    places, starts = np.unique(place, return_index=True)
    reports = []
    for number, rows in zip(places.tolist(), np.split(row, starts[1:]), strict=True):
        way, name = scenarios.names[number]
        reports.append(
            ScenarioReport(
                way=way,
                name=name,
                pairs=len(rows),
                pairwise=pairwise_accuracy(preference[rows], people[rows]),
                best_of_n=best_of_n_accuracy(prompt[rows], first[rows], second[rows], preference[rows], people[rows]),
                order_consistency=order_consistency(said[rows]),
            )
        )
    return tuple(reports)
