"""The record of who did what: appended, chained, never changed."""

from __future__ import annotations

import threading
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction

from annotation.models import Event
from annotation.recording import GENESIS, broken_links, record


def test_events_are_chained(project: Any, lead: Any) -> None:
    first = record(act="a", subject="x", actor=lead.user, project=project, before={"n": 1}, after={"n": [2, "é"]})
    second = record(act="b", subject="y", command="some_command")
    assert (first.previous, second.previous) == (GENESIS, first.digest)
    assert (first.actor, first.project, second.actor, second.project) == (
        lead.user.email,
        "everyday",
        "some_command",
        "",
    )
    assert record(act="c", subject="z").actor == "system"
    assert list(broken_links()) == []
    out = StringIO()
    call_command("verify_events", stdout=out)
    assert "The record is whole: 3 events." in out.getvalue()


@pytest.mark.parametrize("statement", ["UPDATE event SET act = 'x'", "DELETE FROM event"])
def test_the_database_refuses_to_change_or_remove_an_event(db: None, statement: str) -> None:
    record(act="a", subject="x")
    with (
        pytest.raises(IntegrityError, match="event_is_append_only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
    assert Event.objects.get().act == "a"


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        ("UPDATE event SET after = '{\"n\": 9}' WHERE subject = 's2'", "was changed after it was written"),
        (
            "UPDATE event SET at = at + interval '1 microsecond' WHERE subject = 's2'",
            "was changed after it was written",
        ),
        ("DELETE FROM event WHERE subject = 's2'", "does not follow the one before it"),
    ],
)
def test_who_goes_around_the_database_is_found_out(db: None, harm: str, sentence: str) -> None:
    for n in range(1, 5):
        record(act="a", subject=f"s{n}", after={"n": n})
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE event DISABLE TRIGGER event_is_append_only")
        cursor.execute(harm)
        cursor.execute("ALTER TABLE event ENABLE TRIGGER event_is_append_only")
    assert [said for _, said in broken_links() if sentence in said]
    err = StringIO()
    with pytest.raises(CommandError, match="broken in 1 places"):
        call_command("verify_events", stderr=err)
    assert sentence in err.getvalue()


@pytest.mark.django_db(transaction=True)
def test_many_at_once_make_one_chain() -> None:
    gate = threading.Barrier(6)

    def run(n: int) -> None:
        try:
            gate.wait()
            for k in range(5):
                record(act="a", subject=f"{n}.{k}")
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[n]) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Event.objects.count() == 30
    assert list(broken_links()) == []
    with connection.cursor() as cursor:  # The flush between tests is not a change by the app.
        cursor.execute("TRUNCATE event")
