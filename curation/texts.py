"""Pairs -> their texts and what was said of them, as columns."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Project
from curation.arrays import places_in
from curation.export import files
from curation.export.records import (
    TAGS,
    Edit,
    Mark,
    Ranks,
    Record,
    Rows,
    Said,
    check,
    doubtful,
    messages_array,
    strict_messages,
)
from curation.fetching import Fetched, Table, columns_of, fetch
from curation.voices import Voices, end

PAIR = Table(
    "pair",
    {
        "prompt_id": "number",
        "first_id": "number",
        "second_id": "number",
        "external_id": "text",
        "source": "text",
        "tags": "tags",
    },
)
PROMPT = Table("prompt", {"messages": "messages", "system": "text", "language": "text", "tags": "tags"})
CANDIDATE = Table("candidate", {"messages": "messages", "model": "text"})


@dataclass(frozen=True)
class Read:
    """What crossed of some pairs, before anything is made of it: their numbers as asked for, and three tables."""

    pairs: NDArray[np.int64]
    found: Fetched
    prompts: Fetched
    answers: Fetched


def read(pairs: NDArray[np.int64], *, using: BaseDatabaseWrapper) -> Read:
    """Ask the database for pairs with their texts: three queries however many pairs there are, and waiting for them."""
    found = fetch(PAIR, np.unique(pairs), using=using)
    prompts = fetch(PROMPT, np.unique(found.numbers("prompt_id")), using=using)
    both = np.concatenate([found.numbers("first_id"), found.numbers("second_id")])
    return Read(pairs, found, prompts, fetch(CANDIDATE, np.unique(both), using=using))


def rows_of(
    crossed: Read,
    *,
    first_wins: NDArray[np.bool_],
    verdict: NDArray[np.float64],
    settled: NDArray[np.bool_],
    counts: NDArray[np.int64],
    agreement: NDArray[np.float64],
    strength_mean: NDArray[np.float64],
    probability: NDArray[np.float64] | None = None,
    said: Sequence[Sequence[Said]] = (),
    marks: Sequence[Sequence[Mark]] = (),
    edits: Sequence[Sequence[Edit]] = (),
    rankings: Mapping[int, Sequence[Ranks]] | None = None,
    using: BaseDatabaseWrapper,
) -> Rows:
    """The pairs with their texts, checked, in the order asked for. All arrays have the shape (n,).

    Asks nothing of the database but for rows that are doubtful. Memory: their texts, three times.

    Raises:
        Broken: a row would mislead a trainer.
    """
    pairs, found = crossed.pairs, columns_of(crossed.found)
    prompts, answers = columns_of(crossed.prompts), columns_of(crossed.answers)
    found = _taken(found, places_in(_numbers(found, "id"), pairs))
    whole = _taken(prompts, places_in(_numbers(prompts, "id"), _numbers(found, "prompt_id")))
    numbers = _numbers(answers, "id")
    first_at, second_at = (places_in(numbers, _numbers(found, name)) for name in ("first_id", "second_id"))
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
        candidate_id=numbers,
        first_at=first_at,
        second_at=second_at,
        first_wins=first_wins,
        verdict=verdict,
        settled=settled,
        counts=counts,
        agreement=agreement,
        strength_mean=strength_mean,
        prompt_id=_numbers(found, "prompt_id"),
        said=said,
        probability=probability,
        marks=marks,
        edits=edits,
        rankings=rankings or {},
    )


def whole_texts(pairs: NDArray[np.int64], *, using: BaseDatabaseWrapper) -> Iterator[list[str]]:
    """Prompt and both answers of each pair as one text, in the order given, in batches. Memory: one batch.

    Raises:
        Broken: a text would mislead a trainer.
    """
    with using.cursor() as cursor:
        # As for a release: look up what is asked for, page by page, and do not read all pairs for each batch.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_indexscan = off")
    for start in range(0, len(pairs), files.GROUP_ROWS):
        some = pairs[start : start + files.GROUP_ROWS]
        none = np.full(len(some), np.nan)
        counts = np.zeros((len(some), 4), dtype=np.int64)
        nowhere = np.zeros(len(some), dtype=bool)
        rows = rows_of(
            read(some, using=using),
            first_wins=nowhere,
            verdict=none,
            settled=nowhere,
            counts=counts,
            agreement=none,
            strength_mean=none,
            using=using,
        )
        parts = zip(rows.prompt.to_pylist(), rows.first.to_pylist(), rows.second.to_pylist(), strict=True)
        yield ["\n".join(one["content"] for messages in each for one in messages) for each in parts]


def _numbers(found: dict[str, pa.Array], name: str) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = found[name].to_numpy()
    return numbers


def _taken(found: dict[str, pa.Array], places: NDArray[np.int64]) -> dict[str, pa.Array]:
    """The columns at these places; nothing is copied where that is all of them as they stand."""
    if len(places) == len(found["id"]) and (places == np.arange(len(places))).all():
        return found
    at = pa.array(places)
    return {name: column.take(at) for name, column in found.items()}


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

# The reason of judgement j: its own before one that came for its annotator and pair, a person's before a model's. What
# a machine wrote counts only as the reason of the verdict that it explains, and never where it was given the verdict.
# Where that has no words: what its annotator made of a machine's reason for the side that they still prefer, their edit
# of it or what they agreed with; of several, the one that the largest share of its readers agrees with.
# What came later than it may is left out: the parameters are those of `_until`.
_REASON = """
    LEFT JOIN LATERAL (
        SELECT r.text, r.tags FROM rationale r
        WHERE r.pair_id = a.pair_id AND r.annotator_id = j.annotator_id
          AND r.id <= %s AND NOT r.id <@ %s::int8multirange
          AND (r.judgement_id = j.id OR r.judgement_id IS NULL)
          AND (r.source <> 'machine' OR NOT r.is_hinted AND
               r.explains IN ('', CASE WHEN j.strength > 0 THEN 'first' WHEN j.strength < 0 THEN 'second' END))
        ORDER BY r.judgement_id IS NULL,
                 array_position(ARRAY['edited', 'human', 'imported', 'machine']::varchar[], r.source), r.id
        LIMIT 1
    ) own ON true
    LEFT JOIN LATERAL (
        SELECT coalesce(e.text, m.text) AS text
        FROM offer o JOIN reaction x ON x.offer_id = o.id JOIN rationale m ON m.id = x.rationale_id
        LEFT JOIN rationale e ON e.id = x.edited_id
        WHERE coalesce(own.text, '') !~ '\\S' AND o.pair_id = a.pair_id AND o.annotator_id = j.annotator_id
          AND x.id <= %s AND NOT x.id <@ %s::int8multirange AND x.choice IN ('accepted', 'ticked', 'edited')
          AND j.verdict = 'prefer' AND (j.strength > 0) = (o.side = 'first')
        ORDER BY (SELECT avg((z.choice IN ('accepted', 'ticked'))::int) FROM reaction z
                  WHERE z.rationale_id = m.id AND z.id <= %s AND NOT z.id <@ %s::int8multirange) DESC, m.id
        LIMIT 1
    ) agreed ON true
    CROSS JOIN LATERAL (SELECT coalesce(agreed.text, own.text) AS text, own.tags) r
"""


def _until(voices: Voices) -> list[Any]:
    """The last rationale and the last reaction that count, and those that do not, as `_REASON` asks for them."""
    heard = voices.heard
    reactions = [end(heard.reaction), heard.missed.reaction]
    return [end(heard.rationale), heard.missed.rationale, *reactions, *reactions]


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
            [*_until(voices), pairs.tolist(), *params],
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
            [*_until(voices), project.pk, *params],
        )
        found = cursor.fetchall()
    first, second = (
        np.array([pair for pair, is_first in found if is_first == side], dtype=np.int64) for side in (True, False)
    )
    return first, second
