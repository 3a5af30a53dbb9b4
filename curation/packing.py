"""The facts' bins -> what the board's script reads: a summary that is painted first, and one byte per pair and column.

The columns are `PLB1`, the length of the header (4 bytes, little endian), the header as JSON padded to 64 bytes, and
then one uint8 column per dimension, rows in the order of the plane's x. Both answers are gzip.
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

FORMAT = "plumbline-board/1"


@dataclass(frozen=True)
class Packed:
    """`summary` and `columns` are gzip; `rows` counts the pairs in play."""

    rows: int
    summary: bytes
    columns: bytes


def in_order(dims: Sequence[Dimension], *, has_difficulty: bool) -> list[Dimension]:
    """The plane's x, its y and its colour first. Without a difficulty, strength is the plane's x."""
    x = DIFFICULTY if has_difficulty else STRENGTH
    first = [x, AGREEMENT, DISCRETION]
    return [*first, *(one for one in dims if one.key not in {each.key for each in (*first, READING)}), READING]


def pack(*, project: Project, dims: Sequence[Dimension], version: int) -> Packed:
    """Read the bins of all pairs in play."""
    names = [one.bin_column for one in dims]
    found = arrays.columns(
        f"SELECT {', '.join(names)} FROM pair_facts WHERE project_id = %s AND NOT is_excluded",
        [project.pk],
        dict.fromkeys(names, pa.int16()),
    )
    rows = len(found[names[0]])
    has_difficulty = bool((found[DIFFICULTY.bin_column] < DIFFICULTY.bins).any())
    ordered = in_order(dims, has_difficulty=has_difficulty)
    # Neighbours in the order of x are alike in nothing else; the column of x itself packs to nothing.
    order = np.argsort(found[ordered[0].bin_column], kind="stable")
    columns = [np.ascontiguousarray(found[one.bin_column][order], dtype=np.uint8) for one in ordered]
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
    text += b" " * (-(len(text) + 8) % 64)
    body = b"PLB1" + struct.pack("<I", len(text)) + text + b"".join(column.tobytes() for column in columns)
    summary = {"header": header, **totals(ordered, columns)}
    return Packed(
        rows=rows,
        summary=gzip.compress(json.dumps(summary, separators=(",", ":"), ensure_ascii=False).encode(), 9, mtime=0),
        columns=gzip.compress(body, 5, mtime=0),
    )


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
