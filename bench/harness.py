"""What benchmarks share: a database of their own, percentiles, CPU time, and the one line that they print."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


# The browser of this machine, where it has one.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NO_CHROMIUM = "Chromium is not here. On Debian: apt-get install chromium"


def set_up() -> None:
    """Start the embedded database and Django, for a benchmark that is run as a program.

    Where the database cannot run here, the program ends with the sentence that says why.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from config import embedded

    try:
        embedded.ensure_running()
    except embedded.EmbeddedError as error:
        raise SystemExit(str(error)) from error
    import django

    django.setup()


@contextmanager
def throw_away_database(*, template: str = "") -> Iterator[str]:
    """A new database that Django's default connection points at until it is dropped at the end. Yields its name.

    It is a copy of `template`, which nobody may be connected to; or, without one, empty and migrated.
    """
    import psycopg
    from django.core.management import call_command
    from django.db import connection, connections

    parameters = connection.get_connection_params()
    reach = {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}
    name = f"bench_{secrets.token_hex(4)}"
    usual = connection.settings_dict["NAME"]
    connections.close_all()
    with psycopg.connect(**reach, dbname="postgres", autocommit=True) as server:
        _create(server, name, template)
    connection.settings_dict["NAME"] = name
    try:
        if not template:
            call_command("migrate", verbosity=0)
        yield name
    finally:
        connections.close_all()
        connection.settings_dict["NAME"] = usual
        # Another connection: a benchmark that kills processes of the database ends those that were there.
        with psycopg.connect(**reach, dbname="postgres", autocommit=True) as server:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def _create(server: Any, name: str, template: str) -> None:
    """Connections to the template that were closed a moment ago take a moment to end."""
    import psycopg

    for left in reversed(range(50)):
        try:
            server.execute(f'CREATE DATABASE "{name}"' + (f' TEMPLATE "{template}"' if template else ""))
            return
        except psycopg.errors.ObjectInUse:
            if not left:
                raise
            time.sleep(0.1)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """p50, p95 and p99 in milliseconds."""
    ordered = sorted(seconds)
    return {f"p{p}_ms": round(1000 * ordered[min(len(ordered) - 1, len(ordered) * p // 100)], 2) for p in (50, 95, 99)}


def cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time that these processes have used so far."""
    return sum(_ticks(pid) for pid in pids) / TICKS


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def busy_seconds() -> float:
    """CPU time that the whole machine has spent working since it was started."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    idle = fields[3] + fields[4]
    return (sum(fields[:8]) - idle) / TICKS


def family(pid: int) -> list[int]:
    """A process and its descendants, as far as they live while they are asked."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                found += [int(child) for child in task.read_text().split()]
    return found


def report(*, name: str, figure: float, unit: str, compared_with: str, ratio: float | None, **more: Any) -> None:
    """Print the benchmark's one line: the figure, its unit, and its ratio to what it is compared with."""
    line = {"name": name, "figure": figure, "unit": unit, "ratio": ratio, "compared_with": compared_with, **more}
    print(json.dumps(line, ensure_ascii=False), flush=True)
