"""What the judgements of each pair add up to, as soft labels; and who wins, as scores of models and of candidates.

The votes stay as they are: no aggregate replaces them, and every soft label is stored with the votes that it is made
of. Comparisons that follow from a ranking count less each, as `annotation.orders.weight_of` has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from annotation.errors import Refused
from annotation.models import Annotator, Project, Run
from annotation.running import Hold
from curation import arrays
from curation.measuring import crowdlab, scores
from curation.measuring.request import Request, setting
from curation.measuring.scores import from_enough
from curation.measuring.soft_labels import details, labels_of, overall
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import METRICS
from curation.metrics.aggregation import (
    Abilities,
    Aggregate,
    Confusions,
    dawid_skene,
    glad,
    majority_vote,
    one_coin,
)
from curation.metrics.estimates import NO_LABELS
from curation.metrics.labels import Labels
from curation.models import Measurement

# What soft labels can be made by from votes alone. CROWDLAB takes a judge's probabilities besides.
AGGREGATES: dict[str, Callable[[Labels], Aggregate]] = {
    "majority_vote": majority_vote,
    "dawid_skene": dawid_skene,
    "one_coin": one_coin,
    "glad": glad,
}
WAYS = (*AGGREGATES, crowdlab.NAME)
# Fewer labels of an annotator say nothing of their errors; METRICS of people ask for as many items with others.
LEAST_LABELS = 30


@dataclass(frozen=True, kw_only=True)
class AggregationRequest(Request):
    """By default what people said."""

    measure: ClassVar[str] = "aggregation"

    by: str = setting("majority_vote,dawid_skene", says=f"how, with commas between: {', '.join(WAYS)}")
    judge: str = setting("", says="by crowdlab: the judge whose probabilities stand beside the votes")
    least_labels: int = setting(LEAST_LABELS, says="labels or comparisons of an annotator that a reliability needs")
    ridge: float = setting(0.01, says="ridge of the scores; 0 for none")

    def __post_init__(self) -> None:
        super().__post_init__()
        strange = [name for name in self.names if name not in WAYS]
        if strange or not self.names:
            raise Refused(f"Labels add up by {', '.join(WAYS)}, with commas between, not by {self.by!r}.")
        if crowdlab.NAME in self.names and not self.judge:
            raise Refused("CROWDLAB takes a judge's probabilities beside the votes. Name the judge: --set judge=NAME.")
        if self.judge and crowdlab.NAME not in self.names:
            raise Refused("Only CROWDLAB reads what a judge says. Leave judge out, or set by=crowdlab.")
        if self.least_labels < 1:
            raise Refused(f"A reliability needs at least 1 label, not {self.least_labels}.")
        if not 0 <= self.ridge <= 1000:
            raise Refused(f"The ridge is 0 to 1000, not {self.ridge}.")

    @property
    def names(self) -> list[str]:
        """Each once, in the order of the table."""
        asked = {name.strip() for name in self.by.split(",")} - {""}
        return [name for name in WAYS if name in asked] + sorted(asked - {*WAYS})


def execute(hold: Hold, project: Project, asked: AggregationRequest) -> dict[str, Any]:
    """Add up what was said and store it. Returns the run's result.

    Stored are, for each way of adding up that is asked for: of every pair how likely its likeliest answer is, with all
    four probabilities and the votes in its detail; of every annotator how often they are right, with their confusion,
    or how able they are; and for all pairs how sure it is on average. Then Bradley and Terry's scores of the models,
    with intervals over prompts, and of the candidates of prompts with three of them or more; and how reliable each
    annotator is by the crowd's scores.

    Raises:
        Refused: the judge that CROWDLAB is asked for is not there, or has stored no probabilities.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    judged = arrays.judged(project=project, voices=asked.voices, where=asked.where)
    labels = labels_of(judged)
    said = arrays.comparisons(project=project, voices=asked.voices, where=asked.where)
    hold.beat()
    soft: dict[str, Aggregate] = {}
    rows: list[Measurement] = []
    beside_judge: crowdlab.Found | None = None
    for name in asked.names:
        if name == crowdlab.NAME:
            beside_judge = crowdlab.measured(run, project, judged, judge=asked.judge, least=asked.least_labels)
            rows += beside_judge.rows
            continue
        soft[name] = AGGREGATES[name](labels)
        rows.append(overall(run, name, soft[name], labels))
        rows += _annotators(run, name, soft[name], labels, asked)
        hold.beat()
    resampling = np.random.default_rng(run.seed) if asked.bootstrap else None
    rows.append(scores.models(run, said, ridge=asked.ridge, rng=resampling, resamples=asked.bootstrap))
    hold.beat()
    rows += scores.reliabilities(run, said, least=asked.least_labels)
    rows += scores.candidates(hold, said, ridge=asked.ridge)
    with hold.fenced():
        replace_all(hold, rows)
        for name, found in soft.items():
            arrays.store_pair_values(
                run=run,
                metric=name,
                pairs=labels.items,
                values=found.posterior.max(axis=1, initial=0.0),
                n=labels.per_item,
                undefined=NO_LABELS,
                details=details(found, labels),
            )
        if beside_judge is not None:
            crowd = beside_judge.crowd
            arrays.store_pair_values(
                run=run,
                metric=crowdlab.NAME,
                pairs=beside_judge.sides.labels.items,
                values=crowd.posterior.max(axis=1, initial=0.0),
                n=crowd.n,
                undefined=beside_judge.reason,
                details=beside_judge.details(),
            )
    return {
        "pairs": labels.n_items,
        "judgements": len(labels),
        "counted": labels.n_annotators,
        "comparisons": len(said),
        "implied": int((said.ranked > 0).sum()),
        "unnamed": int(((said.first_model < 0) | (said.second_model < 0)).sum()),
    }


