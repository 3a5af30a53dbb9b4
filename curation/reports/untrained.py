"""What models say of the pairs without any training: margins, and where they go against what was preferred.

Everything is read from the latest finished run of each measure and model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.models import Project, Run
from curation.measuring import margins, rewards, whole_runs
from curation.measuring.margins import strategy_in_words
from curation.metrics import METRICS
from curation.reports.estimates import SHARES, Axis, Line, line
from curation.reports.words import number

# Models whose latest runs are shown, and people of each.
MOST_MODELS = 6
MOST_PEOPLE = 20


@dataclass(frozen=True)
class Margin:
    """The margins of one run: the middle, the quartiles around it, and their unit."""

    title: str
    model: str
    revision: str
    is_toy: bool
    pairs: int
    median: str
    quartiles: str
    unit: str
    run: Run


@dataclass(frozen=True)
class Apart:
    """The shares of one model by strategy and by annotator."""

    model: str
    strategies: list[Line]
    people: list[Line]
    more: int


@dataclass(frozen=True)
class Untrained:
    margins: list[Margin]
    against: list[Line]
    apart: list[Apart]
    axis: Axis = SHARES


def untrained(project: Project) -> Untrained:
    """Everything that the page shows; lists are empty where nothing was measured."""
    found = Untrained([], [], [])
    for run in _latest(project, margins.MarginsRequest.measure):
        said = margins.report(run)
        found.margins.extend(
            _margin(run, said, metric, ends, unit="nats") for metric, ends in said["quartiles"].items()
        )
        share = said["assessment_misalignment"]
        found.against.append(line(run.parameters["model"], "finds the other likelier by token", share))
        strategies = [line(strategy_in_words(one["strategy"]), "", one) for one in share.get("by_strategy", [])]
        people = [line(one["annotator"], "", one) for one in said["by_annotator"]]
        if strategies or people:
            more = max(0, len(people) - MOST_PEOPLE)
            found.apart.append(Apart(run.parameters["model"], strategies, people[:MOST_PEOPLE], more))
    for run in _latest(project, rewards.RewardsRequest.measure):
        said = rewards.report(run)
        if said["quartiles"]:
            found.margins.append(_margin(run, said, "reward_margin", said["quartiles"], unit="the model’s own"))
        found.against.append(
            line(run.parameters["model"], "does not reward the better one more", _turned(said["reward_accuracy"]))
        )
    return found


def _latest(project: Project, measure: str) -> list[Run]:
    by_model: dict[str, Run] = {}
    for run in whole_runs(project, measure)[: 5 * MOST_MODELS]:
        run.project = project
        by_model.setdefault(str(run.parameters.get("model", "")), run)
    return list(by_model.values())[:MOST_MODELS]


def _margin(run: Run, said: dict[str, Any], metric: str, ends: list[float], *, unit: str) -> Margin:
    return Margin(
        title=METRICS[metric].title,
        model=run.parameters["model"],
        revision=str(said.get("revision", "")),
        is_toy=bool(said.get("toy")),
        pairs=said["pairs"],
        median=number(ends[2]),
        quartiles=f"{number(ends[1])} to {number(ends[3])}",
        unit=unit,
        run=run,
    )


def _turned(one: dict[str, Any]) -> dict[str, Any]:
    """How often it is not so."""
    if one["value"] is None:
        return one
    return {**one, "value": 1 - one["value"], "low": 1 - one["high"], "high": 1 - one["low"]}
