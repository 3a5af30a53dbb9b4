"""Rows -> an answer in steps, each with whether it is right: TRL's stepwise supervision, from what annotators marked.

A step is a sentence, a line or a block of code. Where more annotators marked it as hurting the answer than as
supporting it, its label is false; otherwise true: those who marked this answer found no fault in it.
"""

from __future__ import annotations

import re

import numpy as np
import pyarrow as pa

from curation.export.public import text_of
from curation.export.records import TAGS, Mark, Rows
from curation.export.trl import COMMON, ONE_HELP, common

# A block of code is one step, closed or not.
_FENCE = re.compile(r"^(```|~~~).*?(?:^\1[^\n]*$|\Z)", re.MULTILINE | re.DOTALL)
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s+[^\sa-z]|\s*\Z)|[。！？]+[」』”’）]*|\n")
# "2." begins a step and is none.
_NUMBER = re.compile(r"[(\[]?(?:\d{1,3}|[A-Za-z])[.)\]]+")

_COUNTS = pa.list_(pa.field("element", pa.int64(), nullable=False))
STEPWISE = pa.schema(
    [
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("completions", TAGS, nullable=False),
        pa.field("labels", pa.list_(pa.field("element", pa.bool_(), nullable=False)), nullable=False),
        pa.field("step_supports", _COUNTS, nullable=False),
        pa.field("step_hurts", _COUNTS, nullable=False),
        pa.field("n_markers", pa.int64(), nullable=False),
        *COMMON,
        *(pa.field(name, pa.string(), nullable=False) for name in ("side", "model")),
    ]
)
STEPWISE_HELP = {
    "step_supports": "of each step, how many annotators marked something in it as supporting the answer",
    "step_hurts": "of each step, how many marked something in it as hurting the answer",
    "n_markers": "how many annotators marked something in this answer",
    **ONE_HELP,
}


def steps_of(text: str) -> list[tuple[int, int]]:
    """Where the steps of a text begin and end, in code points, end exclusive. What lies between is white space."""
    fences = [found.span() for found in _FENCE.finditer(text)]
    ends = {len(text), *(edge for fence in fences for edge in fence)}
    for found in _END.finditer(text):
        if not any(low < found.end() < high for low, high in fences):
            ends.add(found.end())
    steps: list[tuple[int, int]] = []
    start = 0
    for end in sorted(ends):
        piece = text[start:end]
        inner = piece.strip()
        if _NUMBER.fullmatch(inner) and not piece.endswith("\n") and text[end:].strip():
            continue
        if inner:
            begin = start + piece.index(inner)
            steps.append((begin, begin + len(inner)))
        start = end
    return steps


def stepwise(rows: Rows) -> pa.RecordBatch:
    """As TRL's stepwise supervision: a row for each marked answer of a pair, the first before the second."""
    made, place, at = [], [], []
    for number, marked in enumerate(rows.marks):
        for side, candidate in (("first", int(rows.first_at[number])), ("second", int(rows.second_at[number]))):
            marks = [one for one in marked if one.side == side]
            if not marks:
                continue
            text = rows.candidates[candidate][0]["content"].as_py()
            made.append({"prompt": text_of(rows.prompt[number].as_py()), "side": side, **_labelled(text, marks)})
            place.append(number)
            at.append(candidate)
    own = ("prompt", "completions", "labels", "step_supports", "step_hurts", "n_markers")
    which = pa.array(np.array(place, dtype=np.int64))
    return pa.RecordBatch.from_arrays(
        [
            *(pa.array([one[name] for one in made], STEPWISE.field(name).type) for name in own),
            *(column.take(which) for column in common(rows)),
            pa.array([one["side"] for one in made], pa.string()),
            rows.models.take(pa.array(np.array(at, dtype=np.int64))),
        ],
        schema=STEPWISE,
    )


def _labelled(text: str, marks: list[Mark]) -> dict[str, object]:
    steps = steps_of(text)
    votes = [
        [
            len({one.annotator for one in marks if one.hurts == hurts and one.start < end and start < one.end})
            for hurts in (False, True)
        ]
        for start, end in steps
    ]
    return {
        "completions": [text[start:end] for start, end in steps],
        "labels": [hurts <= supports for supports, hurts in votes],
        "step_supports": [supports for supports, _ in votes],
        "step_hurts": [hurts for _, hurts in votes],
        "n_markers": len({one.annotator for one in marks}),
    }
