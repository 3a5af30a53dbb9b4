"""Web server, workers and demo project with one command: `make demo`, or `python manage.py demo`.

One process prepares the database, starts web server and two workers as its children, prints where to go, and stops
everything on Ctrl-C. One of the workers asks models: endpoints, and local ones where `make engine` has installed what
loads them. The children live in sessions of their own, so that Ctrl-C reaches this process only and the database is
stopped last, when nobody uses it any more.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.urls import reverse

from annotation.demonstrating import TOY, ensure_toy, is_loaded, load_demo
from annotation.errors import Refused
from annotation.registering import request_check
from annotation.signing_in import make_sign_in_link
from config import address, checks, embedded, engine
from config.celery import CPU, GPU

FIRST_PORT = 8000
PORTS_TRIED = 50
# More web processes than this only cost memory in a demo.
MOST_WEB_PROCESSES = 4
UP_WITHIN = 60.0
DOWN_WITHIN = 15.0
LINK_MINUTES = 12 * 60
LOG_TAIL = 25
PR_SET_PDEATHSIG = 1


class Command(BaseCommand):
    help = "Start web server and workers with the demo project, print where to go, and stop everything on Ctrl-C."
    requires_system_checks = []  # The children check; the first start should not do it three times.

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, help=f"default: {FIRST_PORT}, or the next one that is free")
        parser.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine only")

    def handle(self, *args: Any, **options: Any) -> None:
        children: list[Child] = []
        with _foreground(), _stoppable():
            try:
                self._run(options["host"], options["port"], children)
            except KeyboardInterrupt:
                self._say("Stopping …")
            finally:
                self._stop(children)

    def _run(self, host: str, wanted: int | None, children: list[Child]) -> None:
        port = self._port(host, wanted)
        self._prepare()
        log_folder = settings.VAR / "log"
        log_folder.mkdir(exist_ok=True)
        python = [sys.executable, "-m"]
        processes = min(os.cpu_count() or 1, MOST_WEB_PROCESSES)
        web = [
            *python,
            "granian",
            "--interface",
            "wsgi",
            "--host",
            host,
            "--port",
            str(port),
            "--workers",
            str(processes),
        ]
        web += ["--blocking-threads", "1", "--no-access-log", "--respawn-failed-workers", "config.wsgi:application"]
        children.append(Child("web server", web, log_folder / "web.log"))
        children.append(Child("worker", _worker(CPU, port), log_folder / "worker.log"))
        here = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{port}"
        self._wait_until_up(f"http://{_reachable(host)}:{port}/health", children)
        seconds = _age()
        # After the others: the pages need not wait for it.
        children.append(Child("model worker", _worker(GPU, port), log_folder / "model-worker.log"))
        with address.served_at(here, state=settings.VAR):
            self._welcome(here, seconds)
            while True:
                _complain_of_the_dead(children)
                time.sleep(0.3)

    def _port(self, host: str, wanted: int | None) -> int:
        if wanted is not None:
            if not _is_free(host, wanted):
                raise CommandError(f"Port {wanted} is in use. Choose another: make demo PORT={wanted + 1}")
            return wanted
        for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
            if _is_free(host, port):
                if port != FIRST_PORT:
                    self._say(f"Port {FIRST_PORT} is in use; taking {port}.")
                return port
        raise CommandError(
            f"Ports {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} are all in use. Say which: make demo PORT=…"
        )

    def _prepare(self) -> None:
        """Migrate and load the demo project, each only when there is something to do."""
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self._say("Preparing the database …")
            call_command("migrate", verbosity=0)
        checks.refuse_unsound_start()
        try:
            if not is_loaded():
                self._say("Loading the demo project with its simulated annotators …")
                call_command("load_demo", verbosity=0)
            toy = ensure_toy()
            if engine.is_installed() and not toy.is_sound:
                # It waits for the worker that is about to start. An earlier check may have been without the engine.
                request_check(model=toy)
        except Refused as refusal:
            raise CommandError(str(refusal)) from refusal

    def _wait_until_up(self, health: str, children: list[Child]) -> None:
        """Wait for web server and worker. A health page that stays unhappy does not hide the page behind it."""
        deadline = time.monotonic() + UP_WITHIN
        said = ""
        while time.monotonic() < deadline:
            _complain_of_the_dead(children)
            try:
                with urllib.request.urlopen(health, timeout=5) as answer:
                    said = answer.read().decode()
            except urllib.error.HTTPError as error:
                said = error.read().decode(errors="replace")
            except OSError:
                said = ""
            if said and _names_a_worker(said):
                return
            time.sleep(0.2)
        if not said:
            raise CommandError(f"The web server did not answer within {UP_WITHIN:.0f} s.\n{children[0].tail()}")
        self.stderr.write(f"Something is not well. {health} says: {said}")

    def _welcome(self, here: str, seconds: float) -> None:
        demo = load_demo()
        lead = make_sign_in_link(user=demo.lead, next_path=f"/p/{demo.project.slug}/", minutes=LINK_MINUTES)
        annotator = make_sign_in_link(
            user=demo.annotator, next_path=f"/p/{demo.project.slug}/judge", minutes=LINK_MINUTES
        )
        connection.close()
        self._say(
            f"\nPlumbline is up after {seconds:.1f} s: {here}/\n\n"
            f"  As the lead:      {here}{reverse('enter', args=[lead])}\n"
            f"  As an annotator:  {here}{reverse('enter', args=[annotator])}\n\n"
            f"Each link signs in once, within {LINK_MINUTES // 60} hours. Two at once need two browsers.\n"
            f"{_models_in_words()}\n"
            f"The demo's judgements are simulated. Logs: {settings.VAR / 'log'}. Stop with Ctrl-C."
        )

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()  # A pipe would keep it until the end.

    def _stop(self, children: list[Child]) -> None:
        for child in children:
            child.ask_to_end()
        for child in children:
            child.end()
        connection.close()
        if others := embedded.leave():
            self._say(f"The embedded database has {others} other client{'s' if others > 1 else ''} and stays up.")


class Child:
    """One program that runs beside this one, with its own log and its own session."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self.log = name, log
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                cwd=settings.BASE_DIR,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )

    def tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join([f"The end of {self.log}:", *lines[-LOG_TAIL:]])

    def ask_to_end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()

    def end(self) -> None:
        """Wait for the end; what does not end by itself is killed, with everything that it started."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=DOWN_WITHIN)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def _worker(queue: str, port: int) -> list[str]:
    """The command of a worker that serves one queue. A second demo on the same state has another port."""
    return [
        *(sys.executable, "-m", "celery", "-A", "config.celery", "worker"),
        *("--queues", queue, "--hostname", f"{queue}-{port}@%h", "--concurrency", "1"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "INFO"),
    ]


def _complain_of_the_dead(children: list[Child]) -> None:
    for child in children:
        status = child.process.poll()
        if status is not None:
            raise CommandError(f"The {child.name} ended by itself (status {status}).\n{child.tail()}")


def _models_in_words() -> str:
    if engine.is_installed():
        return f"Generation and judging: a worker is there, with the toy model “{TOY}”, which knows nothing."
    return (
        "Generation and judging: a worker is there and asks endpoints. Local models need torch and transformers: "
        f"`{engine.HOW}`, then start the demo again."
    )


def _names_a_worker(health: str) -> bool:
    """True when the health page knows of a living worker."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return bool(json.loads(health)["workers"]["ok"])
    return False


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise CommandError(f"Port {port} may not be used by this account. Choose one above 1023.") from error
        except OSError:
            return False
        return True


def _age() -> float:
    """Seconds since this process began: the database is started before the command, and that is waited for too."""
    began = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began


def _reachable(host: str) -> str:
    return "127.0.0.1" if host == "0.0.0.0" else host


_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """In a child: be told to end when this process is killed and cannot tell it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a closed terminal all mean: stop in order. While stopping, further ones are ignored."""
    stops = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(number: int, frame: FrameType | None) -> None:
        for stop in stops:
            signal.signal(stop, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {stop: signal.signal(stop, interrupt) for stop in stops}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)


@contextlib.contextmanager
def _foreground() -> Iterator[None]:
    """Take the terminal's Ctrl-C for this process alone, so that `make` does not end with an error because of it."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        yield
        return
    before = os.tcgetpgrp(terminal)
    if before != os.getpgrp() or os.getpid() in (os.getpgrp(), os.getsid(0)):
        os.close(terminal)
        yield
        return
    # Writing the terminal's foreground group from a background group stops the writer, unless it ignores the signal.
    ignored = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGTTOU, signal.SIGTSTP)}
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpid())
    try:
        yield
    finally:
        os.tcsetpgrp(terminal, before)
        os.close(terminal)
        for number, handler in ignored.items():
            signal.signal(number, handler)
