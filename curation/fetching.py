"""Rows of a table -> columns: the database hands out whole columns of some hundred rows, and nothing is made per row.

A message alone in its list, as most prompts and nearly all answers are, crosses as its plain text. What is otherwise
(several messages, other roles, what is no message at all) crosses as JSON and is parsed in bulk.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.json
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from curation.export.records import TAGS, messages_array

# As lenient as what may be stored: what is null or strange in it is doubtful, and found one by one.
LENIENT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
# The codes of roles begin with 1: 0 is whatever crosses as JSON.
ROLES = ("user", "assistant", "system", "tool")
# Rows of one line: neither a line for each row nor one that holds megabytes.
LINE_ROWS = 256

Kind = Literal["number", "text", "tags", "messages"]


@dataclass(frozen=True)
class Table:
    """A table, and the columns that are read of it beside its number `id`."""

    name: str
    columns: dict[str, Kind]

    def sql(self) -> str:
        """One row for each LINE_ROWS numbers, made of bytes: of a column its values, or their lengths and texts."""
        inner, middle, outer = ["id"], ["id"], ["string_agg(int8send(id), ''::bytea)"]
        for name, kind in self.columns.items():
            if kind == "messages":
                inner.append(f"CASE WHEN {name} -> 1 IS NULL THEN {name} -> 0 END AS {name}")
                roles = " ".join(f"WHEN '{role}' THEN {code}" for code, role in enumerate(ROLES, start=1))
                middle += [
                    f"CASE WHEN jsonb_typeof({name} -> 'content') = 'string'"
                    f" THEN CASE {name} ->> 'role' {roles} ELSE 0 END ELSE 0 END AS code",
                    f"coalesce({name} ->> 'content', '') AS {name}",
                ]
                outer.append("string_agg(int2send(code::smallint), ''::bytea)")
            elif kind == "tags":
                inner.append(f"CASE WHEN {name} = '{{}}' THEN '' ELSE array_to_json({name})::text END AS {name}")
                middle.append(name)
            else:
                inner.append(name)
                middle.append(name)
            if kind == "number":
                outer.append(f"string_agg(int8send({name}), ''::bytea)")
            else:
                outer.append(f"string_agg(int4send(octet_length({name})), ''::bytea)")
                outer.append(f"convert_to(string_agg({name}, ''), 'UTF8')")
        # OFFSET 0: each step is taken once, however often the next one uses what it gives.
        return f"""
            SELECT {", ".join(outer)} FROM (
                SELECT {", ".join(middle)} FROM (
                    SELECT {", ".join(inner)} FROM "{self.name}" WHERE id = ANY(%s::bigint[]) OFFSET 0
                ) raw OFFSET 0
            ) found GROUP BY id / {LINE_ROWS}
        """


@dataclass(frozen=True)
class Fetched:
    """What crossed: of each column its bytes by line, and as JSON the messages of the rows `odd`."""

    table: Table
    ids: NDArray[np.int64]
    parts: dict[str, bytes]
    odd: NDArray[np.int64]
    lines: bytes

    def numbers(self, name: str) -> NDArray[np.int64]:
        """A column of numbers, in the order of `ids`."""
        return np.frombuffer(self.parts[name], ">i8").astype(np.int64)


def fetch(table: Table, ids: NDArray[np.int64], *, using: BaseDatabaseWrapper) -> Fetched:
    """Read the rows of these numbers; two queries at most. They come in an order of the database's own."""
    names = ["id"]
    for name, kind in table.columns.items():
        names += {"number": [name], "messages": ["code", f"{name} size", name]}.get(kind, [f"{name} size", name])
    found = _ask(table.sql(), ids, using=using)
    # Lines hold ranges of numbers, so that this order is that of the numbers, but for rows that were moved about.
    found.sort(key=lambda line: bytes(line[0][:8]))
    parts = {name: b"".join([line[place] for line in found]) for place, name in enumerate(names)}
    numbers = np.frombuffer(parts["id"], ">i8").astype(np.int64)
    odd = numbers[:0]
    if "messages" in table.columns.values():
        odd = numbers[np.frombuffer(parts["code"], ">i2") == 0]
    return Fetched(table, numbers, parts, odd, _lines(table, odd, using=using) if len(odd) else b"")


