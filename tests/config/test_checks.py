"""Each thing that forbids the start is refused, and the refusal names the setting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection

from config import checks
from config.checks import refusals, refuse_unsound_start

ROOT = Path(__file__).resolve().parents[2]


def test_a_sound_start_is_not_refused(db):
    assert list(refusals()) == []
    refuse_unsound_start()


@pytest.mark.parametrize("hosts", [["plumbline.example.org"], ["localhost", "*"]])
def test_debug_for_hosts_that_are_not_local(db, settings, hosts):
    settings.DEBUG, settings.ALLOWED_HOSTS = True, hosts
    (sentence,) = refusals()
    assert "PLUMBLINE_DEBUG" in sentence
    assert "PLUMBLINE_HOSTS" in sentence
    settings.ALLOWED_HOSTS = ["localhost"]
    assert list(refusals()) == []


def test_a_database_that_does_not_wait_for_the_disk(db):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit = off")
    (sentence,) = refusals()
    assert "synchronous_commit" in sentence


@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_database_that_does_not_survive_a_crash(db, monkeypatch, name):
    """Only a restart changes these two, so the answer of the server is changed on its way."""
    real = connection.cursor

    class Changed:
        def __enter__(self):
            self.cursor = real()
            return self

        def __exit__(self, *args):
            self.cursor.close()

        def __getattr__(self, attribute):
            return getattr(self.cursor, attribute)

        def fetchall(self):
            return [(one, "off" if one == name else value) for one, value in self.cursor.fetchall()]

    monkeypatch.setattr(connection, "cursor", Changed)
    assert any(f"setting {name} is off" in sentence for sentence in refusals_without_migrations(monkeypatch))


def refusals_without_migrations(monkeypatch):
    class Nothing:
        def __init__(self, connection):
            self.loader = self.graph = self

        def leaf_nodes(self):
            return []

        def migration_plan(self, targets):
            return []

    monkeypatch.setattr(checks, "MigrationExecutor", Nothing)
    return list(refusals())


def test_an_old_database(db, monkeypatch):
    monkeypatch.setattr(checks, "OLDEST_POSTGRESQL", 990_000)
    (sentence,) = refusals()
    assert "DATABASE_URL" in sentence
    assert "15 or newer" in sentence


def test_pending_migrations(db):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'curation'")
    with pytest.raises(ImproperlyConfigured, match=r"migrations are pending, curation.*python manage.py migrate"):
        refuse_unsound_start()


def test_no_key_lies_in_the_project():
    """The key of an embedded installation is made in its folder of state, which git ignores."""
    assert "var/" in (ROOT / ".gitignore").read_text().split()
    from django.conf import settings

    for path in ROOT.glob("*"):
        if path.is_file():
            assert settings.SECRET_KEY not in path.read_text(errors="replace")


def saying(*words: str) -> Callable[[], Iterator[str]]:
    """Refusals of a database that says these words, one after the other, and then is well."""
    left = list(words)

    def refusals() -> Iterator[str]:
        if left:
            raise OperationalError(left.pop(0))
        yield from ()

    return refusals


def test_a_database_that_recovers_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that starts meanwhile and ended at once would end the web server: granian takes it for a crash loop."""
    starting, recovering = (
        "FATAL:  the database system is starting up",
        "FATAL:  the database system is in recovery mode",
    )
    monkeypatch.setattr(checks, "PAUSE", 0)
    monkeypatch.setattr(checks, "refusals", saying(recovering, starting))
    refuse_unsound_start()
    monkeypatch.setattr(checks, "refusals", saying(recovering, starting))
    monkeypatch.setattr(checks, "PATIENCE", -1)
    with pytest.raises(OperationalError, match="recovery"):
        refuse_unsound_start()


def test_a_database_that_is_not_there_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.close()
    monkeypatch.setattr(checks, "refusals", saying("connection refused"))
    with pytest.raises(OperationalError, match="refused"):
        refuse_unsound_start()


def test_a_database_that_goes_away_while_it_is_asked_is_asked_again(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "PAUSE", 0)
    monkeypatch.setattr(checks, "refusals", saying("server closed the connection unexpectedly"))
    closed = []
    monkeypatch.setattr(connection, "close", lambda: closed.append(1))
    connection.ensure_connection()
    refuse_unsound_start()
    assert closed == [1]
