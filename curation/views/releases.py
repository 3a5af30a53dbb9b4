"""What left the house: the releases of a project, and their files."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from annotation import access
from annotation.models import Project, Role
from annotation.rendering import render_text
from curation import reviewing, shelf
from curation.archiving import archive_of
from curation.forms import address_of
from curation.models import Release


@require_safe
@login_required
def releases(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    found = project.releases.select_related("released_by", "selection").defer("manifest", "missed")
    context = {
        "project": project,
        "section": "releases",
        "releases": found.order_by("-created_at", "-id"),
        "counted_at": timezone.now(),
    }
    return TemplateResponse(request, "releases/list.html", context)


def _release_of(project: Project, version: str) -> Release:
    if "\0" in version:
        # No name holds one, and the database refuses to look for it.
        raise Http404
    return get_object_or_404(project.releases.select_related("released_by", "selection"), version=version)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release(request: HttpRequest, slug: str, version: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    found = _release_of(project, version)
    card = shelf.card_of(found)
    before = reviewing.before(found)
    changes, changes_refused = reviewing.changes(before, found) if before and request.GET.get("changes") else ([], "")
    context = {
        "project": project,
        "section": "releases",
        "release": found,
        "files": shelf.files_of(found),
        "splits": shelf.splits_of(found),
        "is_whole": shelf.all_of(found) is not None,
        "card": render_text(card) if card else "",
        "facts": shelf.facts_of(found),
        "steps": shelf.steps_of(found),
        "chosen": found.manifest.get("chosen", found.rows),
        "again": address_of(found.manifest),
        "verified": reviewing.verified(found) if request.method == "POST" else None,
        "before": before,
        "figures": reviewing.figures(before, found) if before else [],
        "changes": changes,
        "changes_refused": changes_refused,
        "counted_at": timezone.now(),
    }
    return TemplateResponse(request, "releases/page.html", context)


@require_safe
@login_required
def release_file(request: HttpRequest, slug: str, version: str, name: str) -> HttpResponseBase:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    found = _release_of(project, version)
    path = shelf.path_of(found, name)
    if path is None:
        raise Http404
    return FileResponse(path.open("rb"), as_attachment=True, filename=path.name)


@require_safe
@login_required
def release_archive(request: HttpRequest, slug: str, version: str) -> HttpResponseBase:
    """The whole folder in one archive, made while it is sent."""
    return archive_of(_release_of(access.project_for(request.user, slug, role=Role.LEAD), version))
