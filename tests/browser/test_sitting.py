"""What the browser tests stand on: a test leaves nothing running behind it."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction

from annotation.models import Assignment
from tests.browser.sitting import JUDGE, all_answered, answering, soon

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_a_request_that_its_browser_left_is_waited_for(
    enter: Any, alice: Any, make_pair: Any, live_server: Any
) -> None:
    make_pair()
    page = enter(alice, "/account")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {Assignment._meta.db_table} IN ACCESS EXCLUSIVE MODE")
        page.evaluate(f"void (location.href = '{JUDGE}')")
        soon(lambda: waiting(cursor))
        page.context.close()
        assert answering()
    all_answered(live_server.url)
    assert not answering()


def waiting(cursor: Any) -> bool:
    """Whether some connection waits for a lock of this one."""
    cursor.execute("SELECT 1 FROM pg_locks WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))")
    return bool(cursor.fetchall())
