"""The facts' bins -> what the board's script reads: a summary that is painted first, and one byte per pair and column.

The columns are `PLB1`, the length of the header (4 bytes, little endian), the header as JSON padded to 64 bytes, and
then one uint8 column per dimension, rows in the order of the plane's x. Both answers are gzip.

Beside them stand arrays that only the server reads: which pair each row is, and the rows in each order of the table.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from annotation.models import Project
from curation import arrays
from curation.dimensions import (
    AGREEMENT,
    DIFFICULTY,
    DISCRETION,
    HARD,
    HIGH,
    LOW,
    READING,
    READINGS,
    STRENGTH,
    Dimension,
)
from curation.filters import Scope, orders_of

FORMAT = "plumbline-board/1"


# Of which groups of pairs show the mean.
MEANT = (AGREEMENT, DIFFICULTY, STRENGTH)

# "PLB1", and how long the header is.
HEAD = struct.Struct("<4sI")


@dataclass(frozen=True)
class Packed:
    """`summary` and `columns` are gzip; `rows` counts the pairs.

    `pair` is the pair of each row, shape (rows,). `orders` holds for each key of `orders_of` but the plane's x, which
    the rows follow, the rows by value and then by pair, unknown ones last, shape (rows,). `values` holds for each of
    `MEANT` the value of each row, nan where it is not known, shape (rows,).
    """

    rows: int
    summary: bytes
    columns: bytes
    pair: NDArray[np.int64]
    orders: dict[str, NDArray[np.uint32]]
    values: dict[str, NDArray[np.float32]]


def in_order(dims: Sequence[Dimension], *, has_difficulty: bool) -> list[Dimension]:
    """The plane's x, its y and its colour first. Without a difficulty, strength is the plane's x."""
    x = DIFFICULTY if has_difficulty else STRENGTH
    first = [x, AGREEMENT, DISCRETION]
    return [*first, *(one for one in dims if one.key not in {each.key for each in (*first, READING)}), READING]


def pack(*, project: Project, dims: Sequence[Dimension], version: int, scope: Scope | None = None) -> Packed:
    """Read the bins of all pairs in play, or of those within a scope; then `orders` and `values` are empty."""
    names = [one.bin_column for one in dims]
    sorted_by = [] if scope else [one for one in dims if one.key in orders_of(dims)]
    condition, params = (scope or Scope()).sql()
    wanted = ["f.pair_id", *names, *(f"{one.column}::float8" for one in sorted_by)]
    found = arrays.columns(
        f"SELECT {', '.join(wanted)} FROM pair_facts f WHERE f.project_id = %s AND NOT f.is_excluded AND {condition}",
        [project.pk, *params],
        {
            "pair": pa.int64(),
            **dict.fromkeys(names, pa.int16()),
            **{f"value_{one.key}": pa.float64() for one in sorted_by},
        },
    )
    by_pair = np.argsort(found["pair"], kind="stable")
    found = {name: column[by_pair] for name, column in found.items()}
    rows = len(by_pair)
    has_difficulty = bool((found[DIFFICULTY.bin_column] < DIFFICULTY.bins).any())
    ordered = in_order(dims, has_difficulty=has_difficulty)
    # Neighbours in the order of x are alike in nothing else; the column of x itself packs to nothing.
    x = ordered[0]
    order = np.argsort(found[x.bin_column] if scope else found[f"value_{x.key}"], kind="stable")
    columns = [np.ascontiguousarray(found[one.bin_column][order], dtype=np.uint8) for one in ordered]
    body = packed(ordered, columns, version=version)
    return Packed(
        rows=rows,
        summary=body[0],
        columns=body[1],
        pair=found["pair"][order],
        orders={one.key: _places(found[f"value_{one.key}"], order) for one in sorted_by if one != x},
        values={one.key: found[f"value_{one.key}"][order].astype(np.float32) for one in sorted_by if one in MEANT},
    )


def _places(value: NDArray[np.float64], order: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The rows in the order of `value`, which is sorted by pair; `order` says which of it each row is."""
    row_of = np.empty(len(order), dtype=np.uint32)
    row_of[order] = np.arange(len(order), dtype=np.uint32)
    # Stable, and nan comes last: equal values stay in the order of their pairs.
    return row_of[np.argsort(value, kind="stable")]


def packed(ordered: Sequence[Dimension], columns: Sequence[NDArray[np.uint8]], *, version: int) -> tuple[bytes, bytes]:
    """The summary and the columns, gzip."""
    rows = len(columns[0])
    header = {
        "format": FORMAT,
        "version": version,
        "rows": rows,
        "dims": [one.as_json() for one in ordered],
        "readings": [
            {"key": one.key, "name": one.name, "rule": one.rule, "needs_difficulty": one.needs_difficulty}
            for one in READINGS
        ],
        "edges": {"low": LOW, "high": HIGH, "hard": HARD},
    }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-(len(text) + HEAD.size) % 64)
    body = HEAD.pack(b"PLB1", len(text)) + text + b"".join(column.tobytes() for column in columns)
    summary = json.dumps({"header": header, **totals(ordered, columns)}, separators=(",", ":"), ensure_ascii=False)
    return gzip.compress(summary.encode(), 9, mtime=0), gzip.compress(body, 5, mtime=0)


def unpacked(columns: bytes) -> dict[str, NDArray[np.uint8]]:
    """The columns by dimension, each of the shape (rows,); they share one buffer."""
    body = gzip.decompress(columns)
    _, length = HEAD.unpack_from(body)
    header = json.loads(body[HEAD.size : HEAD.size + length])
    rows = header["rows"]
    found = np.frombuffer(body, dtype=np.uint8, offset=HEAD.size + length).reshape(len(header["dims"]), rows)
    return {one["key"]: found[place] for place, one in enumerate(header["dims"])}


def totals(ordered: Sequence[Dimension], columns: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """How many pairs each slot holds, and each cell of the plane by discretion: (4, x slots, y slots), flat."""
    x, y, colour = ordered[:3]
    cell = (columns[2].astype(np.int64) * x.slots + columns[0]) * y.slots + columns[1]
    counts = np.bincount(cell, minlength=colour.slots * x.slots * y.slots)
    return {
        "totals": {
            one.key: np.bincount(column, minlength=one.slots).tolist()
            for one, column in zip(ordered, columns, strict=True)
        },
        "plane": counts.tolist(),
    }
