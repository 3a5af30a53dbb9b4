"""Rows <-> labelled arrays: the single bridge between the database and the measures.

Reading streams: the database sends rows, which become columns of numbers in pieces, and never one object per row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv
from django.db import connection
from django.db.backends.base.base import BaseDatabaseWrapper
from numpy.typing import NDArray

from annotation.models import Pair, Project, Run
from curation.metrics.discretion import majority_of_votes
from curation.metrics.labels import Labels
from curation.selecting import Criterion, Voices, in_play, pairs_sql

# What a judgement says of its pair, as names and in this order everywhere.
VERDICTS = ("first", "second", "tie", "both_bad")
STRENGTHS = (-3, -2, -1, 0, 1, 2, 3)
# What the source of a pair said of it, as codes.
LABELS = {label.value: code for code, label in enumerate(Pair.Label)}

# First and second are numbered as their rows happened to be written; the file that a pair came with had its own order.
# Kappa and alpha move a little when half of the names are turned round (PandaLM: .0003), so labels follow the file:
# then a published figure is found again.
TURNED = "coalesce(p.meta #>> '{imported,a}' = 'second', false)"

# Bytes that are turned into numbers at a time.
PIECE = 4 * 2**20


def columns(
    query: str, params: Sequence[Any], types: dict[str, pa.DataType], *, using: BaseDatabaseWrapper | None = None
) -> dict[str, NDArray[Any]]:
    """The columns of a query of numbers, as arrays; null becomes 0 (false). Memory: the columns and one piece.

    The order of the rows is the database's: sort by a column where it matters.
    """
    convert = pyarrow.csv.ConvertOptions(column_types=types, true_values=["t"], false_values=["f"], null_values=[""])
    read = pyarrow.csv.ReadOptions(column_names=list(types), use_threads=False)
    pieces: list[pa.RecordBatch] = []

    def turn(lines: list[bytes]) -> None:
        if lines:
            table = pyarrow.csv.read_csv(pa.BufferReader(b"\n".join(lines)), read_options=read, convert_options=convert)
            pieces.extend(table.to_batches())

    # Rows come a thousand to a line: the client's cost is by line. A row of numbers as text is (1,2,,t), and COPY puts
    # quotes around what holds a line break, so that without brackets and quotes it is CSV.
    lines_of_rows = f"""
        SELECT string_agg(btrim(found::text, '()'), E'\\n')
        FROM (SELECT r AS found, row_number() OVER () AS place FROM ({query}) r) s
        GROUP BY place / 1000
    """
    reader = using or connection
    reader.ensure_connection()
    # COPY takes no parameters from the server's side, and Django's cursor none at all when it logs queries.
    statement = psycopg.ClientCursor(reader.connection).mogrify(
        f"COPY ({lines_of_rows}) TO STDOUT (FORMAT csv)", params
    )
    with reader.cursor() as cursor, cursor.copy(statement) as copy:
        lines: list[bytes] = []
        size = 0
        for line in copy:
            lines.append(bytes(line).strip(b'"\n'))
            size += len(lines[-1])
            if size >= PIECE:
                turn(lines)
                lines, size = [], 0
        turn(lines)
    table = pa.Table.from_batches(pieces, schema=pa.schema(list(types.items())))
    return {name: _filled(table[name]) for name in types}


def _filled(column: pa.ChunkedArray) -> NDArray[Any]:
    empty = False if pa.types.is_boolean(column.type) else 0
    return np.asarray(column.fill_null(empty).to_numpy(zero_copy_only=False))


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
    """What is known of every pair of a project, in the order of their ranks. All arrays have the shape (n_pairs,).

    `counts` has the shape (n_pairs, 4): how often each of `VERDICTS` was given, first and second as the pair has them.
    `turned` says where the file had them the other way round. `passes` has the shape (n_criteria, n_pairs).
    """

    pair: NDArray[np.int64]
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


def pair_facts(
    *, project: Project, voices: Voices, where: Sequence[Criterion], using: BaseDatabaseWrapper | None = None
) -> PairFacts:
    """Count the judgements of every pair and try every criterion on it, in one pass of the database."""
    source, source_params = pairs_sql(project=project.pk, voices=voices)
    tried = [one.sql() for one in where]
    numbers = ["n_first", "n_second", "n_tie", "n_both_bad", "n_skip", "n_strength", "strength_sum"]
    label = "CASE p.label " + " ".join(f"WHEN '{name}' THEN {code}" for name, code in LABELS.items()) + " END"
    wanted = [
        "p.rank",
        "p.id",
        *(f"v.{name}" for name in numbers),
        label,
        "'empty' = ANY(p.marks)",
        "'identical' = ANY(p.marks)",
        TURNED,
    ]
    types: dict[str, pa.DataType] = {"rank": pa.int64(), "pair": pa.int64()}
    types |= dict.fromkeys(numbers, pa.int32())
    types |= {"label": pa.int8(), "empty": pa.bool_(), "identical": pa.bool_(), "turned": pa.bool_()}
    types |= {f"passes_{place}": pa.bool_() for place in range(len(tried))}
    found = columns(
        f"SELECT {', '.join([*wanted, *(sql for sql, _ in tried)])} {source}",
        [*(value for _, values in tried for value in values), *source_params],
        types,
        using=using,
    )
    order = np.argsort(found.pop("rank"), kind="stable")
    found = {name: column[order] for name, column in found.items()}
    return PairFacts(
        pair=found["pair"],
        counts=np.column_stack([found[name] for name in ("n_first", "n_second", "n_tie", "n_both_bad")]),
        skips=found["n_skip"],
        n_strength=found["n_strength"],
        strength_sum=found["strength_sum"],
        label=found["label"],
        empty=found["empty"],
        identical=found["identical"],
        turned=found["turned"],
        passes=np.array([found[f"passes_{place}"] for place in range(len(tried))], dtype=bool).reshape(
            len(tried), len(found["pair"])
        ),
    )


def store_pair_values(
    *, run: Run, metric: str, pairs: Iterable[int], values: NDArray[np.float64], n: NDArray[np.int64], undefined: str
) -> int:
    """Write one measurement per pair, by COPY. nan is stored as undefined, with that reason. Returns how many."""
    count = 0
    statement = "COPY measurement (run_id, metric, pair_id, value, reason, n, detail, created_at) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for pair, value, size in zip(pairs, values.tolist(), n.tolist(), strict=True):
            is_defined = value == value
            row = (value if is_defined else None, None if is_defined else undefined)
            copy.write_row((run.pk, metric, int(pair), *row, size, "{}", run.created_at))
            count += 1
    return count
