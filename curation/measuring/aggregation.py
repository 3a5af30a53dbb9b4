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
from curation.arrays import Judged
from curation.measuring import scores
from curation.measuring.request import Request, setting
from curation.measuring.scores import from_enough
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
from curation.metrics.estimates import NO_LABELS, Estimate
from curation.metrics.labels import Labels
from curation.models import Measurement

# What soft labels can be made by. CROWDLAB needs a model's probabilities, and is not among them.
AGGREGATES: dict[str, Callable[[Labels], Aggregate]] = {
    "majority_vote": majority_vote,
    "dawid_skene": dawid_skene,
    "one_coin": one_coin,
    "glad": glad,
}
# Fewer labels of an annotator say nothing of their errors; METRICS of people ask for as many items with others.
LEAST_LABELS = 30


@dataclass(frozen=True, kw_only=True)
class AggregationRequest(Request):
    """By default what people said."""

    measure: ClassVar[str] = "aggregation"

    by: str = setting("majority_vote,dawid_skene", says=f"how, with commas between: {', '.join(AGGREGATES)}")
    least_labels: int = setting(LEAST_LABELS, says="labels or comparisons of an annotator that a reliability needs")
    ridge: float = setting(0.01, says="ridge of the scores; 0 for none")

    def __post_init__(self) -> None:
        super().__post_init__()
        strange = [name for name in self.names if name not in AGGREGATES]
        if strange or not self.names:
            raise Refused(f"Labels add up by {', '.join(AGGREGATES)}, with commas between, not by {self.by!r}.")
        if self.least_labels < 1:
            raise Refused(f"A reliability needs at least 1 label, not {self.least_labels}.")
        if not 0 <= self.ridge <= 1000:
            raise Refused(f"The ridge is 0 to 1000, not {self.ridge}.")

    @property
    def names(self) -> list[str]:
        """Each once, in the order of the table."""
        asked = {name.strip() for name in self.by.split(",")} - {""}
        return [name for name in AGGREGATES if name in asked] + sorted(asked - {*AGGREGATES})


def execute(hold: Hold, project: Project, asked: AggregationRequest) -> dict[str, Any]:
    """Add up what was said and store it. Returns the run's result.

    Stored are, for each way of adding up that is asked for: of every pair how likely its likeliest answer is, with all
    four probabilities and the votes in its detail; of every annotator how often they are right, with their confusion,
    or how able they are; and for all pairs how sure it is on average. Then Bradley and Terry's scores of the models,
    with intervals over prompts, and of the candidates of prompts with three of them or more; and how reliable each
    annotator is by the crowd's scores.

    Raises:
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    labels = labels_of(arrays.judged(project=project, voices=asked.voices, where=asked.where))
    said = arrays.comparisons(project=project, voices=asked.voices, where=asked.where)
    hold.beat()
    soft: dict[str, Aggregate] = {}
    rows: list[Measurement] = []
    for name in asked.names:
        soft[name] = AGGREGATES[name](labels)
        rows.append(_overall(run, name, soft[name], labels))
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
                details=_details(found, labels),
            )
    return {
        "pairs": labels.n_items,
        "judgements": len(labels),
        "counted": labels.n_annotators,
        "comparisons": len(said),
        "implied": int((said.ranked > 0).sum()),
        "unnamed": int(((said.first_model < 0) | (said.second_model < 0)).sum()),
    }


# ---- soft labels -----------------------------------------------------------------------------------------------------


def labels_of(judged: Judged) -> Labels:
    """What was said of each pair, first and second as the pair has them: the labels that a release decides by."""
    kept = np.flatnonzero(judged.is_decided)
    items, item = np.unique(judged.pair[kept], return_inverse=True)
    annotators, annotator = np.unique(judged.annotator[kept], return_inverse=True)
    return Labels(item, annotator, judged.says[kept].astype(np.int64), items, annotators, np.array(arrays.VERDICTS))


def _details(found: Aggregate, labels: Labels) -> Iterator[dict[str, Any]]:
    """Of each pair the probabilities and the votes, in the order of `arrays.VERDICTS`."""
    votes, best, tied = labels.counts().tolist(), found.best.tolist(), found.is_tied.tolist()
    for place, row in enumerate(np.round(found.posterior, 6).tolist()):
        yield {
            "best": arrays.VERDICTS[best[place]],
            "tied": tied[place],
            "posterior": row,
            "votes": votes[place],
        }


def _overall(run: Run, name: str, found: Aggregate, labels: Labels) -> Measurement:
    """How likely the likeliest answers are on average, and on how many pairs it is another than the majority's."""
    if found.reason is not None:
        return as_row(run, name, Estimate.undefined(found.reason))
    majority = majority_vote(labels)
    clear = (majority.n > 0) & ~majority.is_tied
    detail: dict[str, Any] = {
        "changed": int((found.best != majority.best)[clear].sum()),
        "clear": int(clear.sum()),
        "tied": int(found.is_tied.sum()),
    }
    if isinstance(found, Confusions | Abilities):
        detail |= {"iterations": found.iterations, "has_converged": found.has_converged}
    if isinstance(found, Confusions):
        detail["prior"] = np.round(found.prior, 6).tolist()
    sure = float(found.posterior[found.n > 0].max(axis=1).mean())
    return as_row(run, name, Estimate(sure, n=int((found.n > 0).sum())), detail=detail)


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
            continue
        steps = "" if one.get("has_converged", True) else ", not converged"
        lines.append(
            f"{METRICS[name].title}: {100 * one['value']:.1f} % sure on average, {one['tied']} tied; another answer "
            f"than the majority's on {one['changed']} of {one['clear']} pairs that have one{steps}"
        )
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


def _said(one: dict[str, Any]) -> str:
    return f"undefined ({one['reason']})" if one["value"] is None else f"{one['value']:.3f} (n {one['n']})"


def _score(one: dict[str, Any]) -> str:
    if one["score"] is None:
        return f"undefined, n {one['n']}"
    ends = f" ({one['low']:.3f} to {one['high']:.3f})" if one["low"] is not None else ""
    return f"{one['score']:.3f}{ends}, n {one['n']}"
