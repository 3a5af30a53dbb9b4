"""Races without chance: a test goes on once somebody stands behind a lock that it holds."""

from __future__ import annotations

import time

from django.db import connection

PATIENCE = 60.0


def until_somebody_waits() -> None:
    """Return once another connection waits for a lock of this one; what others wait for elsewhere does not count."""
    deadline = time.monotonic() + PATIENCE
    while not somebody_waits():
        assert time.monotonic() < deadline, "Nobody came to wait for a lock of this connection."


def somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))")
        return cursor.fetchone() is not None
