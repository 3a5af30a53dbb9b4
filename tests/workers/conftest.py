"""Real worker processes on real brokers: each broker is started once for all tests, on a port of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from bench.brokers import Broker, broker, missing
from config.celery import CPU, app

ROOT = Path(__file__).resolve().parents[2]


def _forget_connections() -> None:
    """The app's pools belong to the broker that they were made for."""
    app._pool = app.amqp._producer_pool = None


@contextlib.contextmanager
def _ringing_to(one: Broker) -> Iterator[None]:
    """This process rings there, for real."""
    conf = app.conf
    was = conf.task_always_eager, conf.broker_url, conf.broker_transport_options
    conf.task_always_eager, conf.broker_url, conf.broker_transport_options = False, one.url, one.options
    _forget_connections()
    yield
    _forget_connections()
    conf.task_always_eager, conf.broker_url, conf.broker_transport_options = was


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[Broker]:
    """The queue of folders, as in the embedded mode."""
    one = broker("filesystem", tmp_path / "queue")
    with _ringing_to(one):
        yield one


@pytest.fixture(scope="session")
def _servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Broker]]:
    """Those that were started so far; all are stopped at the end, whatever happens."""
    started: dict[str, Broker] = {}
    yield started
    for one in started.values():
        one.stop()


@pytest.fixture(params=["redis", "rabbitmq"])
def server(request: pytest.FixtureRequest, _servers: dict[str, Broker], tmp_path_factory: Any) -> Iterator[Broker]:
    """A broker that is a process. Skipped, with a line that says so, where it is not installed."""
    name = request.param
    if missing(name):
        pytest.skip(missing(name))
    if name not in _servers:
        _servers[name] = broker(name, tmp_path_factory.mktemp(name) / "state")
    one = _servers[name]
    if one.process is None:
        one.start()
    one.empty()
    with _ringing_to(one):
        yield one


@dataclass
class Started:
    """A worker process with its children."""

    process: subprocess.Popen[bytes]
    name: str
    log: Path

    def kill_all(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start_worker(transactional_db: None, tmp_path: Path) -> Iterator[Any]:
    started: list[Started] = []

    def start(
        one: Broker, *, name: str = "", slots: int = 1, queues: str = CPU, include: str = "tests.workers.engine"
    ) -> Started:
        name = name or f"cpu{len(started)}@test"
        log = tmp_path / f"worker{len(started)}.log"
        environment = os.environ | {
            "DJANGO_SETTINGS_MODULE": "tests.workers.worker_settings",
            "TEST_DATABASE": connection.settings_dict["NAME"],
            "TEST_STATE": str(tmp_path),
            "TEST_BROKER": json.dumps({"url": one.url, "options": one.options}),
        }
        command = [sys.executable, "-m", "celery", "-A", "config.celery", "worker", "--queues", queues]
        command += ["--include", include, "--hostname", name, "--concurrency", str(slots)]
        command += ["--without-gossip", "--without-mingle"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
            )
        started.append(Started(process, name, log))
        return started[-1]

    yield start
    for worker in started:
        worker.kill_all()
        print(worker.log.read_text())  # Shown when the test fails.
