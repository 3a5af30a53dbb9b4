"""A folder of files that is there whole or not at all. Pure: paths, parquet, checksums."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

# Raised whenever a manifest gains or loses a key: code reads the format that it writes, and says so of others.
FORMAT = "plumbline-release/3"
FAMILY = "plumbline-release/"
# What every manifest of this format says.
KEYS = (
    *("project", "version", "layout", "rule", "voices", "criteria", "pairs", "chosen", "ties", "least_probability"),
    *("test_share", "seed", "names", "near_duplicates", "quotas", "cuts", "harmful", "steps", "judgements"),
    *("annotators", "agreement", "guideline", "licence", "limits", "code_version", "rows", "splits", "files"),
)
MANIFEST = "manifest.json"
CARD = "README.md"
SUMS = "SHA256SUMS"

# Rows of one row group, and of one shard (a whole number of groups). Part of what makes a release byte-identical.
GROUP_ROWS = 2_000
SHARD_ROWS = 20_000

# Seconds after which a half-written folder is nobody's any more.
LEFTOVER_AFTER = 24 * 3600

# Every setting that decides a byte is named: a changed default of the library must not change a release.
WRITER: dict[str, Any] = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "snappy",
    "use_dictionary": [
        *("source", "language", "chosen_side", "chosen_model", "rejected_model"),
        *("side", "model", "annotator", "kind", "verdict", "domain"),
    ],
    "write_statistics": False,
    "store_schema": True,
    "write_page_index": False,
    "write_page_checksum": False,
    "data_page_size": 1 << 20,
}


class Taken(Exception):
    """The folder cannot be written. The text says why and what to do."""


class OtherFormat(Taken):
    """A release of another format than this code reads."""


@dataclass(frozen=True)
class FileEntry:
    """A file of a release as its manifest names it. `rows` is None for files that are no table."""

    path: str
    bytes: int
    sha256: str
    rows: int | None = None

    def as_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Written:
    """A shard as it lies there, and how large its rows are in memory, which `datasets` wants to know."""

    entry: FileEntry
    arrow_bytes: int


def shards_of(batches: int, *, within: str) -> list[tuple[str, int]]:
    """The shards of so many batches within a split ("trl_dpo/train"): path, and how many batches. None: an empty one.

    Each but the last takes the same number of batches, whatever they hold: shards are cut at the same pairs every time.
    """
    most = max(1, SHARD_ROWS // GROUP_ROWS)
    count = max(1, -(-batches // most))
    return [
        (f"{within}-{place:05d}-of-{count:05d}.parquet", min(most, batches - place * most)) for place in range(count)
    ]


def write_shards(
    batches: Iterator[pa.RecordBatch], *, folder: Path, shards: Iterable[tuple[str, int]], schema: pa.Schema
) -> list[Written]:
    """Write batches as row groups of at most GROUP_ROWS rows, each shard as many as it says. Memory: two batches.

    A shard's bytes depend on its own batches alone, whoever writes it and whatever was written before.
    """
    written: list[Written] = []
    with ExitStack() as opened:
        # Compressing and digesting leave the interpreter free: the next batch is made meanwhile.
        aside = opened.enter_context(ThreadPoolExecutor(1, thread_name_prefix="parquet"))
        pending: Future[Any] | None = None
        for name, count in shards:
            shard = opened.enter_context(_Shard(folder, name, schema))
            for batch in islice(batches, count):
                if pending is not None:
                    pending.result()
                pending = aside.submit(shard.write, batch)
            if pending is not None:
                pending.result()
            pending = aside.submit(shard.finish, written)
        if pending is not None:
            pending.result()
    return written


class _Shard:
    """A parquet file that is digested while it is written: it need not be read again."""

    def __init__(self, folder: Path, name: str, schema: pa.Schema) -> None:
        self.path, self.name = folder / name, name
        self.path.parent.mkdir(exist_ok=True, parents=True)
        self.rows = self.arrow_bytes = self.size = 0
        self.digest = hashlib.sha256()
        self.file = self.path.open("wb", buffering=0)
        columns = [one for one in WRITER["use_dictionary"] if one in schema.names]
        self.writer = pq.ParquetWriter(_Sink(self), schema, **{**WRITER, "use_dictionary": columns})

    def __enter__(self) -> _Shard:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, batch: pa.RecordBatch) -> None:
        self.writer.write_table(pa.Table.from_batches([batch]), row_group_size=GROUP_ROWS)
        self.rows += batch.num_rows
        self.arrow_bytes += sum(map(memory_of, batch.columns))

    def finish(self, written: list[Written]) -> None:
        """Close the file, and add it to what was written."""
        self.writer.close()
        os.fsync(self.file.fileno())
        self.file.close()
        entry = FileEntry(path=self.name, bytes=self.size, sha256=self.digest.hexdigest(), rows=self.rows)
        written.append(Written(entry=entry, arrow_bytes=self.arrow_bytes))


class _Sink(io.RawIOBase):
    """What the writer writes to: appended, never sought in."""

    def __init__(self, shard: _Shard) -> None:
        self.shard = shard

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        shard, rest = self.shard, memoryview(data)
        size = len(rest)
        shard.digest.update(rest)
        shard.size += size
        while rest:
            rest = rest[shard.file.write(rest) or 0 :]
        return size

    def tell(self) -> int:
        return self.shard.size


def write_text(folder: Path, name: str, text: str) -> FileEntry:
    with (folder / name).open("w", encoding="utf-8", newline="\n") as sink:
        sink.write(text)
        sink.flush()
        os.fsync(sink.fileno())
    return entry(folder, name)


def entry(folder: Path, name: str, *, rows: int | None = None) -> FileEntry:
    path = folder / name
    return FileEntry(path=name, bytes=path.stat().st_size, sha256=sha256_of(path), rows=rows)


def sha256_of(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def canonical(value: Any) -> str:
    """One text for one value: keys sorted, no spaces to vary."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def digest_of(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def write_sums(folder: Path, entries: list[FileEntry]) -> None:
    """SHA256SUMS, as `sha256sum -c` reads it."""
    write_text(
        folder, SUMS, "".join(f"{one.sha256}  {one.path}\n" for one in sorted(entries, key=lambda one: one.path))
    )


