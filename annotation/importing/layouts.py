"""A row of a known layout -> PairRow. One small function per layout; LAYOUTS is the table of them.

A layout's function takes the row as it was read and says what it holds, or raises `Bad`. What every pair must
satisfy is not its business: checking.py sees to that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from annotation.importing.reasons import Bad
from annotation.importing.values import (
    Messages,
    PairRow,
    Value,
    answered,
    asked,
    common_prompt,
    identifier,
    integer,
    language,
    messages,
    missing_or_wrong,
    scalars,
    some_text,
    system_of,
    tags,
    text,
    written,
)

# ---- our own JSONL -------------------------------------------------------------------------------------------------


def read_plumbline(row: Value) -> PairRow:
    item, a, b = identifier(row, "item_id"), text(row, "response_a"), text(row, "response_b")
    system = some_text(row, "system")
    after_a, after_b = answered(a), answered(b)
    if row.get("messages_a") is not None or row.get("messages_b") is not None:
        leading_a, history_a = system_of(messages(row, "messages_a"))
        leading_b, history_b = system_of(messages(row, "messages_b"))
        if leading_a != leading_b:
            raise Bad("no_common_prompt", "messages_a and messages_b have different system messages.", leading_a)
        system = leading_a or system
        prompt, after_a, after_b = common_prompt(history_a + after_a, history_b + after_b, "messages_a and messages_b")
    elif row.get("messages") is not None:
        leading, prompt = system_of(messages(row, "messages"))
        system = leading or system
    else:
        prompt = asked(text(row, "prompt"))
    label = row.get("label")
    if label is not None and (type(label) is not str or label not in ("a", "b", "tie", "")):
        raise Bad("unknown_label", "label must be a, b, tie or null.", f"label: {written(label)}")
    meta = row.get("meta")
    if meta is not None and type(meta) is not dict:
        raise missing_or_wrong(row, "meta", "an object")
    meta = dict(meta or {})
    model_a, model_b = _two_models(meta)
    return PairRow(
        prompt=prompt,
        a=after_a,
        b=after_b,
        item=item,
        source=some_text(row, "source"),
        system=system,
        language=language(row, "language"),
        model_a=model_a,
        model_b=model_b,
        label=label or "",
        label_kind=some_text(row, "label_kind"),
        tags=tags(row),
        meta=meta,
    )


def _two_models(meta: dict[str, Any]) -> tuple[str, str]:
    """The models of a and b; taken out of meta, because a candidate's origin is the candidate's."""
    models = meta.get("models")
    if models is None:
        return "", ""
    if type(models) is not list or len(models) != 2 or not all(type(m) is str for m in models):
        raise Bad("wrong_type", "meta.models must be a list of two texts: the models of a and b.", str(models))
    del meta["models"]
    return models[0], models[1]


# ---- public layouts ------------------------------------------------------------------------------------------------

_TURN = re.compile(r"\n\n(Human|Assistant):[ ]?")


def read_hh(row: Value) -> PairRow:
    conversations = []
    for key in ("chosen", "rejected"):
        whole = text(row, key)
        pieces = _TURN.split(whole)
        if len(pieces) < 3 or pieces[0].strip():
            raise Bad(
                "no_common_prompt",
                f"{key} does not begin with “Human:” on a line of its own after a blank line.",
                whole,
            )
        conversations.append(
            [
                {"role": "user" if who == "Human" else "assistant", "content": said}
                for who, said in zip(pieces[1::2], pieces[2::2], strict=True)
            ]
        )
    prompt, a, b = common_prompt(conversations[0], conversations[1])
    return PairRow(prompt=prompt, a=a, b=b, source="hh-rlhf", label="a", label_kind="chosen")


def read_ultrafeedback(row: Value) -> PairRow:
    asked_text = text(row, "prompt")
    system, chosen = system_of(messages(row, "chosen"))
    system_too, rejected = system_of(messages(row, "rejected"))
    if system != system_too:
        raise Bad("no_common_prompt", "chosen and rejected have different system messages.", system)
    prompt, a, b = common_prompt(chosen, rejected)
    if prompt[0]["content"].strip() != asked_text.strip():
        raise Bad("no_common_prompt", "The conversations do not begin with the prompt.", asked_text)
    return PairRow(
        prompt=prompt,
        a=a,
        b=b,
        source="ultrafeedback_binarized",
        system=system,
        prompt_item=some_text(row, "prompt_id"),
        label="a",
        label_kind="chosen",
        meta=scalars(row, "score_chosen", "score_rejected"),
    )


def read_trl(row: Value) -> PairRow:
    chosen, rejected, prompt = row.get("chosen"), row.get("rejected"), row.get("prompt")
    system = ""
    if type(chosen) is str or type(rejected) is str or chosen is None:
        a, b = answered(text(row, "chosen")), answered(text(row, "rejected"))
        if prompt is None:
            turn, a, b = _common_text(a[0]["content"], b[0]["content"])
        else:
            turn = asked(text(row, "prompt"))
    else:
        a, b = messages(row, "chosen"), messages(row, "rejected")
        if prompt is None:
            system, a = system_of(a)
            other, b = system_of(b)
            if system != other:
                raise Bad("no_common_prompt", "chosen and rejected have different system messages.", system)
            turn, a, b = common_prompt(a, b)
        else:
            whole = messages(row, "prompt")
            # Some files repeat the prompt at the head of both answers.
            if a[: len(whole)] == whole and b[: len(whole)] == whole:
                a, b = a[len(whole) :], b[len(whole) :]
            system, turn = system_of(whole)
    return PairRow(
        prompt=turn,
        a=a,
        b=b,
        item=identifier(row, "id") if row.get("id") is not None else "",
        system=system,
        model_a=some_text(row, "chosen_model"),
        model_b=some_text(row, "rejected_model"),
        label="a",
        label_kind="chosen",
        meta=scalars(row, "score_chosen", "score_rejected", "margin", "subset"),
    )


def _common_text(a: str, b: str) -> tuple[Messages, Messages, Messages]:
    """Two texts that hold the prompt too -> the prompt they share, cut at the end of a word, and the rest of each."""
    shared = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        shared += 1
    if shared == len(a) == len(b):
        raise Bad("identical", "chosen and rejected are the same text throughout, so the prompt cannot be told.", a)
    while shared > 0 and not a[shared - 1].isspace():
        shared -= 1
    if not a[:shared].strip():
        raise Bad("no_common_prompt", "chosen and rejected do not begin with the same text.", a)
    return asked(a[:shared].rstrip()), answered(a[shared:]), answered(b[shared:])


def read_pku(row: Value) -> PairRow:
    better = integer(row, "better_response_id", 0, 1)
    return PairRow(
        prompt=asked(text(row, "prompt")),
        a=answered(text(row, "response_0")),
        b=answered(text(row, "response_1")),
        source="pku_saferlhf",
        model_a=some_text(row, "response_0_source"),
        model_b=some_text(row, "response_1_source"),
        label="ab"[better],
        label_kind="better_response_id",
        meta=scalars(
            row,
            "safer_response_id",
            "prompt_source",
            *(
                f"{head}{n}_{tail}"
                for n in (0, 1)
                for head, tail in (
                    ("is_response_", "safe"),
                    ("response_", "harm_category"),
                    ("response_", "severity_level"),
                )
            ),
        ),
    )


def read_helpsteer3(row: Value) -> PairRow:
    system, context = system_of(messages(row, "context"))
    preference = integer(row, "overall_preference", -3, 3)
    return PairRow(
        prompt=context,
        a=answered(text(row, "response1")),
        b=answered(text(row, "response2")),
        source="helpsteer3",
        system=system,
        # Negative numbers prefer response1.
        label="tie" if preference == 0 else "a" if preference < 0 else "b",
        label_kind="overall_preference",
        strength=-preference,
        meta=scalars(row, "domain", "language"),
    )


PANDALM_SAID = {0: "tie", 1: "a", 2: "b"}


def read_pandalm(row: Value) -> PairRow:
    instruction, given = text(row, "instruction"), some_text(row, "input")
    said = [PANDALM_SAID[integer(row, f"annotator{n}", 0, 2)] for n in (1, 2, 3)]
    majority = max(said, key=said.count)
    models = some_text(row, "cmp_key").split("_")
    model_a, model_b = models if len(models) == 2 else ("", "")
    return PairRow(
        prompt=asked(f"{instruction}\n\n{given}" if given else instruction),
        a=answered(text(row, "response1")),
        b=answered(text(row, "response2")),
        item=identifier(row, "idx"),
        source="pandalm",
        model_a=model_a,
        model_b=model_b,
        label=majority if said.count(majority) > 1 else "",
        label_kind="majority of three annotators",
        meta=scalars(row, "motivation_app"),
    )


# ---- columns that were named by hand -------------------------------------------------------------------------------

# What --map can name, in the order in which the page asks for it.
FIELDS = {
    "prompt": "the prompt: text, or a list of messages",
    "response_a": "the first answer: text, or a list of messages",
    "response_b": "the second answer",
    "label": "which is better",
    "label.a": "the value of that column which means the first (default: a, first, 1)",
    "label.b": "the value which means the second (default: b, second, 2)",
    "label.tie": "the value which means the same (default: tie, same, 0)",
    "reason": "a reason that came with the label; kept beside the pair",
    "language": "a language tag such as en or pt-BR",
    "id": "your own id of the pair",
    "source": "where the pair comes from",
    "system": "the system message",
    "model_a": "the model that wrote the first answer",
    "model_b": "the model that wrote the second answer",
    "meta": "columns kept beside the pair, separated by commas",
}
NEEDED = ("prompt", "response_a", "response_b")


# ---- the table -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """`keys`: what a row must have to be of this layout. `fits` looks at the content of one row that has them."""

    name: str
    title: str
    columns: str
    keys: tuple[str, ...]
    read: Callable[[Value], PairRow]
    fits: Callable[[Value], bool]
    why: str
    # Where a row has its id, for the report on a row that cannot be read.
    item: str = ""


def _texts(*keys: str) -> Callable[[Value], bool]:
    return lambda row: all(type(row.get(key)) is str for key in keys)


def _is_conversation(value: object) -> bool:
    return type(value) is list and all(type(m) is dict and "role" in m for m in value)


def _fits_hh(row: Value) -> bool:
    return (
        all(type(row[key]) is str and row[key].startswith("\n\nHuman:") for key in ("chosen", "rejected"))
        and "prompt" not in row
    )


def _fits_ultrafeedback(row: Value) -> bool:
    return type(row["prompt"]) is str and _is_conversation(row["chosen"]) and _is_conversation(row["rejected"])


def _fits_trl(row: Value) -> bool:
    kinds = {type(row[key]) for key in ("prompt", "chosen", "rejected") if key in row}
    if _fits_hh(row) or len(kinds) != 1:
        return False
    return kinds == {str} or (kinds == {list} and _is_conversation(row["chosen"]))


LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout(
            "plumbline",
            "Plumbline pairs",
            "item_id, prompt or messages, response_a, response_b",
            ("item_id", "response_a", "response_b"),
            read_plumbline,
            lambda row: "prompt" in row or "messages" in row or "messages_a" in row,
            "would need item_id, a prompt, response_a and response_b",
            "item_id",
        ),
        Layout(
            "ultrafeedback_binarized",
            "UltraFeedback, binarized",
            "prompt, chosen, rejected, two scores",
            ("prompt", "chosen", "rejected"),
            read_ultrafeedback,
            _fits_ultrafeedback,
            "would need prompt as text, chosen and rejected as lists of messages",
        ),
        Layout(
            "trl",
            "TRL preference",
            "chosen, rejected, mostly prompt; all texts or all lists of messages",
            ("chosen", "rejected"),
            read_trl,
            _fits_trl,
            "would need chosen and rejected (and prompt) all as text, or all as lists of messages",
            "id",
        ),
        Layout(
            "hh",
            "Anthropic HH",
            "chosen, rejected as whole dialogues",
            ("chosen", "rejected"),
            read_hh,
            _fits_hh,
            "would need “Human:” and “Assistant:” in chosen and rejected",
        ),
        Layout(
            "pku_saferlhf",
            "PKU-SafeRLHF",
            "prompt, response_0, response_1, better_response_id",
            ("prompt", "response_0", "response_1", "better_response_id"),
            read_pku,
            _texts("prompt"),
            "would need response_0, response_1 and better_response_id",
        ),
        Layout(
            "helpsteer3",
            "HelpSteer3 preference",
            "context, response1, response2, overall_preference",
            ("context", "response1", "response2", "overall_preference"),
            read_helpsteer3,
            lambda row: _is_conversation(row["context"]),
            "would need context as a list of messages, response1, response2 and overall_preference",
        ),
        Layout(
            "pandalm",
            "PandaLM test set",
            "idx, instruction, input, response1, response2, annotator1 to annotator3",
            ("idx", "instruction", "response1", "response2", "annotator1", "annotator2", "annotator3"),
            read_pandalm,
            _texts("instruction"),
            "would need idx, instruction, response1, response2 and annotator1 to annotator3",
            "idx",
        ),
    )
}
