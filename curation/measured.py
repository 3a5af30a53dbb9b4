"""Which finished runs the facts read: the latest of each measure of pairs that the board shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from annotation.models import Project, Run
from curation.models import Measurement

# Measurements of a pair that the board reads, by name: the first that a finished run has.
DIFFICULTY_METRICS = ("held_out_loss",)
MARGIN_METRICS = ("log_likelihood_margin", "implicit_reward_margin")
REWARD_METRICS = ("reward_margin",)
UNNAMED = "a model without a name"


@dataclass(frozen=True)
class Measured:
    """{model: run} for difficulty and for the likelihood margin, the latest first; with a run the metric of it.

    `reward` is the latest run of any reward model, which `rewarder` names; it is empty where none measured.
    """

    difficulty: dict[str, tuple[int, str]]
    margin: dict[str, tuple[int, str]]
    reward: tuple[int, str] | None
    rewarder: str

    def shown(self, model: str) -> dict[str, dict[str, Any]]:
        """What a board for `model` goes by: for each measure that it has, model, run and metric.

        Difficulty and margin are of one model, so that neither is read as the other's. Where no difficulty was measured
        for any, the margin is the latest.
        """
        found = {}
        if model in self.difficulty:
            found["difficulty"] = _told(model, self.difficulty[model])
        if not self.difficulty and self.margin:
            model = next(iter(self.margin))
        if model in self.margin:
            found["margin"] = _told(model, self.margin[model])
        if self.reward:
            found["reward"] = _told(self.rewarder, self.reward)
        return found


def _told(model: str, found: tuple[int, str]) -> dict[str, Any]:
    run, metric = found
    return {"model": model, "run": run, "metric": metric}


def measured_of(project: Project) -> Measured:
    """The latest finished runs of a project."""
    runs = Run.objects.filter(project=project, kind=Run.Kind.MEASUREMENT, state=Run.State.DONE)
    difficulty: dict[str, tuple[int, str]] = {}
    margin: dict[str, tuple[int, str]] = {}
    reward: tuple[int, str] | None = None
    rewarder = ""
    for run in runs.order_by("-finished_at", "-pk"):
        model = str(run.parameters.get("model") or UNNAMED)
        of_pairs = Measurement.objects.filter(run=run, pair__isnull=False)
        for name in DIFFICULTY_METRICS:
            if model not in difficulty and of_pairs.filter(metric=name).exists():
                difficulty[model] = (run.pk, name)
        for name in MARGIN_METRICS:
            if model not in margin and of_pairs.filter(metric=name).exists():
                margin[model] = (run.pk, name)
        for name in REWARD_METRICS:
            if reward is None and of_pairs.filter(metric=name).exists():
                reward, rewarder = (run.pk, name), model
    return Measured(difficulty, margin, reward, rewarder)
