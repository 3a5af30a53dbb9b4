"""A worker starts on what is sound and within reach, or not at all; and once it runs, its pulse does not end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.utils import timezone

from annotation import running
from annotation.models import Worker
from config.celery import CPU, app, or_no_start, prepare_worker
from config.embedded import EmbeddedError
from tests.workers.asking import wait_for
from tests.workers.conftest import ROOT
from workers import tasks

WITHIN = 180


def ended(tmp_path: Path, **environment: str) -> tuple[int, str]:
    """Start a worker that should not start. Returns its status and what it said; one that stays is killed."""
    queue = {"data_folder_in": str(tmp_path / "queue"), "data_folder_out": str(tmp_path / "queue")}
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.workers.worker_settings",
        "TEST_DATABASE": connection.settings_dict["NAME"],
        "TEST_BROKER": json.dumps({"url": "filesystem://", "options": queue}),
        "TEST_STATE": str(tmp_path),
        **environment,
    }
    command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--queues", CPU, "--concurrency", "1"]
    command += ["--hostname", "cpu@refused", "--without-gossip", "--without-mingle"]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        return process.wait(timeout=WITHIN), log.read_text()
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return 0, log.read_text()


@pytest.mark.django_db(transaction=True)
def test_a_worker_does_not_start_where_migrations_are_pending(tmp_path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'sessions' RETURNING app, name, applied")
        taken = cursor.fetchall()
    try:
        status, said = ended(tmp_path)
    finally:
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, %s)", taken)
    assert status == 1
    assert "Plumbline does not start:" in said
    assert "python manage.py migrate" in said
    assert "Traceback" not in said


def test_a_worker_does_not_start_without_its_database(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        url = f"postgresql://nobody:nothing@127.0.0.1:{port}/plumbline"
        status, said = ended(tmp_path, DATABASE_URL=url, PLUMBLINE_SECRET_KEY="kq3vnz8rwt5yhm2x" * 4)
    assert status == 1
    assert "The worker does not start: the database does not answer" in said
    assert "DATABASE_URL" in said
    assert "Traceback" not in said


def test_a_folder_that_cannot_be_reached_is_the_sentence_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise EmbeddedError("`nobody` may not pass /root. Move the project.")

    monkeypatch.setattr("config.embedded.ensure_running", refuse)
    with pytest.raises(SystemExit, match=r"^`nobody` may not pass /root. Move the project.$"):
        prepare_worker(sender=None)


@pytest.mark.parametrize("error", [RuntimeError("anything"), OSError("no space left")])
def test_nothing_that_fails_before_the_start_is_passed_over(error: Exception) -> None:
    with pytest.raises(SystemExit, match=rf"does not start: {type(error).__name__}: {error}"), or_no_start():
        raise error


# ---- the pulse -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_pulse_that_was_lost_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is away, and even letting go of the connection fails."""
    seen, troubles = running.worker_seen, 3
    closed = threading.Event()

    def away(**values: Any) -> None:
        nonlocal troubles
        troubles -= 1
        if troubles >= 0:
            raise OperationalError("the server closed the connection")
        seen(**values)

    class Torn:
        def close(self) -> None:
            if not closed.is_set():
                closed.set()
                raise OperationalError("the connection is lost")

    monkeypatch.setattr(running, "worker_seen", away)
    monkeypatch.setattr(tasks, "connection", Torn())
    pulse = tasks.Pulse(name="cpu@here", queues=[CPU], every=0.02)
    pulse.start()
    try:
        wait_for(lambda: Worker.objects.filter(name="cpu@here").exists())
        assert closed.is_set()
    finally:
        monkeypatch.undo()
        pulse.ended.set()
        pulse.join(timeout=60)
    assert not pulse.is_alive()


class _Asked:
    def __init__(self, answers: bool) -> None:
        self.answers = answers

    def ping(self) -> dict[str, Any] | None:
        return {"cpu@here": {"ok": "pong"}} if self.answers else None


@pytest.mark.parametrize(
    ("age", "answers", "said"),
    [(None, True, "30 s"), (31, True, "30 s"), (0, False, "does not answer"), (0, True, "")],
    ids=["never seen", "pulse lost", "hangs", "well"],
)
def test_the_health_check_tells_of_a_lost_pulse(
    db: None, monkeypatch: pytest.MonkeyPatch, capsys: Any, age: int | None, answers: bool, said: str
) -> None:
    if age is not None:
        Worker.objects.create(name="cpu@here", queues=[CPU], seen_at=timezone.now() - timedelta(seconds=age))
    monkeypatch.setattr(app.control, "inspect", lambda **_: _Asked(answers))
    if said:
        with pytest.raises(CommandError, match=said):
            call_command("worker_is_well", "cpu@here")
    else:
        call_command("worker_is_well", "cpu@here")
        assert "cpu@here is well." in capsys.readouterr().out
