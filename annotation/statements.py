"""Plain SQL: one statement and its rows; and a statement that is tried again when it lost a race."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

from django.db import IntegrityError, connection, transaction

Result = TypeVar("Result")

# A claim that loses a race starts again: the winner's row is then in its snapshot.
TRIES = 4
# Numbers in one array: of what a page sends, the latest.
MOST_NUMBERS = 200


def without_races(statement: Callable[[], Result]) -> Result:
    """Run a statement again when it lost a race.

    A statement's snapshot is older than the lock it waited for, so two tabs of one annotator can pick one pair, or
    count one revision too few. Then a constraint answers, and the next try sees what the other did.
    """
    for left in reversed(range(TRIES)):
        try:
            # Inside a transaction a failed statement must not take the rest with it; outside, a savepoint would cost.
            with transaction.atomic() if connection.in_atomic_block else nullcontext():
                return statement()
        except IntegrityError as error:
            if not left or constraint_of(error) not in ("never_twice", "one_revision", "one_row_per_slot"):
                raise
    raise AssertionError("unreachable")


def constraint_of(error: IntegrityError) -> str:
    """The name of the constraint that refused."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return getattr(diagnosis, "constraint_name", None) or ""


def row(statement: str, values: Mapping[str, Any]) -> tuple[Any, ...]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchone()  # type: ignore[no-any-return]


def rows(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def do(statement: str, values: Mapping[str, Any] | None) -> int:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def in_array(numbers: Sequence[int] | None) -> str | None:
    """An array of PostgreSQL, written out: parameters are sent as text (assigning.py). None stays null."""
    return None if numbers is None else "{" + ",".join(map(str, numbers[-MOST_NUMBERS:])) + "}"
