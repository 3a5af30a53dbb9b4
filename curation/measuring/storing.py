"""Estimates -> rows: how every measure writes what it found, and reads it back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from django.db.models import QuerySet

from annotation.models import Project, Run
from annotation.recording import record
from annotation.running import Hold
from curation.metrics import METRICS
from curation.metrics.estimates import Estimate
from curation.models import Measurement


def as_row(run: Run, metric: str, estimate: Estimate, **more: Any) -> Measurement:
    """One measurement; `more` names its subject and its detail."""
    return Measurement(
        run=run,
        metric=metric,
        value=estimate.value if estimate.is_defined else None,
        reason=estimate.reason,
        low=estimate.low,
        high=estimate.high,
        n=estimate.n,
        **more,
    )


def replace_all(hold: Hold, found: list[Measurement]) -> None:
    """Write the measurements of a run inside `hold.fenced()`: done again after its worker died, it replaces them."""
    Measurement.objects.filter(run=hold.run).delete()
    Measurement.objects.bulk_create(found, batch_size=1000)
    record(
        act="measure",
        subject=f"run {hold.run.pk}: {hold.run.parameters.get('measure')}",
        actor=hold.run.started_by,
        command="measure",
        project=hold.run.project,
    )


def whole_runs(project: Project, measure: str = "") -> QuerySet[Run]:
    """The finished measurements of everything that was said in `project`, latest first."""
    found = Run.objects.filter(
        project=project, kind=Run.Kind.MEASUREMENT, state=Run.State.DONE, parameters__whole=True
    ).order_by("-finished_at", "-id")
    return found.filter(parameters__measure=measure) if measure else found


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


def estimate_of(row: Measurement) -> Estimate:
    found = (
        Estimate.undefined(row.reason, n=row.n or 0)
        if row.reason is not None
        else Estimate(row.value or 0.0, n=row.n or 0)
    )
    return replace(found, low=row.low, high=row.high)


def as_shown(row: Measurement) -> dict[str, Any]:
    """A measurement as JSON values, its detail among them."""
    return {**estimate_of(row).as_json(), **row.detail}


def quartiles(run: Run, metric: str) -> list[float]:
    """The least value of the pairs of a run, its three quartiles and the largest; empty where none is defined."""
    values = list(run.measurements.filter(metric=metric, value__isnull=False).values_list("value", flat=True))
    if not values:
        return []
    ends = np.quantile(np.array(values, dtype=np.float64), (0, 0.25, 0.5, 0.75, 1))
    return [round(one, 6) for one in ends.tolist()]


def asked_of(run: Run) -> dict[str, Any]:
    """What every report begins with: the run, and everything that decided the outcome."""
    asked = {key: value for key, value in run.parameters.items() if key not in ("measure", "whole", "queue")}
    return {
        "project": run.project.slug if run.project else "",
        "measure": run.parameters.get("measure", ""),
        "run": run.pk,
        "code_version": run.code_version,
        "seed": run.seed,
        **asked,
        **run.result,
    }
