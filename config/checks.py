"""What must be true before anything is served: each refusal names the setting and how to mend it.

Web server and workers call `refuse_unsound_start` and do not start on a refusal. A missing or weak secret key and a
database that is no PostgreSQL are refused earlier, in config/settings.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

# An acknowledged judgement is on disk. A server that trades this for speed is refused.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
OLDEST_POSTGRESQL = 150_000
# What PostgreSQL says while it starts or recovers; the driver keeps no code of what refuses a connection.
IS_STARTING = "the database system is"
# Seconds: how long that is waited for, and between two tries.
PATIENCE, PAUSE = 30.0, 0.2


def refuse_unsound_start() -> None:
    """Do nothing when everything is sound. A database that is starting, or goes away while it is asked, is waited for,
    half a minute at most.

    Raises:
        ImproperlyConfigured: one line for each thing that is wrong.
        OperationalError: the database cannot be reached, or does not come up.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            wrong = list(refusals())
            break
        except OperationalError as error:
            # A process of the web server that ends as it starts takes the whole server with it.
            was_connected = connection.connection is not None
            if not (was_connected or IS_STARTING in str(error)) or time.monotonic() > deadline:
                raise
            connection.close()
            time.sleep(PAUSE)
    if wrong:
        raise ImproperlyConfigured("Plumbline does not start:\n" + "\n".join(f"- {line}" for line in wrong))


def refusals() -> Iterator[str]:
    """A sentence for each thing that forbids the start."""
    open_hosts = sorted(set(settings.ALLOWED_HOSTS) - set(settings.LOCAL_HOSTS))
    if settings.DEBUG and open_hosts:
        yield (
            f"PLUMBLINE_DEBUG is on while PLUMBLINE_HOSTS names {', '.join(open_hosts)}: debug pages show secrets to "
            f"everybody who can reach the server. Switch it off, or serve local hosts only."
        )
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int")
        (version,) = cursor.fetchone()
        if version < OLDEST_POSTGRESQL:
            yield f"DATABASE_URL names a PostgreSQL {version // 10_000}. Plumbline needs PostgreSQL 15 or newer."
        cursor.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s) ORDER BY name", [list(DURABLE)])
        for name, value in cursor.fetchall():
            # `local`, `remote_write` and `remote_apply` flush to our disk before they answer, as `on` does.
            if value == "off":
                yield f"The database's setting {name} is off, so that judgements can be lost. Set {name} = on there."
    if pending := pending_migrations():
        yield pending


def pending_migrations() -> str:
    """What to do where the database is older than the code, in a sentence; empty where it is not."""
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return ""
    return f"{len(plan)} migrations are pending, {plan[0][0]} the first. Run `python manage.py migrate`."
