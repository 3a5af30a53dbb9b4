"""Files that mean harm: a sentence each, little memory, no traceback."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import struct
from collections import deque
from pathlib import Path

import pytest

from annotation.errors import Refused
from annotation.importing import check, sources
from annotation.importing.reading import rows

pytestmark = pytest.mark.django_db


def good(n: int) -> dict[str, str]:
    return {"item_id": f"i{n}", "prompt": f"question {n}", "response_a": "yes", "response_b": "no"}


def rows_before_the_end(path: Path) -> int:
    """How many rows came out of a file before it was refused as a bomb."""
    read = itertools.count()
    with pytest.raises(Refused, match="unpacks to more than 100 times"):
        deque(zip(rows(sources.open_source(path)), read, strict=False), maxlen=0)
    return next(read)


def test_a_gzip_bomb_is_stopped_early(tmp_path: Path) -> None:
    path = tmp_path / "bomb.jsonl.gz"
    with gzip.open(path, "wb", compresslevel=9) as out:
        out.write((json.dumps(good(1)) + "\n").encode())
        for _ in range(400):
            out.write(b" " * 2**20)
    source = sources.open_source(path)
    with pytest.raises(Refused, match="unpacks to more than 100 times"):
        list(rows(source))


def test_a_large_gzip_bomb_stops_where_a_small_one_does(tmp_path: Path) -> None:
    """What counts is what was taken from the file so far, not how long the file goes on."""
    path = tmp_path / "bomb.jsonl.gz"
    line = json.dumps(good(1) | {"response_a": "yes " * 250_000}).encode() + b"\n"
    with gzip.open(path, "wb", compresslevel=9) as out:
        for _ in range(100):
            out.write(line)
    padded = path.read_bytes() + gzip.compress(os.urandom(2**20), 1)
    path.write_bytes(padded)
    read = rows_before_the_end(path)
    # 100 MB are less than 100 times the whole file, and more than the part of it that they came from is worth.
    assert 100 * len(line) < 100 * len(padded)
    assert read <= 66 * 2**20 // len(line)


def test_a_gzip_file_that_breaks_off_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    content = gzip.compress("".join(json.dumps(good(n)) + f" {n * 7919}\n" for n in range(5_000)).encode())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(Refused, match="damaged gzip file"):
        check(path, "plumbline")


def test_a_million_columns_are_one_refused_row(tmp_path: Path) -> None:
    path = tmp_path / "wide.jsonl"
    wide = "{" + ",".join(f'"{n}":0' for n in range(500_000)) + "}"
    path.write_text("\n".join([json.dumps(good(1)), wide, json.dumps(good(2))]))
    report = check(path)
    assert report.counts == {"too_many_columns": 1}
    assert [refusal.line for refusal in report.refusals] == [2]


def test_a_million_csv_columns_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "wide.csv"
    path.write_text(",".join(f"c{n}" for n in range(1_000_000)) + "\n1\n")
    with pytest.raises(Refused):
        check(path)


def test_deep_json_is_a_reason_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "deep.jsonl"
    deep = '{"item_id": "d", "prompt": "p", "response_a": "x", "response_b": "y", "meta": '
    deep += '{"a":' * 100_000 + "1" + "}" * 100_001
    path.write_text("\n".join([json.dumps(good(1)), deep]))
    assert check(path).counts == {"too_deep": 1}


def parquet(path: Path) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [good(n) for n in range(50)]
    pq.write_table(pa.Table.from_pylist(rows), path, compression="snappy")
    return path.read_bytes()


def test_parquet_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.parquet"
    path.write_bytes(parquet(path)[:-200])
    with pytest.raises(Refused, match="cannot be read"):
        check(path)


def test_parquet_with_a_lying_footer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "lies.parquet"
    content = bytearray(parquet(path))
    content[-8:-4] = struct.pack("<I", 2**31 - 1)
    path.write_bytes(bytes(content))
    with pytest.raises(Refused, match="cannot be read"):
        check(path)


@pytest.mark.parametrize("seed", range(12))
def test_parquet_with_changed_bytes_is_read_or_refused(tmp_path: Path, seed: int) -> None:
    """Whatever a byte in the footer says: rows, or a sentence."""
    import numpy as np

    rng = np.random.default_rng(seed)
    path = tmp_path / "odd.parquet"
    content = bytearray(parquet(path))
    footer = struct.unpack("<I", content[-8:-4])[0]
    for place in rng.integers(len(content) - 8 - footer, len(content) - 8, 4):
        content[int(place)] = int(rng.integers(256))
    path.write_bytes(bytes(content))
    said, read = "", 50
    try:
        read = check(path, "plumbline").read
    except Refused as refused:
        said = str(refused)
    assert "cannot be read" in said if said else read == 50


def test_a_parquet_bomb_is_stopped_early(tmp_path: Path) -> None:
    """A few kilobytes that stand for half a million rows of a kilobyte each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    many = pa.DictionaryArray.from_arrays(pa.array([0] * 500_000, pa.int32()), ["x" * 1_000])
    pq.write_table(pa.table({"prompt": many}), tmp_path / "bomb", compression="zstd")
    assert (tmp_path / "bomb").stat().st_size < 100_000
    found = rows(sources.open_source(tmp_path / "bomb"))
    first = [row.line for _, row in zip(range(50_000), found, strict=False)]
    assert len(first) == 50_000
    with pytest.raises(Refused, match="unpacks to more than 100 times"):
        list(found)


