"""Pairs -> their texts, as columns: the database hands out JSON, which is parsed in bulk and never row by row."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.arrays import places_in
from curation.export.records import TAGS, Record, Rows, Said, check, doubtful, messages_array, strict_messages
from curation.selecting import Voices

# As lenient as what may be stored: what is null or strange in it is doubtful, and found one by one.
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_PAIR = pa.schema(
    [
        ("id", pa.int64()),
        ("prompt_id", pa.int64()),
        ("first_id", pa.int64()),
        ("second_id", pa.int64()),
        ("external_id", pa.string()),
        ("source", pa.string()),
        ("tags", TAGS),
    ]
)
_PROMPT = pa.schema(
    [("id", pa.int64()), ("messages", _MESSAGES), ("system", pa.string()), ("language", pa.string()), ("tags", TAGS)]
)
_CANDIDATE = pa.schema([("id", pa.int64()), ("messages", _MESSAGES), ("model", pa.string())])


def rows_of(
    pairs: NDArray[np.int64],
    *,
    first_wins: NDArray[np.bool_],
    counts: NDArray[np.int64],
    agreement: NDArray[np.float64],
    strength_mean: NDArray[np.float64],
    said: Sequence[Sequence[Said]] = (),
    using: BaseDatabaseWrapper,
) -> Rows:
    """The pairs of these numbers with their texts, checked, in the order given. All arrays have the shape (n,).

    Four queries however many pairs there are; memory: their texts, three times.

    Raises:
        Broken: a row would mislead a trainer.
    """
    found = _read("pair", _PAIR, np.sort(pairs), using=using)
    found = found.take(pa.array(places_in(_numbers(found, "id"), pairs)))
    prompts = _read("prompt", _PROMPT, np.unique(_numbers(found, "prompt_id")), using=using)
    first, second = _numbers(found, "first_id"), _numbers(found, "second_id")
    answers = _read("candidate", _CANDIDATE, np.unique(np.concatenate([first, second])), using=using)
    prompt_at = pa.array(places_in(_numbers(prompts, "id"), _numbers(found, "prompt_id")))
    numbers = _numbers(answers, "id")
    first_at, second_at = places_in(numbers, first), places_in(numbers, second)
    whole = prompts.take(prompt_at)
    suspect = doubtful(whole["messages"], answers["messages"], first_at, second_at)
    suspect |= (whole["messages"].null_count > 0) or (answers["messages"].null_count > 0)
    for place in np.nonzero(suspect)[0].tolist():
        _check_one(int(pairs[place]), bool(first_wins[place]), using=using)
    return Rows(
        pair_id=pairs,
        external_id=found["external_id"],
        source=found["source"],
        language=whole["language"],
        tags=_joined(found["tags"], whole["tags"]),
        prompt=_asked(strict_messages(whole["messages"]), whole["system"]),
        candidates=strict_messages(answers["messages"]),
        models=answers["model"],
        first_at=first_at,
        second_at=second_at,
        first_wins=first_wins,
        counts=counts,
        agreement=agreement,
        strength_mean=strength_mean,
        prompt_id=_numbers(found, "prompt_id"),
        said=said,
    )


def _numbers(batch: pa.RecordBatch, name: str) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = batch[name].to_numpy()
    return numbers


def _read(table: str, schema: pa.Schema, ids: NDArray[np.int64], *, using: BaseDatabaseWrapper) -> pa.RecordBatch:
    """Rows of a table by ascending number."""
    using.ensure_connection()
    with using.connection.cursor(binary=True) as cursor:
        # Some hundred rows to a line: neither a line for each row nor one that holds megabytes.
        cursor.execute(
            f"""SELECT convert_to(string_agg(row_to_json(found)::text, E'\\n'), 'UTF8')
                FROM (SELECT {", ".join(schema.names)} FROM "{table}" WHERE id = ANY(%s::bigint[])) found
                GROUP BY id / 256""",
            ["{" + ",".join(map(str, ids.tolist())) + "}"],
        )
        lines = b"\n".join([line for (line,) in cursor.fetchall()])
    batch = _parsed(lines, schema)
    order = np.argsort(_numbers(batch, "id"), kind="stable")
    return batch if (np.diff(order) == 1).all() else batch.take(pa.array(order))


def _parsed(lines: bytes, schema: pa.Schema) -> pa.RecordBatch:
    if not lines:
        return pa.RecordBatch.from_pylist([], schema=schema)
    read = pyarrow.json.ReadOptions(use_threads=False, block_size=len(lines) + 1)
    parse = pyarrow.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    try:
        table = pyarrow.json.read_json(pa.BufferReader(lines), read_options=read, parse_options=parse)
    except pa.ArrowInvalid:
        # Messages that are no messages. They become null here, and the check names the pair.
        table = pa.Table.from_pylist([_lenient(json.loads(line)) for line in lines.split(b"\n")], schema=schema)
    return table.combine_chunks().to_batches()[0]


def _lenient(row: dict[str, Any]) -> dict[str, Any]:
    if "messages" in row:
        try:
            messages_array([row["messages"]])
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            row["messages"] = None
    return row


_ONE = """
    SELECT p.id, p.external_id, p.source, q.language, p.tags || q.tags, q.system,
           q.messages::text, f.messages::text, s.messages::text, f.model, s.model
    FROM pair p JOIN prompt q ON q.id = p.prompt_id
    JOIN candidate f ON f.id = p.first_id JOIN candidate s ON s.id = p.second_id WHERE p.id = %s
