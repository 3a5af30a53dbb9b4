"""Columns of numbers out of the database and back into it, in pieces: there is never one object per row."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Run

# How each type of column crosses: what sends it, what it is cast to before, and how the bytes are read.
_WIRE: dict[pa.DataType, tuple[str, str, str]] = {
    pa.int64(): ("int8send", "bigint", ">i8"),
    pa.int32(): ("int4send", "integer", ">i4"),
    pa.int16(): ("int2send", "smallint", ">i2"),
    pa.int8(): ("int2send", "smallint", ">i2"),
    pa.float64(): ("float8send", "double precision", ">f8"),
    pa.bool_(): ("boolsend", "boolean", "?"),
}
# Rows whose numbers cross together, as a power of two.
PIECE_BITS = 16
# Where a column numbers the rows, so many pieces at most: those of 2 ** RANGE_BITS neighbouring ranges.
RANGE_BITS = 4


def columns(
    query: str,
    params: Sequence[Any],
    types: dict[str, pa.DataType],
    *,
    by: str = "",
    using: BaseDatabaseWrapper | None = None,
) -> dict[str, NDArray[Any]]:
    """The columns of a query of numbers, as arrays; null becomes 0 (false; nan for floats). Memory: the columns.

    The order of the rows is the database's, and not the same every time: sort by a column where it matters. `by` names
    a column that numbers the rows, more or less: they cross in ranges of it. Then the database need not count them, and
    several of its processes can read.
    """
    wire = [_WIRE[kind] for kind in types.values()]
    # The database puts the binary form of a column's numbers one after the other: nothing is made for each row here.
    sent = [
        f"string_agg({send}(coalesce({name}, {_empty(kind)})::{cast}), ''::bytea)"
        for (name, kind), (send, cast, _) in zip(types.items(), wire, strict=True)
    ]
    counted, pieces_by = ', row_number() OVER () AS "row"', f'"row" >> {PIECE_BITS}'
    if by:
        # The bits of the piece's number one by one: the planner takes a number's quotient for as many groups as there
        # are rows, and lets one process do it all; of a yes or no it knows that there are two.
        counted, bits = "", range(PIECE_BITS, PIECE_BITS + RANGE_BITS)
        pieces_by = ", ".join(f"{by} >> {bit} & 1 = 1" for bit in bits)
    pieces_of_rows = f"""
        SELECT {", ".join(sent)}
        FROM (SELECT *{counted} FROM ({query}) AS q ({", ".join(types)})) found
        GROUP BY {pieces_by}
    """
    reader = using or connection
    reader.ensure_connection()
    # COPY takes no parameters from the server's side, and Django's cursor none at all when it logs queries.
    statement = psycopg.ClientCursor(reader.connection).mogrify(
        f"COPY ({pieces_of_rows}) TO STDOUT (FORMAT binary)", params
    )
    pieces: list[list[NDArray[Any]]] = [[] for _ in types]
    with reader.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(["bytea"] * len(types))
        for found in copy.rows():
            for piece, (_, _, form), kind, sent_bytes in zip(pieces, wire, types.values(), found, strict=True):
                piece.append(np.frombuffer(sent_bytes, form).astype(kind.to_pandas_dtype()))
    whole = {}
    for name, kind in types.items():
        # One after the other, so that never more than one column is there twice.
        piece = pieces.pop(0)
        whole[name] = np.concatenate(piece) if piece else np.zeros(0, dtype=kind.to_pandas_dtype())
    return whole


def _empty(kind: pa.DataType) -> str:
    return "false" if pa.types.is_boolean(kind) else "'NaN'" if pa.types.is_floating(kind) else "0"


def places_in(numbers: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of `wanted` stands among `numbers`, which ascend and hold all of them."""
    span = int(numbers[-1] - numbers[0]) + 1 if len(numbers) else 0
    if not len(wanted) or span > 8 * len(numbers) + 1024:
        return np.searchsorted(numbers, wanted)
    # Numbers given out one after the other: a table is faster than a search.
    table = np.zeros(span, dtype=np.int64)
    table[numbers - numbers[0]] = np.arange(len(numbers))
    places: NDArray[np.int64] = table[wanted - numbers[0]]
    return places


def store_pair_values(
    *,
    run: Run,
    metric: str,
    pairs: Iterable[int],
    values: NDArray[np.float64],
    n: NDArray[np.int64],
    undefined: str,
    details: Iterable[Mapping[str, Any]] | None = None,
) -> int:
    """Write one measurement per pair, by COPY. nan is stored as undefined, with that reason. Returns how many.

    `details`, where given, is one for each pair.
    """
    count = 0
    written = repeat("{}") if details is None else (json.dumps(one) for one in details)
    statement = "COPY measurement (run_id, metric, pair_id, value, reason, n, detail, created_at) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for pair, value, size, detail in zip(pairs, values.tolist(), n.tolist(), written, strict=details is not None):
            is_defined = value == value
            row = (value if is_defined else None, None if is_defined else undefined)
            copy.write_row((run.pk, metric, int(pair), *row, size, detail, run.created_at))
            count += 1
    return count
