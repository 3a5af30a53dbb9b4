"""The web server as it is run in production, on a database and a port of its own, for as long as a benchmark lasts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# How long it may take to come up and to go away, in seconds.
UP_WITHIN, DOWN_WITHIN = 60.0, 10.0


@contextmanager
def web_server(*, database: str, log: Path, workers: int = 1) -> Iterator[tuple[int, int]]:
    """Yields its port and the number of its process once it answers; ends it, and all that it started, at the end.

    Raises:
        RuntimeError: it ended by itself, or does not answer; with the end of what it wrote into `log`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", str(workers), "--blocking-threads", "1", "--no-access-log", "config.wsgi:application"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "bench.settings", "BENCH_DATABASE": database}
    with log.open("w") as output:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait_until_it_answers(server, port, log)
        yield port, server.pid
    finally:
        _end(server)


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + UP_WITHIN
    while True:
        if server.poll() is not None:
            raise RuntimeError(f"The web server did not start:\n{_tail(log)}")
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"The web server does not answer after {UP_WITHIN:.0f} s:\n{_tail(log)}")
        time.sleep(0.1)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


def _end(server: subprocess.Popen[bytes]) -> None:
    """With its children, which may outlive it; one that has ended by itself left nobody to signal."""
    for how in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, how)
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(DOWN_WITHIN)
