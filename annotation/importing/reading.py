"""A file or folder -> numbered rows. Nothing is read whole: memory does not grow with the file.

JSON lines, gzip of JSON lines, a JSON array, CSV, Parquet, Arrow, and the folder of a Hugging Face dataset all come out
as `Row`: its line, and the value or what is wrong with it.
"""

from __future__ import annotations

import csv
import functools
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NoReturn

from annotation.errors import Refused
from annotation.importing import columnar
from annotation.importing.delimited import Record, Records, pieces
from annotation.importing.reasons import DEEPEST, LONGEST_LINE, LONGEST_TEXT, MOST_COLUMNS, Bad
from annotation.importing.sources import BLOCK, Bounded, Source, check_unpacked


@dataclass(slots=True)
class Row:
    """`line` is where the row begins in the file; for Parquet and Arrow its number. Either `value` or `bad` is set."""

    line: int
    value: dict[str, Any] | None
    bad: Bad | None = None
    split: str = ""


# ---- rows ----------------------------------------------------------------------------------------------------------


def rows(source: Source) -> Iterator[Row]:
    """All rows of a source, in order. Blank lines are passed over.

    Raises:
        Refused: the file cannot be read further: it breaks off, or unpacks to far too much.
    """
    if source.parts:
        yield from _columnar(source)
        return
    with closing(Bounded(source.path, source.name, is_gzip=source.is_gzip)) as stream:
        if source.kind == "jsonl":
            for line, raw, total in lines(stream.read):
                if total:
                    yield Row(line, None, too_long(raw, total))
                elif raw and not raw.isspace():
                    yield _parsed(line, raw)
        elif source.kind == "json":
            yield from _array(stream.read, source.name)
        else:
            yield from _csv(stream.read, source)


def lines(read: Callable[[], bytes], limit: int = LONGEST_LINE) -> Iterator[tuple[int, bytes, int]]:
    """(number, line, 0) for each line; for one longer than `limit` (number, its beginning, its length in bytes)."""
    number, held, total = 1, b"", 0
    while block := read():
        parts = block.split(b"\n")
        for part in parts[:-1]:
            if total:
                yield number, held, total + len(part)
            else:
                line = held + part if held else part
                yield (number, line[:200], len(line)) if len(line) > limit else (number, line, 0)
            number, held, total = number + 1, b"", 0
        rest = parts[-1]
        if total:
            total += len(rest)
        else:
            held += rest
            if len(held) > limit:
                # Only counted from here on.
                held, total = held[:200], len(held)
    if total or held:
        yield number, held, total


def too_long(raw: bytes, total: int) -> Bad:
    return Bad(
        "line_too_long", f"The row has {total:,} bytes; the limit is {LONGEST_LINE:,}.", raw.decode("utf-8", "replace")
    )


def _no_constant(name: str) -> NoReturn:
    raise Bad("not_finite", f"The number {name} is not one that JSON knows.", name)


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise Bad("not_finite", f"The number {text[:40]} is too large.", text)
    return number


_decode = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).decode


def _parsed(line: int, raw: bytes) -> Row:
    """One row of JSON, or what is wrong with it."""
    try:
        # Counting is cheap; only a line with many brackets can be deep.
        if raw.count(b"[") + raw.count(b"{") > DEEPEST and depth(raw) > DEEPEST:
            return Row(line, None, Bad("too_deep", "Values are nested too deep.", raw[:200].decode("utf-8", "replace")))
        value = _decode(raw.decode())
    except UnicodeDecodeError as error:
        around = raw[max(0, error.start - 40) : error.start + 40]
        what = f"Byte {error.start + 1} of the row (0x{raw[error.start]:02X}) is not UTF-8."
        return Row(line, None, Bad("invalid_utf8", what, around.decode("utf-8", "backslashreplace")))
    except Bad as bad:
        return Row(line, None, bad)
    except json.JSONDecodeError as error:
        if b"\x00" in raw:
            return Row(line, None, Bad("nul", "The row holds a NUL character.", raw[:200].decode("utf-8", "replace")))
        text = error.doc[max(0, error.pos - 60) : error.pos + 60]
        return Row(line, None, Bad("not_json", f"{error.msg} at character {error.pos + 1} of the row.", text))
    except (RecursionError, ValueError) as error:
        # ValueError: an integer of more digits than Python reads.
        what = "Values are nested too deep." if isinstance(error, RecursionError) else "A number has too many digits."
        reason = "too_deep" if isinstance(error, RecursionError) else "not_finite"
        return Row(line, None, Bad(reason, what, raw[:200].decode("utf-8", "replace")))
    return _object(line, value)


