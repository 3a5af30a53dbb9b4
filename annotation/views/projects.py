"""Founding a project and changing its settings."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from annotation.access import account_of, may_found, project_for
from annotation.errors import Refused
from annotation.forms import ProjectForm, SettingsForm
from annotation.founding import MOVES, change_settings, found_project, has_judgements, move
from annotation.models import Role


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def project_new(request: HttpRequest) -> HttpResponse:
    if not may_found(request.user):
        raise Http404
    form = ProjectForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            project = found_project(actor=account_of(request), **form.cleaned_data)
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"{project} is founded. Judging starts when you start it in the settings.")
            return redirect("guideline", project.slug)
    return render(request, "projects/new.html", {"form": form}, status=422 if form.is_bound else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def settings(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, role=Role.LEAD)
    form = SettingsForm(
        request.POST if request.method == "POST" else None, project=project, scale_is_fixed=has_judgements(project)
    )
    if request.method == "POST" and form.is_valid():
        try:
            change_settings(project=project, actor=account_of(request), **form.read())
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, "The settings are saved.")
            return redirect("settings", slug)
    context = {"project": project, "section": "settings", "form": form, "moves": list(MOVES[project.state])}
    return render(request, "projects/settings.html", context, status=422 if form.is_bound else 200)


@login_required
@require_POST
def set_state(request: HttpRequest, slug: str) -> HttpResponse:
    project = project_for(request.user, slug, role=Role.LEAD)
    try:
        project = move(project=project, act=request.POST.get("act", ""), actor=account_of(request))
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"{project} is {project.get_state_display().lower()} now.")
    return redirect("settings", slug)
