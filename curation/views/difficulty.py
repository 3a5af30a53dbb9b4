"""The report of difficulty, and asking for it."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from annotation import access
from annotation.errors import Refused
from annotation.models import LanguageModel, Project, Role, Run
from curation import measuring
from curation.measuring import DifficultyRequest
from curation.measuring.preferred import SAYS
from curation.reports import difficulty as report


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def difficulty(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    refusal = ""
    if request.method == "POST":
        try:
            asked = DifficultyRequest(
                model=request.POST.get("model", ""), preference=request.POST.get("preference", SAYS[0])
            )
            measuring.request_measurement(project=project, asked=asked, actor=access.account_of(request))
            return redirect("difficulty", slug=project.slug)
        except Refused as error:
            refusal = str(error)
    return _page(request, project, refusal)


def _page(request: HttpRequest, project: Project, refusal: str) -> HttpResponse:
    measured = report.latest_runs(project)
    run = measured.get(request.GET.get("model", "")) or next(iter(measured.values()), None)
    runs = project.runs.filter(kind=Run.Kind.MEASUREMENT, parameters__measure=DifficultyRequest.measure)
    last = runs.order_by("-id").first()
    trainable = LanguageModel.objects.usable().filter(backend=LanguageModel.Backend.TRANSFORMERS_LOCAL)
    context = {
        "project": project,
        "section": "reports",
        "tab": "difficulty",
        "all": report.report(run) if run else None,
        "measured": list(measured),
        "trainable": list(trainable.values_list("name", flat=True)),
        "unfinished": last if last and not last.is_final else None,
        "failed": last if last and last.state == Run.State.FAILED else None,
        "refusal": refusal,
    }
    return TemplateResponse(request, "reports/difficulty.html", context, status=400 if refusal else 200)