def _object(line: int, value: Any) -> Row:
    if not isinstance(value, dict):
        return Row(line, None, Bad("not_an_object", f"The row is {type_name(value)}.", str(value)[:200]))
    if len(value) > MOST_COLUMNS:
        return Row(line, None, Bad("too_many_columns", f"The row has {len(value):,} values.", ", ".join([*value][:5])))
    return Row(line, value)


_BRACKETS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[\]{}]', re.DOTALL)


def depth(raw: bytes) -> int:
    """How deep lists and objects are nested, without building them."""
    deepest = level = 0
    for found in _BRACKETS.finditer(raw):
        token = raw[found.start()]
        if token in b"[{":
            level += 1
            deepest = max(deepest, level)
            if deepest > DEEPEST:
                break
        elif token in b"]}":
            level -= 1
    return deepest


# ---- a JSON array --------------------------------------------------------------------------------------------------

_OUTSIDE = re.compile(rb'["\[\]{},]')
_INSIDE = re.compile(rb'["\\]')


def _array(read: Callable[[], bytes], name: str) -> Iterator[Row]:
    """The elements of one JSON array, each found by its brackets and parsed on its own.

    `line` is the line on which an element begins.
    """
    line, start_line, level, total = 1, 1, 0, 0
    in_text = skips_next = begun = ended = False
    piece = bytearray()

    def take(part: bytes) -> None:
        nonlocal total
        total += len(part)
        if len(piece) <= LONGEST_LINE:
            piece.extend(part)

    def finished() -> Iterator[Row]:
        nonlocal total
        raw = bytes(piece)
        if total > LONGEST_LINE:
            yield Row(start_line, None, too_long(raw[:200], total))
        elif raw.strip():
            before = raw[: len(raw) - len(raw.lstrip())].count(b"\n")
            yield _parsed(start_line + before, raw)
        piece.clear()
        total = 0

    while block := read():
        at = 0
        if skips_next:
            # The character after a backslash that ended the last block.
            take(block[:1])
            at, skips_next = 1, False
        while at < len(block):
            found = (_INSIDE if in_text else _OUTSIDE).search(block, at)
            if found is None:
                part = block[at:]
                take(part)
                line += part.count(b"\n")
                break
            place = found.start()
            part, token = block[at:place], block[place]
            line += part.count(b"\n")
            at = place + 1
            if in_text:
                if token == 0x5C:  # A backslash: the next character does not count.
                    take(block[at - 1 - len(part) : at + 1])
                    skips_next = at == len(block)
                    at += 1
                    continue
                in_text = False
            elif token == 0x22:
                in_text = True
            elif token in b"[{":
                level += 1
                if level == 1 and not begun:
                    begun, start_line = True, line
                    piece.clear()
                    total = 0
                    continue
            elif token in b"]}":
                level -= 1
                if level == 0:
                    take(part)
                    yield from finished()
                    ended = True
                    break
            elif level == 1:  # A comma between elements.
                take(part)
                yield from finished()
                start_line = line
                continue
            take(block[at - 1 - len(part) : at])
        if ended:
            yield from _behind(read, block[at:], line)
            return
    bad = Bad("not_json", "The file ends before the list does.", bytes(piece[-100:]).decode("utf-8", "replace"))
    before = bytes(piece[: len(piece) - len(piece.lstrip())]).count(b"\n")
    yield Row(start_line + before, None, bad)


def _behind(read: Callable[[], bytes], rest: bytes, line: int) -> Iterator[Row]:
    """What follows the end of the list: nothing, or one bad row that says so."""
    while not rest.strip():
        line += rest.count(b"\n")
        rest = read()
        if not rest:
            return
    begins = rest.lstrip()
    line += rest[: len(rest) - len(begins)].count(b"\n")
    what = "The list ends before this, and nothing from here on is read."
    yield Row(line, None, Bad("not_json", what, begins[:200].decode("utf-8", "replace")))


# ---- CSV -----------------------------------------------------------------------------------------------------------


