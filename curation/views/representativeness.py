"""The report of representativeness, and asking for it with a target."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from annotation import access
from annotation.models import Project, Role, Run
from annotation.models.runs import RunQuerySet
from curation.forms import TargetForm
from curation.measuring import RepresentativenessRequest, request_measurement
from curation.models import Declared
from curation.reports import representativeness as report


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def representativeness(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    if request.method != "POST":
        return _page(request, project, None)
    form = TargetForm(request.POST)
    if not form.is_valid():
        return _page(request, project, form)
    request_measurement(project=project, asked=form.cleaned_data["target"], actor=access.account_of(request))
    return redirect("representativeness", slug=project.slug)


def _runs(project: Project) -> RunQuerySet:
    measure = RepresentativenessRequest.measure
    found: RunQuerySet = project.runs.filter(kind=Run.Kind.MEASUREMENT, parameters__measure=measure)
    return found


def _page(request: HttpRequest, project: Project, form: TargetForm | None) -> HttpResponse:
    run, last = report.latest_run(project), _runs(project).order_by("-id").first()
    found = report.report(run=run) if run else None
    context = {
        "project": project,
        "section": "reports",
        "tab": "representativeness",
        "all": found,
        "declared": Declared.objects.filter(annotator__project=project).values("annotator").distinct().count(),
        "form": form or TargetForm(initial={"target": found.target if found else ""}),
        "unfinished": last if last and not last.is_final else None,
        "failed": last if last and last.state == Run.State.FAILED else None,
    }
    return TemplateResponse(request, "reports/representativeness.html", context, status=422 if form else 200)
