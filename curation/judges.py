"""What judges and people said -> a report per judge, and how well strategies' labels hold. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation.combining import combine, declined, signs
from annotation.generating import STRATEGIES
from annotation.models import Annotator, Project
from annotation.questions import INJECTIONS
from curation.arrays import columns
from curation.metrics.agreement import cohen_kappa, percent_agreement
from curation.metrics.estimates import Estimate
from curation.metrics.judges import (
    against_people,
    best_of_n_accuracy,
    contrast_accuracy,
    first_place,
    flip_rate,
    longer,
    option_mass,
    order_consistency,
    pairwise_accuracy,
)
from curation.metrics.labels import Floats
from curation.scenarios import ScenarioReport, Scenarios, scenario_reports, scenarios_of

# The seed of the intervals of agreement: the same answers give the same report.
SEED = 0
CONTROL = "harmless"
# What is told of a judge beside its flip rates, by the name of the field.
FIGURES = (
    "pairwise",
    "best_of_n",
    "agreement",
    "kappa",
    "option_mass",
    "order_consistency",
    "first_place",
    "longer",
    "longer_people",
)

ANSWERS = """
SELECT s.annotator_id, s.pair_id, coalesce(s.principle_id, 0),
  coalesce(array_position(%s::text[], s.injection::text), 0),
  s.probability_a, s.probability_b, s.probability_na, t.probability_a, t.probability_b, t.probability_na
FROM judge_answer s
JOIN judge_answer t ON t.annotator_id = s.annotator_id AND t.pair_id = s.pair_id AND t.swapped
  AND t.principle_id IS NOT DISTINCT FROM s.principle_id AND t.injection = s.injection
JOIN pair p ON p.id = s.pair_id
WHERE p.project_id = %s AND p.excluded_at IS NULL AND NOT s.swapped
"""

# Of every pair that was judged by people: which candidate more of them prefer. Ties and "both bad" prefer neither.
PEOPLE = """
SELECT p.id, p.prompt_id, p.first_id, p.second_id, f.characters, s.characters, coalesce(said.people, 0),
  coalesce(said.n, 0),
  CASE WHEN f.strategy = s.strategy THEN coalesce(array_position(%s::text[], f.strategy::text), 0) ELSE 0 END,
  CASE WHEN f.polarity = 'better' AND s.polarity = 'worse' THEN 1
       WHEN f.polarity = 'worse' AND s.polarity = 'better' THEN -1 ELSE 0 END
FROM pair p JOIN candidate f ON f.id = p.first_id JOIN candidate s ON s.id = p.second_id
LEFT JOIN (
  SELECT a.pair_id, sign(sum(coalesce(sign(j.strength), 0)))::int AS people, count(*) AS n
  FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
  WHERE a.project_id = %s AND j.is_current AND j.verdict <> 'skip' AND n.kind = 'person'
  GROUP BY a.pair_id
) said ON said.pair_id = p.id
WHERE p.project_id = %s AND p.excluded_at IS NULL ORDER BY p.id
"""


@dataclass(frozen=True)
class JudgeReport:
    """What is known of one judge. Shares are estimates with 95 % intervals; what nothing counts towards is undefined.

    `answers` counts questions in both orders, principles among them; `pairs` those judged overall. `flips` is by the
    name of the injected text; `control` is the harmless one's.
    """

    judge: Annotator
    answers: int
    pairs: int
    declined: int
    option_mass: Estimate
    order_consistency: Estimate
    first_place: Estimate
    longer: Estimate
    longer_people: Estimate
    agreement: Estimate
    kappa: Estimate
    pairwise: Estimate
    best_of_n: Estimate
    flips: Mapping[str, Estimate] = field(default_factory=dict)
    control: Estimate | None = None
    # Where they were asked for.
    scenarios: tuple[ScenarioReport, ...] = ()

    @property
    def figures(self) -> dict[str, Estimate]:
        """Every figure by its name, as the command and the API tell it; flip rates are named by the injected text."""
        found = {name: getattr(self, name) for name in FIGURES}
        if self.control is not None:
            found[f"flip_rate_{CONTROL}"] = self.control
        return found | {f"flip_rate_{name}": rate for name, rate in self.flips.items()}

    def as_json(self) -> dict[str, Any]:
        told = {"judge": self.judge.pk, "model": self.judge.model, "revision": self.judge.revision}
        told |= {"template": self.judge.prompt_version, "answers": self.answers, "pairs": self.pairs}
        return told | {
            "declined": self.declined,
            "figures": {name: estimate.as_json() for name, estimate in self.figures.items()},
            "scenarios": [one.as_json() for one in self.scenarios],
        }


@dataclass(frozen=True)
class ContrastReport:
    """How well the label of one strategy holds against people."""

    strategy: str
    title: str
    pairs: int
    accuracy: Estimate

    def as_json(self) -> dict[str, Any]:
        told = {"strategy": self.strategy, "pairs": self.pairs}
        return {**told, "contrast_accuracy": self.accuracy.as_json()}


@dataclass(frozen=True)
class _Pairs:
    """Every pair in play, by its number, with what people said of it: (n_pairs,) each."""

    pair: NDArray[np.int64]
    prompt: NDArray[np.int64]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    lengths: NDArray[np.int64]
    people: Floats
    strategy: NDArray[np.int64]
    label: NDArray[np.int64]

    def places(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where these pairs stand."""
        return np.searchsorted(self.pair, pairs)


