"""Judgements -> measurements: runs that measure, and what they found."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from django.db.models import QuerySet

from annotation.errors import Refused
from annotation.models import Annotator, Project, Run, User
from annotation.recording import record
from annotation.running import Hold
from curation import arrays
from curation.inline import run_here
from curation.metrics import METRICS
from curation.metrics.agreement import agreeing_pairs, item_agreement, item_entropy, joint_tables, kappa_of_table
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels
from curation.models import Measurement
from curation.selecting import Criterion, Voices, from_json

AGREEMENT = "agreement"
# What `measure` can be asked for, by name.
MEASURES = (AGREEMENT,)

# Below this many common pairs, kappa is left undefined: its interval would span most of the scale.
LEAST_COMMON = 30
MOST_RESAMPLES = 100_000
BEAT_EVERY = 5.0

_NOMINAL = ("alpha_nominal", "percent_agreement", "percent_agreement_without_ties")
NO_STRENGTHS = "The strength of no preference is known: the scale had none, or the file did not say."


@dataclass(frozen=True)
class AgreementRequest:
    """What a run measures: kept in its parameters, so that the run can be repeated."""

    voices: Voices = field(default_factory=Voices)
    where: tuple[Criterion, ...] = ()
    bootstrap: int = 1000
    least_common: int = LEAST_COMMON

    @property
    def is_whole(self) -> bool:
        """Nothing was left out: the project's own figure, which its pages show."""
        return self.voices == Voices() and not self.where

    def __post_init__(self) -> None:
        if not 0 <= self.bootstrap <= MOST_RESAMPLES:
            raise Refused(f"The bootstrap takes 0 to {MOST_RESAMPLES} resamples, not {self.bootstrap}.")
        if self.least_common < 1:
            raise Refused(f"Kappa needs at least 1 common pair, not {self.least_common}.")

    @classmethod
    def from_parameters(cls, parameters: dict[str, Any]) -> AgreementRequest:
        """What `as_parameters` gave. A key that is missing has its default."""
        usual = cls()
        return cls(
            voices=Voices(kind=parameters.get("kind", "person"), prefixes=tuple(parameters.get("annotators", ()))),
            where=tuple(from_json(parameters.get("where", []))),
            bootstrap=parameters.get("bootstrap", usual.bootstrap),
            least_common=parameters.get("least_common", usual.least_common),
        )

    def as_parameters(self) -> dict[str, Any]:
        return {
            "measure": AGREEMENT,
            "kind": self.voices.kind,
            "annotators": list(self.voices.prefixes),
            "where": [one.as_json() for one in self.where],
            "bootstrap": self.bootstrap,
            "least_common": self.least_common,
            "whole": self.is_whole,
        }


def measure_agreement(
    *,
    project: Project,
    actor: User | None = None,
    command: str = "",
    people_only: bool = True,
    voices: Voices | None = None,
    where: Sequence[Criterion] = (),
    bootstrap: int = 1000,
    seed: int = 0,
    least_common: int = LEAST_COMMON,
) -> Run:
    """Measure how far annotators agree, now, and store it as measurements of a finished run.

    Stored are alpha (nominal; ordinal where strengths are known), percent agreement with ties kept and dropped, Cohen's
    kappa for every two annotators with a common pair, and for every judged pair its agreement and entropy.

    Args:
        project: whose judgements.
        actor, command: who asks: an account, or the command's name.
        people_only: False counts people and judges together, as one crowd.
        voices: whose judgements, in full; replaces `people_only`.
        where: which pairs; those taken out of play stay out unless a criterion speaks of them.
        bootstrap: resamples of pairs for the 95 % intervals; 0 for none.
        seed: of the resampling; the same judgements and seed give the same intervals.
        least_common: how many common pairs kappa needs.

    Raises:
        Refused: an option is out of range.
    """
    asked = AgreementRequest(
        voices=voices or Voices(kind="person" if people_only else "all"),
        where=tuple(where),
        bootstrap=bootstrap,
        least_common=least_common,
    )
    if seed < 0:
        raise Refused(f"The seed is not negative; {seed} is.")
    return run_here(
        project=project,
        kind=Run.Kind.MEASUREMENT,
        parameters=asked.as_parameters(),
        actor=actor,
        command=command or "measure",
        execute=execute,
        seed=seed,
    )


