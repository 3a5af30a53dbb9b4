"""The page on judges: how far each can be trusted, and how well strategies' labels hold."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from annotation import access
from annotation.models import Role
from curation import judges as reading
from curation import scoreboard


@require_safe
@login_required
def judges(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    reports = reading.judge_reports(project=project, by_scenario=True)
    rows = scoreboard.rows(reports)
    context = {
        "project": project,
        "section": "reports",
        "tab": "judges",
        "judges": rows,
        "warnings": scoreboard.warnings(reports),
        "finding": scoreboard.finding(rows),
        "parted": [row for row in rows if row.scenarios],
        "strategies": scoreboard.strategy_rows(reading.contrast_reports(project=project)),
        "enough": scoreboard.ENOUGH,
        "counted_at": timezone.now(),
    }
    return TemplateResponse(request, "judges/page.html", context)
