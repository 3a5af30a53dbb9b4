"""The health page tells the truth."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from annotation.models import Run, Worker
from annotation.running import worker_seen


def told(client: Any) -> tuple[int, dict[str, Any]]:
    answer = client.get("/health")
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, answer.json()


def test_all_well(client: Any, db: None, settings: Any, tmp_path: Path) -> None:
    settings.CELERY_BROKER_TRANSPORT_OPTIONS = {"data_folder_in": str(tmp_path / "messages")}
    (tmp_path / "messages").mkdir()
    (tmp_path / "messages" / "1.celery.msg").write_text("{}")
    worker_seen(name="one@here", queues=["cpu"])
    worker_seen(name="two@there", queues=["gpu"])
    status, said = told(client)
    assert (status, said["status"]) == (200, "ok")
    assert said["queue"] == {"ok": True, "kind": "folder", "waiting": 1}
    assert said["workers"] == {"ok": True, "alive": 2, "queues": ["cpu", "gpu"]}
    assert said["oldest_waiting_run"] == {"ok": True, "seconds": None}
    assert "here" not in str(said)


def test_a_worker_that_has_gone_quiet_is_not_alive(client: Any, db: None) -> None:
    worker_seen(name="one@here", queues=["cpu"])
    Worker.objects.update(seen_at=timezone.now() - timedelta(seconds=31))
    status, said = told(client)
    assert (status, said["status"]) == (200, "degraded")
    assert said["workers"] == {"ok": False, "alive": 0, "queues": []}


def test_a_run_that_nobody_takes_is_seen(client: Any, project: Any) -> None:
    worker_seen(name="one@here", queues=["cpu"])
    run = Run.objects.create(project=project, kind="import", code_version="test")
    assert told(client)[1]["oldest_waiting_run"]["ok"]
    past = timezone.now() - timedelta(seconds=400)
    Run.objects.filter(pk=run.pk).update(created_at=past, due_at=past)
    status, said = told(client)
    assert (status, said["status"]) == (200, "degraded")
    assert said["oldest_waiting_run"]["ok"] is False
    assert 399 < said["oldest_waiting_run"]["seconds"] < 500


def test_a_queue_that_can_not_be_reached_does_not_stop_the_pages(
    client: Any, db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker_seen(name="one@here", queues=["cpu"])
    monkeypatch.setattr("annotation.views.health.os.access", lambda *_: False)
    status, said = told(client)
    assert (status, said["status"], said["queue"]["ok"]) == (200, "degraded", False)
    monkeypatch.undo()
    settings.CELERY_BROKER_URL = "redis://:secret@broker.example:6379/0"

    def refuse(**options: Any) -> Any:
        raise OSError("redis://:secret@broker.example:6379/0 does not answer")

    monkeypatch.setattr("annotation.views.health.app.connection_for_write", refuse)
    status, said = told(client)
    assert (status, said["status"]) == (200, "degraded")
    assert said["queue"] == {"ok": False, "kind": "redis", "error": "The broker does not answer."}


def test_waiting_migrations_are_503(client: Any, db: None) -> None:
    MigrationRecorder.Migration.objects.filter(app="annotation").order_by("-id")[:1].get().delete()
    status, said = told(client)
    assert (status, said["status"], said["migrations"]["ok"]) == (503, "down", False)
    assert said["migrations"]["waiting"][0].startswith("annotation.")


def test_no_database_is_503_and_names_no_host(client: Any, db: None) -> None:
    def down(*arguments: Any) -> Any:
        raise OperationalError("connection to server at 10.1.2.3, user plumbline failed")

    with connection.execute_wrapper(down):
        status, said = told(client)
    assert (status, said["status"]) == (503, "down")
    assert said["database"] == {"ok": False, "error": "The database does not answer."}
