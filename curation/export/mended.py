"""Rows -> layouts of edited answers: edited > chosen > rejected, and question, answer, correction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from curation.export.public import text_of
from curation.export.records import MESSAGES, Edit, Message, Rows, messages_array
from curation.export.trl import SIDE, side

EDITED = pa.schema(
    [*(pa.field(name, MESSAGES, nullable=False) for name in ("prompt", "edited", "chosen", "rejected")), *SIDE]
)
ALIGNER = pa.schema(
    [*(pa.field(name, pa.string(), nullable=False) for name in ("question", "answer", "correction")), *SIDE]
)


def edited(rows: Rows) -> pa.RecordBatch:
    """One row for each edit of a chosen answer: the edited one is better than it, and it than the rejected one.

    Source: Llama Team, The Llama 3 herd of models, 2024, on reward modelling.
    """
    place, made = _of_chosen(rows)
    at = pa.array(place, pa.int64())
    chosen = rows.chosen.take(at)
    return pa.RecordBatch.from_arrays(
        [
            rows.prompt.take(at),
            messages_array([_with_edit(said, one) for said, one in zip(chosen.to_pylist(), made, strict=True)]),
            chosen,
            rows.rejected.take(at),
            *(column.take(at) for column in side(rows)),
        ],
        schema=EDITED,
    )


def aligner(rows: Rows) -> pa.RecordBatch:
    """One row for each edit of a chosen answer, as text: the question, the answer as it was, and as it was corrected.

    Source: Ji et al., Aligner: efficient alignment by learning to correct, 2024.
    """
    place, made = _of_chosen(rows)
    at = pa.array(place, pa.int64())
    answers: list[list[Message]] = rows.chosen.take(at).to_pylist()
    texts = [
        [text_of(said) for said in rows.prompt.take(at).to_pylist()],
        [text_of(said) for said in answers],
        [text_of(_with_edit(said, one)) for said, one in zip(answers, made, strict=True)],
    ]
    return pa.RecordBatch.from_arrays(
        [*(pa.array(column, pa.string()) for column in texts), *(column.take(at) for column in side(rows))],
        schema=ALIGNER,
    )


def _of_chosen(rows: Rows) -> tuple[list[int], list[Edit]]:
    """The edits of what was chosen, each with its row; an edit of the other answer says nothing here."""
    found = [
        (place, one)
        for place, (edits, first_wins) in enumerate(zip(rows.edits, rows.first_wins.tolist(), strict=True))
        for one in edits
        if (one.side == "first") == first_wins
    ]
    return [place for place, _ in found], [one for _, one in found]


def _with_edit(said: Sequence[Message], one: Edit) -> list[dict[str, Any]]:
    """An answer's messages with the edited text in the last of them."""
    return [*said[:-1], {**said[-1], "content": one.text}]