def _ask(statement: str, ids: NDArray[np.int64], *, using: BaseDatabaseWrapper) -> list[Any]:
    using.ensure_connection()
    with using.connection.cursor(binary=True) as cursor:
        cursor.execute(statement, ["{" + ",".join(map(str, ids.tolist())) + "}"])
        return list(cursor.fetchall())


def _lines(table: Table, ids: NDArray[np.int64], *, using: BaseDatabaseWrapper) -> bytes:
    (messages,) = (name for name, kind in table.columns.items() if kind == "messages")
    found = _ask(
        f"""SELECT convert_to(string_agg(row_to_json(found)::text, E'\\n'), 'UTF8')
            FROM (SELECT id, {messages} AS messages FROM "{table.name}" WHERE id = ANY(%s::bigint[])) found
            GROUP BY id / {LINE_ROWS}""",
        ids,
        using=using,
    )
    return b"\n".join([line for (line,) in found])


# ---- bytes -> columns ------------------------------------------------------------------------------------------------


def columns_of(fetched: Fetched) -> dict[str, pa.Array]:
    """The columns by ascending number: `id` and numbers int64, text string, tags TAGS, messages LENIENT."""
    found: dict[str, pa.Array] = {"id": pa.array(fetched.ids)}
    for name, kind in fetched.table.columns.items():
        if kind == "number":
            found[name] = pa.array(fetched.numbers(name))
        elif kind == "messages":
            found[name] = _messages(fetched, name)
        else:
            found[name] = _tags(_texts(fetched, name)) if kind == "tags" else _texts(fetched, name)
    if (np.diff(fetched.ids) > 0).all():
        return found
    order = pa.array(np.argsort(fetched.ids, kind="stable"))
    return {name: column.take(order) for name, column in found.items()}


def _texts(fetched: Fetched, name: str) -> pa.StringArray:
    offsets = np.zeros(len(fetched.ids) + 1, dtype=np.int32)
    np.cumsum(np.frombuffer(fetched.parts[f"{name} size"], ">i4"), out=offsets[1:])
    return pa.StringArray.from_buffers(len(fetched.ids), pa.py_buffer(offsets), pa.py_buffer(fetched.parts[name]))


def _tags(texts: pa.StringArray) -> pa.ListArray:
    """Lists of tags from their JSON, empty for none; few lists differ."""
    coded = texts.dictionary_encode()
    lists = pa.array([json.loads(text) if text else [] for text in coded.dictionary.to_pylist()], TAGS)
    return lists.take(coded.indices)


def _messages(fetched: Fetched, name: str) -> pa.ListArray:
    codes = np.frombuffer(fetched.parts["code"], ">i2").astype(np.int64)
    roles = pa.array(["", *ROLES]).take(pa.array(codes))
    each = pa.StructArray.from_arrays([roles, _texts(fetched, name)], fields=list(LENIENT.value_type))
    offsets = pa.array(np.arange(len(codes) + 1, dtype=np.int32))
    alone = pa.ListArray.from_arrays(offsets, each, type=LENIENT)
    if not len(fetched.odd):
        return alone
    parsed = _parsed(fetched.lines)
    numbers = parsed["id"].to_numpy()
    by_number = np.argsort(numbers, kind="stable")
    place = np.arange(len(codes))
    odd = np.nonzero(codes == 0)[0]
    place[odd] = len(codes) + by_number[np.searchsorted(numbers, fetched.ids[odd], sorter=by_number)]
    return pa.concat_arrays([alone, parsed["messages"]]).take(pa.array(place))


_LINE = pa.schema([("id", pa.int64()), ("messages", LENIENT)])


def _parsed(lines: bytes) -> pa.RecordBatch:
    read = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parse = pyarrow.json.ParseOptions(explicit_schema=_LINE, unexpected_field_behavior="ignore")
    try:
        table = pyarrow.json.read_json(pa.BufferReader(lines), read_options=read, parse_options=parse)
    except pa.ArrowInvalid:
        # Messages that are no messages. They become null here, and the check names the pair.
        table = pa.Table.from_pylist([_lenient(json.loads(line)) for line in lines.split(b"\n")], schema=_LINE)
    return table.combine_chunks().to_batches()[0]


def _lenient(row: dict[str, Any]) -> dict[str, Any]:
    try:
        messages_array([row["messages"]])
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        row["messages"] = None
    return row
