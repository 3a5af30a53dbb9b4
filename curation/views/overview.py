"""The overview of a project: how far it is, when it will be done, what holds it up."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from annotation import access, founding, running, watching
from annotation.errors import Refused
from annotation.models import Project, Role, User
from curation import measuring
from curation.summary import runs_now, summary, tables


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def overview(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    if request.method == "POST":
        return _act(request, project)
    now = timezone.now()
    if request.headers.get("HX-Request"):
        workers = watching.workers_now([project.pk])
        rows = runs_now(project, is_worker_alive=workers.alive > 0, now=now)
        context = {"project": project, "runs": rows, "workers": workers, "is_fragment": True}
        return TemplateResponse(request, "overview/_runs.html", context)
    found = summary(project=project, now=now)
    context = {"project": project, "section": "overview", "all": found, "counted_at": now, **tables(found)}
    return TemplateResponse(request, "overview/page.html", context)


def _measure(request: HttpRequest, project: Project, actor: User) -> None:
    """Ask for a measurement of the whole; one that waits already is enough."""
    run = measuring.request_measurement(project=project, asked=measuring.AgreementRequest(), actor=actor)
    messages.info(request, f"Run {run.pk} measures agreement; the figures appear here when it is done.")


def _act(request: HttpRequest, project: Project) -> HttpResponse:
    """The page's buttons, each named `do`."""
    assert isinstance(request.user, User)
    act = request.POST.get("do", "")
    try:
        if act in ("pause", "resume", "start"):
            founding.move(project=project, act=act, actor=request.user)
        elif act == "measure":
            _measure(request, project, request.user)
        elif act == "cancel" and 0 < len(request.POST.get("run", "")) <= 18 and request.POST["run"].isdecimal():
            run = access.run_for(request.user, project.slug, int(request.POST["run"]))
            running.cancel_run(run=run, actor=request.user)
        else:
            return HttpResponseBadRequest(
                "This page has no such button. Go back and reload it.", content_type="text/plain"
            )
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("overview", project.slug)
