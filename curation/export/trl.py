"""Records -> what TRL's trainers read. The schema is written down here and never inferred from rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from curation.export.records import MESSAGES, TAGS, Rows

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
        pa.field("tags", TAGS, nullable=False),
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


def dpo(rows: Rows) -> pa.RecordBatch:
    """Rows for TRL's DPOTrainer: explicit prompt, conversational, never mixed types."""
    return pa.RecordBatch.from_arrays([rows.prompt, rows.chosen, rows.rejected, *side(rows)], schema=DPO)


def side(rows: Rows) -> list[pa.Array]:
    """The columns of SIDE."""
    towards = np.where(rows.first_wins, rows.strength_mean, 0.0 - rows.strength_mean)
    columns: dict[str, pa.Array] = {
        "pair_id": pa.array(rows.pair_id),
        "external_id": rows.external_id,
        "source": rows.source,
        "language": rows.language,
        "tags": rows.tags,
        "chosen_side": pa.array(np.where(rows.first_wins, "first", "second"), pa.string()),
        "chosen_model": rows.models.take(pa.array(rows.chosen_at)),
        "rejected_model": rows.models.take(pa.array(rows.rejected_at)),
        "n_judgements": pa.array(rows.counts.sum(axis=1).astype(np.int32)),
        **{
            name: pa.array(rows.counts[:, place].astype(np.int32))
            for place, name in enumerate(("n_first", "n_second", "n_tie", "n_both_bad"))
        },
        "agreement": pa.array(rows.agreement, from_pandas=True),
        "strength_mean": pa.array(towards, from_pandas=True),
    }
    return [columns[column.name] for column in SIDE]
