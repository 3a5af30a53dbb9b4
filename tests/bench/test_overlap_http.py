"""The overlap over HTTP is exact while connections are cut and processes killed, and its control finds faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from bench import overlap_http
from bench.exactness import Plan
from bench.harness import throw_away_database
from config import embedded
from tests.databases import leave_alone

# Nothing here waits for a time: a round ends when all is judged. The deadline is for what would never end.
NEVER = 900.0


# It also tells pytest-django to make the database, where nothing else asks for it.
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def database() -> Iterator[str]:
    """A copy of the test database, to which nobody may be connected: not even a live server's thread."""
    template = connection.settings_dict["NAME"]
    leave_alone(template)
    with throw_away_database(template=template) as name:
        yield name


def test_it_is_exact_while_connections_are_cut_and_the_web_server_is_killed(database: str, tmp_path: Path) -> None:
    """Its worker and then all of it; no process of the database, which other tests use meanwhile."""
    plan = Plan(clients=6, pairs=40, overlap=2, disconnects=0.2, lives=("worker", "server"), deadline=NEVER)
    found = overlap_http.play(plan, database=database, log_file=tmp_path / "web.log")
    log = found.log
    assert isinstance(log, overlap_http.HttpLog)
    assert log.faults == []
    assert (found.wrong, found.judgements) == (0, 80)
    # A life is due at a number of judgements, and whoever sends the next request takes it.
    assert (log.killed_workers, log.killed_servers, log.killed_backends) == (1, 1, 0)
    assert log.in_flight_at_kills >= 2
    assert log.unavailable == 0
    # Of every connection that was open to it.
    assert log.broken >= 1
    assert log.disconnects > 0
    assert (tmp_path / "web.log").read_text().count("Starting granian") == 2


def test_without_locks_and_constraints_it_finds_faults(database: str, tmp_path: Path) -> None:
    """Every second lease runs out, so that late answers come to slots which others hold by then: none is refused."""
    plan = Plan(clients=6, pairs=60, overlap=2, abandoned=0.5, deadline=120.0)
    found = overlap_http.play(plan, database=database, log_file=tmp_path / "web.log", control=True)
    assert found.slot_twice > 0
    assert found.wrong > 0


def test_nobody_else_on_the_database_is_robbed_of_a_connection(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    settings.EMBEDDED = True
    monkeypatch.setattr(embedded.Cluster, "others_connected", lambda self: 2)
    with pytest.raises(SystemExit, match=r"2 other clients(.|\n)*PLUMBLINE_VAR"):
        overlap_http.lives_to_take(quick=False)
    monkeypatch.setattr(embedded.Cluster, "others_connected", lambda self: 0)
    assert overlap_http.lives_to_take(quick=True) == ("worker", "backend", "server")


def test_no_process_of_a_foreign_database_is_killed(settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.EMBEDDED = False
    assert overlap_http.lives_to_take(quick=False) == ("worker", "server", "worker", "server")
    assert "no process of the database is killed" in capsys.readouterr().err
