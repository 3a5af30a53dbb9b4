"""Database sessions, loaded by one plain SELECT.

The ORM's way costs half a millisecond per request; caches would let a session live on after sign-out in another
process.
"""

from __future__ import annotations

from typing import Any

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import InterfaceError, OperationalError, connection

SESSION = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > now()"


class SessionStore(DatabaseStore):
    def load(self) -> dict[str, Any]:
        row = self._row()
        if row is None:
            self._session_key = None
            return {}
        return self.decode(row[0])

    def _row(self) -> tuple[str] | None:
        """The session's row. This is a request's first query, so it is the connection's health check as well.

        Django would ask `SELECT 1` before it, one more round trip per request. Where the connection turns out to be
        dead (the database was restarted), a new one is opened and the question asked again.
        """
        if connection.in_atomic_block:
            return self._ask()
        connection.health_check_done = True  # type: ignore[attr-defined]
        try:
            return self._ask()
        except (OperationalError, InterfaceError):
            connection.close()
            return self._ask()

    def _ask(self) -> tuple[str] | None:
        with connection.cursor() as cursor:
            cursor.execute(SESSION, [self.session_key])
            return cursor.fetchone()  # type: ignore[no-any-return]

    @classmethod
    def get_model_class(cls) -> type:
        return DatabaseStore.get_model_class()