# ---- annotators ------------------------------------------------------------------------------------------------------


def _annotators(
    run: Run, name: str, found: Aggregate, labels: Labels, asked: AggregationRequest
) -> Iterator[Measurement]:
    """What is learned of every annotator: how often they are right, or how able they are."""
    if isinstance(found, Confusions):
        values = found.skill
    elif isinstance(found, Abilities):
        values = found.ability
    else:
        return
    given = np.bincount(labels.annotator, minlength=labels.n_annotators)
    for place, number in enumerate(labels.annotators.tolist()):
        estimate = from_enough(float(values[place]), int(given[place]), least=asked.least_labels, of="labels")
        detail = {}
        if isinstance(found, Confusions):
            detail = {
                "confusion": np.round(found.confusion[place], 4).tolist(),
                "weight": np.round(found.weight[place], 2).tolist(),
            }
        yield as_row(run, name, estimate, annotator_id=int(number), detail=detail)


# ---- reading it back -------------------------------------------------------------------------------------------------


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: each way of adding up, every annotator, and the models, best first."""
    known = {one.pk: one for one in Annotator.objects.filter(project=run.project_id)}
    soft: dict[str, Any] = {}
    entries: dict[int, dict[str, Any]] = {}
    for row in run.measurements.filter(pair=None, candidate=None).order_by("id"):
        if row.annotator_id is None:
            soft[row.metric] = as_shown(row)
            continue
        who = known[row.annotator_id]
        entry = entries.setdefault(who.pk, {"annotator": who.name, "kind": who.kind})
        entry[row.metric] = as_shown(row)
    models = soft.pop("bradley_terry")
    candidates = run.measurements.filter(metric="bradley_terry").exclude(candidate=None).count()
    return {
        **asked_of(run),
        "soft": soft,
        "annotators": list(entries.values()),
        "models": models,
        "candidates": candidates,
    }


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [
        f"{found['judgements']} judgements of {found['pairs']} pairs by {found['counted']} annotators "
        f"(run {found['run']})."
    ]
    for name, one in found["soft"].items():
        if one["value"] is None:
            lines.append(f"{METRICS[name].title}: undefined. {one['reason']}")
            lines += _beside(one)
            continue
        steps = "" if one.get("has_converged", True) else ", not converged"
        lines.append(
            f"{METRICS[name].title}: {100 * one['value']:.1f} % sure on average, {one['tied']} tied; another answer "
            f"than the majority's on {one['changed']} of {one['clear']} pairs that have one{steps}"
        )
        lines += _beside(one)
    for entry in found["annotators"]:
        said = [f"{METRICS[name].title} {_said(entry[name])}" for name in METRICS if name in entry]
        lines.append(f"{entry['annotator']}: {'; '.join(said)}")
    models = found["models"]
    if models["value"] is None:
        lines.append(f"Models: {models['reason']}")
    else:
        implied = f", {found['implied']} of all that follow from rankings count less each" if found["implied"] else ""
        lines.append(f"Models by {models['n']} comparisons, log odds{implied}:")
        lines += [f"  {one['model']}: {_score(one)}" for one in models["models"]]
    if found["candidates"]:
        lines.append(f"{found['candidates']} candidates have scores of their own within their prompts.")
    return "\n".join(lines)


def _beside(one: dict[str, Any]) -> Iterator[str]:
    """Whose probabilities stand beside the votes, and what was left out."""
    if "judge" in one:
        out = one["left_out"]
        yield (
            f"  with the probabilities of {one['judge']}; left out: {out['pairs_that_choose_neither']} pairs on which "
            f"most votes choose neither, {out['pairs_without_probability']} without a probability, and "
            f"{out['votes_for_neither']} votes for a tie or both bad"
        )


def _said(one: dict[str, Any]) -> str:
    return f"undefined ({one['reason']})" if one["value"] is None else f"{one['value']:.3f} (n {one['n']})"


def _score(one: dict[str, Any]) -> str:
    if one["score"] is None:
        return f"undefined, n {one['n']}"
    ends = f" ({one['low']:.3f} to {one['high']:.3f})" if one["low"] is not None else ""
    return f"{one['score']:.3f}{ends}, n {one['n']}"
