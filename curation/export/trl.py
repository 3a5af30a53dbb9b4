"""Records -> what TRL's trainers read. The schema is written down here and never inferred from rows."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from curation.export.records import Message, Record

MESSAGE = pa.struct([pa.field("role", pa.string(), nullable=False), pa.field("content", pa.string(), nullable=False)])
MESSAGES = pa.list_(pa.field("element", MESSAGE, nullable=False))

# TRL gives these a meaning of its own; a side column must not carry one of them by accident.
FORBIDDEN = frozenset(
    {
        "messages",
        "completion",
        "completions",
        "label",
        "labels",
        "margin",
        "text",
        "image",
        "images",
        "tools",
        "chat_template_kwargs",
    }
    | {"ref_chosen_logps", "ref_rejected_logps"}
)

SIDE = pa.schema(
    [
        pa.field("pair_id", pa.int64(), nullable=False),
        pa.field("external_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("tags", pa.list_(pa.field("element", pa.string(), nullable=False)), nullable=False),
        pa.field("chosen_side", pa.string(), nullable=False),
        pa.field("chosen_model", pa.string(), nullable=False),
        pa.field("rejected_model", pa.string(), nullable=False),
        pa.field("n_judgements", pa.int32(), nullable=False),
        pa.field("n_first", pa.int32(), nullable=False),
        pa.field("n_second", pa.int32(), nullable=False),
        pa.field("n_tie", pa.int32(), nullable=False),
        pa.field("n_both_bad", pa.int32(), nullable=False),
        pa.field("agreement", pa.float64()),
        pa.field("strength_mean", pa.float64()),
    ]
)
# What each side column says, for the card.
SIDE_HELP = {
    "pair_id": "the pair's number in the project",
    "external_id": "the identifier in the file it came with, or empty",
    "source": "where the pair came from, or empty",
    "language": "the prompt's language, or empty",
    "tags": "tags of the pair and of its prompt",
    "chosen_side": "which candidate of the pair was chosen: first or second",
    "chosen_model": "the model that wrote the chosen answer, where known",
    "rejected_model": "the model that wrote the rejected answer, where known",
    "n_judgements": "judgements that count, skips left out",
    "n_first": "judgements for the first candidate",
    "n_second": "judgements for the second candidate",
    "n_tie": "judgements that see no difference",
    "n_both_bad": "judgements that find both bad",
    "agreement": "share of pairs of judgements that agree, 0 to 1; null below two judgements",
    "strength_mean": "mean strength, positive for the chosen answer, at most 3; null where none is known",
}

DPO = pa.schema(
    [
        pa.field("prompt", MESSAGES, nullable=False),
        pa.field("chosen", MESSAGES, nullable=False),
        pa.field("rejected", MESSAGES, nullable=False),
        *SIDE,
    ]
)


def dpo(records: Sequence[Record]) -> pa.RecordBatch:
    """Records that were checked, as rows for TRL's DPOTrainer: explicit prompt, conversational, never mixed types."""
    texts = [
        messages_array([record.asked for record in records]),
        messages_array([record.chosen for record in records]),
        messages_array([record.rejected for record in records]),
    ]
    return pa.RecordBatch.from_arrays([*texts, *_side(records)], schema=DPO)


def messages_array(lists: Sequence[list[Message]]) -> pa.ListArray:
    """Lists of messages as one array; of each message its role and content, and nothing else that it may carry."""
    return pa.array(lists, MESSAGES)


def _side(records: Sequence[Record]) -> list[pa.Array]:
    firsts = [record.winner == "first" for record in records]
    columns: dict[str, list[object]] = {
        "pair_id": [record.pair_id for record in records],
        "external_id": [record.external_id for record in records],
        "source": [record.source for record in records],
        "language": [record.language for record in records],
        "tags": [record.tags for record in records],
        "chosen_side": [record.winner for record in records],
        "chosen_model": [r.first_model if first else r.second_model for r, first in zip(records, firsts, strict=True)],
        "rejected_model": [
            r.second_model if first else r.first_model for r, first in zip(records, firsts, strict=True)
        ],
        "n_judgements": [sum(record.counts) for record in records],
        "n_first": [record.counts[0] for record in records],
        "n_second": [record.counts[1] for record in records],
        "n_tie": [record.counts[2] for record in records],
        "n_both_bad": [record.counts[3] for record in records],
        "agreement": [record.agreement for record in records],
        "strength_mean": [_towards_chosen(record) for record in records],
    }
    return [pa.array(columns[column.name], column.type) for column in SIDE]


def _towards_chosen(record: Record) -> float | None:
    if record.strength_mean is None:
        return None
    return record.strength_mean if record.winner == "first" else 0.0 - record.strength_mean
