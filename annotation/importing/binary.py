"""Values as COPY … (FORMAT binary) wants them: each its length and its bytes, in network order.

Binary needs no escaping, and the server no parsing. The formats are those of the types' `send` and `recv` functions.
"""

from __future__ import annotations

import functools
import struct
from datetime import UTC, datetime, timedelta

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
END = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# Oids of the types that arrays here have.
TEXT = 25
VARCHAR = 1043

_length = struct.Struct(">i").pack
_two = struct.Struct(">ih").pack
_four = struct.Struct(">ii").pack
_eight = struct.Struct(">iq").pack
_EMPTY = {of: struct.pack(">iiiI", 12, 0, 0, of) for of in (TEXT, VARCHAR)}
_head_of_array = struct.Struct(">iiIii").pack


def blob(value: bytes) -> bytes:
    """bytea, and text that is encoded already."""
    return _length(len(value)) + value


def text(value: str) -> bytes:
    """Raises UnicodeEncodeError for half characters."""
    if not value:
        return b"\0\0\0\0"
    return blob(value.encode())


# For texts that most rows of a file share: a source, a language, a model.
common_text = functools.lru_cache(maxsize=1_000)(text)


def jsonb(value: bytes) -> bytes:
    """JSON that is encoded already; the byte before it is the format's version."""
    return _length(len(value) + 1) + b"\1" + value


def smallint(value: int | None) -> bytes:
    return NULL if value is None else _two(2, value)


def integer(value: int) -> bytes:
    return _four(4, value)


def bigint(value: int | None) -> bytes:
    return NULL if value is None else _eight(8, value)


def moment(value: datetime) -> bytes:
    """timestamptz: microseconds since 2000."""
    return _eight(8, (value - _EPOCH) // timedelta(microseconds=1))


def texts(values: list[str], of: int = TEXT) -> bytes:
    """An array of one dimension of the type with the oid `of`."""
    if not values:
        return _EMPTY[of]
    return blob(_head_of_array(1, 0, of, len(values), 1) + b"".join(map(text, values)))
