"""The lines of a CSV file -> records, each with the lines that it takes, whatever is wrong with its quotation marks.

The parser of the standard library cannot go on after an error: its next line may lie in the middle of a quoted cell,
and would be read as a row that is none. So the records are told apart here, and each is parsed by itself.

A quotation mark opens a cell where the cell begins, and closes it before a delimiter or the end of a line; two stand
for one. Any other mark within a quoted cell is stray: the record is refused, and ends where the cell does.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO

from annotation.importing.reasons import LONGEST_LINE

QUOTE = b'"'
# A line comes in pieces of about this size, so that one of any length takes no more memory.
PIECE = 2**20
# Where a scan stands between two bytes: before a cell, in one without quotation marks, in one with, behind a mark that
# closes the cell unless another follows.
BEFORE, PLAIN, QUOTED, CLOSING = range(4)

# The number of a line, some of its bytes without the line break, and whether they are its last.
Piece = tuple[int, bytes, bool]


@dataclass(slots=True)
class Record:
    """The lines `first` to `last` of a file, with their line breaks in `raw`; only their beginning where too long.

    `size` in bytes. `is_open`: the file ends within a quoted cell. `is_stray`: a mark stands where none can.
    `told_apart`: the lines after the first are rows of their own, and come as such.
    """

    first: int
    last: int
    raw: bytes
    size: int
    is_open: bool = False
    is_stray: bool = False
    told_apart: bool = False

    def cells(self, delimiter: str) -> list[str]:
        """Bytes that are not UTF-8 become lone surrogates; the check of the row names the cell that has them.

        Raises:
            csv.Error: it is not valid CSV, or a cell is longer than csv.field_size_limit.
        """
        text = self.raw.decode("utf-8", "surrogateescape")
        return next(csv.reader([text], delimiter=delimiter, strict=True), [])


def pieces(read: Callable[[], bytes]) -> Iterator[Piece]:
    number, held, goes_on = 1, b"", False
    while block := read():
        parts = (held + block).split(b"\n")
        for part in parts[:-1]:
            yield number, part, True
            number += 1
        goes_on = goes_on and len(parts) == 1
        held = parts[-1]
        if len(held) > PIECE:
            yield number, held, False
            held, goes_on = b"", True
    if held or goes_on:
        yield number, held, True


class Records:
    """All records of a file, in order; blank lines are records without cells.

    A mark that is never closed takes in the rows after it, up to the next quoted cell or to the end of the file. Where
    its line would be a whole row if the mark were a letter, and every line that it took in is a row of as many cells,
    then they were rows: they come again. In a cell of several lines of prose that is not so, and nothing is made of it
    but one bad row.
    """

    def __init__(self, source: Iterator[Piece], delimiter: str) -> None:
        self.source = source
        self.delimiter = delimiter
        # How many cells a row has: known once the header is read. Nothing is told apart before.
        self.columns = 0
        # What comes before the rest of the source, the last first.
        self.again: list[Iterator[Piece]] = []

    def __iter__(self) -> Iterator[Record]:
        return self

    def __next__(self) -> Record:
        number, piece, ends = self._piece()
        if ends and QUOTE not in piece:
            return Record(number, number, piece + b"\n", len(piece))
        record, scan, kept = Record(number, number, b"", 0), Scan(self.delimiter.encode()), bytearray()
        later = _Later()
        tried = False
        while True:
            scan.take(piece)
            whole = piece + b"\n" if ends else piece
            record.last, record.size = number, record.size + len(whole)
            if len(kept) <= LONGEST_LINE:
                kept += whole
            if number > record.first:
                later.write(whole)
            ended = ends and scan.ends_line()
            if ends and scan.is_stray and not tried:
                tried = True
                record.told_apart = self._is_apart(kept, scan.opened_at, later)
            if ended or record.told_apart:
                break
            try:
                number, piece, ends = self._piece()
            except StopIteration:
                record.is_open = True
                record.told_apart = not tried and self._is_apart(kept, scan.opened_at, later)
                break
        record.is_stray = scan.is_stray
        record.raw = bytes(kept)
        if record.told_apart:
            record.last = record.first
            self.again.append(later.lines(record.first + 1))
        else:
            later.close()
        return record

    def _piece(self) -> Piece:
        while self.again:
            found = next(self.again[-1], None)
            if found is not None:
                return found
            self.again.pop()
        return next(self.source)

    def _is_apart(self, kept: bytearray, opened_at: int, later: _Later) -> bool:
        """Whether the first line, up to a mark that is none, and each line after it are rows."""
        line = bytes(kept[: kept.find(b"\n")])
        if not self.columns or not 0 <= opened_at < len(line) <= PIECE:
            return False
        if self._count(_with_letter(line, opened_at)) != self.columns:
            return False
        held: bytes | None = None
        for _, piece, ends in later.lines(0, keeps=True):
            if not ends or (held is not None and not self._is_row(held)):
                return False
            held = piece
        return held is None or self._is_row(held, is_last=True)

    def _is_row(self, line: bytes, *, is_last: bool = False) -> bool:
        """Whether a line is a whole row or blank. The last may have a mark of its own that is never closed, and may
        begin a row that goes on behind it."""
        scan = Scan(self.delimiter.encode())
        scan.take(line)
        if is_last and scan.is_stray:
            line = _with_letter(line, scan.opened_at)
        elif is_last and not scan.ends_line():
            return 0 < self._count(_with_letter(line[: scan.opened_at + 1], scan.opened_at)) <= self.columns
        return self._count(line) in (0, self.columns)

    def _count(self, line: bytes) -> int:
        """How many cells a line has; -1 where it cannot be parsed."""
        try:
            return len(Record(0, 0, line, len(line)).cells(self.delimiter))
        except csv.Error:
            return -1


def _with_letter(line: bytes, at: int) -> bytes:
    return line[:at] + b"x" + line[at + 1 :]


class _Later:
    """The lines of a record after its first, to be read again: in memory, on disk where they are long."""

    def __init__(self) -> None:
        self.file: IO[bytes] | None = None

    def write(self, whole: bytes) -> None:
        if self.file is None:
            self.file = SpooledTemporaryFile(max_size=LONGEST_LINE)  # noqa: SIM115 - closed by `close` or by `lines`.
        self.file.write(whole)

    def lines(self, number: int, *, keeps: bool = False) -> Iterator[Piece]:
        """The lines again, numbered from `number`. Afterwards there is nothing left, unless it `keeps` them."""
        if self.file is None:
            return
        file = self.file
        file.seek(0)
        try:
            for at, piece, ends in pieces(lambda: file.read(PIECE)):
                yield number + at - 1, piece, ends
        finally:
            if keeps:
                file.seek(0, os.SEEK_END)
            else:
                self.close()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


class Scan:
    """Where the latest quoted cell begins and whether it ends, over the pieces of one record."""

    def __init__(self, delimiter: bytes) -> None:
        self.delimiter = delimiter
        self.at = BEFORE
        self.is_stray = False
        self.size = 0
        # The place in the record of the mark that opened the latest quoted cell; of the first that has a stray mark.
        self.opened_at = -1

    def take(self, piece: bytes) -> None:
        place, end, delimiter = 0, len(piece), self.delimiter
        while place < end:
            if self.at == QUOTED:
                place = piece.find(QUOTE, place) + 1 or end
                if piece[place - 1 : place] == QUOTE:
                    self.at = CLOSING
            elif self.at == CLOSING:
                following = piece[place : place + 1]
                if following == delimiter:
                    self.at = BEFORE
                elif following == b"\r":
                    self.at = PLAIN
                else:
                    self.is_stray = self.is_stray or following != QUOTE
                    self.at = QUOTED
                place += 1
            elif self.at == BEFORE and piece[place : place + 1] == QUOTE:
                self.at = QUOTED
                if not self.is_stray:
                    self.opened_at = self.size + place
                place += 1
            else:
                place = piece.find(delimiter, place) + 1 or end
                self.at = BEFORE if piece[place - 1 : place] == delimiter else PLAIN
        self.size += end

    def ends_line(self) -> bool:
        """A line is over. Whether that ends the record; otherwise the break is part of a cell."""
        self.size += 1
        if self.at == QUOTED:
            return False
        self.at = BEFORE
        return True
