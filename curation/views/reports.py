"""The reports of a project: what was measured, in words first."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from annotation import access, running
from annotation.models import Role, Run
from curation.measuring import DiscretionRequest
from curation.measuring.discretion import MINIMA
from curation.reports import discretion as report
from curation.reports.supremacy import PEOPLE
from curation.reports.words import percent


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def discretion(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    runs = project.runs.filter(kind=Run.Kind.MEASUREMENT, parameters__measure=DiscretionRequest.measure)
    if request.method == "POST":
        if not runs.unfinished().exists():
            asked = DiscretionRequest().as_parameters()
            actor = access.account_of(request)
            running.request_run(project=project, kind=Run.Kind.MEASUREMENT, parameters=asked, actor=actor)
        return redirect("discretion", slug=project.slug)
    try:
        minimum, picked, pin = _asked(request)
    except ValueError:
        return HttpResponseBadRequest("The address of this report is not whole: min is 1 to 5, pin two numbers.")
    run = report.latest_run(project)
    last = runs.order_by("-id").first()
    context: dict[str, Any] = {
        "project": project,
        "section": "discretion",
        "all": None,
        "unfinished": last if last and not last.is_final else None,
        "failed": last if last and last.state == Run.State.FAILED else None,
    }
    if run is not None:
        found = report.report(run=run, minimum=minimum, subject=request.GET.get("of", PEOPLE), picked=picked, pin=pin)
        context |= {"all": found, "counted_at": run.finished_at, **_lead(found)}
    return TemplateResponse(request, "reports/discretion.html", context)


def _asked(request: HttpRequest) -> tuple[int, int, tuple[int, int] | None]:
    """The least number of relevant principles, the principle of the table, and the pinned cell of the address."""
    minimum = int(request.GET.get("min") or 1)
    if minimum not in MINIMA:
        raise ValueError(minimum)
    first, comma, second = request.GET.get("pin", "").partition(",")
    return minimum, int(request.GET.get("principle") or 0), (int(first), int(second)) if comma else None


def _lead(found: report.Report) -> dict[str, Any]:
    """The sentence and the bar at the head of the page."""
    pairs = found.run.result["pairs"]
    people = found.people if found.people and found.people["value"] is not None else None
    parts = [("f-con", found.counts["consensus"]), ("f-cnf", found.counts["conflict"])]
    parts += [("f-ind", found.counts["indifference"])]
    if people:
        # The hatched part of consensus is the second half of the sentence.
        held = found.counts["consensus"] * (1 - people["value"])
        parts[:1] = [("f-con", held), ("f-against", found.counts["consensus"] - held)]
    bar, at = [], 0.0
    for look, size in parts:
        width = 100 * size / pairs
        bar.append({"look": look, "x": f"{at:.3f}", "width": f"{width:.3f}"})
        at += width
    shares = {name: percent(one["value"]) for name, one in found.shares.items()}
    if not people:
        return {**shares, "bar": bar}
    ends = f"{percent(people['low'])}–{percent(people['high'])}" if people["low"] is not None else ""
    return {**shares, "bar": bar, "against": percent(people["value"]), "against_interval": ends}
