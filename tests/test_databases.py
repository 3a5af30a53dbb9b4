from __future__ import annotations

import psycopg
import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError, connection

from annotation.models import Event, Project
from tests import databases

pytestmark = pytest.mark.django_db(transaction=True)


def filled() -> set[str]:
    with connection.cursor() as cursor:
        names = [connection.ops.quote_name(name) for name in connection.introspection.table_names()]
        cursor.execute(" UNION ALL ".join(f"(SELECT '{name}' FROM {name} LIMIT 1)" for name in names))
        return {name.strip('"') for (name,) in cursor.fetchall()}


@pytest.mark.parametrize("large", [databases.LARGE, 0], ids=["a few rows", "many rows"])
def test_everything_is_taken_out_but_what_migrations_write(alice, make_pair, large, monkeypatch):
    monkeypatch.setattr(databases, "LARGE", large)
    make_pair()
    Event.objects.create(actor="alice", act="looked", subject="a pair", previous="", digest="1")
    permissions = Permission.objects.count()
    databases.empty()
    assert filled() == set(databases.KEPT)
    assert Permission.objects.count() == permissions
    # What forbids to delete is in force again.
    Event.objects.create(actor="alice", act="looked", subject="a pair", previous="", digest="1")
    with pytest.raises(DatabaseError, match="append"):
        Event.objects.all().delete()


def test_whoever_still_writes_is_waited_for(project):
    parameters = connection.get_connection_params()
    reach = {key: parameters[key] for key in ("host", "port", "user", "password", "dbname") if parameters.get(key)}
    with psycopg.connect(**reach) as other, connection.cursor() as cursor:
        other.execute("UPDATE project SET name = 'Another'")
        cursor.execute("SET lock_timeout = '100ms'")
        with pytest.raises(DatabaseError, match="lock timeout"):
            databases.empty()
        other.rollback()
        databases.empty()
        cursor.execute("RESET lock_timeout")
    assert not Project.objects.exists()
