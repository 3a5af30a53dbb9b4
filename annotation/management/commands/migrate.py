"""Django's migrate, on a connection that does not prepare statements.

Our connections prepare every statement (the hot path needs it), and PostgreSQL refuses to prepare several statements at
once, as Django's schema editor sends them.
"""

from __future__ import annotations

from typing import Any

from django.core.management.commands.migrate import Command as Migrate
from django.db import connections


class Command(Migrate):
    def handle(self, *args: Any, **options: Any) -> str | None:
        connection = connections[options["database"]]
        connection.ensure_connection()
        usual = connection.connection.prepare_threshold
        connection.connection.prepare_threshold = None
        try:
            return super().handle(*args, **options)
        finally:
            if connection.connection is not None:
                connection.connection.prepare_threshold = usual