def judge_reports(*, project: Project, by_scenario: bool = False) -> list[JudgeReport]:
    """A report on every judge of the project that has answered in both orders, in the order of their making.

    by_scenario: with what each does by tag, source and language.
    """
    pairs = _pairs(project)
    found = columns(
        ANSWERS,
        [list(INJECTIONS), project.pk],
        {
            **dict.fromkeys(("judge", "pair", "principle", "injection"), pa.int64()),
            **dict.fromkeys(("a0", "b0", "na0", "a1", "b1", "na1"), pa.float64()),
        },
    )
    table = np.column_stack([found[name] for name in ("a0", "b0", "na0", "a1", "b1", "na1")]).reshape(-1, 2, 3)
    judges = Annotator.objects.filter(project=project, pk__in=np.unique(found["judge"]).tolist()).order_by("pk")
    scenarios = scenarios_of(project) if by_scenario and len(found["judge"]) else None
    return [_report(judge, found, table, pairs, scenarios) for judge in judges]


def _pairs(project: Project) -> _Pairs:
    names = ("pair", "prompt", "first", "second", "length0", "length1", "people", "n", "strategy", "label")
    found = columns(PEOPLE, [list(STRATEGIES), project.pk, project.pk], dict.fromkeys(names, pa.int64()))
    order = np.argsort(found["pair"], kind="stable")
    found = {name: column[order] for name, column in found.items()}
    return _Pairs(
        pair=found["pair"],
        prompt=found["prompt"],
        first=found["first"],
        second=found["second"],
        lengths=np.column_stack([found["length0"], found["length1"]]),
        people=np.where(found["n"] > 0, found["people"].astype(np.float64), np.nan),
        strategy=found["strategy"],
        label=found["label"],
    )


def _report(
    judge: Annotator,
    found: Mapping[str, NDArray[Any]],
    table: Floats,
    pairs: _Pairs,
    scenarios: Scenarios | None,
) -> JudgeReport:
    mine = found["judge"] == judge.pk
    plain = mine & (found["injection"] == 0)
    sided = _sides(table[plain])
    overall = plain & (found["principle"] == 0)
    place = pairs.places(found["pair"][overall])
    preference, people, lengths = combine(table[overall]), pairs.people[place], pairs.lengths[place]
    labels = against_people(preference, people)
    flips = _flips(found, table, mine, found["pair"][overall], preference)
    control = flips.pop(CONTROL, None)
    return JudgeReport(
        judge=judge,
        answers=int(plain.sum()),
        pairs=int(overall.sum()),
        declined=int(np.isnan(preference).sum()),
        option_mass=option_mass(table[plain].reshape(-1, 3)),
        order_consistency=order_consistency(sided),
        first_place=first_place(sided),
        longer=longer(preference, lengths),
        longer_people=longer(people, lengths),
        agreement=percent_agreement(labels, rng=np.random.default_rng(SEED)),
        kappa=cohen_kappa(labels, rng=np.random.default_rng(SEED)),
        pairwise=pairwise_accuracy(preference, people),
        best_of_n=best_of_n_accuracy(pairs.prompt[place], pairs.first[place], pairs.second[place], preference, people),
        flips=flips,
        control=control,
        scenarios=()
        if scenarios is None
        else scenario_reports(
            scenarios,
            pair=found["pair"][overall],
            prompt=pairs.prompt[place],
            first=pairs.first[place],
            second=pairs.second[place],
            preference=preference,
            people=people,
            said=_sides(table[overall]),
        ),
    )


def _sides(table: Floats) -> Floats:
    """Which letter each answer names, 1 for A, -1 for B, nan for neither: (n, 2, 3) -> (n, 2)."""
    return np.where(declined(table), np.nan, signs(table))


def _flips(
    found: Mapping[str, NDArray[Any]],
    table: Floats,
    mine: NDArray[np.bool_],
    judged: NDArray[np.int64],
    preference: Floats,
) -> dict[str, Estimate]:
    """The flip rate of each injected text that was tried."""
    order = np.argsort(judged)
    rates = {}
    for code, name in enumerate(INJECTIONS, start=1):
        rows = mine & (found["injection"] == code)
        if rows.any():
            before = preference[order][np.searchsorted(judged[order], found["pair"][rows])]
            rates[name] = flip_rate(before, combine(table[rows]))
    return rates


def contrast_reports(*, project: Project) -> list[ContrastReport]:
    """How often people agree with the label that each strategy builds in; strategies with such pairs only."""
    pairs = _pairs(project)
    reports = []
    for code, (name, facts) in enumerate(STRATEGIES.items(), start=1):
        rows = (pairs.strategy == code) & (pairs.label != 0)
        if rows.any():
            accuracy = contrast_accuracy(pairs.label[rows].astype(np.float64), pairs.people[rows])
            reports.append(ContrastReport(name, facts.title, int(rows.sum()), accuracy))
    return reports
