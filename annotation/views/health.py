"""What an operator and a load balancer ask: does it work?"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils import timezone
from django.views.decorators.http import require_safe

from annotation.models import Run
from annotation.running import living_workers
from config.celery import app
from config.version import code_version

# A run that waits for longer than this tells that no worker takes it.
LONG_WAIT = 300.0


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """JSON: database, migrations, queue, workers, oldest waiting run.

    503 when pages can not be served: no database, or one with another schema than the code's. A queue or workers that
    are missing make it "degraded" with 200: judging goes on without them, and a restart of the web would not help.
    """
    told: dict[str, Any] = {"version": code_version(), "database": _database()}
    if told["database"]["ok"]:
        told |= {
            "migrations": _migrations(),
            "queue": _queue(),
            "workers": _workers(),
            "oldest_waiting_run": _oldest_run(),
        }
    serves = told["database"]["ok"] and told["migrations"]["ok"]
    well = serves and all(told[part]["ok"] for part in ("queue", "workers", "oldest_waiting_run"))
    told = {"status": "ok" if well else "degraded" if serves else "down", **told}
    return JsonResponse(told, status=200 if serves else 503)


def _database() -> dict[str, Any]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        # The error names hosts and users: it belongs into the log, not into an answer that anybody gets.
        return {"ok": False, "error": "The database does not answer."}
    return {"ok": True}


def _migrations() -> dict[str, Any]:
    """Which migrations wait. Reading them all takes half a second: once none waits, only their number is compared."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_migrations")
        applied = cursor.fetchone()[0]
    if applied == _complete.get(connection.settings_dict["NAME"]):
        return {"ok": True, "waiting": []}
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        _complete[connection.settings_dict["NAME"]] = applied
    return {"ok": not plan, "waiting": [f"{step.app_label}.{step.name}" for step, _ in plan]}


# The number of applied migrations at which none was waiting, by database.
_complete: dict[str, int] = {}


def _queue() -> dict[str, Any]:
    kind = settings.CELERY_BROKER_URL.split(":", 1)[0]
    if kind == "filesystem":
        folder = Path(str(settings.CELERY_BROKER_TRANSPORT_OPTIONS["data_folder_in"]))
        there = next(path for path in (folder, *folder.parents) if path.exists())
        # The folder is made with the first message; until then its parent must allow that.
        return {"ok": os.access(there, os.W_OK | os.X_OK), "kind": "folder", "waiting": len(list(folder.glob("*.msg")))}
    try:
        with app.connection_for_write(connect_timeout=2) as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except Exception:  # Every transport raises errors of its own; all of them mean the same.
        return {"ok": False, "kind": kind, "error": "The broker does not answer."}
    return {"ok": True, "kind": kind}


def _workers() -> dict[str, Any]:
    living = list(living_workers())
    queues = sorted({queue for worker in living for queue in worker.queues})
    return {"ok": bool(living), "alive": len(living), "queues": queues}


def _oldest_run() -> dict[str, Any]:
    run = Run.objects.waiting().order_by("created_at").values("created_at", "due_at").first()
    seconds = round((timezone.now() - max(run["created_at"], run["due_at"])).total_seconds(), 1) if run else None
    return {"ok": seconds is None or seconds < LONG_WAIT, "seconds": seconds}
