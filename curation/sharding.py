"""Chosen pairs -> shards: written by one process or, in parts, by several, always with the same bytes.

Several processes see one snapshot of the database: the one that holds the run takes it and hands on its name. What it
chose lies in files beside the release, one for each part: which pairs, which answer, which counts. Texts go straight
from the database into the shards of whoever writes them. A part writes beside the release too and moves a shard to its
place when it is whole, so that a process that lost its part can neither tear a shard nor leave half of one.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.dividing import BEAT, PartHold, do_together
from annotation.errors import Refused
from annotation.running import Hold, Superseded
from curation.choosing import Chosen, lines_of, pieces_of
from curation.export import files
from curation.export.files import FileEntry, Written
from curation.export.records import Broken
from curation.planning import Plan
from curation.reading import Gone, Lines, exported, shown_annotators, snapshot, texts

# Shards of one part. More of them wait less at its ends; fewer share better.
PART_SHARDS = 2

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Shard:
    """A file that is to be written: its split, its path, and its rows in batches, as `pieces_of` cuts them."""

    split: str
    name: str
    pieces: list[NDArray[np.int64]]

    @property
    def rows(self) -> int:
        return sum(map(len, self.pieces))


def shards_of(asked: Plan, chosen: Chosen) -> list[Shard]:
    """All shards of a release, split by split."""
    found = []
    for split in chosen.splits:
        pieces = pieces_of(asked, chosen, split)
        left = iter(pieces)
        for name, size in files.shards_of(len(pieces), within=split):
            found.append(Shard(split, name, list(islice(left, size))))
    return found


def is_shared(shards: Sequence[Shard]) -> bool:
    """Whether there are enough of them for several processes."""
    return len(shards) > PART_SHARDS


def write_here(
    asked: Plan,
    chosen: Chosen,
    shards: Sequence[Shard],
    *,
    folder: Path,
    using: BaseDatabaseWrapper,
    progress: Progress,
) -> list[Written]:
    """Write all shards in this process, one after the other.

    Args:
        progress: called with the rows of each batch that was made.

    Raises:
        Broken: a row would mislead a trainer.
    """
    lines = (lines_of(chosen, piece) for shard in shards for piece in shard.pieces)
    sizes = [(shard.name, len(shard.pieces)) for shard in shards]
    return _write(asked, sizes, lines, folder=folder, using=using, progress=progress)


def write_together(
    hold: Hold,
    asked: Plan,
    chosen: Chosen,
    shards: Sequence[Shard],
    *,
    folder: Path,
    using: BaseDatabaseWrapper,
    progress: Callable[[int, int], None],
    is_local: bool,
) -> list[Written]:
    """Write all shards, with whoever helps.

    Args:
        hold: the run, which is divided.
        using: the snapshot that `chosen` was read in; it must stay open.
        progress: called with the rows that are done and the rows in all.
        is_local: only processes that this one started may help.

    Raises:
        Refused: a row would mislead a trainer, or a part failed three times.
        Cancelled, Superseded: as `Hold.beat`.
    """
    total, done = sum(shard.rows for shard in shards), 0

    def count(parts: int, of: int) -> None:
        nonlocal done
        done = total * parts // of
        progress(done, total)

    # Named like the folder itself, so that it is cleared away with it when this process is killed.
    notes = folder.with_name(f"{folder.name}-parts")
    notes.mkdir()
    try:
        name = exported(using)
        tasks = []
        for place, start in enumerate(range(0, len(shards), PART_SHARDS)):
            some = shards[start : start + PART_SHARDS]
            numbers = notes / f"{place:05d}.npz"
            _put_down(numbers, [lines_of(chosen, piece) for shard in some for piece in shard.pieces])
            sizes = [(shard.name, len(shard.pieces)) for shard in some]
            tasks.append(
                {"numbers": os.fspath(numbers), "shards": sizes, "folder": os.fspath(folder), "snapshot": name}
            )
        results = do_together(
            hold,
            tasks,
            do=lambda part: write_part(part, asked, beat=lambda rows: progress(done, total), using=using),
            is_local=is_local,
            progress=count,
        )
    finally:
        shutil.rmtree(notes, ignore_errors=True)
    written = [_from_json(one) for result in results for one in result["shards"]]
    for one in written:
        if (folder / one.entry.path).stat().st_size != one.entry.bytes:
            raise Refused(f"{one.entry.path} was written on a disk that this process does not see. Share the folder.")
    return written


def write_part(
    hold: PartHold, asked: Plan, *, beat: Progress | None = None, using: BaseDatabaseWrapper | None = None
) -> dict[str, Any]:
    """Write the shards of one part. Returns what `write_together` reads of it.

    Args:
        asked: the plan of the run, with its salt.
        beat: called after each batch, with its rows. The part's lease is renewed here.
        using: the snapshot, where this process has it open.

    Raises:
        Refused: a row would mislead a trainer, or the folder cannot be reached from here.
        Superseded: the part is somebody else's by now, or the snapshot is gone with the process that took it.
    """
    task = hold.part.task
    folder, numbers = Path(task["folder"]), Path(task["numbers"])
    try:
        pieces = list(_taken_up(numbers))
        own = numbers.parent / f"{numbers.stem}-{hold.token}"
        own.mkdir()
    except FileNotFoundError as error:
        hold.beat()  # Where the release has ended meanwhile, nothing is the matter.
        raise Refused(
            f"{hold.part.worker} cannot reach {folder.parent}. Workers that write releases share the folder of state."
        ) from error

    beat_at = time.monotonic()

    def tell(rows: int) -> None:
        nonlocal beat_at
        if time.monotonic() - beat_at > BEAT:
            hold.beat()
            beat_at = time.monotonic()
        if beat is not None:
            beat(rows)

    def write(reader: BaseDatabaseWrapper) -> list[Written]:
        sizes = [(name, size) for name, size in task["shards"]]
        return _write(asked, sizes, iter(pieces), folder=own, using=reader, progress=tell)

    try:
        if using is not None:
            written = write(using)
        else:
            with snapshot(of=task["snapshot"]) as reader:
                written = write(reader)
    except Gone as error:
        raise Superseded from error
    except Broken as error:
        raise Refused(str(error)) from error
    for one in written:
        goal = folder / one.entry.path
        goal.parent.mkdir(exist_ok=True)
        (own / one.entry.path).replace(goal)
    return {"shards": [{"entry": asdict(one.entry), "arrow_bytes": one.arrow_bytes} for one in written]}


def _from_json(stored: dict[str, Any]) -> Written:
    return Written(entry=FileEntry(**stored["entry"]), arrow_bytes=stored["arrow_bytes"])


def _write(
    asked: Plan,
    shards: Sequence[tuple[str, int]],
    lines: Iterator[Lines],
    *,
    folder: Path,
    using: BaseDatabaseWrapper,
    progress: Progress,
) -> list[Written]:
    shown = shown_annotators(asked, using=using)

    def batches() -> Generator[pa.RecordBatch, None, None]:
        with closing(
            texts(
                lines,
                voices=asked.voices,
                shown=shown,
                marked=asked.layout.marks,
                edited=asked.layout.edits,
                ranked=asked.layout.by_prompt,
                using=using,
            )
        ) as found:
            for rows in found:
                built = asked.build(rows)
                progress(len(rows))
                yield built

    # Closed before the snapshot is: after an error nobody may still be reading from it.
    with closing(batches()) as made:
        return files.write_shards(made, folder=folder, shards=shards, schema=asked.schema)


def _put_down(path: Path, pieces: Iterable[Lines]) -> None:
    """Numbers only: no text and no name of anybody leaves the database this way."""
    kept = list(pieces)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(one, name) for one in kept]) if kept else np.zeros(0) for name in Lines.columns()
    }
    np.savez(path, ends=np.cumsum([len(one) for one in kept], dtype=np.int64), **columns)


def _taken_up(path: Path) -> Iterator[Lines]:
    with np.load(path, allow_pickle=False) as stored:
        columns = {name: stored[name] for name in Lines.columns()}
        ends = stored["ends"].tolist()
    for start, end in zip([0, *ends], ends, strict=False):
        yield Lines(**{name: column[start:end] for name, column in columns.items()})
