"""The lines of a CSV file -> records, whatever is wrong with its quotation marks."""

from __future__ import annotations

import csv
import io
import tracemalloc

import numpy as np
import pytest

from annotation.importing.delimited import Record, Records, pieces
from annotation.importing.reasons import LONGEST_LINE


def records(content: bytes, *, columns: int = 4, block: int = 7) -> list[Record]:
    stream = io.BytesIO(content)
    found = Records(pieces(lambda: stream.read(block)), ",")
    found.columns = columns
    return list(found)


def places(content: bytes, **options: int) -> list[tuple[int, int]]:
    return [(one.first, one.last) for one in records(content, **options)]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_valid_is_read_as_the_standard_library_reads_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(500):
        cells = rng.integers(1, 5)
        table = [
            ["".join(rng.choice([*'a,"\n b'], size=rng.integers(0, 6))) for _ in range(cells)]
            for _ in range(rng.integers(1, 5))
        ]
        text = io.StringIO(newline="")
        csv.writer(
            text,
            quoting=csv.QUOTE_ALL if rng.integers(0, 2) else csv.QUOTE_MINIMAL,
            lineterminator=["\n", "\r\n"][rng.integers(0, 2)],
        ).writerows(table)
        content = text.getvalue().encode()
        found = records(content, columns=int(cells), block=int(rng.choice([1, 2, 5, 1_000])))
        assert [one.cells(",") for one in found] == table, content
        assert not any(one.is_open or one.is_stray for one in found)


def test_rows_behind_a_mark_that_is_never_closed_come_again() -> None:
    content = b'1,q,"one,two\n2,q,one,two\n\n3,q,one,two\n'
    found = records(content)
    assert [(one.first, one.last) for one in found] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert [one.told_apart for one in found] == [True, False, False, False]


def test_the_next_quoted_cell_ends_what_an_open_mark_takes_in() -> None:
    content = b'1,q,"one,two\n2,q,one,two\n3,"q, 3",one,two\n4,q,"on\ne",two\n5,q,one,two\n'
    found = records(content)
    assert [(one.first, one.last) for one in found] == [(1, 1), (2, 2), (3, 3), (4, 5), (6, 6)]
    assert [one.cells(",")[0] for one in found if not one.told_apart] == ["2", "3", "4", "5"]


def test_two_open_marks_are_two_bad_rows() -> None:
    content = b'1,q,"one,two\n2,q,one,two\n3,q,"one,two\n4,q,one,two\n'
    assert [(one.first, one.told_apart) for one in records(content)] == [(1, True), (2, False), (3, True), (4, False)]


@pytest.mark.parametrize(
    "content",
    [
        b'1,q,"first line\na,b,c,d\na,b,c,d',  # The file breaks off in a cell whose lines look like rows.
        b'1,q,"one,two\nThis is, after all, prose',  # ... of which one does not.
        b'1,q,"He said "no" to\nme and left, and so",b',  # Marks within the cell are not doubled.
    ],
)
def test_lines_of_a_cell_are_no_rows(content: bytes) -> None:
    assert places(content + b"\n") == [(1, content.count(b"\n") + 1)]


def test_what_follows_a_cell_with_marks_that_are_not_doubled_is_read() -> None:
    assert places(b'1,q,"He said "no" to\nme and left, and so",b\n2,a,b,c\n') == [(1, 2), (3, 3)]


def test_a_record_that_is_too_long_is_counted_and_not_kept() -> None:
    line = b"a,b,c,d" * 100 + b"\n"
    times = 2 * LONGEST_LINE // len(line)
    blocks = iter([b'1,q,"', *[line] * times, b'",z\n2,q,one,two\n', b""])
    tracemalloc.start()
    found = Records(pieces(lambda: next(blocks)), ",")
    found.columns = 4
    (long, after) = found
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (long.first, long.last) == (1, 1 + times)
    assert long.size == len(b'1,q,"",z\n') + len(line) * times
    assert not long.is_open
    assert after.cells(",") == ["2", "q", "one", "two"]
    assert peak < 4 * LONGEST_LINE


def test_rows_are_told_apart_on_disk_where_there_are_many() -> None:
    row = b"2,q,one," + b"two " * 500 + b"\n"
    rows = LONGEST_LINE // len(row) + 10
    blocks = iter([b'1,q,"one,two\n', *[row] * rows, b""])
    found = Records(pieces(lambda: next(blocks)), ",")
    found.columns = 4
    assert next(found).told_apart
    assert [(one.first, one.raw) for one in found] == [(n, row) for n in range(2, rows + 2)]


def test_a_long_line_within_a_cell_belongs_to_its_row() -> None:
    content = b'1,q,"begin\n' + b"x" * (LONGEST_LINE + 5) + b'\nend",two\n2,q,one,two\n'
    found = records(content, block=2**18)
    assert [(one.first, one.last) for one in found] == [(1, 3), (4, 4)]
    assert found[0].size > LONGEST_LINE
