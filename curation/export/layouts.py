"""The layouts that a release can have, by name: pages, commands and documentation read this table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from curation.export import edited, mended, opinions, public, stepwise, trl
from curation.export.records import Rows

# What a layout has beside its own columns where the rule gives a probability.
PROBABILITY = pa.field("probability", pa.float64())
PROBABILITY_HELP = "how likely the chosen answer (without one: the likeliest verdict) is right, by the rule's model"
GIVES_PROBABILITY = ("dawid_skene",)


@dataclass(frozen=True)
class Layout:
    """`build` turns checked rows into a batch of `schema`. `reads` says who can train on them.

    `chooses`: it has a chosen answer, so the rule must choose one. `tells`: it needs each judgement, not only counts.
    `reasons`: it needs a reason for the chosen answer. `by_prompt`: all rows of a prompt come together. `reverses`: a
    tie may stand in it twice, once in each order. `marks`: it is made of what was highlighted in the answers; `edits`:
    of what became of them by an edit, or tells that too; `needs` is then what a pair must have, as the step that
    removes the others names it.
    """

    name: str
    title: str
    reads: str
    schema: pa.Schema
    build: Callable[[Rows], pa.RecordBatch]
    # Names of columns that are not in the layout itself, with what they say.
    side: dict[str, str]
    chooses: bool = True
    tells: bool = False
    reasons: bool = False
    by_prompt: bool = False
    reverses: bool = False
    marks: bool = False
    edits: bool = False
    needs: str = ""
    # It needs an edit of the chosen answer, and has a row for each.
    mends: bool = False
    warning: str = ""

    @property
    def tells_annotators(self) -> bool:
        """Whether rows say whose judgement or edit they are: by pseudonym, or by name."""
        return any(name in self.schema.names for name in ("annotator", "editor"))


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "trl_dpo",
            "prompt, chosen and rejected as lists of messages",
            "TRL DPOTrainer and every trainer that takes conversational preferences with an explicit prompt",
            trl.DPO,
            trl.dpo,
            trl.SIDE_HELP,
            reverses=True,
        ),
        Layout(
            "trl_reward",
            "chosen and rejected as whole conversations, and the margin between them",
            "TRL RewardTrainer",
            trl.REWARD,
            trl.reward,
            trl.SIDE_HELP,
            reverses=True,
        ),
        Layout(
            "trl_kto",
            "prompt, completion and whether it is the better one; two rows for each pair",
            "TRL KTOTrainer",
            trl.KTO,
            trl.kto,
            trl.ONE_HELP,
        ),
        Layout(
            "listwise",
            "prompt, and all its answers with scores, best first; one row for each prompt",
            "listwise and score-based trainers",
            opinions.LISTWISE,
            opinions.listwise,
            {},
            chooses=False,
            by_prompt=True,
            edits=True,
        ),
        Layout(
            "hh",
            "chosen and rejected as whole dialogues in text",
            "whatever reads Anthropic's hh-rlhf",
            public.HH,
            public.hh,
            trl.SIDE_HELP,
        ),
        Layout(
            "ultrafeedback_binarized",
            "prompt as text, chosen, rejected and messages as whole conversations, and two scores",
            "whatever reads HuggingFaceH4/ultrafeedback_binarized",
            public.ULTRAFEEDBACK,
            public.ultrafeedback,
            trl.SIDE_HELP,
            warning="TRL misreads this layout: a prompt that is text beside answers that are lists is taken for "
            "conversational or not by the chance of PYTHONHASHSEED. Train TRL on trl_dpo or trl_reward.",
        ),
        Layout(
            "pku_saferlhf",
            "prompt, two responses as text, and which is better",
            "whatever reads PKU-SafeRLHF-single-dimension",
            public.PKU,
            public.pku,
            trl.SIDE_HELP,
            warning="The columns on safety and harm are not there: nobody was asked about them.",
        ),
        Layout(
            "helpsteer3",
            "context, two responses, the overall preference, and each annotator's with its reason",
            "whatever reads nvidia/HelpSteer3",
            public.HELPSTEER3,
            public.helpsteer3,
            trl.COMMON_HELP,
            chooses=False,
            tells=True,
            warning="A preference that came without its strength, as in many imports, scores 1, the least that says "
            "which answer is better.",
        ),
        Layout(
            "rationale",
            "prompt, chosen, rejected and rationale as text",
            "trainers that learn from rationales, as on orcaratgen",
            public.RATIONALE,
            public.rationale,
            trl.SIDE_HELP,
            tells=True,
            reasons=True,
        ),
        Layout(
            "edited",
            "prompt, edited, chosen and rejected as lists of messages, best first; one row for each edit",
            "reward models that take three ranked answers; TRL reads chosen and rejected and passes over edited",
            mended.EDITED,
            mended.edited,
            trl.SIDE_HELP,
            edits=True,
            mends=True,
        ),
        Layout(
            "aligner",
            "question, answer and correction as text; one row for each edit",
            "trainers that learn to correct, as Aligner",
            mended.ALIGNER,
            mended.aligner,
            trl.SIDE_HELP,
            edits=True,
            mends=True,
        ),
        Layout(
            "votes",
            "prompt, first and second as lists of messages, and one judgement; a row for each judgement",
            "models of annotators, and whoever aggregates by a rule of their own",
            opinions.VOTES,
            opinions.votes,
            trl.COMMON_HELP,
            chooses=False,
            tells=True,
        ),
        Layout(
            "soft",
            "prompt, first and second as lists of messages, and the distribution of the judgements",
            "trainers that take soft labels",
            opinions.SOFT,
            opinions.soft,
            trl.COMMON_HELP,
            chooses=False,
        ),
        Layout(
            "trl_stepwise",
            "prompt, the steps of one answer, and of each whether it is right; a row for each marked answer",
            "trainers of process reward models that take TRL's stepwise supervision; TRL 1.16 itself has none",
            stepwise.STEPWISE,
            stepwise.stepwise,
            stepwise.STEPWISE_HELP,
            chooses=False,
            marks=True,
            needs="highlighted answer",
            warning="Nobody judged steps one by one. A step is wrong where more annotators marked a fault in it than a "
            "strength, and right otherwise: where nothing is marked, only because those who marked this answer found "
            "no fault there.",
        ),
        Layout(
            "token_weights",
            "prompt, an answer, what an annotator made of it, and the weight of each word in both; a row for each edit",
            "trainers that weigh tokens, as FIGA's",
            edited.TOKEN_WEIGHTS,
            edited.token_weights,
            edited.TOKEN_WEIGHTS_HELP,
            chooses=False,
            tells=True,
            edits=True,
            needs="edited answer",
        ),
    )
}


def schema_of(layout: str, rule: str) -> pa.Schema:
    """The columns of a layout after a rule. A row of several pairs has no probability of its own."""
    schema = LAYOUTS[layout].schema
    return schema.append(PROBABILITY) if rule in GIVES_PROBABILITY and not LAYOUTS[layout].by_prompt else schema


def side_of(layout: str, rule: str) -> dict[str, str]:
    """What the columns beside the layout's own say."""
    side = LAYOUTS[layout].side
    has_more = len(schema_of(layout, rule)) > len(LAYOUTS[layout].schema)
    return {**side, PROBABILITY.name: PROBABILITY_HELP} if has_more else side


def with_probability(built: pa.RecordBatch, rows: Rows, *, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with each row's probability as its last column, whatever number of rows a pair has."""
    assert rows.probability is not None
    order = np.argsort(rows.pair_id, kind="stable")
    place = order[np.searchsorted(rows.pair_id, built["pair_id"].to_numpy(), sorter=order)]
    column = pa.array(rows.probability[place], from_pandas=True)
    return pa.RecordBatch.from_arrays([*built.columns, column], schema=schema)


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """The schema in the words of a dataset card's `dataset_info`."""
    return [{"name": field.name, **_feature(field.type)} for field in schema]


def _feature(kind: pa.DataType) -> dict[str, Any]:
    if pa.types.is_list(kind):
        inner = _feature(kind.value_type)
        return {"list": inner.get("struct") or inner.get("dtype") or inner}
    if pa.types.is_struct(kind):
        return {"struct": [{"name": field.name, **_feature(field.type)} for field in kind]}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind))}