"""


def _check_one(pair: int, first_wins: bool, *, using: BaseDatabaseWrapper) -> None:
    with using.cursor() as cursor:
        cursor.execute(_ONE, [pair])
        number, external_id, source, language, tags, system, *texts, first_model, second_model = cursor.fetchone()
    prompt, first, second = (json.loads(text) for text in texts)
    check(
        Record(
            pair_id=number,
            external_id=external_id,
            source=source,
            language=language,
            tags=tags,
            system=system,
            prompt=prompt,
            first=first,
            second=second,
            first_model=first_model,
            second_model=second_model,
            winner="first" if first_wins else "second",
            counts=(),
            agreement=None,
            strength_mean=None,
        )
    )


def _joined(ours: pa.ListArray, theirs: pa.ListArray) -> pa.ListArray:
    """Two lists of tags as one, none twice."""
    both = pc.add(pc.list_value_length(ours), pc.list_value_length(theirs))
    if pc.max(both).as_py() in (None, 0, 1):
        has = pc.greater(pc.list_value_length(ours), 0).to_numpy(zero_copy_only=False)
        place = np.arange(len(ours))
        return pa.concat_arrays([ours, theirs]).take(pa.array(np.where(has, place, place + len(ours))))
    lists = [
        list(dict.fromkeys([*one, *other])) for one, other in zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
    ]
    return pa.array(lists, TAGS)


def _asked(prompt: pa.ListArray, system: pa.Array) -> pa.ListArray:
    """Prompts with their system messages in front."""
    if not pc.any(pc.not_equal(system, "")).as_py():
        return prompt
    return messages_array(
        [
            [{"role": "system", "content": first}, *rest] if first else rest
            for first, rest in zip(system.to_pylist(), prompt.to_pylist(), strict=True)
        ]
    )


# ---- what was said of them -----------------------------------------------------------------------------------------

# The reason of judgement j: its own before one that came for its annotator and pair, a person's before a model's.
_REASON = """
    LEFT JOIN LATERAL (
        SELECT r.text, r.tags FROM rationale r
        WHERE r.pair_id = a.pair_id AND r.annotator_id = j.annotator_id
          AND (r.judgement_id = j.id OR r.judgement_id IS NULL)
        ORDER BY r.judgement_id IS NULL,
                 array_position(ARRAY['edited', 'human', 'imported', 'machine']::varchar[], r.source), r.id
        LIMIT 1
    ) r ON true
"""


def said_of(
    pairs: NDArray[np.int64], *, voices: Voices, shown: Callable[[int], str], using: BaseDatabaseWrapper
) -> list[list[Said]]:
    """Every judgement of `voices` of each pair, in the order in which they were made. One query.

    `shown` turns an annotator's number into what is told of them.
    """
    whose, params = voices.sql()
    with using.cursor() as cursor:
        cursor.execute(
            f"""SELECT a.pair_id, j.annotator_id, n.kind,
                       CASE j.verdict WHEN 'prefer' THEN CASE WHEN j.strength > 0 THEN 'first' ELSE 'second' END
                                      ELSE j.verdict END,
                       CASE WHEN j.strength_known THEN j.strength END,
                       coalesce(r.text, ''), coalesce(r.tags, ARRAY[]::varchar[]), g.version
                FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
                LEFT JOIN guideline g ON g.id = j.guideline_id {_REASON}
                WHERE a.pair_id = ANY(%s) AND {whose} ORDER BY j.id""",
            [pairs.tolist(), *params],
        )
        found = cursor.fetchall()
    by_pair: dict[int, list[Said]] = {pair: [] for pair in pairs.tolist()}
    for pair, annotator, kind, verdict, strength, reason, tags, guideline in found:
        by_pair[pair].append(Said(shown(annotator), kind, verdict, strength, reason.strip(), tags, guideline))
    return [by_pair[pair] for pair in pairs.tolist()]


def with_reason(
    *, project: Project, voices: Voices, using: BaseDatabaseWrapper
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The pairs for whose first, and those for whose second, somebody gave a reason."""
    whose, params = voices.sql()
    with using.cursor() as cursor:
        cursor.execute(
            f"""SELECT DISTINCT a.pair_id, j.strength > 0
                FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
                {_REASON}
                WHERE a.project_id = %s AND j.verdict = 'prefer' AND r.text ~ '\\S' AND {whose}""",
            [project.pk, *params],
        )
        found = cursor.fetchall()
    first, second = (
        np.array([pair for pair, is_first in found if is_first == side], dtype=np.int64) for side in (True, False)
    )
    return first, second