def manifest_in(folder: Path) -> dict[str, Any] | None:
    """The manifest of a release in this folder; None where there is none.

    Raises:
        OtherFormat: there is one, of another format than this code's.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    form = manifest.get("format") if isinstance(manifest, dict) else None
    if not isinstance(form, str) or not form.startswith(FAMILY):
        return None
    if form != FORMAT:
        raise OtherFormat(
            f"{folder} holds a release of the format {form}, and this version reads {FORMAT}. "
            f"It was made by the code {manifest.get('code_version') or 'of an unknown version'}: use that for it."
        )
    return dict(manifest)


def check_place(folder: Path, *, project: str, version: str) -> None:
    """A release goes into a new folder, an empty one, or one that holds the same version already.

    Raises:
        Taken: anything else lies there, or its parent is missing or cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Taken(f"{folder} is no folder. Name a folder that does not exist yet.")
    if folder.is_dir() and any(folder.iterdir()):
        there = manifest_in(folder)
        if there is None:
            raise Taken(
                f"{folder} holds files that are no release of ours, and they are not overwritten. Name another folder."
            )
        if (there.get("project"), there.get("version")) != (project, version):
            raise Taken(
                f"{folder} holds the release {there.get('version')} of {there.get('project')}, which is final. "
                "Name another folder."
            )


@contextmanager
def beside(folder: Path) -> Iterator[Path]:
    """A fresh folder beside `folder`, on the same file system; removed at the end if it is still there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for rest in folder.parent.glob(f".{folder.name}.writing-*"):
        # A process that was killed could not tidy up.
        if time.time() - rest.stat().st_mtime > LEFTOVER_AFTER:
            shutil.rmtree(rest, ignore_errors=True)
    temporary = folder.parent / f".{folder.name}.writing-{os.getpid()}-{os.urandom(4).hex()}"
    temporary.mkdir()
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def memory_of(column: pa.Array) -> int:
    """The bytes of a column in memory, by its values alone.

    `nbytes` counts which of them are null even where none is, if the column was once taken from another: whether it was
    hangs on the order in which the database keeps its rows.
    """
    n, kind = len(column), column.type
    nulls = (n + 7) // 8 if column.null_count else 0
    if pa.types.is_string(kind):
        return nulls + 4 * (n + 1) + (pc.sum(pc.binary_length(column)).as_py() or 0)
    if pa.types.is_list(kind):
        return nulls + 4 * (n + 1) + memory_of(column.flatten())
    if pa.types.is_struct(kind):
        return nulls + sum(map(memory_of, column.flatten()))
    return int(nulls + (n * kind.bit_width + 7) // 8)


def put_in_place(temporary: Path, folder: Path) -> None:
    """Rename the finished folder to its name. What lay there before is whole until the very last moment, then gone."""
    _sync(temporary)
    old = folder.parent / f"{temporary.name}-old"
    was_there = folder.exists()
    if was_there:
        folder.rename(old)
    try:
        temporary.rename(folder)
    except OSError:
        if was_there:
            old.rename(folder)
        raise
    _sync(folder.parent)
    shutil.rmtree(old, ignore_errors=True)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def wrong_files(folder: Path) -> list[str]:
    """What differs between a release's files and its manifest and sums, as sentences. Empty: nothing."""
    try:
        manifest = manifest_in(folder)
    except OtherFormat as other:
        return [str(other)]
    if manifest is None:
        return [f"{folder} holds no manifest of a release."]
    named = {one["path"]: (one["sha256"], one["bytes"]) for one in manifest["files"]}
    problems = []
    for name, (digest, size) in sorted(named.items()):
        path = folder / name
        if not path.is_file():
            problems.append(f"{name} is missing.")
        elif path.stat().st_size != size or sha256_of(path) != digest:
            problems.append(f"{name} was changed after the release.")
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    problems += [f"{name} does not belong to the release." for name in sorted(there - {*named, MANIFEST, SUMS})]
    sums = folder / SUMS
    expected = f"{sha256_of(folder / MANIFEST)}  {MANIFEST}"
    if not sums.is_file() or expected not in sums.read_text(encoding="utf-8").splitlines():
        problems.append(f"{MANIFEST} does not fit {SUMS}.")
    return problems
