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
from typing import Any

from bench.harness import family

ROOT = Path(__file__).resolve().parent.parent
# How long it may take to come up and to go away, in seconds.
UP_WITHIN, DOWN_WITHIN = 60.0, 10.0
# What its connections are called in the database.
WEB = "bench web"


class WebServer:
    """A web server that can be killed and started again, on the same port. Whoever starts it ends it."""

    def __init__(
        self, *, database: str, log: Path, workers: int = 1, application: str = "config.wsgi:application"
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        command = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", str(self.port), "--workers", str(workers)]
        command += ["--blocking-threads", "1", "--no-access-log", "--respawn-failed-workers", application]
        self._command = [sys.executable, "-m", "granian", *command]
        self._environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "BENCH_DATABASE": database,
            # By which the database tells its connections from the benchmark's own.
            "PGAPPNAME": WEB,
        }
        self._log = log
        log.write_text("")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Returns once it answers.

        Raises:
            RuntimeError: it ended by itself, or does not answer; with the end of what it wrote into `log`.
        """
        with self._log.open("a") as output:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _wait_until_it_answers(self.process, self.port, self._log)

    def workers(self) -> list[int]:
        """The processes that answer requests."""
        assert self.process is not None
        return family(self.process.pid)[1:]

    def kill(self) -> None:
        """All of it at once, as a machine that fails would."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ended_by_itself(self) -> str:
        """The end of what it wrote, where it is not there any more; otherwise nothing."""
        gone = self.process is not None and self.process.poll() is not None
        return f"The web server ended by itself:\n{_tail(self._log)}" if gone else ""

    def end(self) -> None:
        """With its children, which may outlive it; one that has ended by itself left nobody to signal."""
        if self.process is None:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DOWN_WITHIN)


@contextmanager
def web_server(*, database: str, log: Path, workers: int = 1) -> Iterator[tuple[int, int]]:
    """Yields its port and the number of its process once it answers; ends it, and all that it started, at the end.

    Raises what `WebServer.start` raises.
    """
    server = WebServer(database=database, log=log, workers=workers)
    try:
        server.start()
        assert server.process is not None
        yield server.port, server.process.pid
    finally:
        server.end()


def session_of(user: Any) -> str:
    """Signs an account in without its password. Returns the session's key, which is the cookie `plumbline`."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    from config.sessions import SessionStore

    session = SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), "annotation.signing_in.Backend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    return session.session_key or ""


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
