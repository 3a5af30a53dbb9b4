"""What a file of judgements or votes speaks of: its items are pairs of the project, its names are annotators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db.backends.utils import CursorWrapper

from annotation.errors import Mendable, Refused
from annotation.importing.reading import Row, rows
from annotation.importing.reasons import Bad, Refusal, refusal
from annotation.importing.reporting import Report
from annotation.importing.sources import Source
from annotation.models import Annotator, Project

One = TypeVar("One")

# The project's pairs by every id they have: their own, and those that were linked to them. `a` is the candidate that
# the file called a. Pairs that did not come with a file have no such order: there a is the first candidate.
ITEMS = """
CREATE TEMP TABLE item ON COMMIT DROP AS
SELECT id AS pair_id, source, external_id, coalesce(meta #>> '{imported,a}', 'first') AS a
FROM pair WHERE project_id = %(project)s AND external_id <> ''
UNION ALL
SELECT pair.id, also ->> 'source', also ->> 'id', also ->> 'a'
FROM pair, jsonb_array_elements(pair.meta #> '{imported,also}') AS also WHERE pair.project_id = %(project)s
"""


def batches(
    source: Source, report: Report, read: Callable[[Row], Iterable[One]], *, size: int, item: Callable[[Row], str]
) -> Iterator[list[tuple[int, int, One]]]:
    """What `read` finds in the rows, in batches of (number in the file, line, found); the refused go to the report.

    A row is taken in whole or refused whole. `item` is the id that a refusal names.
    """
    batch: list[tuple[int, int, One]] = []
    refused: list[Refusal] = []
    for row in rows(source):
        try:
            for one in list(read(row)):
                report.read += 1
                batch.append((report.read, row.line, one))
        except Bad as bad:
            report.read += 1
            refused.append(refusal(row.line, bad, item(row)))
        if len(batch) + len(refused) >= size:
            report.refusals.add(refused)
            yield batch
            batch, refused = [], []
    report.refusals.add(refused)
    yield batch


def item_of(row: Row) -> str:
    """The id that a row gives its item, where it can be read."""
    value = row.value or {}
    return next((str(value[key]) for key in ("item_id", "idx") if type(value.get(key)) in (str, int)), "")


@contextmanager
def by_index(cursor: CursorWrapper) -> Iterator[None]:
    """A table that was just filled may count as empty: the planner would read all of it for every row."""
    cursor.execute("SET LOCAL enable_seqscan = off")
    yield
    cursor.execute("SET LOCAL enable_seqscan = on")


def make_table(cursor: CursorWrapper, name: str, columns: str) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{name}")
    cursor.execute(f"CREATE TEMP TABLE {name} ({columns}) ON COMMIT DROP")


def make_items(cursor: CursorWrapper, project: Project) -> None:
    """The temporary table `item`."""
    cursor.execute("DROP TABLE IF EXISTS pg_temp.item")
    cursor.execute(ITEMS, {"project": str(project.pk)})
    cursor.execute("CREATE INDEX ON item (external_id)")
    cursor.execute("ANALYZE item")


def check_judges(judges: Iterable[str], said: set[str], *, file: str) -> frozenset[str]:
    """Raise `Refused` for a judge who says nothing in the file: the name is misspelt."""
    wanted = frozenset(judges)
    for judge in sorted(wanted - said):
        names = ", ".join(sorted(said)[:20]) + (", …" if len(said) > 20 else "")
        raise Refused(f"{file} has nothing by the judge {judge!r}. Its annotators are: {names or 'none'}.")
    return wanted


def ensure_annotators(*, project: Project, names: Iterable[str], judges: frozenset[str]) -> int:
    """Make annotators without an account for names that are new. Returns how many.

    Raises:
        Refused: somebody named a judge is here as a person.
    """
    here = {a.external_id: a for a in Annotator.objects.filter(project=project).exclude(external_id="")}
    new = []
    for name in sorted(set(names)):
        is_judge = name in judges
        if name not in here:
            kind = Annotator.Kind.JUDGE if is_judge else Annotator.Kind.PERSON
            new.append(
                Annotator(project=project, external_id=name, name=name[:120], kind=kind, model=name if is_judge else "")
            )
        elif is_judge and not here[name].is_judge:
            raise Mendable(
                f"{name!r} is here as a person already, not as a judge.",
                by_command=f"Leave out --judge {name}.",
                on_page="Take the name out of the judges.",
            )
    Annotator.objects.bulk_create(new)
    return len(new)


def copy(cursor: CursorWrapper, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
    with cursor.copy(f"COPY {table} FROM STDIN") as lines:
        for row in rows:
            lines.write_row(row)


def without_a_pair(cursor: CursorWrapper, table: str, report: Report) -> list[Refusal]:
    """The rows of a temporary table that could be about several pairs, by `found`; those about none are counted.

    The table has no, line and item; `found` has no, and how many pairs are meant.
    """
    cursor.execute(f"SELECT count(*) FROM {table} WHERE no NOT IN (SELECT no FROM found)")
    if missing := cursor.fetchone()[0]:
        report.elsewhere["items that are not in this project"] += missing
    cursor.execute(f"SELECT line, item FROM {table} JOIN found USING (no) WHERE pairs > 1")
    return [
        refusal(line, Bad("ambiguous_item", f"Several pairs have the id {item!r}.", item), item)
        for line, item in cursor.fetchall()
    ]
