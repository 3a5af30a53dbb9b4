"""Sessions: found by one query, ended at once, and asked for again when the database was restarted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from django.contrib.auth import SESSION_KEY
from django.db import connection

from config.sessions import SessionStore

Entered = Callable[[], SessionStore]


@pytest.fixture
def entered() -> Entered:
    def make() -> SessionStore:
        session = SessionStore()
        session[SESSION_KEY] = "7"
        session.save()
        return SessionStore(session.session_key)

    return make


@pytest.mark.django_db
def test_a_session_is_loaded_by_one_query(entered: Entered, django_assert_num_queries: Any) -> None:
    session = entered()
    with django_assert_num_queries(1):
        assert session[SESSION_KEY] == "7"


@pytest.mark.django_db
def test_an_ended_or_expired_session_is_empty(entered: Entered) -> None:
    ended, expired = entered(), entered()
    SessionStore(ended.session_key).delete()
    assert ended.load() == {}
    with connection.cursor() as cursor:
        cursor.execute("UPDATE django_session SET expire_date = now()")
    assert expired.load() == {}
    assert SessionStore("made-up").load() == {}


@pytest.mark.django_db(transaction=True)
def test_a_session_outlives_the_database_connection(entered: Entered) -> None:
    """The server ends the connection, as a restart does: the request that follows must not see it."""
    session = entered()
    connection.ensure_connection()
    pid = connection.connection.info.backend_pid
    with psycopg.connect(**{**connection.get_connection_params(), "cursor_factory": None}) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
        while other.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone():
            other.rollback()
    assert session[SESSION_KEY] == "7"
    assert connection.connection.info.backend_pid != pid
