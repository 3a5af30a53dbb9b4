"""The report of anchoring, and asking for it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from annotation import access
from annotation.models import Role, Run
from curation.measuring import AnchoringRequest, request_measurement
from curation.reports import anchoring as report


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def anchoring(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    runs = project.runs.filter(kind=Run.Kind.MEASUREMENT, parameters__measure=AnchoringRequest.measure)
    if request.method == "POST":
        request_measurement(project=project, asked=AnchoringRequest(), actor=access.account_of(request))
        return redirect("anchoring", slug=project.slug)
    last, run = runs.order_by("-id").first(), report.latest_run(project)
    context: dict[str, Any] = {
        "project": project,
        "section": "reports",
        "tab": "anchoring",
        "all": report.report(run=run) if run else None,
        "unfinished": last if last and not last.is_final else None,
        "failed": last if last and last.state == Run.State.FAILED else None,
    }
    return TemplateResponse(request, "reports/anchoring.html", context)
