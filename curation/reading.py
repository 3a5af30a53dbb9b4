"""Pairs -> their texts, in one snapshot of the database, read ahead of what is made of them."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import islice
from typing import TypedDict

import numpy as np
from django.db import DatabaseError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from numpy.typing import NDArray

from curation import arrays, edits, marks
from curation.export.records import Edit, Mark, Ranks, Rows, Said
from curation.planning import Plan
from curation.ranked import rankings_by_prompt
from curation.texts import Read, read, rows_of, said_of
from curation.voices import Voices

# Pieces that the database reads ahead.
AHEAD = 2

SNAPSHOT = re.compile(r"[0-9A-F]+(-[0-9A-F]+)*")


class Gone(Exception):
    """A snapshot is no more: the process that took it has ended."""


@contextmanager
def snapshot(*, of: str = "") -> Iterator[BaseDatabaseWrapper]:
    """A connection of its own that sees the database as it is now until the end, and can change nothing.

    `of`: see it as another process's snapshot of this name does, which must still be open.

    Raises:
        Gone: that one is not.
    """
    usual = connections["default"]
    reader = usual.copy()
    try:
        reader.set_autocommit(False)
        with reader.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            if of:
                _take_over(cursor, of)
            # Counting a million judgements in 4 MB would spill to disk again and again.
            cursor.execute("SET LOCAL work_mem = '64MB'")
            # Where several of the server's processes read, that is for each of them, and what they share lies in
            # /dev/shm: three times this fits into what docker-compose.yml gives.
            cursor.execute("SET LOCAL hash_mem_multiplier = 1")
            # Compiling takes longer than any of these queries for a batch.
            cursor.execute("SET LOCAL jit = off")
        # The next batch is read by a thread of its own; never two at once.
        reader.inc_thread_sharing()
        yield reader
        reader.rollback()
    finally:
        reader.close()


def _take_over(cursor: CursorWrapper, name: str) -> None:
    if not SNAPSHOT.fullmatch(name):
        raise Gone(name)
    try:
        # The name of a snapshot cannot be a parameter.
        cursor.execute(f"SET TRANSACTION SNAPSHOT '{name}'")
    except DatabaseError as error:
        raise Gone(name) from error


def exported(using: BaseDatabaseWrapper) -> str:
    """The name by which other processes can see what this snapshot sees, for as long as it is open."""
    with using.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        return str(cursor.fetchone()[0])


@dataclass(frozen=True)
class Lines:
    """Rows of a release before their texts: what judgements say of them. All arrays have the shape (n,).

    `pair` are pair numbers, `first_wins` which answer is chosen, `verdict` and `settled` what decided it, as in `Rows`.
    `counts` has the shape (n, 4): how often each of `VERDICTS` was given. `agreement`, `strength_mean` (positive for
    the first) and `probability` are nan where they are undefined.
    """

    pair: NDArray[np.int64]
    first_wins: NDArray[np.bool_]
    verdict: NDArray[np.float64]
    settled: NDArray[np.bool_]
    counts: NDArray[np.int64]
    agreement: NDArray[np.float64]
    strength_mean: NDArray[np.float64]
    probability: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pair)

    @classmethod
    def columns(cls) -> list[str]:
        """The names of its arrays."""
        return [one.name for one in fields(cls)]

    @classmethod
    def of(
        cls,
        facts: arrays.PairFacts,
        rows: NDArray[np.int64],
        *,
        first_wins: NDArray[np.bool_],
        verdict: NDArray[np.float64],
        settled: NDArray[np.bool_],
        probability: NDArray[np.float64],
    ) -> Lines:
        """The lines of the pairs at the places `rows` of `facts`; the other arrays have the shape of `rows`."""
        counts = facts.counts[rows].astype(np.int64)
        n = counts.sum(axis=1)
        known = facts.n_strength[rows]
        return cls(
            pair=facts.pair[rows],
            first_wins=first_wins,
            verdict=verdict,
            settled=settled,
            counts=counts,
            agreement=np.where(n >= 2, ((counts**2).sum(axis=1) - n) / np.maximum(n * (n - 1), 1), np.nan),
            strength_mean=np.where(known > 0, facts.strength_sum[rows] / np.maximum(known, 1), np.nan),
            probability=probability,
        )


class Beside(TypedDict):
    """What is told of each pair beside its texts and its counts."""

    said: Sequence[Sequence[Said]]
    marks: Sequence[Sequence[Mark]]
    edits: Sequence[Sequence[Edit]]
    rankings: Mapping[int, Sequence[Ranks]]


def texts(
    pieces: Iterable[Lines],
    *,
    voices: Voices,
    shown: Mapping[int, str] | None,
    marked: bool = False,
    edited: bool = False,
    ranked: bool = False,
    using: BaseDatabaseWrapper,
) -> Generator[Rows, None, None]:
    """Each piece with its texts, checked. Memory: four pieces.

    While one piece is turned and written, the database reads the next ones.

    Args:
        pieces: some thousand lines each.
        voices: whose judgements are told.
        shown: what is told of each annotator; None where no judgement is told by itself.
        marked, edited, ranked: whether what was highlighted in the answers, what became of them by an edit, and how
            people ranked them is told.
        using: the snapshot.
    """

    def tell(annotator: int) -> str:
        return shown[annotator] if shown else ""

    def ask(piece: Lines) -> tuple[Lines, Read, Beside]:
        pairs = piece.pair
        return (
            piece,
            read(pairs, using=using),
            {
                "said": () if shown is None else said_of(pairs, voices=voices, shown=tell, using=using),
                "marks": marks.marks_of(pairs, voices=voices, using=using) if marked else (),
                "edits": edits.edits_of(pairs, voices=voices, shown=tell, using=using) if edited else (),
                "rankings": rankings_by_prompt(pairs, voices=voices, using=using) if ranked else {},
            },
        )

    with using.cursor() as cursor:
        # Two thousand pairs of a million: look them up, do not read all pairs for each batch; and read the pages that
        # they lie on together, not one by one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
    left = iter(pieces)
    with ThreadPoolExecutor(1, thread_name_prefix="release") as ahead:
        # This thread does nothing but wait for the database; what comes is made into rows by the caller's.
        coming = deque(ahead.submit(ask, piece) for piece in islice(left, AHEAD))
        try:
            while coming:
                piece, crossed, beside = coming.popleft().result()
                coming.extend(ahead.submit(ask, piece) for piece in islice(left, 1))
                numbers = {name: getattr(piece, name) for name in Lines.columns() if name != "pair"}
                yield rows_of(crossed, **numbers, **beside, using=using)
        finally:
            for one in coming:
                one.cancel()


def shown_annotators(asked: Plan, *, using: BaseDatabaseWrapper) -> dict[int, str] | None:
    """What a release tells of each annotator: a pseudonym that is the same throughout it and in no other.

    None where the layout tells no judgement by itself.
    """
    if not asked.layout.tells:
        return None
    with using.cursor() as cursor:
        cursor.execute("SELECT id, name FROM annotator WHERE project_id = %s", [asked.project.pk])
        names = dict(cursor.fetchall())
    return names if asked.names else {number: pseudonym(number, salt=asked.salt) for number in names}


def pseudonym(annotator: int, *, salt: str) -> str:
    """Without the salt, which never leaves the database, nobody can say whose it is."""
    return f"annotator-{hmac.new(bytes.fromhex(salt), str(annotator).encode(), hashlib.sha256).hexdigest()[:12]}"
