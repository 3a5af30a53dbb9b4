"""Rows <-> labelled arrays: the single bridge between the database and the measures.

Reading streams: the database sends columns of numbers in pieces, and there is never one object per row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import repeat
from typing import Any, Literal

import numpy as np
import psycopg
import pyarrow as pa
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Pair, Project, Run
from curation.metrics.discretion import majority_of_votes
from curation.metrics.labels import Labels
from curation.selecting import Criterion, Voices, in_play, pairs_sql

# What a judgement says of its pair, as names and in this order everywhere.
VERDICTS = ("first", "second", "tie", "both_bad")
# A judgement that says nothing of the pair, beside the codes of `VERDICTS`.
SKIP = len(VERDICTS)
STRENGTHS = (-3, -2, -1, 0, 1, 2, 3)
# What the source of a pair said of it, as codes.
LABELS = {label.value: code for code, label in enumerate(Pair.Label)}

# First and second are numbered as their rows happened to be written; the file that a pair came with had its own order.
# Kappa and alpha move a little when half of the names are turned round (PandaLM: .0003), so labels follow the file:
# then a published figure is found again.
TURNED = "coalesce(p.meta #>> '{imported,a}' = 'second', false)"

# How each type of column crosses: what sends it, what it is cast to before, and how the bytes are read.
_WIRE: dict[pa.DataType, tuple[str, str, str]] = {
    pa.int64(): ("int8send", "bigint", ">i8"),
    pa.int32(): ("int4send", "integer", ">i4"),
    pa.int16(): ("int2send", "smallint", ">i2"),
    pa.int8(): ("int2send", "smallint", ">i2"),
    pa.float64(): ("float8send", "double precision", ">f8"),
    pa.bool_(): ("boolsend", "boolean", "?"),
}
# Rows whose numbers cross together.
PIECE_ROWS = 1 << 16


def columns(
    query: str,
    params: Sequence[Any],
    types: dict[str, pa.DataType],
    *,
    by: str = "",
    using: BaseDatabaseWrapper | None = None,
) -> dict[str, NDArray[Any]]:
    """The columns of a query of numbers, as arrays; null becomes 0 (false; nan for floats). Memory: the columns.

    The order of the rows is the database's: sort by a column where it matters. `by` names a column that numbers the
    rows, more or less: they cross in ranges of it, and the database need not count them.
    """
    wire = [_WIRE[kind] for kind in types.values()]
    # The database puts the binary form of a column's numbers one after the other: nothing is made for each row here.
    sent = [
        f"string_agg({send}(coalesce({name}, {_empty(kind)})::{cast}), ''::bytea)"
        for (name, kind), (send, cast, _) in zip(types.items(), wire, strict=True)
    ]
    counted = "" if by else ', row_number() OVER () AS "row"'
    pieces_of_rows = f"""
        SELECT {", ".join(sent)}
        FROM (SELECT *{counted} FROM ({query}) AS q ({", ".join(types)})) found
        GROUP BY {by or '"row"'} / {PIECE_ROWS}
    """
    reader = using or connection
    reader.ensure_connection()
    # COPY takes no parameters from the server's side, and Django's cursor none at all when it logs queries.
    statement = psycopg.ClientCursor(reader.connection).mogrify(
        f"COPY ({pieces_of_rows}) TO STDOUT (FORMAT binary)", params
    )
    pieces: list[list[NDArray[Any]]] = [[] for _ in types]
    with reader.cursor() as cursor, cursor.copy(statement) as copy:
        copy.set_types(["bytea"] * len(types))
        for found in copy.rows():
            for piece, (_, _, form), kind, sent_bytes in zip(pieces, wire, types.values(), found, strict=True):
                piece.append(np.frombuffer(sent_bytes, form).astype(kind.to_pandas_dtype()))
    whole = {}
    for name, kind in types.items():
        # One after the other, so that never more than one column is there twice.
        piece = pieces.pop(0)
        whole[name] = np.concatenate(piece) if piece else np.zeros(0, dtype=kind.to_pandas_dtype())
    return whole


def _empty(kind: pa.DataType) -> str:
    return "false" if pa.types.is_boolean(kind) else "'NaN'" if pa.types.is_floating(kind) else "0"


def judgement_labels(
    *,
    project: Project,
    level: Literal["nominal", "ordinal"] = "nominal",
    voices: Voices | None = None,
    where: Sequence[Criterion] = (),
    using: BaseDatabaseWrapper | None = None,
) -> Labels:
    """The current judgements of a project as labels; items are pair numbers, annotators are annotator numbers.

    Args:
        project: whose.
        level: "nominal" gives the verdicts first, second, tie, both_bad; "ordinal" the strengths -3 to 3 (positive
            for the first candidate) of judgements whose strength is known. First is the first of the file that the
            pair came with; of other pairs it is the pair's first.
        voices: whose judgements; by default those of people.
        where: which pairs; those taken out of play stay out unless a criterion speaks of them.
        using: another connection than the usual one.

    Returns:
        One label per judgement. Skips say nothing about the pair and never become labels.
    """
    voices = voices or Voices()
    source, source_params = pairs_sql(project=project.pk, voices=voices)
    conditions, where_params = _all_of(in_play(where))
    whose, whose_params = voices.sql()
    if level == "nominal":
        prefers = "CASE WHEN (j.strength > 0) <> w.is_turned THEN 0 ELSE 1 END"
        value = f"CASE j.verdict WHEN 'prefer' THEN {prefers} WHEN 'tie' THEN 2 ELSE 3 END"
        says = "j.verdict <> 'skip'"
        names: NDArray[Any] = np.array(VERDICTS)
    else:
        value = "CASE WHEN w.is_turned THEN -j.strength ELSE j.strength END + 3"
        says, names = "j.strength IS NOT NULL AND j.strength_known", np.array(STRENGTHS)
    found = columns(
        f"""
        SELECT a.pair_id, j.annotator_id, {value} AS value
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        JOIN (SELECT p.id, {TURNED} AS is_turned {source} AND {conditions}) w ON w.id = a.pair_id
        WHERE a.project_id = %s AND {whose} AND {says}
        """,
        [*source_params, *where_params, project.pk, *whose_params],
        {"pair": pa.int64(), "annotator": pa.int64(), "value": pa.int64()},
        using=using,
    )
    items, item = np.unique(found["pair"], return_inverse=True)
    annotators, annotator = np.unique(found["annotator"], return_inverse=True)
    return Labels(item, annotator, found["value"], items, annotators, names)


# ---- what principles ask for, and what annotators prefer ------------------------------------------------------------


@dataclass(frozen=True)
class PrincipleVotes:
    """What each principle asks for on each pair, one row per pair that was asked by at least one principle.

    Attributes:
        pair: pair numbers in ascending order, shape (n_rows,).
        principle: principle numbers in ascending order, shape (n_principles,).
        votes: shape (n_rows, n_principles): 1 where the principle prefers the pair's first candidate, -1 where the
            second, nan where it is indifferent, irrelevant, or was never asked.
    """

    pair: NDArray[np.int64]
    principle: NDArray[np.int64]
    votes: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pair)

    def rows_of(self, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
        """The row of each pair number, -1 where it has none. Shape as `pairs`."""
        if not len(self.pair):
            return np.full(len(pairs), -1)
        place = np.minimum(np.searchsorted(self.pair, pairs), len(self.pair) - 1)
        return np.where(self.pair[place] == pairs, place, -1)


def principle_votes(
    *, project: Project, voices: Voices, where: Sequence[Criterion] = (), using: BaseDatabaseWrapper | None = None
) -> PrincipleVotes:
    """The votes by principle of a project, several voters of one cell joined by majority.

    Votes count that stand alone (imported, of a judge) or belong to a current judgement. Per pair and principle the
    most frequent of first, second and indifferent wins; a tie between them is indifferent (METHODS 1.9).

    Args:
        project: whose pairs.
        voices: whose votes.
        where: which pairs; those taken out of play stay out unless a criterion speaks of them.
        using: another connection than the usual one.
    """
    source, source_params = pairs_sql(project=project.pk, voices=voices)
    conditions, where_params = _all_of(in_play(where))
    whose, whose_params = voices.sql(is_without_too=True)
    found = columns(
        f"""
        SELECT x.pair_id, x.principle_id, CASE x.vote WHEN 'first' THEN 1 WHEN 'second' THEN -1 ELSE 0 END AS vote
        FROM principle_vote x JOIN annotator n ON n.id = x.annotator_id
        LEFT JOIN judgement j ON j.id = x.judgement_id
        JOIN (SELECT p.id {source} AND {conditions}) w ON w.id = x.pair_id
        WHERE {whose}
        """,
        [*source_params, *where_params, *whose_params],
        {"pair": pa.int64(), "principle": pa.int64(), "vote": pa.int8()},
        using=using,
    )
    pairs, row = np.unique(found["pair"], return_inverse=True)
    principles, column = np.unique(found["principle"], return_inverse=True)
    size = {"n_rows": len(pairs), "n_principles": len(principles)}
    return PrincipleVotes(pairs, principles, majority_of_votes(row, column, found["vote"], **size))


@dataclass(frozen=True)
class Preferences:
    """Who prefers what, in long form: one entry per current judgement. All arrays have the shape (n_judgements,).

    Attributes:
        pair, annotator: their numbers.
        is_judge: whether a model judged.
        value: 1 for the pair's first candidate, -1 for the second, nan for a tie, both bad or a skip.
    """

    pair: NDArray[np.int64]
    annotator: NDArray[np.int64]
    is_judge: NDArray[np.bool_]
    value: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pair)


def preferences(
    *, project: Project, voices: Voices, where: Sequence[Criterion] = (), using: BaseDatabaseWrapper | None = None
) -> Preferences:
    """The preferences that the current judgements of a project state, ordered by annotator and pair."""
    source, source_params = pairs_sql(project=project.pk, voices=voices)
    conditions, where_params = _all_of(in_play(where))
    whose, whose_params = voices.sql()
    found = columns(
        f"""
        SELECT a.pair_id, j.annotator_id, n.kind = 'judge' AS is_judge,
               CASE WHEN j.verdict = 'prefer' THEN sign(j.strength)::int ELSE 0 END AS value
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        JOIN (SELECT p.id {source} AND {conditions}) w ON w.id = a.pair_id
        WHERE a.project_id = %s AND {whose}
        """,
        [*source_params, *where_params, project.pk, *whose_params],
        {"pair": pa.int64(), "annotator": pa.int64(), "is_judge": pa.bool_(), "value": pa.int64()},
        using=using,
    )
    order = np.lexsort((found["pair"], found["annotator"]))
    value = found["value"].astype(np.float64)
    value[value == 0] = np.nan
    return Preferences(found["pair"][order], found["annotator"][order], found["is_judge"][order], value[order])


WEEK_SECONDS = 7 * 24 * 3600
# Weeks begin on a Monday; the first day of the epoch was a Thursday.
_MONDAY = 3 * 24 * 3600


@dataclass(frozen=True)
class Judged:
    """What is known of every current judgement. All arrays have the shape (n_judgements,).

    Attributes:
        pair, annotator: their numbers.
        is_judge: whether a model judged.
        says: a code of `VERDICTS`, first and second as the pair has them, or SKIP.
        chose_left: 1 left, 0 right, nan where no candidate was chosen.
        active_ms: milliseconds; nan unknown.
        length_ratio: log2 of length of the pair's first / length of its second; infinite or nan where one is empty.
        guideline: the version in force; 0 none.
        week: weeks since the Monday before the epoch, UTC.
        gold: the code of the right verdict of a gold pair; -1: it is none.
        is_turned: the file had the pair's candidates the other way round.
    """

    pair: NDArray[np.int64]
    annotator: NDArray[np.int64]
    is_judge: NDArray[np.bool_]
    says: NDArray[np.int8]
    chose_left: NDArray[np.float64]
    active_ms: NDArray[np.float64]
    length_ratio: NDArray[np.float64]
    guideline: NDArray[np.int32]
    week: NDArray[np.int32]
    gold: NDArray[np.int8]
    is_turned: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pair)

    def take(self, rows: NDArray[Any]) -> Judged:
        return Judged(**{one.name: getattr(self, one.name)[rows] for one in fields(self)})

    @property
    def is_decided(self) -> NDArray[np.bool_]:
        """It says something of its pair."""
        decided: NDArray[np.bool_] = self.says != SKIP
        return decided

    def labels(self) -> tuple[Labels, NDArray[np.int64]]:
        """The judgements as `judgement_labels` gives them, and which of them each label is."""
        kept = np.flatnonzero(self.is_decided)
        value = self.says[kept].astype(np.int64)
        value = np.where(self.is_turned[kept] & (value < 2), 1 - value, value)
        items, item = np.unique(self.pair[kept], return_inverse=True)
        annotators, annotator = np.unique(self.annotator[kept], return_inverse=True)
        return Labels(item, annotator, value, items, annotators, np.array(VERDICTS)), kept


def judged(
    *, project: Project, voices: Voices, where: Sequence[Criterion] = (), using: BaseDatabaseWrapper | None = None
) -> Judged:
    """What is known of the current judgements of a project, ordered by annotator and pair. About 70 bytes each."""
    source, source_params = pairs_sql(project=project.pk, voices=voices)
    conditions, where_params = _all_of(in_play(where))
    whose, whose_params = voices.sql()
    gold = (
        "CASE WHEN p.is_gold THEN CASE p.label WHEN 'first' THEN 0 WHEN 'second' THEN 1 WHEN 'tie' THEN 2 ELSE -1 END"
    )
    types: dict[str, pa.DataType] = {"pair": pa.int64(), "annotator": pa.int64(), "is_judge": pa.bool_()}
    types |= {"says": pa.int8(), "chose_left": pa.float64(), "active_ms": pa.float64(), "first_length": pa.float64()}
    types |= {"second_length": pa.float64(), "guideline": pa.int32(), "week": pa.int32(), "gold": pa.int8()}
    found = columns(
        f"""
        SELECT a.pair_id, j.annotator_id, n.kind = 'judge',
               CASE j.verdict WHEN 'prefer' THEN CASE WHEN j.strength > 0 THEN 0 ELSE 1 END
                              WHEN 'tie' THEN 2 WHEN 'both_bad' THEN 3 ELSE {SKIP} END,
               CASE WHEN j.verdict = 'prefer' THEN ((j.strength > 0) <> j.swapped)::int::float8 END,
               j.active_ms::float8, one.characters::float8, other.characters::float8, g.version,
               floor((extract(epoch FROM j.created_at) + {_MONDAY}) / {WEEK_SECONDS}), w.gold, w.is_turned
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        JOIN (SELECT p.id, p.first_id, p.second_id, {gold} ELSE -1 END AS gold, {TURNED} AS is_turned
              {source} AND {conditions}) w ON w.id = a.pair_id
        JOIN candidate one ON one.id = w.first_id JOIN candidate other ON other.id = w.second_id
        LEFT JOIN guideline g ON g.id = j.guideline_id
        WHERE a.project_id = %s AND {whose}
        """,
        [*source_params, *where_params, project.pk, *whose_params],
        {**types, "is_turned": pa.bool_()},
        using=using,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        found["length_ratio"] = np.log2(found.pop("first_length") / found.pop("second_length"))
    order = np.lexsort((found["pair"], found["annotator"]))
    return Judged(**{name: column[order] for name, column in found.items()})


def _all_of(criteria: Sequence[Criterion]) -> tuple[str, list[Any]]:
    parts: list[str] = []
    params: list[Any] = []
    for one in criteria:
        sql, values = one.sql()
        parts.append(f"({sql})")
        params += values
    return " AND ".join(parts) or "true", params


@dataclass(frozen=True)
class PairFacts:
    """What is known of every pair of a project, in the order of their numbers. All arrays have the shape (n_pairs,).

    `counts` has the shape (n_pairs, 4): how often each of `VERDICTS` was given, first and second as the pair has them.
    `turned` says where the file had them the other way round. `passes` has the shape (n_criteria, n_pairs).
    """

    pair: NDArray[np.int64]
    prompt: NDArray[np.int64]
    counts: NDArray[np.int32]
    skips: NDArray[np.int32]
    n_strength: NDArray[np.int32]
    strength_sum: NDArray[np.int32]
    label: NDArray[np.int8]
    empty: NDArray[np.bool_]
    identical: NDArray[np.bool_]
    turned: NDArray[np.bool_]
    passes: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.pair)

    @property
    def judgements(self) -> NDArray[np.int32]:
        total: NDArray[np.int32] = self.counts.sum(axis=1, dtype=np.int32)
        return total

    def labels(self, chosen: NDArray[Any]) -> Labels:
        """The judgements of the chosen pairs as `judgement_labels` gives them, annotators without their identity."""
        counts, turned = self.counts[chosen], self.turned[chosen]
        counts[turned] = counts[turned][:, [1, 0, 2, 3]]
        return Labels.from_counts(counts, values=VERDICTS)


@dataclass(frozen=True)
class Voiced:
    """Every judgement that counts, in the order of their numbers. All arrays have the shape (n_judgements,).

    `says` is a code of `VERDICTS` or SKIP; `strength` is -3 to 3, positive for the pair's first, and means nothing
    where `is_known` is false. `guideline` is 0 where there was none.
    """

    judgement: NDArray[np.int64]
    pair: NDArray[np.int64]
    annotator: NDArray[np.int64]
    guideline: NDArray[np.int64]
    says: NDArray[np.int8]
    strength: NDArray[np.int8]
    is_known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.judgement)

    def none(self) -> Voiced:
        """None of them, so that their memory can go."""
        return Voiced(**{one.name: getattr(self, one.name)[:0].copy() for one in fields(self)})


def voiced(*, project: Project, voices: Voices, using: BaseDatabaseWrapper | None = None) -> Voiced:
    """Read every judgement that counts, in one pass. About 40 bytes each."""
    whose, params = voices.sql()
    found = columns(
        f"""
        SELECT j.id, a.pair_id, j.annotator_id, j.guideline_id,
               CASE j.verdict WHEN 'prefer' THEN CASE WHEN j.strength > 0 THEN 0 ELSE 1 END
                              WHEN 'tie' THEN 2 WHEN 'both_bad' THEN 3 ELSE {SKIP} END * 16
               + (coalesce(j.strength, 0) + 3) * 2 + (j.strength_known AND j.strength IS NOT NULL)::int
        FROM judgement j JOIN assignment a ON a.id = j.assignment_id JOIN annotator n ON n.id = j.annotator_id
        WHERE a.project_id = %s AND {whose}
        """,
        [project.pk, *params],
        {
            "judgement": pa.int64(),
            "pair": pa.int64(),
            "annotator": pa.int64(),
            "guideline": pa.int64(),
            # Three small numbers as one: a column costs the database as much as a join.
            "code": pa.int16(),
        },
        by="judgement",
        using=using,
    )
    code = found.pop("code")
    found["says"] = (code // 16).astype(np.int8)
    found["strength"] = (code // 2 % 8 - 3).astype(np.int8)
    found["is_known"] = code % 2 == 1
    number = found["judgement"]
    # They come nearly in order, so that this is cheap.
    order = slice(None) if (number[1:] >= number[:-1]).all() else np.argsort(number, kind="stable")
    return Voiced(**{name: column[order] for name, column in found.items()})


def pair_facts(
    *,
    project: Project,
    voices: Voices,
    where: Sequence[Criterion],
    using: BaseDatabaseWrapper | None = None,
    said: Voiced | None = None,
) -> PairFacts:
    """Count the judgements of every pair and try every criterion on it.

    `said` are the judgements of `voices` where they were read already.
    """
    said = said or voiced(project=project, voices=voices, using=using)
    source, source_params = pairs_sql(project=project.pk, voices=voices)
    tried = [one.sql() for one in where]
    label = "CASE p.label " + " ".join(f"WHEN '{name}' THEN {code}" for name, code in LABELS.items()) + " END"
    types: dict[str, pa.DataType] = {"pair": pa.int64(), "prompt": pa.int64(), "label": pa.int8()}
    types |= {name: pa.bool_() for name in ("empty", "identical", "turned")}
    types |= {f"passes_{place}": pa.bool_() for place in range(len(tried))}
    wanted = ["p.id", "p.prompt_id", label, "'empty' = ANY(p.marks)", "'identical' = ANY(p.marks)", TURNED]
    found = columns(
        # Where no criterion speaks of the tallies, the database leaves their counting out by itself.
        f"SELECT {', '.join([*wanted, *(sql for sql, _ in tried)])} {source}",
        [*(value for _, values in tried for value in values), *source_params],
        types,
        by="pair",
        using=using,
    )
    order = np.argsort(found["pair"], kind="stable")
    found = {name: column[order] for name, column in found.items()}
    pairs = found["pair"]
    passes = [found[f"passes_{place}"] for place in range(len(tried))]
    return PairFacts(
        pair=pairs,
        prompt=found["prompt"],
        **_tallies(pairs, said),
        label=found["label"],
        empty=found["empty"],
        identical=found["identical"],
        turned=found["turned"],
        passes=np.array(passes, dtype=bool).reshape(len(tried), len(pairs)),
    )


def _tallies(pairs: NDArray[np.int64], said: Voiced) -> dict[str, NDArray[np.int32]]:
    """How often each verdict was given of each pair, and the strengths that are known."""
    size = len(pairs)
    if not size:
        none = np.zeros(0, dtype=np.int32)
        return {"counts": none.reshape(0, SKIP), "skips": none, "n_strength": none, "strength_sum": none}
    place = places_in(pairs, said.pair)
    counts = np.bincount(place * (SKIP + 1) + said.says, minlength=size * (SKIP + 1)).reshape(size, SKIP + 1)
    known = said.is_known
    strength = np.bincount(place[known], weights=said.strength[known], minlength=size)
    return {
        "counts": counts[:, :SKIP].astype(np.int32),
        "skips": counts[:, SKIP].astype(np.int32),
        "n_strength": np.bincount(place[known], minlength=size).astype(np.int32),
        "strength_sum": strength.astype(np.int32),
    }


def places_in(numbers: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of `wanted` stands among `numbers`, which ascend and hold all of them."""
    span = int(numbers[-1] - numbers[0]) + 1 if len(numbers) else 0
    if not len(wanted) or span > 8 * len(numbers) + 1024:
        return np.searchsorted(numbers, wanted)
    # Numbers given out one after the other: a table is faster than a search.
    table = np.zeros(span, dtype=np.int64)
    table[numbers - numbers[0]] = np.arange(len(numbers))
    places: NDArray[np.int64] = table[wanted - numbers[0]]
    return places


def store_pair_values(
    *,
    run: Run,
    metric: str,
    pairs: Iterable[int],
    values: NDArray[np.float64],
    n: NDArray[np.int64],
    undefined: str,
    details: Iterable[Mapping[str, Any]] | None = None,
) -> int:
    """Write one measurement per pair, by COPY. nan is stored as undefined, with that reason. Returns how many.

    `details`, where given, is one for each pair.
    """
    count = 0
    written = repeat("{}") if details is None else (json.dumps(one) for one in details)
    statement = "COPY measurement (run_id, metric, pair_id, value, reason, n, detail, created_at) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for pair, value, size, detail in zip(pairs, values.tolist(), n.tolist(), written, strict=details is not None):
            is_defined = value == value
            row = (value if is_defined else None, None if is_defined else undefined)
            copy.write_row((run.pk, metric, int(pair), *row, size, detail, run.created_at))
            count += 1
    return count
