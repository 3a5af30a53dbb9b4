"""The list of projects: where everybody with more than one comes in."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from annotation import access, watching
from annotation.models import Project, Role, User
from curation import listing

PER_PAGE = 100


@require_safe
@login_required
def projects(request: HttpRequest) -> HttpResponse:
    assert isinstance(request.user, User)
    now = timezone.now()
    query = request.GET.get("q", "").replace("\0", "").strip()[:120]
    state = request.GET.get("only", "") if request.GET.get("only") in listing.STATES else ""
    mine, reachable = access.projects_for(request.user, role=Role.LEAD), access.projects_for(request.user)
    shown = mine.filter(name__icontains=query) if query else mine
    if state in Project.State.values:
        shown = shown.filter(state=state)
    rows = Paginator(listing.led(projects=shown, state=state, now=now), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "rows": rows,
        "seats": listing.judged(user=request.user, projects=reachable),
        "leads_any": bool(rows) or mine.exists(),
        "may_found": access.may_found(request.user),
        "query": query,
        "state": state,
        "states": listing.STATES,
        "workers": watching.workers_now([project.pk for project in mine]),
        "counted_at": now,
    }
    return TemplateResponse(request, "projects/list.html", context)
