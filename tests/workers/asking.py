"""Runs for a worker under test, and waiting for what it does with them. See engine.py for what it may be told."""

from __future__ import annotations

import time
from datetime import timedelta

from django.utils import timezone

from annotation import running
from annotation.models import Run

PATIENCE = 60.0


def wait_for(condition, *, patience=PATIENCE):
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.05)


def ask_for(project, tmp_path, do, **more):
    """Request a run the way a page does. Returns it with the file in which its handler counts."""
    file = tmp_path / f"{more.pop('called', do)}.txt"
    run = running.request_run(
        project=project, kind="measurement", parameters={"do": do, "file": str(file), **more}, actor=None
    )
    return run, file


def attempts(file):
    return file.read_text().splitlines() if file.exists() else []


def state_of(run):
    run.refresh_from_db()
    return run.state


def expire_lease(run):
    Run.objects.filter(pk=run.pk, state="running").update(lease_until=timezone.now() - timedelta(seconds=1))
