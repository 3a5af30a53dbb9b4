"""Parquet and Arrow files -> JSON lines on standard output. Runs as a program of its own.

These formats say in their own headers how much memory to take, and a file may lie. So they are read in a child
process with a limit on its memory and its time: whatever they do there, the import only sees lines, and a sentence
where they end.

    python columnar.py FILE…      one JSON object per row; a line that begins with "!" is a reason to stop

Knows nothing of the rest of the house: it runs without it.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# What reading may take beside the library itself.
MEMORY = 512 * 2**20
SECONDS = 3_600
ROWS = 256
MOST_COLUMNS = 1_000
# A column chunk that claims to unpack to more than this, or to so many times its size, is not read.
MOST_UNPACKED = 2**30
MOST_TIMES = 1_000
# What all of it may unpack to: so many times its size, once more than the free part came out (as in sources.py).
MOST_TIMES_IN_ALL = 100
FREE = 64 * 2**20


class Unfit(Exception):
    """The file cannot be read as what it says it is."""


class Worth:
    """What came out of a file against what was taken from it so far: each part must be worth its bytes.

    A dictionary unpacks to far more than the header says; so a file that does stops at the free part, however long it
    goes on.
    """

    def __init__(self) -> None:
        self.taken = self.out = 0

    def add(self, out: int) -> None:
        self.out += out
        check_unpacked(self.taken, self.out)


def parquet_rows(path: Path, worth: Worth) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    size = path.stat().st_size
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=2**20, memory_map=False) as file:
        check_parquet(file.metadata, size)
        told, read = file.metadata.num_rows, 0
        for g in range(file.metadata.num_row_groups):
            worth.taken += packed_size(file.metadata.row_group(g))
            for batch in file.iter_batches(batch_size=ROWS, row_groups=[g], use_threads=False):
                read += batch.num_rows
                if read > told:
                    raise Unfit(f"its header says {told:,} rows, and there are more")
                yield from rows_of(batch)
        if read != told:
            raise Unfit(f"its header says {told:,} rows, and there are {read:,}")


def check_parquet(metadata: Any, size: int) -> None:
    """Refuse what the header alone shows to be wrong."""
    if metadata.num_columns > MOST_COLUMNS:
        raise Unfit(f"it has {metadata.num_columns:,} columns; the limit is {MOST_COLUMNS:,}")
    counted = all_unpacked = 0
    for g in range(metadata.num_row_groups):
        group = metadata.row_group(g)
        counted += group.num_rows
        for c in range(group.num_columns):
            column = group.column(c)
            packed, unpacked = column.total_compressed_size, column.total_uncompressed_size
            start = column.dictionary_page_offset or column.data_page_offset
            if packed < 0 or unpacked < 0 or start < 0 or start + packed > size:
                raise Unfit(f"its header places the column {column.path_in_schema} outside the file")
            if unpacked > MOST_UNPACKED or unpacked > MOST_TIMES * max(packed, 4096):
                raise Unfit(f"its column {column.path_in_schema} would unpack {packed:,} bytes to {unpacked:,}")
            all_unpacked += unpacked
    if counted != metadata.num_rows:
        raise Unfit(f"its header says {metadata.num_rows:,} rows, and its parts say {counted:,}")
    check_unpacked(size, all_unpacked)


def packed_size(group: Any) -> int:
    return sum(group.column(c).total_compressed_size for c in range(group.num_columns))


def check_unpacked(packed: int, unpacked: int) -> None:
    if unpacked > FREE and unpacked > MOST_TIMES_IN_ALL * packed:
        raise Unfit(f"it unpacks to more than {MOST_TIMES_IN_ALL} times its size, and no text does that")


def arrow_rows(path: Path) -> Iterator[dict[str, Any]]:
    """A stream or a file of the Arrow format, as `save_to_disk` writes them."""
    import pyarrow as pa

    with path.open("rb") as handle:
        is_file = handle.read(6) == b"ARROW1"
        handle.seek(0)
        if is_file:
            reader = pa.ipc.open_file(handle)
            check_schema(reader.schema)
            for n in range(reader.num_record_batches):
                yield from batch_rows(reader.get_batch(n))
        else:
            stream = pa.ipc.open_stream(handle)
            check_schema(stream.schema)
            for batch in stream:
                yield from batch_rows(batch)


def check_schema(schema: Any) -> None:
    if len(schema) > MOST_COLUMNS:
        raise Unfit(f"it has {len(schema):,} columns; the limit is {MOST_COLUMNS:,}")


def batch_rows(batch: Any) -> Iterator[dict[str, Any]]:
    batch.validate(full=True)
    for start in range(0, batch.num_rows, ROWS):
        yield from rows_of(batch.slice(start, ROWS))


def rows_of(batch: Any) -> list[dict[str, Any]]:
    try:
        rows: list[dict[str, Any]] = batch.to_pylist()
    except UnicodeDecodeError:
        # Text that is not UTF-8: read the batch again value by value, and leave the broken ones for the check to name.
        rows = [{name: value_of(column[n]) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
                for n in range(batch.num_rows)]  # fmt: skip
    return rows


def value_of(scalar: Any) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return (
            scalar.as_buffer().to_pybytes().decode("utf-8", "surrogateescape")
            if hasattr(scalar, "as_buffer")
            else "\udcff"
        )


def other(value: Any) -> Any:
    """What JSON has no word for. Bytes become something that no layout takes for text."""
    return {"bytes": len(value)} if isinstance(value, bytes) else str(value)


def main(paths: list[str]) -> int:
    import pyarrow.parquet  # noqa: F401

    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, taken + MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    write = sys.stdout.write
    encode = json.JSONEncoder(default=other, check_circular=False).encode
    try:
        for name in paths:
            path = Path(name)
            with path.open("rb") as handle:
                is_parquet = handle.read(4) == b"PAR1"
            worth = Worth()
            for row in parquet_rows(path, worth) if is_parquet else arrow_rows(path):
                line = encode(row)
                if is_parquet:
                    worth.add(len(line))
                write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough.
        sys.stderr.close()
        return 0
    except MemoryError:
        write("!it wants more memory than an import may take\n")
    except Exception as error:
        # Whatever a hostile file makes the library raise becomes one line.
        said = str(error).strip().split("\n")[0]
        write(f"!{said if isinstance(error, Unfit) else f'the reader says: {said[:200] or type(error).__name__}'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
