"""Rows -> layouts that keep what people said instead of one winner: votes, distributions, scores of many answers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from curation.export.records import MESSAGES, TAGS, Rows
from curation.export.trl import COMMON, common
from curation.export.won import won

_CANDIDATES = [pa.field(name, MESSAGES, nullable=False) for name in ("prompt", "first", "second")]
SHARES = ("p_first", "p_second", "p_tie", "p_both_bad")

VOTES = pa.schema(
    [
        *_CANDIDATES,
        pa.field("annotator", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("strength", pa.int64()),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("reason_tags", TAGS, nullable=False),
        pa.field("guideline", pa.int64()),
        *COMMON,
    ]
)
SOFT = pa.schema(
    [
        *_CANDIDATES,
        *(pa.field(name, pa.float64(), nullable=False) for name in SHARES),
        pa.field("strength_mean", pa.float64()),
        *COMMON,
    ]
)
# One list for each ranking, beside the completions: 1 is the best, equal numbers are a tie, null is not ranked.
_RANKINGS = pa.list_(pa.field("element", pa.list_(pa.field("element", pa.int64())), nullable=False))
LISTWISE = pa.schema(
    [
        pa.field("prompt", MESSAGES, nullable=False),
        pa.field("completions", pa.list_(pa.field("element", MESSAGES, nullable=False)), nullable=False),
        pa.field("scores", pa.list_(pa.field("element", pa.float64(), nullable=False)), nullable=False),
        pa.field("rankings", _RANKINGS, nullable=False),
        pa.field("models", TAGS, nullable=False),
        pa.field("n_judgements", pa.list_(pa.field("element", pa.int64(), nullable=False)), nullable=False),
        pa.field("pair_ids", pa.list_(pa.field("element", pa.int64(), nullable=False)), nullable=False),
        pa.field("adjudicated", pa.list_(pa.field("element", pa.bool_(), nullable=False)), nullable=False),
        pa.field("edited", pa.list_(pa.field("element", pa.bool_(), nullable=False)), nullable=False),
        pa.field("language", pa.string(), nullable=False),
    ]
)


def votes(rows: Rows) -> pa.RecordBatch:
    """One row for each judgement that counts, skips among them, in the order in which they were made."""
    said = [one for each in rows.said for one in each]
    place = pa.array(np.repeat(np.arange(len(rows)), [len(each) for each in rows.said]), pa.int64())
    return pa.RecordBatch.from_arrays(
        [
            *(column.take(place) for column in (rows.prompt, rows.first, rows.second)),
            *(
                pa.array([getattr(one, name) for one in said], VOTES.field(column).type)
                for column, name in (
                    ("annotator", "annotator"),
                    ("kind", "kind"),
                    ("verdict", "verdict"),
                    ("strength", "strength"),
                    ("reason", "reason"),
                    ("reason_tags", "tags"),
                    ("guideline", "guideline"),
                )
            ),
            *(column.take(place) for column in common(rows)),
        ],
        schema=VOTES,
    )


def soft(rows: Rows) -> pa.RecordBatch:
    """The distribution of the judgements over first, second, tie and both bad."""
    shares = rows.counts / np.maximum(rows.counts.sum(axis=1, keepdims=True), 1)
    return pa.RecordBatch.from_arrays(
        [
            *(rows.prompt, rows.first, rows.second),
            *(pa.array(np.ascontiguousarray(shares[:, place])) for place in range(4)),
            pa.array(rows.strength_mean, from_pandas=True),
            *common(rows),
        ],
        schema=SOFT,
    )


def listwise(rows: Rows) -> pa.RecordBatch:
    """One row for each prompt: all its answers, best first, each with its score.

    A score is the share of all comparisons of this answer that it won, as `won` counts them: a tie as half, both bad
    as nothing, and what an adjudicator decided as the ruling says. All rows of a prompt must come together. Equal
    scores stand in the order of the answers' numbers. `adjudicated` says it of each of `pair_ids`.

    `rankings` holds what each person who ranked them said, as ranks of these answers; none where pairs were judged.

    What an annotator made of an answer by editing it is an answer too, `edited`, compared once with the one that it was
    made of, and preferred: edited > chosen > rejected, as Llama 3 has it (Dubey et al., 2024, section 4.1.2).
    """
    made: list[dict[str, object]] = []
    points, of = won(rows)
    judgements = rows.counts.sum(axis=1)
    starts = np.nonzero(np.diff(rows.prompt_id, prepend=-1))[0]
    for start, end in zip(starts, np.append(starts, len(rows))[1:], strict=True):
        wins: dict[int, float] = {}
        compared: dict[int, int] = {}
        judged: dict[int, int] = {}
        edits: dict[tuple[int, str], int] = {}
        for place in range(start, end):
            sides = {"first": int(rows.first_at[place]), "second": int(rows.second_at[place])}
            for at, own in zip(sides.values(), points[place].tolist(), strict=True):
                wins[at] = wins.get(at, 0.0) + own
                compared[at] = compared.get(at, 0) + int(of[place])
                judged[at] = judged.get(at, 0) + int(judgements[place])
            for edit in rows.edits[place] if rows.edits else ():
                key = sides[edit.side], edit.text
                edits[key] = edits.get(key, 0) + 1
        answers = [
            # score, whether it stands behind an edit of as good a score, number, messages, judgements
            *((wins[at] / max(compared[at], 1), True, at, rows.candidates[at].as_py(), judged[at]) for at in wins),
            *((1.0, False, at, _with_end(rows.candidates[at].as_py(), text), n) for (at, text), n in edits.items()),
        ]
        answers.sort(key=lambda one: (-one[0], one[1], one[2]))
        made.append(
            {
                "prompt": rows.prompt[start].as_py(),
                "completions": [one[3] for one in answers],
                "scores": [one[0] for one in answers],
                "rankings": _rankings(rows, int(start), [(one[2], one[1]) for one in answers]),
                "models": [rows.models[one[2]].as_py() for one in answers],
                "n_judgements": [one[4] for one in answers],
                "pair_ids": rows.pair_id[start:end].tolist(),
                "adjudicated": rows.settled[start:end].tolist(),
                "edited": [not one[1] for one in answers],
                "language": rows.language[start].as_py(),
            }
        )
    return pa.RecordBatch.from_pylist(made, schema=LISTWISE)


def _with_end(messages: list[dict[str, str]], text: str) -> list[dict[str, str]]:
    """The same messages with another text as the last."""
    return [*messages[:-1], {**messages[-1], "content": text}]


def _rankings(rows: Rows, place: int, order: list[tuple[int, bool]]) -> list[list[int | None]]:
    """The rankings of a row's prompt. `order`: where each answer stands among the candidates, and whether it is one.

    An edited answer was not ranked; a ranking of fewer than two of these answers says nothing of their order.
    """
    if rows.candidate_id is None:
        return []
    numbers = [int(rows.candidate_id[at]) if is_candidate else -1 for at, is_candidate in order]
    found = [[ranks.get(number) for number in numbers] for ranks in rows.rankings.get(int(rows.prompt_id[place]), ())]
    return [ranks for ranks in found if sum(rank is not None for rank in ranks) > 1]
