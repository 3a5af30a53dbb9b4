"""Chosen pairs -> their rows exactly as a release will write them: by the code that writes, shown value by value."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from curation.choosing import Chosen, lines_of
from curation.export.records import Broken
from curation.planning import Plan
from curation.reading import shown_annotators, texts

# Pairs whose rows are shown; and rows, of layouts in which a pair has several.
PAIRS, ROWS = 3, 6
# A prompt with more pairs than this is not read for a page: its one row holds them all.
MOST_TOGETHER = 2_000
# Characters of a value at which it is clamped, and at which it ends altogether.
CLAMPED, LONGEST = 160, 10_000
# Of the pseudonyms that are shown: those of a release have a salt that is drawn when it is made.
SALT = hashlib.sha256(b"preview").hexdigest()


@dataclass(frozen=True)
class Value:
    """A column of a row. `text` is the value, what is no text as JSON; `beginning` is not empty where it is clamped.

    `left_out`: how many characters of the value are not in `text`. `is_null`: there is no value.
    """

    column: str
    kind: str
    text: str
    beginning: str = ""
    left_out: int = 0
    is_null: bool = False


@dataclass(frozen=True)
class Written:
    """The first rows. `refused`: why they cannot be written, which the release would be refused for."""

    rows: list[list[Value]] = field(default_factory=list)
    refused: str = ""


def written(asked: Plan, chosen: Chosen, places: NDArray[np.int64], *, using: BaseDatabaseWrapper) -> Written:
    """The rows of the pairs at `places` of the facts, of the first `PAIRS` of them, in the order of the release.

    The last that may be read of a snapshot: looking pairs up one by one is all that its connection does well after it.
    """
    first = places[:PAIRS]
    facts, by_prompt = chosen.facts, asked.layout.by_prompt
    wanted = np.isin(facts.prompt[chosen.rows], facts.prompt[first]) if by_prompt else np.isin(chosen.rows, first)
    if wanted.sum() > MOST_TOGETHER:
        return Written(
            refused=f"The first rows hold more than {MOST_TOGETHER:,} pairs, which no page waits for: a prompt's pairs "
            "are one row of this layout. The release writes them."
        )
    whole = [rows for split, rows in chosen.splits.items() if split.startswith(f"{asked.layout.name}/")]
    pieces = [rows[wanted[rows]] for rows in whole]
    asked = replace(asked, salt=asked.salt or SALT)
    try:
        batches = _batches(asked, chosen, [piece for piece in pieces if len(piece)], using=using)
    except Broken as error:
        return Written(refused=str(error))
    rows = [row for batch in batches for row in batch.to_pylist()][:ROWS]
    kinds = {one.name: str(one.type) for one in asked.schema}
    return Written([[_value(name, kinds[name], value) for name, value in row.items()] for row in rows])


def _batches(
    asked: Plan, chosen: Chosen, pieces: list[NDArray[np.int64]], *, using: BaseDatabaseWrapper
) -> list[pa.RecordBatch]:
    with closing(
        texts(
            (lines_of(chosen, piece) for piece in pieces),
            voices=asked.voices,
            shown=shown_annotators(asked, using=using),
            marked=asked.layout.marks,
            edited=asked.layout.edits,
            ranked=asked.layout.by_prompt,
            using=using,
        )
    ) as found:
        return [asked.build(rows) for rows in found]


def _value(column: str, kind: str, value: Any) -> Value:
    if value is None:
        return Value(column, kind, "", is_null=True)
    text = short = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    line = " ".join(short[: 4 * CLAMPED].split())
    is_long = len(short) > CLAMPED or "\n" in short.strip()
    if is_long and isinstance(value, list) and any(isinstance(one, dict | list) for one in value):
        # Messages stand one below the other; lists of numbers and words on one line.
        text = json.dumps(value, ensure_ascii=False, indent=2)
    return Value(
        column,
        kind,
        text[:LONGEST],
        beginning=f"{line[:CLAMPED].rstrip()} …" if is_long else "",
        left_out=max(0, len(text) - LONGEST),
    )
