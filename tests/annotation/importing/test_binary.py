"""Values as binary COPY wants them: what the database reads is what was written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from annotation.importing import binary

pytestmark = pytest.mark.django_db

COLUMNS = "a text, b bytea, c jsonb, d smallint, e int, f bigint, g timestamptz, h text[], i varchar[], j text[]"


def read_back(*cells: bytes) -> tuple[Any, ...]:
    row = len(cells).to_bytes(2, "big") + b"".join(cells)
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE copied ({COLUMNS}) ON COMMIT DROP")
        with cursor.copy("COPY copied FROM STDIN (FORMAT binary)") as copy:
            copy.write(binary.HEADER + row + binary.END)
        cursor.execute("SELECT a, b, c::text, d, e, f, g, h, i, j FROM copied")
        found: tuple[Any, ...] = cursor.fetchone()
        cursor.execute("DROP TABLE copied")
    return found


def test_every_kind_of_value_comes_back() -> None:
    now = datetime(2026, 5, 4, 3, 2, 1, 987654, tzinfo=UTC)
    odd = ["\t", "{}", 'a "b" \\ c', "ü😀", ""]
    assert read_back(
        binary.text("tab\t, line\n, \\. and 😀"),
        binary.blob(bytes(range(256))),
        binary.jsonb(b'{"a":1}'),
        binary.smallint(-3),
        binary.integer(2**31 - 1),
        binary.bigint(-(2**63)),
        binary.moment(now),
        binary.texts(odd),
        binary.texts(["x"], binary.VARCHAR),
        binary.texts([]),
    ) == (
        "tab\t, line\n, \\. and 😀",
        bytes(range(256)),
        '{"a": 1}',
        -3,
        2**31 - 1,
        -(2**63),
        now,
        odd,
        ["x"],
        [],
    )


def test_nothing_is_null_and_before_2000_is_negative() -> None:
    then = datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    nothing = [binary.NULL] * 3
    found = read_back(*nothing, binary.smallint(None), binary.NULL, binary.bigint(None), binary.moment(then), *nothing)
    assert found == (None, None, None, None, None, None, then, None, None, None)


def test_half_a_character_cannot_be_written() -> None:
    with pytest.raises(UnicodeEncodeError):
        binary.text("half \ud83d")
