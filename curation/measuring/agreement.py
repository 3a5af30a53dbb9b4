"""How far annotators agree: alpha, percent agreement, kappas, and every pair's own agreement and entropy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from annotation.errors import Refused
from annotation.models import Annotator, Project, Run
from annotation.running import Hold
from curation import arrays, weekly
from curation.measuring.breakdown import parts
from curation.measuring.kappas import LEAST_COMMON, OF_TWO, kappas_of, undefined, weighted_kappas_of
from curation.measuring.request import Request, setting
from curation.measuring.storing import as_row, as_shown, asked_of, replace_all
from curation.metrics import METRICS
from curation.metrics.agreement import agreeing_pairs, conger_kappa, item_agreement, item_entropy
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels
from curation.models import Measurement

BEAT_EVERY = 5.0

# For comparison with published figures, each drawn by the run's seed alone.
_BESIDE = ("gwet_ac1", "fleiss_kappa", "brennan_prediger")
_NOMINAL = ("alpha_nominal", "percent_agreement", "percent_agreement_without_ties")
NO_STRENGTHS = "The strength of no preference is known: the scale had none, or the file did not say."


@dataclass(frozen=True, kw_only=True)
class AgreementRequest(Request):
    """By default what people said."""

    measure: ClassVar[str] = "agreement"

    least_common: int = setting(LEAST_COMMON, says="common pairs that kappa needs")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.least_common < 1:
            raise Refused(f"Kappa needs at least 1 common pair, not {self.least_common}.")


def execute(hold: Hold, project: Project, asked: AgreementRequest) -> dict[str, Any]:
    """Measure how far annotators agree and store it. Returns the run's result.

    Stored are alpha (nominal; ordinal and interval where strengths are known), Gwet's AC1, the kappas of Fleiss, of
    Brennan and Prediger and of Conger, percent agreement with ties kept and dropped, Cohen's kappa for every two
    annotators with enough common pairs (weighted too, where strengths are known), and for every judged pair its
    agreement and entropy. The result carries alpha and percent agreement of the parts: by guideline, week, tag and
    source; how many twos of annotators have no kappa that was stored, by the reason; and the overview's weeks by
    guideline.

    Raises:
        Cancelled, Superseded: as `Hold.beat`.
    """
    run = hold.run
    rng = np.random.default_rng(run.seed)
    resampling = rng if asked.bootstrap else None
    labels = arrays.judgement_labels(project=project, voices=asked.voices, where=asked.where)
    strengths = arrays.judgement_labels(project=project, level="ordinal", voices=asked.voices, where=asked.where)
    found: list[Measurement] = []

    def note(metric: str, estimate: Estimate, **more: Any) -> None:
        found.append(as_row(run, metric, estimate, **more))

    for name in _NOMINAL:
        estimate = METRICS[name].function(labels, rng=resampling, resamples=asked.bootstrap)
        drop = ("tie", "both_bad") if name == "percent_agreement_without_ties" else ()
        agreeing, total = agreeing_pairs(labels, drop=drop)
        note(name, estimate, detail={"agreeing": agreeing, "total": total} if name.startswith("percent") else {})
    note("alpha_ordinal", _of_strengths("alpha_ordinal", strengths, rng=resampling, resamples=asked.bootstrap))
    # Drawn on their own: the intervals of the others stay what they were before these came.
    for name in _BESIDE:
        alone = np.random.default_rng(run.seed) if asked.bootstrap else None
        note(name, METRICS[name].function(labels, rng=alone, resamples=asked.bootstrap))
    note("conger_kappa", conger_kappa(labels))
    alone = np.random.default_rng(run.seed) if asked.bootstrap else None
    note("alpha_interval", _of_strengths("alpha_interval", strengths, rng=alone, resamples=asked.bootstrap))
    kappas = kappas_of(
        run, labels, least=asked.least_common, rng=resampling, resamples=asked.bootstrap, beat=_sometimes(hold)
    )
    found += kappas.rows
    if _is_known(strengths):
        found += weighted_kappas_of(run, strengths, least=asked.least_common)
    by = parts(hold, project, asked)
    with hold.fenced():
        replace_all(hold, found)
        for metric, values in (("item_agreement", item_agreement(labels)), ("item_entropy", item_entropy(labels))):
            arrays.store_pair_values(
                run=run,
                metric=metric,
                pairs=labels.items,
                values=values,
                n=labels.per_item,
                undefined="Fewer than two judgements.",
            )
    # Of everything that people said: for the overview, whose page cannot wait for it where there is very much.
    weeks = weekly.agreement_by_week(project) if run.parameters.get("whole") else []
    return {
        "pairs": labels.n_items,
        "judgements": len(labels),
        "counted": labels.n_annotators,
        "by": by,
        "weeks": [one.as_json() for one in weeks],
        "kappas_left_out": kappas.left_out,
    }


def _sometimes(hold: Hold) -> Callable[[], None]:
    """A beat every BEAT_EVERY seconds, however often it is called."""
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        if time.monotonic() - last > BEAT_EVERY:
            hold.beat()
            last = time.monotonic()

    return beat


def _is_known(strengths: Labels) -> bool:
    """Ties have a strength on every scale. Alone they say nothing about how strong preferences are."""
    return bool((strengths.numbers[strengths.value] != 0).any())


def _of_strengths(name: str, strengths: Labels, *, rng: np.random.Generator | None, resamples: int) -> Estimate:
    if not _is_known(strengths):
        return Estimate.undefined(NO_STRENGTHS)
    estimate: Estimate = METRICS[name].function(strengths, rng=rng, resamples=resamples)
    return estimate


def report(run: Run) -> dict[str, Any]:
    """What a run found, as JSON values: `metrics` by name; each of `OF_TWO` a list with an entry for every two."""
    rows = run.measurements.filter(pair=None, candidate=None)
    names = dict(Annotator.objects.filter(project=run.project_id).values_list("pk", "name"))
    metrics: dict[str, Any] = {}
    kappas: dict[str, list[dict[str, Any]]] = {metric: [] for metric in OF_TWO}
    for row in rows.order_by("id"):
        shown = as_shown(row)
        if row.annotator_id is None:
            metrics[row.metric] = shown
        else:
            entry = {"first": names[row.annotator_id], "second": names[row.other_id or 0], **shown}
            kappas[row.metric].append(entry)
    for entries in kappas.values():
        entries.sort(key=lambda entry: (entry["first"], entry["second"]))
    return {**asked_of(run), "metrics": metrics, **kappas}


def as_text(found: dict[str, Any]) -> str:
    """`report` as lines for a terminal."""
    lines = [
        f"{found['judgements']} judgements of {found['pairs']} pairs by {found['counted']} annotators "
        f"(run {found['run']})."
    ]
    lines += [f"{METRICS[name].title}: {_line(entry)}" for name, entry in found["metrics"].items()]
    for metric in OF_TWO:
        defined = [one for one in found[metric] if one["value"] is not None]
        lines += [f"{METRICS[metric].title}, {one['first']} and {one['second']}: {_line(one)}" for one in defined]
    lines += undefined(found["cohen_kappa"], found.get("kappas_left_out", {}))
    return "\n".join(lines)


def _line(entry: dict[str, Any]) -> str:
    if entry["value"] is None:
        return f"undefined. {entry['reason']} (n {entry['n']})"
    interval = f" ({entry['low']:.4f} to {entry['high']:.4f})" if entry["low"] is not None else ""
    counted = f", {entry['agreeing']} of {entry['total']} agree" if "total" in entry else ""
    return f"{entry['value']:.4f}{interval}, n {entry['n']}{counted}"
