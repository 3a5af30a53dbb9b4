"""A benchmark's web server: it answers, it is gone afterwards, and where it does not start that is what is said."""

from __future__ import annotations

import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from bench import serving
from bench.harness import family


@pytest.mark.django_db
def test_it_answers_and_leaves_no_process(tmp_path: Path) -> None:
    database = connection.settings_dict["NAME"]
    with serving.web_server(database=database, log=tmp_path / "web.log") as (port, server):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/accounts/login/", timeout=60) as answer:
            assert answer.status == 200
        started = family(server)
        assert len(started) > 1
    for _ in range(600):
        if not any(map(runs, started)):
            break
        time.sleep(0.05)
    assert not any(map(runs, started))


def runs(pid: int) -> bool:
    """Whether a process is there, and no mere entry that nobody has fetched yet: that one has no command."""
    try:
        return bool(Path(f"/proc/{pid}/cmdline").read_bytes())
    except OSError:
        return False


def test_a_server_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"did not start:\n(.|\n)*workers"),
        serving.web_server(database="nowhere", log=tmp_path / "web.log", workers=0),
    ):
        raise AssertionError("It cannot have started.")


def test_a_server_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []
    popen = subprocess.Popen

    def deaf(command: list[str], **more: Any) -> Any:
        started.append(popen(["sleep", "600"], **more))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", deaf)
    monkeypatch.setattr(serving, "UP_WITHIN", 0.2)
    with (
        pytest.raises(RuntimeError, match="does not answer"),
        serving.web_server(database="nowhere", log=tmp_path / "web.log"),
    ):
        raise AssertionError("It cannot have answered.")
    assert started[0].returncode is not None
