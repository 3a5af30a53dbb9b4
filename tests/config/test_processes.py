"""Processes of one's own: they know Django and this process's database, and end with the block."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path
from typing import Any

import pytest

from config.processes import helping

PATIENCE = 120.0


def leave_a_mark(folder: str, word: str) -> None:
    """What a helper is told to do: say who and where it is, and stay."""
    from django.db import connection

    told = Path(folder) / f"{os.getpid()}.part"
    told.write_text(f"{word} {connection.settings_dict['NAME']}")
    told.rename(told.with_suffix(".txt"))
    time.sleep(600)


def test_helpers_work_in_this_processs_database_and_end_with_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import connection

    monkeypatch.setitem(connection.settings_dict, "NAME", "another")
    with helping(2, "tests.config.test_processes:leave_a_mark", str(tmp_path), "here"):
        deadline = time.monotonic() + PATIENCE
        while len(marks := [*tmp_path.glob("*.txt")]) < 2:
            assert time.monotonic() < deadline, "They did not come."
            time.sleep(0.05)
    assert {mark.read_text() for mark in marks} == {"here another"}
    assert str(os.getpid()) not in {mark.stem for mark in marks}
    assert multiprocessing.active_children() == []


def test_an_error_in_the_block_ends_them_too(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stumbled"), helping(1, "time:sleep", 600):
        raise ValueError("stumbled")
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("count", [0, -1])
def test_none_are_started_where_none_are_asked_for(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", start)
    with helping(count, "time:sleep", 600):
        pass
