"""Records -> what TRL's trainers read. The schema is written down here and never inferred from rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curation.export.records import MESSAGES, TAGS, Rows, end_to_end

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

# What every layout has beside its own columns.
COMMON = pa.schema(
    [
        pa.field("pair_id", pa.int64(), nullable=False),
        pa.field("external_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("language", pa.string(), nullable=False),
        pa.field("tags", TAGS, nullable=False),
        pa.field("n_judgements", pa.int32(), nullable=False),
        pa.field("n_first", pa.int32(), nullable=False),
        pa.field("n_second", pa.int32(), nullable=False),
        pa.field("n_tie", pa.int32(), nullable=False),
        pa.field("n_both_bad", pa.int32(), nullable=False),
        pa.field("agreement", pa.float64()),
        pa.field("adjudicated", pa.bool_(), nullable=False),
    ]
)
# And those that choose, beside these.
SIDE = pa.schema(
    [
        *COMMON,
        pa.field("chosen_side", pa.string(), nullable=False),
        pa.field("chosen_model", pa.string(), nullable=False),
        pa.field("rejected_model", pa.string(), nullable=False),
        pa.field("strength_mean", pa.float64()),
    ]
)
# What each of these columns says, for the card.
COMMON_HELP = {
    "pair_id": "the pair's number in the project",
    "external_id": "the identifier in the file it came with, or empty",
    "source": "where the pair came from, or empty",
    "language": "the prompt's language, or empty",
    "tags": "tags of the pair and of its prompt",
    "n_judgements": "judgements that count, skips left out",
    "n_first": "judgements for the first candidate",
    "n_second": "judgements for the second candidate",
    "n_tie": "judgements that see no difference",
    "n_both_bad": "judgements that find both bad",
    "agreement": "share of pairs of judgements that agree, 0 to 1; null below two judgements",
    "adjudicated": "whether an adjudicator's ruling decided this pair in the place of the rule",
}
SIDE_HELP = {
    **COMMON_HELP,
    "chosen_side": "which candidate of the pair was chosen: first or second",
    "chosen_model": "the model that wrote the chosen answer, where known",
    "rejected_model": "the model that wrote the rejected answer, where known",
    "strength_mean": "mean strength, positive for the chosen answer, at most 3; null where none is known",
}
# A row of KTO is one answer.
ONE_HELP = {**COMMON_HELP, "side": "which candidate of the pair this is: first or second", "model": "its model"}

DPO = pa.schema([*(pa.field(name, MESSAGES, nullable=False) for name in ("prompt", "chosen", "rejected")), *SIDE])
REWARD = pa.schema(
    [
        *(pa.field(name, MESSAGES, nullable=False) for name in ("chosen", "rejected")),
        pa.field("margin", pa.float64(), nullable=False),
        *SIDE,
    ]
)
KTO = pa.schema(
    [
        *(pa.field(name, MESSAGES, nullable=False) for name in ("prompt", "completion")),
        pa.field("label", pa.bool_(), nullable=False),
        *COMMON,
        *(pa.field(name, pa.string(), nullable=False) for name in ("side", "model")),
    ]
)


def dpo(rows: Rows) -> pa.RecordBatch:
    """Rows for TRL's DPOTrainer: explicit prompt, conversational, never mixed types."""
    return pa.RecordBatch.from_arrays([rows.prompt, rows.chosen, rows.rejected, *side(rows)], schema=DPO)


def reward(rows: Rows) -> pa.RecordBatch:
    """Rows for TRL's RewardTrainer: whole conversations, and how far apart they are.

    `margin` is the mean strength towards the chosen answer, 0 where it is not known or points the other way: then the
    loss is the plain one. It is never null, which the trainer could not read.
    """
    conversations = [end_to_end(rows.prompt, answer) for answer in (rows.chosen, rows.rejected)]
    margin = np.nan_to_num(np.maximum(_towards_chosen(rows), 0.0))
    return pa.RecordBatch.from_arrays([*conversations, pa.array(margin), *side(rows)], schema=REWARD)


def kto(rows: Rows) -> pa.RecordBatch:
    """Rows for TRL's KTOTrainer: each answer alone, the chosen before the rejected."""
    twice = pa.array(np.repeat(np.arange(len(rows)), 2))
    at = np.column_stack([rows.chosen_at, rows.rejected_at]).reshape(-1)
    is_chosen = np.tile([True, False], len(rows))
    is_first = np.repeat(rows.first_wins, 2) == is_chosen
    return pa.RecordBatch.from_arrays(
        [
            rows.prompt.take(twice),
            rows.candidates.take(pa.array(at)),
            pa.array(is_chosen),
            *(column.take(twice) for column in common(rows)),
            pa.array(np.where(is_first, "first", "second"), pa.string()),
            rows.models.take(pa.array(at)),
        ],
        schema=KTO,
    )


def common(rows: Rows) -> list[pa.Array]:
    """The columns of COMMON."""
    return [
        pa.array(rows.pair_id),
        rows.external_id,
        rows.source,
        rows.language,
        rows.tags,
        pa.array(rows.counts.sum(axis=1).astype(np.int32)),
        *(pa.array(rows.counts[:, place].astype(np.int32)) for place in range(4)),
        pa.array(rows.agreement, from_pandas=True),
        pa.array(rows.settled),
    ]


def side(rows: Rows) -> list[pa.Array]:
    """The columns of SIDE."""
    return [
        *common(rows),
        pa.array(np.where(rows.first_wins, "first", "second"), pa.string()),
        rows.models.take(pa.array(rows.chosen_at)),
        rows.models.take(pa.array(rows.rejected_at)),
        pa.array(_towards_chosen(rows), from_pandas=True),
    ]


def _towards_chosen(rows: Rows) -> NDArray[np.float64]:
    return np.where(rows.first_wins, rows.strength_mean, 0.0 - rows.strength_mean)
