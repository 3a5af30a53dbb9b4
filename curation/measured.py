"""Which finished runs the facts read: the latest of each measure of pairs that the board shows."""

from __future__ import annotations

from dataclasses import dataclass

from annotation.models import Project, Run
from curation.models import Measurement

# Measurements of a pair that the board reads, by name: the first that a finished run has.
DIFFICULTY_METRICS = ("held_out_loss",)
MARGIN_METRICS = ("log_likelihood_margin", "implicit_reward_margin")
REWARD_METRICS = ("reward_margin",)
UNNAMED = "a model without a name"


@dataclass(frozen=True)
class Measured:
    """{model: run} for difficulty, and one run for each margin; with a run the metric of it.

    `rewarder` names the reward model; it is empty where none measured.
    """

    difficulty: dict[str, tuple[int, str]]
    margin: tuple[int, str] | None
    reward: tuple[int, str] | None
    rewarder: str


def measured_of(project: Project) -> Measured:
    """The latest finished runs of a project."""
    runs = Run.objects.filter(project=project, kind=Run.Kind.MEASUREMENT, state=Run.State.DONE)
    difficulty: dict[str, tuple[int, str]] = {}
    margin: tuple[int, str] | None = None
    reward: tuple[int, str] | None = None
    rewarder = ""
    for run in runs.order_by("-finished_at", "-pk"):
        model = str(run.parameters.get("model") or UNNAMED)
        of_pairs = Measurement.objects.filter(run=run, pair__isnull=False)
        for name in DIFFICULTY_METRICS:
            if model not in difficulty and of_pairs.filter(metric=name).exists():
                difficulty[model] = (run.pk, name)
        for name in MARGIN_METRICS:
            if margin is None and of_pairs.filter(metric=name).exists():
                margin = (run.pk, name)
        for name in REWARD_METRICS:
            if reward is None and of_pairs.filter(metric=name).exists():
                reward, rewarder = (run.pk, name), model
    return Measured(difficulty, margin, reward, rewarder)
