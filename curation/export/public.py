"""Rows -> the layouts of well-known public datasets, column by column as those have them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from curation.export.records import MESSAGES, Broken, Message, Rows, Said, end_to_end
from curation.export.trl import COMMON, SIDE, common, side
from curation.export.won import won

SPEAKERS = {"user": "Human", "assistant": "Assistant"}


def _texts(*names: str) -> list[pa.Field]:
    return [pa.field(name, pa.string(), nullable=False) for name in names]


HH = pa.schema([*_texts("chosen", "rejected"), *SIDE])
ULTRAFEEDBACK = pa.schema(
    [
        *_texts("prompt", "prompt_id"),
        *(pa.field(name, MESSAGES, nullable=False) for name in ("chosen", "rejected", "messages")),
        *(pa.field(name, pa.float64(), nullable=False) for name in ("score_chosen", "score_rejected")),
        *SIDE,
    ]
)
PKU = pa.schema(
    [
        *_texts("prompt", "response_0", "response_1", "prompt_source", "response_0_source", "response_1_source"),
        pa.field("better_response_id", pa.int64(), nullable=False),
        *SIDE,
    ]
)
OPINION = pa.struct([pa.field("score", pa.int64(), nullable=False), *_texts("reasoning", "feedback1", "feedback2")])
HELPSTEER3 = pa.schema(
    [
        pa.field("domain", pa.string(), nullable=False),
        pa.field("context", MESSAGES, nullable=False),
        *_texts("response1", "response2"),
        pa.field("overall_preference", pa.int64(), nullable=False),
        pa.field("individual_preference", pa.list_(pa.field("element", OPINION, nullable=False)), nullable=False),
        *COMMON,
    ]
)
RATIONALE = pa.schema([*_texts("prompt", "chosen", "rejected", "rationale"), *SIDE])


def hh(rows: Rows) -> pa.RecordBatch:
    """As Anthropic's hh-rlhf: two whole dialogues as text.

    Raises:
        Broken: somebody speaks who has no place there: the system, or a tool.
    """
    prompts = rows.prompt.to_pylist()
    dialogues = [
        [_dialogue([*asked, *answer], pair) for asked, answer, pair in zip(prompts, answers, rows.pair_id, strict=True)]
        for answers in (rows.chosen.to_pylist(), rows.rejected.to_pylist())
    ]
    return pa.RecordBatch.from_arrays([*map(_strings, dialogues), *side(rows)], schema=HH)


def ultrafeedback(rows: Rows) -> pa.RecordBatch:
    """As HuggingFaceH4's ultrafeedback_binarized: a prompt that is text beside answers that are conversations.

    The prompt is the first thing that the user says, its identifier that text's sha256. A score is the share of
    comparisons that the answer won, ties for half, as `won` counts them: the chosen answer's is never the lower one.
    """
    asked = [_first_of_user(messages) for messages in rows.prompt.to_pylist()]
    chosen, rejected = (end_to_end(rows.prompt, answer) for answer in (rows.chosen, rows.rejected))
    points, of = won(rows)
    shares = points / np.maximum(of, 1)[:, None]
    place = np.arange(len(rows))
    wins = np.where(rows.first_wins, 0, 1)
    return pa.RecordBatch.from_arrays(
        [
            _strings(asked),
            _strings([hashlib.sha256(text.encode()).hexdigest() for text in asked]),
            chosen,
            rejected,
            chosen,
            pa.array(shares[place, wins]),
            pa.array(shares[place, 1 - wins]),
            *side(rows),
        ],
        schema=ULTRAFEEDBACK,
    )


def pku(rows: Rows) -> pa.RecordBatch:
    """As PKU-SafeRLHF-single-dimension: two answers as text and which is better. What is safe is not known here."""
    return pa.RecordBatch.from_arrays(
        [
            _strings([text_of(messages) for messages in rows.prompt.to_pylist()]),
            _strings([text_of(messages) for messages in rows.first.to_pylist()]),
            _strings([text_of(messages) for messages in rows.second.to_pylist()]),
            rows.source,
            rows.models.take(pa.array(rows.first_at)),
            rows.models.take(pa.array(rows.second_at)),
            pa.array(np.where(rows.first_wins, 0, 1).astype(np.int64)),
            *side(rows),
        ],
        schema=PKU,
    )


def helpsteer3(rows: Rows) -> pa.RecordBatch:
    """As nvidia's HelpSteer3 preference: scores -3 to 3, negative for the first answer, each annotator with a reason.

    A preference whose strength is not known scores the least that says which, 1. The overall preference is the rounded
    mean of the scores, halves away from zero. Where the release chooses an answer it is never 0 and never against that
    answer: 1 for it where the scores say otherwise. Where it calls the pair a tie, it is 0.
    """
    opinions = [
        [
            {"score": score, "reasoning": one.reason, "feedback1": "", "feedback2": ""}
            for one in said
            if (score := _score(one)) is not None
        ]
        for said in rows.said
    ]
    mean = np.array([np.mean([one["score"] for one in each]) if each else 0.0 for each in opinions])
    rounded = np.sign(mean) * np.floor(np.abs(mean) + 0.5)
    chosen = -np.nan_to_num(rows.verdict)
    overall = np.where(np.isnan(rows.verdict), rounded, chosen * np.maximum(rounded * chosen, 1)).astype(np.int64)
    return pa.RecordBatch.from_arrays(
        [
            _strings([tags[0] if tags else "" for tags in rows.tags.to_pylist()]),
            rows.prompt,
            _strings([text_of(messages) for messages in rows.first.to_pylist()]),
            _strings([text_of(messages) for messages in rows.second.to_pylist()]),
            pa.array(overall),
            pa.array(opinions, HELPSTEER3.field("individual_preference").type),
            *common(rows),
        ],
        schema=HELPSTEER3,
    )


def _score(said: Said) -> int | None:
    """A judgement on the scale of HelpSteer3, negative for the first; None for both bad and skips, which have none."""
    if said.strength is not None:
        return -said.strength
    return {"first": -1, "second": 1, "tie": 0}.get(said.verdict)


def rationale(rows: Rows) -> pa.RecordBatch:
    """As the orcarat sets: prompt, chosen and rejected as text, and why.

    The reason is that of the first judgement that prefers the chosen answer and gives one.
    """
    reasons = [
        next(one.reason for one in said if one.reason and one.verdict == winner)
        for said, winner in zip(rows.said, np.where(rows.first_wins, "first", "second").tolist(), strict=True)
    ]
    return pa.RecordBatch.from_arrays(
        [
            _strings([text_of(messages) for messages in rows.prompt.to_pylist()]),
            _strings([text_of(messages) for messages in rows.chosen.to_pylist()]),
            _strings([text_of(messages) for messages in rows.rejected.to_pylist()]),
            _strings(reasons),
            *side(rows),
        ],
        schema=RATIONALE,
    )


def text_of(messages: Sequence[Message]) -> str:
    """One message as its text; several as a dialogue in which every speaker is named."""
    if len(messages) == 1:
        return str(messages[0]["content"])
    return "\n\n".join(f"{SPEAKERS.get(one['role'], one['role'].title())}: {one['content']}" for one in messages)


def _dialogue(messages: Sequence[Message], pair: int) -> str:
    strange = next((one["role"] for one in messages if one["role"] not in SPEAKERS), None)
    if strange is not None:
        raise Broken(int(pair), f"the layout hh has no place for what the role {strange!r} says.")
    return "".join(f"\n\n{SPEAKERS[one['role']]}: {one['content']}" for one in messages)


def _first_of_user(messages: Sequence[Message]) -> str:
    return next((str(one["content"]) for one in messages if one["role"] == "user"), str(messages[-1]["content"]))


def _strings(texts: Sequence[str]) -> pa.Array:
    return pa.array(texts, pa.string())
