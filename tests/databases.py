"""The tests' databases are copies of one that was migrated before: copying takes a second, migrating half a minute.

The copy's name is a digest of this file and every migration, so that a change in one is migrated anew, from nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
from importlib import import_module, util
from pathlib import Path
from typing import Any

import django
import psycopg
from django.apps import apps
from django.core.management import call_command
from django.db import connection, connections, transaction

PREFIX = "plumbline_template_"
# Any number, the same in every process: whoever holds it may make the template.
LOCK = 7_234_090

# What `migrate` itself writes, the same in every test.
KEPT = ("django_migrations", "django_content_type", "auth_permission")
# Bytes of a table that is truncated rather than left with so many deleted rows.
LARGE = 1 << 19


def template() -> str:
    """The name of the migrated database; made now where it is missing, by one process while the others wait."""
    name = PREFIX + _digest()
    with psycopg.connect(**_reach(), dbname="postgres", autocommit=True) as server:
        server.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        found = server.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX]).fetchall()
        if (name,) not in found:
            for (outdated,) in found:
                with contextlib.suppress(psycopg.errors.ObjectInUse):
                    server.execute(f'DROP DATABASE "{outdated}"')
            _make(server, name)
    return name


def _make(server: Any, name: str) -> None:
    """Under another name until it is whole: who is interrupted leaves nothing that looks finished."""
    half = f"{PREFIX}half"
    server.execute(f'DROP DATABASE IF EXISTS "{half}" WITH (FORCE)')
    server.execute(f'CREATE DATABASE "{half}"')
    usual = connection.settings_dict["NAME"]
    connections.close_all()
    connection.settings_dict["NAME"] = half
    try:
        call_command("migrate", verbosity=0)
        _freeze_statistics()
    finally:
        leave_alone(half)
        connection.settings_dict["NAME"] = usual
    server.execute(f'ALTER DATABASE "{half}" RENAME TO "{name}"')


def _freeze_statistics() -> None:
    """Let nothing count the tables between two tests.

    Autovacuum comes when it likes: it would count a table between two tests, and the next test's 100,000 rows would be
    planned for as none, which takes a hundred times as long. Where nothing was counted, the size of the file is taken.
    """
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"ALTER TABLE {connection.ops.quote_name(name)} SET (autovacuum_enabled = false)")


def empty() -> None:
    """Take every row out but those of `KEPT`, as `flush` would; in a few ms where it takes a third of a second.

    `flush` gives each table new files and makes content types and permissions anew. Tests leave a few rows behind,
    which are deleted sooner; tables that a test made large are truncated, for no test shall walk through what another
    left. Whoever still writes is waited for.
    """
    tables = [name for name in connection.introspection.table_names() if name not in KEPT]
    quoted = {name: connection.ops.quote_name(name) for name in tables}
    with transaction.atomic(), connection.cursor() as cursor:
        # Rows that a request in flight commits later would be in the next test.
        cursor.execute(f"LOCK TABLE {', '.join(quoted.values())} IN EXCLUSIVE MODE")
        states = " UNION ALL ".join(
            f"SELECT {n}, pg_relation_size('{quoted[name]}'), EXISTS (SELECT FROM {quoted[name]})"
            for n, name in enumerate(tables)
        )
        cursor.execute(states)
        found = cursor.fetchall()
        cursor.execute("SELECT current_setting('is_superuser') = 'on'")
        (may_pass_triggers,) = cursor.fetchone()
        if not may_pass_triggers or any(size > LARGE for _, size, _ in found):
            cursor.execute(f"TRUNCATE {', '.join(quoted.values())}")
            return
        # Facts that are only ever appended forbid to be deleted, and the order of the tables shall not matter.
        cursor.execute("SET LOCAL session_replication_role = replica")
        for n, _, filled in found:
            if filled:
                cursor.execute(f"DELETE FROM {quoted[tables[n]]}")


def _digest() -> str:
    read = hashlib.sha256(django.get_version().encode() + Path(__file__).read_bytes())
    for app in sorted(apps.get_app_configs(), key=lambda one: one.name):
        if util.find_spec(f"{app.name}.migrations"):
            folder = Path(str(import_module(f"{app.name}.migrations").__path__[0]))
            for path in sorted(folder.glob("*.py")):
                read.update(f"{app.label} {path.name} ".encode() + path.read_bytes())
    return read.hexdigest()[:16]


def leave_alone(database: str) -> None:
    """End every connection to a database but those of this thread, which are closed: threads of live servers stay on.

    Asked for from another database, so that nothing here can end the connection that asks.
    """
    connections.close_all()
    with psycopg.connect(**_reach(), dbname="postgres", autocommit=True) as server:
        server.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database])


def _reach() -> dict[str, Any]:
    parameters = connection.get_connection_params()
    return {key: parameters[key] for key in ("host", "port", "user", "password") if parameters.get(key)}