def _csv(read: Callable[[], bytes], source: Source) -> Iterator[Row]:
    """Rows of a CSV file with a header. `line` is the line on which a row begins; cells are text."""
    csv.field_size_limit(LONGEST_TEXT + 1)
    records = Records(pieces(read), source.delimiter)
    header = _header(next(records, None), source)
    records.columns = len(header)
    for record in records:
        try:
            _check_record(record)
            cells = record.cells(source.delimiter)
        except Bad as bad:
            yield Row(record.first, None, bad)
        except csv.Error as error:
            said, begins = str(error), record.raw[:200].decode("utf-8", "replace")
            if "field larger" in said:
                what = f"A cell of this row does not end within the limit.{_goes_on(record)}"
                yield Row(record.first, None, Bad("text_too_long", what, begins))
            else:
                yield Row(record.first, None, Bad("not_csv", f"The reader says: {said}.", begins))
        else:
            if len(cells) == len(header):
                yield Row(record.first, dict(zip(header, cells, strict=True)))
            elif cells:
                what = f"The row has {len(cells)} cells, the header {len(header)}.{_goes_on(record)}"
                yield Row(record.first, None, Bad("cell_count", what, source.delimiter.join(cells)[:200]))


def _header(record: Record | None, source: Source) -> list[str]:
    if record is None:
        raise Refused(f"{source.name} has no header that can be read.")
    try:
        _check_record(record)
        header = record.cells(source.delimiter)
    except (Bad, csv.Error) as error:
        raise Refused(f"The header of {source.name} is not valid CSV: {str(error).rstrip('.')}.") from error
    _check_header(header, source.name)
    return header


def _check_record(record: Record) -> None:
    """Raise `Bad` where a quotation mark stands wrong or the record is too long, with the lines that it takes."""
    begins = record.raw[:200].decode("utf-8", "replace")
    if record.told_apart:
        what = "A quotation mark of this line is never closed. The lines after it are read as rows of their own."
    elif record.is_open:
        what = f"A quotation mark of this row is never closed, so that it goes on to the last line, {record.last:,}."
    elif record.is_stray:
        what = f"A quotation mark within a quoted cell is not doubled.{_goes_on(record)}"
    elif record.size > LONGEST_LINE:
        bad = too_long(record.raw[:200], record.size)
        raise Bad(bad.reason, f"{bad.what}{_goes_on(record)}", bad.text)
    else:
        return
    raise Bad("not_csv", what, begins)


def _goes_on(record: Record) -> str:
    return f" It goes on to line {record.last:,}." if record.last > record.first else ""


def _check_header(header: list[str], name: str) -> None:
    if len(header) > MOST_COLUMNS:
        raise Refused(f"{name} has {len(header):,} columns; the limit is {MOST_COLUMNS:,}. Leave out those not needed.")
    twice = sorted({cell for cell in header if header.count(cell) > 1})
    if twice:
        raise Refused(f"Two columns of {name} are called {twice[0]!r}. Give each column a name of its own.")


# ---- Parquet and Arrow ---------------------------------------------------------------------------------------------


def _columnar(source: Source) -> Iterator[Row]:
    number = unpacked = 0
    for split, files in source.parts:
        # The child needs this interpreter's packages and nothing of ours.
        command = [sys.executable, "-I", columnar.__file__, *map(os.fspath, files)]
        environment = {"PATH": os.defpath, "ARROW_DEFAULT_MEMORY_POOL": "system", "OMP_NUM_THREADS": "1"}
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        assert child.stdout is not None
        try:
            for _, raw, total in lines(functools.partial(child.stdout.read, BLOCK)):
                if raw.startswith(b"!"):
                    raise Refused(f"{source.name} cannot be read: {raw[1:].decode()}. Write the file again.")
                number += 1
                unpacked += total or len(raw)
                check_unpacked(source.name, source.size, unpacked)
                row = Row(number, None, too_long(raw, total)) if total else _parsed(number, raw)
                row.split = split
                yield row
            if child.wait() != 0:
                raise Refused(
                    f"{source.name} cannot be read: its reader stopped at row {number + 1:,}, "
                    f"which happens when a file is damaged. Write the file again."
                )
        finally:
            child.stdout.close()
            child.kill()
            child.wait()


def type_name(value: object) -> str:
    """What a value is, in the words of JSON."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return "null" if value is None else names.get(type(value), "something else")
