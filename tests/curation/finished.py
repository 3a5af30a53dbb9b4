"""Runs that have ended well, for tests of what is read from them."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from annotation.models import Project, Run


def finished(project: Project, **fields: Any) -> Run:
    """A measurement that is done since now, unless the fields say otherwise."""
    values = {"kind": "measurement", "state": "done", "finished_at": timezone.now(), "code_version": "test"}
    return Run.objects.create(project=project, **{**values, **fields})
