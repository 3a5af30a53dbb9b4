"""One living worker per name on one machine; a name is free as soon as its process is dead."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import checks, namesakes
from config.celery import prepare_worker

# Takes a name, starts a child, says so, and waits to be killed. The child outlives it.
HOLDER = """
import os, sys, time
from pathlib import Path
from config.namesakes import take_name
take_name("gpu@here", state=Path(sys.argv[1]))
child = os.fork()
if child:
    print(child, flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that is called gpu@here, and the number of its child."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    yield process
    os.kill(child, 9)
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture(autouse=True)
def _let_go():
    yield
    while namesakes._taken:
        namesakes._taken.pop().close()


def test_a_name_is_one_process_s_for_as_long_as_it_lives(holder, tmp_path):
    with pytest.raises(ImproperlyConfigured, match=r"gpu@here is alive on this machine.*--hostname another-gpu@%h"):
        namesakes.take_name("gpu@here", state=tmp_path)
    namesakes.take_name("gpu@there", state=tmp_path)
    namesakes.take_name("a/../b@there", state=tmp_path)
    holder.kill()
    holder.wait()
    # Its child lives on and keeps no name.
    namesakes.take_name("gpu@here", state=tmp_path)
    assert {path.parent for path in tmp_path.rglob("*") if path.is_file()} == {tmp_path / "workers"}


def test_where_files_cannot_be_locked_the_worker_starts(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.lockf", none)
    namesakes.take_name("gpu@here", state=tmp_path)


@pytest.mark.parametrize("unsound", [False, True])
def test_a_worker_that_is_refused_does_not_start(settings, tmp_path, monkeypatch, unsound):
    """Celery only logs an Exception of a signal's receiver, and would start."""

    def refuse():
        if unsound:
            raise ImproperlyConfigured("Plumbline does not start: the key is weak.")

    settings.VAR = tmp_path
    monkeypatch.setattr(checks, "refuse_unsound_start", refuse)
    monkeypatch.setattr("config.embedded.ensure_running", lambda: None)
    worker = SimpleNamespace(hostname="cpu@here")
    if unsound:
        with pytest.raises(SystemExit, match="the key is weak"):
            prepare_worker(sender=worker)
    else:
        prepare_worker(sender=worker)
        assert (tmp_path / "workers" / "cpu@here").exists()