def execute(hold: Hold) -> dict[str, Any]:
    """Do the measurement that a run asks for, and store what was found. Returns the run's result.

    Raises:
        Refused: its parameters are not possible.
        Cancelled, Superseded: as `Hold.beat`.
    """
    run, project = hold.run, hold.run.project
    if project is None or run.parameters.get("measure", AGREEMENT) != AGREEMENT:
        raise Refused(f"{run} does not say what to measure of which project.")
    asked = AgreementRequest.from_parameters(run.parameters)
    rng = np.random.default_rng(run.seed)
    resampling = rng if asked.bootstrap else None
    labels = arrays.judgement_labels(project=project, voices=asked.voices, where=asked.where)
    strengths = arrays.judgement_labels(project=project, level="ordinal", voices=asked.voices, where=asked.where)
    last_beat = time.monotonic()
    found: list[Measurement] = []

    def note(metric: str, estimate: Estimate, **subject: Any) -> None:
        value = None if estimate.reason else estimate.value
        found.append(
            Measurement(
                run=run,
                metric=metric,
                value=value,
                reason=estimate.reason,
                low=estimate.low,
                high=estimate.high,
                n=estimate.n,
                **subject,
            )
        )

    for name in _NOMINAL:
        estimate = METRICS[name].function(labels, rng=resampling, resamples=asked.bootstrap)
        drop = ("tie", "both_bad") if name == "percent_agreement_without_ties" else ()
        agreeing, total = agreeing_pairs(labels, drop=drop)
        note(name, estimate, detail={"agreeing": agreeing, "total": total} if name.startswith("percent") else {})
    note("alpha_ordinal", _alpha_of_strengths(strengths, rng=resampling, resamples=asked.bootstrap))
    for one, other, table in joint_tables(labels):
        if time.monotonic() - last_beat > BEAT_EVERY:
            hold.beat()
            last_beat = time.monotonic()
        estimate = kappa_of_table(table)
        if estimate.n < asked.least_common:
            estimate = Estimate.undefined(f"Fewer than {asked.least_common} common pairs.", n=estimate.n)
        elif estimate.is_defined:
            estimate = kappa_of_table(table, rng=resampling, resamples=asked.bootstrap)
        note("cohen_kappa", estimate, annotator_id=int(labels.annotators[one]), other_id=int(labels.annotators[other]))
    hold.beat()
    with hold.fenced():
        # A run that is done again after its worker died replaces what it had stored.
        Measurement.objects.filter(run=run).delete()
        Measurement.objects.bulk_create(found, batch_size=1000)
        for metric, values in (("item_agreement", item_agreement(labels)), ("item_entropy", item_entropy(labels))):
            arrays.store_pair_values(
                run=run,
                metric=metric,
                pairs=labels.items,
                values=values,
                n=labels.per_item,
                undefined="Fewer than two judgements.",
            )
        record(
            act="measure",
            subject=f"run {run.pk}: {AGREEMENT}",
            actor=run.started_by,
            command="measure",
            project=project,
        )
    return {"pairs": labels.n_items, "judgements": len(labels), "counted": labels.n_annotators}


def _alpha_of_strengths(strengths: Labels, *, rng: np.random.Generator | None, resamples: int) -> Estimate:
    # Ties have a strength on every scale. Alone they say nothing about how strong preferences are.
    if not (strengths.numbers[strengths.value] != 0).any():
        return Estimate.undefined(NO_STRENGTHS)
    estimate: Estimate = METRICS["alpha_ordinal"].function(strengths, rng=rng, resamples=resamples)
    return estimate


def whole_runs(project: Project) -> QuerySet[Run]:
    """The finished measurements of everything that people said in `project`, latest first."""
    return Run.objects.filter(
        project=project, kind=Run.Kind.MEASUREMENT, state=Run.State.DONE, parameters__whole=True
    ).order_by("-finished_at", "-id")


def latest(project: Project, metric: str) -> Measurement | None:
    """The project's own figure for `metric` from its latest finished run; None where it was never measured.

    Raises:
        KeyError: no metric has this name.
    """
    METRICS[metric]
    return (
        Measurement.objects.select_related("run")
        .filter(run__in=whole_runs(project), metric=metric, pair=None, annotator=None, candidate=None)
        .order_by("-run__finished_at", "-run_id")
        .first()
    )


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: `metrics` by name; `cohen_kappa` a list, one entry for every two annotators."""
    rows = run.measurements.filter(pair=None, candidate=None)
    names = dict(Annotator.objects.filter(project=run.project_id).values_list("pk", "name"))
    metrics: dict[str, Any] = {}
    kappas: list[dict[str, Any]] = []
    for row in rows.order_by("id"):
        shown = _shown(row)
        if row.annotator_id is None:
            metrics[row.metric] = shown
        else:
            kappas.append({"first": names[row.annotator_id], "second": names[row.other_id or 0], **shown})
    kappas.sort(key=lambda entry: (entry["first"], entry["second"]))
    asked = {key: run.parameters[key] for key in ("kind", "annotators", "where", "bootstrap", "least_common")}
    return {
        "project": run.project.slug if run.project else "",
        "run": run.pk,
        "code_version": run.code_version,
        "seed": run.seed,
        **asked,
        **run.result,
        "metrics": metrics,
        "cohen_kappa": kappas,
    }


def _shown(row: Measurement) -> dict[str, Any]:
    estimate = (
        Estimate.undefined(row.reason, n=row.n or 0)
        if row.reason is not None
        else Estimate(row.value or 0.0, n=row.n or 0)
    )
    return {**replace(estimate, low=row.low, high=row.high).as_json(), **row.detail}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [
        f"{found['judgements']} judgements of {found['pairs']} pairs by {found['counted']} annotators "
        f"(run {found['run']})."
    ]
    lines += [f"{METRICS[name].title}: {_line(entry)}" for name, entry in found["metrics"].items()]
    kappas = found["cohen_kappa"]
    defined = [one for one in kappas if one["value"] is not None]
    lines += [f"Cohen's kappa, {one['first']} and {one['second']}: {_line(one)}" for one in defined]
    reasons = Counter(one["reason"] for one in kappas if one["value"] is None)
    lines += [
        f"Cohen's kappa, undefined for {count} pairs of annotators: {why}" for why, count in sorted(reasons.items())
    ]
    return "\n".join(lines)


def _line(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return f"undefined. {entry['reason']} (n {entry['n']})"
    interval = f" ({entry['low']:.4f} to {entry['high']:.4f})" if entry["low"] is not None else ""
    counted = f", {entry['agreeing']} of {entry['total']} agree" if "total" in entry else ""
    return f"{entry['value']:.4f}{interval}, n {entry['n']}{counted}"


def as_json(found: dict[str, Any]) -> str:
    return json.dumps(found, ensure_ascii=False, indent=2)
