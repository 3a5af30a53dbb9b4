"""The tabs of the reports."""

from __future__ import annotations

from typing import Any

from django import template

from annotation.models import Project
from curation.reports.index import REPORTS, address_of

register = template.Library()


@register.simple_tag
def reports_of(project: Project, tab: str = "") -> list[dict[str, Any]]:
    """Every report that has a page, in the order of the tabs; `tab` is the key of the one that is open."""
    found = [(one, address_of(one, project)) for one in REPORTS]
    return [{"name": one.name, "address": at, "is_here": one.key == tab} for one, at in found if at]
