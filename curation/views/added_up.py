"""The reports of aggregation and of faithfulness, and asking for them."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from annotation import access
from annotation.errors import Refused
from annotation.models import LanguageModel, Project, Role, Run
from curation import measuring
from curation.measuring import AggregationRequest, FaithfulnessRequest
from curation.reports import aggregation as aggregation_report
from curation.reports import faithfulness as faithfulness_report

# Annotators on one page, each with a confusion.
ROWS = 50


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def aggregation(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    context = _context(project, AggregationRequest.measure)
    if request.method == "POST":
        actor = access.account_of(request)
        measuring.request_measurement(project=project, asked=AggregationRequest(), actor=actor)
        return redirect("aggregation_report", slug=project.slug)
    run = aggregation_report.latest_run(project)
    if run is not None:
        found = aggregation_report.report(run=run)
        context |= {"all": found, "page": Paginator(found.annotators, ROWS).get_page(request.GET.get("page"))}
    return TemplateResponse(request, "reports/aggregation.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def faithfulness(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    refusal = ""
    if request.method == "POST":
        try:
            asked = FaithfulnessRequest(model=request.POST.get("model", ""))
            measuring.request_measurement(project=project, asked=asked, actor=access.account_of(request))
            return redirect("faithfulness_report", slug=project.slug)
        except Refused as error:
            refusal = str(error)
    measured = faithfulness_report.latest_runs(project)
    run = measured.get(request.GET.get("model", "")) or next(iter(measured.values()), None)
    context = _context(project, FaithfulnessRequest.measure) | {
        "all": faithfulness_report.report(run) if run else None,
        "measured": list(measured),
        "answering": list(LanguageModel.objects.usable().that_answer().values_list("name", flat=True)),
        "refusal": refusal,
    }
    return TemplateResponse(request, "reports/faithfulness.html", context, status=400 if refusal else 200)


def _context(project: Project, measure: str) -> dict[str, Any]:
    """What both pages show around their figures."""
    last = project.runs.filter(kind=Run.Kind.MEASUREMENT, parameters__measure=measure).order_by("-id").first()
    return {
        "project": project,
        "section": "reports",
        "tab": measure,
        "all": None,
        "unfinished": last if last and not last.is_final else None,
        "failed": last if last and last.state == Run.State.FAILED else None,
    }