def test_a_parquet_bomb_in_parts_stops_where_one_in_a_piece_does(tmp_path: Path) -> None:
    """A dictionary unpacks to far more than the header says; the rest of the file does not make up for it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    many = pa.DictionaryArray.from_arrays(pa.array([0] * 100_000, pa.int32()), ["x" * 1_000])
    noise = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), [os.urandom(2**20).hex()])
    with pq.ParquetWriter(tmp_path / "bomb", pa.schema([("prompt", many.type)]), compression="zstd") as out:
        out.write_table(pa.table({"prompt": many}))
        out.write_table(pa.table({"prompt": noise}))
    assert 100 * (tmp_path / "bomb").stat().st_size > 100_000_000
    read = rows_before_the_end(tmp_path / "bomb")
    assert read <= 66 * 2**20 // 1_000


def test_parquet_that_says_it_has_other_rows_is_refused() -> None:
    from types import SimpleNamespace

    from annotation.importing import columnar

    column = SimpleNamespace(
        total_compressed_size=100,
        total_uncompressed_size=2**40,
        dictionary_page_offset=None,
        data_page_offset=4,
        path_in_schema="prompt",
    )

    def metadata(**changes: object) -> SimpleNamespace:
        part = SimpleNamespace(num_rows=10, num_columns=1, column=lambda n: SimpleNamespace(**vars(column) | changes))
        return SimpleNamespace(num_columns=1, num_rows=10, num_row_groups=1, row_group=lambda n: part)

    with pytest.raises(columnar.Unfit, match="would unpack 100 bytes to 1,099,511,627,776"):
        columnar.check_parquet(metadata(), 1_000)
    with pytest.raises(columnar.Unfit, match="outside the file"):
        columnar.check_parquet(metadata(total_compressed_size=10**9), 1_000)
    # Each column as the limit for one wants it, and far too much together: nothing is decoded to find out.
    half = metadata(total_compressed_size=2**20, total_uncompressed_size=2**29)
    with pytest.raises(columnar.Unfit, match="unpacks to more than 100 times its size"):
        columnar.check_parquet(half, 2**21)
    honest = metadata(total_uncompressed_size=150)
    columnar.check_parquet(honest, 1_000)
    honest.num_rows = 11
    with pytest.raises(columnar.Unfit, match="11 rows, and its parts say 10"):
        columnar.check_parquet(honest, 1_000)


def test_text_in_parquet_that_is_not_utf8_is_one_refused_row(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [good(n) for n in range(3)]
    table = pa.Table.from_pylist(rows)
    broken = pa.array([b"yes", b"\xff\xfe", b"yes"]).view(pa.string())
    pq.write_table(table.set_column(table.schema.get_field_index("response_a"), "response_a", broken), tmp_path / "x")
    report = check(tmp_path / "x")
    assert [(refusal.line, refusal.reason) for refusal in report.refusals] == [(2, "invalid_utf8")]


def test_bytes_are_no_text(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [good(1) | {"response_a": b"yes"}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x")
    assert check(tmp_path / "x").counts == {"wrong_type": 1}
