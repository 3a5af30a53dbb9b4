"""The templates of a project, by version: what judges are asked, how reasons are asked for, what system messages are
drawn from; writing the next one.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from annotation import phrasing
from annotation.access import account_of, project_for
from annotation.errors import Refused
from annotation.guiding import Piece, difference
from annotation.models import Project, Role
from annotation.phrasing import KINDS, PARTS, Version
from annotation.template_forms import TemplateForm


@login_required
@require_safe
def templates(request: HttpRequest, slug: str) -> HttpResponse:
    """Every kind, each template with its newest version."""
    project = project_for(request.user, slug, role=Role.LEAD)
    kinds = [(kind, words, _rows(project, kind)) for kind, words in KINDS.items()]
    return render(request, "templates/list.html", {"project": project, "section": "runs", "kinds": kinds})


def _rows(project: Project, kind: str) -> list[tuple[Version, int]]:
    """The newest versions, each with how often it was used."""
    used = phrasing.uses_of(project=project, kind=kind)
    return [(one, used.get(one.label, 0)) for one in phrasing.newest_of(project=project, kind=kind)]


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def template_new(request: HttpRequest, slug: str, kind: str) -> HttpResponse:
    """A template under a name of its own."""
    project = project_for(request.user, slug, role=Role.LEAD)
    _known(kind)
    form = TemplateForm(request.POST if request.method == "POST" else None, kind=kind)
    if form.is_bound and form.is_valid():
        done = _publish(request, project, form, name=form.cleaned_data["name"], is_new=True)
        if done:
            return done
    context = {"project": project, "section": "runs", "kind": kind, "words": KINDS[kind], "form": form}
    return render(request, "templates/new.html", context, status=422 if form.is_bound else 200)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def template(request: HttpRequest, slug: str, kind: str, name: str) -> HttpResponse:
    """One template: a version of it, what it changed, its history, and the form for the next one."""
    project = project_for(request.user, slug, role=Role.LEAD)
    _known(kind)
    versions = phrasing.versions_of(project=project, kind=kind, name=name)
    if not versions:
        raise Http404
    form = TemplateForm(request.POST if request.method == "POST" else None, kind=kind, base=versions[0])
    if form.is_bound and form.is_valid():
        done = _publish(request, project, form, name=name)
        if done:
            return done
    context = _shown(request, project, kind, versions) | {"form": form}
    return render(request, "templates/template.html", context, status=422 if form.is_bound else 200)


def _known(kind: str) -> None:
    if kind not in KINDS:
        raise Http404


def _publish(
    request: HttpRequest, project: Project, form: TemplateForm, *, name: str, is_new: bool = False
) -> HttpResponse | None:
    """None: it was refused, and the form says why."""
    try:
        row = phrasing.publish(
            project=project, kind=form.kind, name=name, parts=form.parts(), is_new=is_new, actor=account_of(request)
        )
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return None
    messages.success(request, f"Version {row.version} of {row.name} is written. New runs use it.")
    return redirect("template", project.slug, form.kind, row.name)


def _shown(request: HttpRequest, project: Project, kind: str, versions: list[Version]) -> dict[str, Any]:
    asked = request.GET.get("version", "")
    shown = versions[0] if not asked else next((one for one in versions if str(one.number) == asked), None)
    if shown is None:
        raise Http404
    earlier = next((one for one in versions if one.number < shown.number), None)
    used = phrasing.uses_of(project=project, kind=kind)
    return {
        "project": project,
        "section": "runs",
        "kind": kind,
        "words": KINDS[kind],
        "shown": shown,
        "newest": versions[0],
        "versions": [(one, KINDS[kind].count(used.get(one.label, 0))) for one in versions],
        "uses": KINDS[kind].uses(used.get(shown.label, 0)),
        "earlier": earlier,
        "changes": _changes(earlier, shown) if earlier else [],
    }


def _changes(earlier: Version, shown: Version) -> list[tuple[str, list[Piece]]]:
    """The parts that differ, each with the way from one to the other."""
    return [
        (title, difference(earlier.parts[part], shown.parts[part]))
        for part, title in PARTS[shown.kind].items()
        if earlier.parts[part] != shown.parts[part]
    ]
