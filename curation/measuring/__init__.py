"""Judgements -> measurements: runs that measure, and what they found. One module per measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from annotation.errors import Refused
from annotation.models import Project, Run, User
from annotation.recording import record
from annotation.registering import check_usable
from annotation.running import Hold, check_seed, request_run
from curation.criteria import Criterion
from curation.inline import run_here
from curation.measuring import (
    aggregation,
    agreement,
    anchoring,
    difficulty,
    discretion,
    diversity,
    embeddings,
    faithfulness,
    margins,
    people,
    rationales,
    representativeness,
    rewards,
)
from curation.measuring.aggregation import AggregationRequest
from curation.measuring.agreement import NO_STRENGTHS, AgreementRequest
from curation.measuring.anchoring import AnchoringRequest
from curation.measuring.difficulty import DifficultyRequest
from curation.measuring.discretion import DiscretionRequest
from curation.measuring.diversity import DiversityRequest
from curation.measuring.embeddings import EmbeddingsRequest
from curation.measuring.faithfulness import FaithfulnessRequest
from curation.measuring.kappas import LEAST_COMMON
from curation.measuring.margins import MarginsRequest
from curation.measuring.people import PeopleRequest
from curation.measuring.preferred import ModelRequest
from curation.measuring.rationales import RationalesRequest
from curation.measuring.representativeness import RepresentativenessRequest
from curation.measuring.request import Request, parse_settings
from curation.measuring.rewards import RewardsRequest
from curation.measuring.storing import as_shown, estimate_of, latest, whole_runs
from curation.voices import Voices

__all__ = [
    "LEAST_COMMON",
    "MEASURES",
    "NO_STRENGTHS",
    "AggregationRequest",
    "AgreementRequest",
    "AnchoringRequest",
    "DifficultyRequest",
    "DiscretionRequest",
    "DiversityRequest",
    "EmbeddingsRequest",
    "FaithfulnessRequest",
    "MarginsRequest",
    "PeopleRequest",
    "RationalesRequest",
    "RepresentativenessRequest",
    "Request",
    "RewardsRequest",
    "as_json",
    "as_shown",
    "as_text",
    "estimate_of",
    "execute",
    "latest",
    "measure",
    "measure_agreement",
    "parse_settings",
    "report",
    "request_measurement",
    "whole_runs",
]


@dataclass(frozen=True)
class Measure:
    """What `measure` can be asked for. `execute` stores and returns the run's result; `report` reads it back.

    Without `execute` a worker of the queue `gpu` does it, which may load a model: see workers/tasks.py.
    """

    says: str
    request: type[Request]
    execute: Callable[[Hold, Project, Any], dict[str, Any]] | None
    report: Callable[[Run], dict[str, Any]]
    as_text: Callable[[dict[str, Any]], str]


MEASURES: dict[str, Measure] = {
    "agreement": Measure(
        "how far annotators agree", AgreementRequest, agreement.execute, agreement.report, agreement.as_text
    ),
    "aggregation": Measure(
        "what judgements add up to: soft labels, and scores of models and candidates",
        AggregationRequest,
        aggregation.execute,
        aggregation.report,
        aggregation.as_text,
    ),
    "discretion": Measure(
        "where principles leave a choice, and what annotators do with it",
        DiscretionRequest,
        discretion.execute,
        discretion.report,
        discretion.as_text,
    ),
    "people": Measure(
        "what can be said of every annotator, and from how much",
        PeopleRequest,
        people.execute,
        people.report,
        people.as_text,
    ),
    "anchoring": Measure(
        "what machine reasons change after the lock, against the control",
        AnchoringRequest,
        anchoring.execute,
        anchoring.report,
        anchoring.as_text,
    ),
    "representativeness": Measure(
        "whom the people stand for, against a declared target",
        RepresentativenessRequest,
        representativeness.execute,
        representativeness.report,
        representativeness.as_text,
    ),
    "rationales": Measure(
        "how far what annotators marked agrees",
        RationalesRequest,
        rationales.execute,
        rationales.report,
        rationales.as_text,
    ),
    "diversity": Measure(
        "how different the candidates are, and whether preferences run in circles",
        DiversityRequest,
        diversity.execute,
        diversity.report,
        diversity.as_text,
    ),
    "difficulty": Measure(
        "how hard each pair is for a model that is to be trained: held-out DPO loss",
        DifficultyRequest,
        None,
        difficulty.report,
        difficulty.as_text,
    ),
    "margins": Measure(
        "what a model says of the pairs untrained: margins, misalignment, surprise",
        MarginsRequest,
        None,
        margins.report,
        margins.as_text,
    ),
    "embeddings": Measure(
        "where each pair stands among the others, as a model reads it: for subsets of a release",
        EmbeddingsRequest,
        None,
        embeddings.report,
        embeddings.as_text,
    ),
    "faithfulness": Measure(
        "how far a model's answer rests on what annotators marked and wrote",
        FaithfulnessRequest,
        None,
        faithfulness.report,
        faithfulness.as_text,
    ),
    "rewards": Measure(
        "how much better a reward model finds the better candidate of each pair",
        RewardsRequest,
        None,
        rewards.report,
        rewards.as_text,
    ),
}


def measure(
    *, project: Project, asked: Request, actor: User | None = None, command: str = "measure", seed: int = 0
) -> Run:
    """Measure now, and store what was found as measurements of a finished run.

    Args:
        project: whose judgements.
        asked: what, whose, of which pairs, and how.
        actor, command: who asks: an account, or the command's name.
        seed: of the resampling; the same judgements and seed give the same intervals.

    Raises:
        Refused: an option is out of range.
    """
    return run_here(
        project=project,
        kind=Run.Kind.MEASUREMENT,
        parameters=asked.as_parameters(),
        actor=actor,
        command=command,
        execute=execute,
        seed=seed,
    )


@transaction.atomic
def request_measurement(
    *, project: Project, asked: Request, actor: User | None = None, command: str = "", seed: int = 0
) -> Run:
    """Ask a worker for a measurement. A run like it that waits or works is enough.

    Raises:
        Refused: the seed is out of range; a model is not named or may not be used; the project cannot be measured so.
    """
    check_seed(seed)
    if isinstance(asked, ModelRequest):
        if not asked.model:
            raise Refused(asked.lacks_a_model)
        check_usable(filter(None, [asked.model, getattr(asked, "reference", "")]), rewards=asked.rewards)
    asked.check_in(project)
    # Whoever presses twice asks for one run: the second waits here, and finds the first one's.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    parameters = asked.as_parameters()
    like = project.runs.unfinished().filter(kind=Run.Kind.MEASUREMENT, parameters=parameters, seed=seed).first()
    if like is not None:
        return like
    run = request_run(project=project, kind=Run.Kind.MEASUREMENT, parameters=parameters, actor=actor, seed=seed)
    record(act="measure.request", subject=f"run {run.pk}", actor=actor, command=command, project=project)
    return run


def measure_agreement(
    *,
    project: Project,
    actor: User | None = None,
    command: str = "measure",
    people_only: bool = True,
    voices: Voices | None = None,
    where: Sequence[Criterion] = (),
    bootstrap: int = 1000,
    seed: int = 0,
    least_common: int = LEAST_COMMON,
) -> Run:
    """`measure` for agreement. `people_only` false counts people and judges together; `voices` replaces it in full."""
    asked = AgreementRequest(
        voices=voices or Voices(kind="person" if people_only else "all"),
        where=tuple(where),
        bootstrap=bootstrap,
        least_common=least_common,
    )
    return measure(project=project, asked=asked, actor=actor, command=command, seed=seed)


def _measure_of(run: Run) -> Measure:
    # Runs of the first days did not say what they measure.
    name = run.parameters.get("measure", "agreement")
    if name not in MEASURES:
        raise Refused(f"{run} asks for the measure {name!r}. Known are {', '.join(MEASURES)}.")
    return MEASURES[name]


def execute(hold: Hold) -> dict[str, Any]:
    """Do the measurement that a run asks for, and store what was found. Returns the run's result.

    Raises:
        Refused: its parameters are not possible.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run, project = hold.run, hold.run.project
    if project is None:
        raise Refused(f"{run} does not say what to measure of which project.")
    found = _measure_of(run)
    if found.execute is None:
        raise Refused(f"The measure {run.parameters['measure']} loads a model. A worker of the queue gpu does it.")
    return found.execute(hold, project, found.request.from_parameters(run.parameters))


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values; its shape is the measure's."""
    return _measure_of(run).report(run)


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    return MEASURES[found["measure"]].as_text(found)


def as_json(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, indent=2)
