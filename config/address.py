"""Where the pages are served: for commands that print a link while `make demo` runs, on whatever port it took."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

USUAL = "http://localhost:8000"


def _note(state: Path) -> Path:
    return state / "address"


@contextlib.contextmanager
def served_at(address: str, *, state: Path) -> Iterator[None]:
    """Let other commands on this folder of state know, until this process is done or gone."""
    note = _note(state)
    note.write_text(f"{os.getpid()} {address}")
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def usual(*, state: Path) -> str:
    """The demo's own address where one runs on this folder of state; otherwise the first port that it would take."""
    try:
        pid, address = _note(state).read_text().split()
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return USUAL
    return address
