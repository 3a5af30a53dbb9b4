"""Criteria -> what they read of each pair, preserved in the release, wherever it may be something else tomorrow.

Facts are gathered anew whenever somebody judged, a pair may be made gold or be taken out of play: nothing tells
afterwards what a criterion saw. A release whose criteria speak of such fields has a file with what they said of every
pair of the project. All criteria speak of what is out of play; where nothing is, its number says so and no file does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.arrays import places_in
from curation.criteria import FIELDS, Criterion, FieldKind, measures_in
from curation.export import files
from curation.export.files import FileEntry

FILE = "facts.parquet"
# Pairs that are read, or tried, at once.
PIECE = 50_000
# What every plan speaks of.
OUT = "excluded"
# How each kind of field lies in the file, and how the database gives it and takes it back. A list is no such field:
# whose numbers are in it concerns nobody, only whether the one that is asked for is.
_KINDS: dict[FieldKind, tuple[pa.DataType, str]] = {
    "number": (pa.float64(), "float8"),
    "text": (pa.string(), "text"),
    "choice": (pa.string(), "text"),
    "flag": (pa.bool_(), "bool"),
}


@dataclass(frozen=True)
class Column:
    """A column of the file: what a field said, or whether a criterion over a list was met."""

    name: str
    type: pa.DataType
    sql: str
    params: list[Any]


def columns_of(criteria: Sequence[Criterion]) -> list[Column]:
    """What is preserved for these criteria: of the fields that may say something else tomorrow, by name."""
    found = {}
    for one in criteria:
        if not is_preserved(one):
            continue
        what, name = FIELDS[one.field], column_of(one)
        if what.kind == "list":
            found[name] = Column(name, pa.bool_(), *one.sql())
        else:
            kind, taken = _KINDS[what.kind]
            found[name] = Column(name, kind, f"({what.sql})::{taken}", [])
    return [found[name] for name in sorted(found)]


def is_preserved(criterion: Criterion) -> bool:
    """Whether what it goes by may be otherwise tomorrow."""
    return criterion.field in FIELDS and FIELDS[criterion.field].fades


def column_of(criterion: Criterion) -> str:
    """The name of the column that decides a criterion."""
    return criterion.text if FIELDS[criterion.field].kind == "list" else criterion.field


def out_of_play(criteria: Sequence[Criterion], passes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which pairs were taken out of play, shape (n_pairs,), by what their criterion found.

    `criteria` with one that speaks of it, as those of a plan always are; `passes`: which pairs met each, shape
    (n_criteria, n_pairs).
    """
    place = next(place for place, one in enumerate(criteria) if one.field == OUT)
    out: NDArray[np.bool_] = passes[place] if criteria[place].value else ~passes[place]
    return out


def to_preserve(criteria: Sequence[Criterion], *, out: int | None) -> list[Criterion]:
    """The criteria of which something is in the file. `out`: how many pairs are out of play; None: nobody counted."""
    return [one for one in criteria if is_preserved(one) and (one.field != OUT or out)]


def as_it_was(
    criterion: Criterion,
    passes: NDArray[np.bool_],
    *,
    table: pa.Table | None,
    out: int | None,
    pairs: NDArray[np.int64],
    using: BaseDatabaseWrapper,
) -> NDArray[np.bool_]:
    """Which of `pairs` (ascending) met a criterion when the release was made; shapes (n_pairs,).

    Args:
        passes: which meet it now: the answer where the release has not preserved what it goes by.
        table: what was preserved.
        out: as for `to_preserve`.
    """
    if criterion.field == OUT and out == 0:
        return np.full(len(pairs), not criterion.value)
    if table is None or not to_preserve([criterion], out=out):
        return passes
    return passing(table, criterion, pairs=pairs, using=using)


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    return pa.schema([("pair", pa.int64()), *((one.name, one.type) for one in columns)])


def preserve(
    criteria: Sequence[Criterion], *, pairs: NDArray[np.int64], folder: Path, using: BaseDatabaseWrapper
) -> FileEntry | None:
    """Write what the criteria went by and may be otherwise tomorrow; nothing where that is nothing. Memory: PIECE rows.

    `pairs`: the numbers of all pairs of the project, ascending.
    """
    columns = columns_of(criteria)
    if not columns:
        return None
    schema = schema_of(columns)
    wanted, params = ", ".join(one.sql for one in columns), [value for one in columns for value in one.params]

    def batches() -> Iterator[pa.RecordBatch]:
        for start in range(0, len(pairs), PIECE):
            some = pairs[start : start + PIECE].tolist()
            with using.cursor() as cursor:
                cursor.execute(f"SELECT p.id, {wanted} FROM pair p WHERE p.id = ANY(%s) ORDER BY p.id", [*params, some])
                found = list(zip(*cursor.fetchall(), strict=True))
            arrays = [pa.array(values, field.type) for values, field in zip(found, schema, strict=True)]
            yield pa.record_batch(arrays, schema=schema)

    size = -(-len(pairs) // PIECE)
    (written,) = files.write_shards(batches(), folder=folder, shards=[(FILE, size)], schema=schema)
    return written.entry


def preserved(folder: Path, criteria: Sequence[Criterion]) -> pa.Table:
    """What a release has preserved for these criteria.

    Raises:
        OSError, pa.ArrowInvalid: it is not there, or no such file.
    """
    return pq.read_table(folder / FILE, schema=schema_of(columns_of(criteria)), partitioning=None)


def passing(
    table: pa.Table, criterion: Criterion, *, pairs: NDArray[np.int64], using: BaseDatabaseWrapper
) -> NDArray[np.bool_]:
    """Which of `pairs` (ascending) met the criterion then, shape (n_pairs,). The database compares, as it did then.

    Pairs of which nothing was preserved did not.
    """
    what = FIELDS[criterion.field]
    kept = table.select(["pair", column_of(criterion)])
    if what.kind == "list":
        met = kept.filter(kept.column(1))["pair"].to_numpy()
    else:
        condition, params = criterion.sql(of="f.value")
        statement = (
            f"SELECT f.pair FROM unnest(%s::bigint[], %s::{_KINDS[what.kind][1]}[]) AS f (pair, value)"
            f" WHERE {condition}"
        )
        numbers: list[int] = []
        with using.cursor() as cursor:
            for batch in kept.to_batches(max_chunksize=PIECE):
                cursor.execute(statement, [batch.column(0).to_pylist(), batch.column(1).to_pylist(), *params])
                numbers += [number for (number,) in cursor.fetchall()]
        met = np.array(numbers, dtype=np.int64)
    passes = np.zeros(len(pairs), dtype=bool)
    passes[places_in(pairs, met[np.isin(met, pairs)])] = True
    return passes


def provenance(project: Project, criteria: Sequence[Criterion], *, using: BaseDatabaseWrapper) -> dict[str, Any] | None:
    """What a manifest says of what was preserved: which columns, and by which model's run what models measured is.

    `measures` has model, run and metric of each of `MEASURES` that the criteria read and the facts have.
    """
    columns = columns_of(criteria)
    if not columns:
        return None
    shown: dict[str, Any] = {}
    if read := measures_in(criteria):
        with using.cursor() as cursor:
            cursor.execute("SELECT measures::text FROM facts_state WHERE project_id = %s", [project.pk])
            found = cursor.fetchone()
        shown = json.loads(found[0]) if found else {}
    return {"fields": [one.name for one in columns], "measures": {key: shown[key] for key in read if key in shown}}
