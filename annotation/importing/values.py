"""One pair as a file has it, and taking its values out of a row: each function returns a value or raises `Bad`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from annotation.importing.reading import type_name
from annotation.importing.reasons import Bad

Messages = list[dict[str, str]]
Value = Mapping[str, Any]


@dataclass(slots=True)
class PairRow:
    """One pair as its file has it: `a` and `b` are the file's first and second answer.

    `label` is "a", "b", "tie" or "" (none); `strength` is -3..3, positive for `a`, None where the file gives none.
    `prompt` has no system message; `a` and `b` begin and end with a message of the assistant.
    """

    prompt: Messages
    a: Messages
    b: Messages
    item: str = ""
    source: str = ""
    system: str = ""
    language: str = ""
    prompt_item: str = ""
    model_a: str = ""
    model_b: str = ""
    label: str = ""
    label_kind: str = ""
    strength: int | None = None
    tags: list[str] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)


# ---- taking values out of a row ------------------------------------------------------------------------------------


def text(row: Value, key: str) -> str:
    value = row.get(key)
    if type(value) is str:
        return value
    raise missing_or_wrong(row, key, "text")


def missing_or_wrong(row: Value, key: str, wanted: str) -> Bad:
    if key not in row:
        return Bad("missing_key", f"{key} is missing.", ", ".join(list(row)[:12]))
    return Bad("wrong_type", f"{key} must be {wanted}; it is {type_name(row[key])}.", f"{key}: {written(row[key])}")


def written(value: object) -> str:
    """A value for an excerpt, as JSON has it."""
    return json.dumps(value) if value is None or type(value) is bool else str(value)[:200]


def some_text(row: Value, key: str) -> str:
    """Text that may be missing or null."""
    value = row.get(key)
    if value is None:
        return ""
    return value if type(value) is str else text(row, key)


def identifier(row: Value, key: str) -> str:
    """An id: text or a whole number."""
    value = row.get(key)
    if type(value) is int:
        return str(value)
    found = value if type(value) is str else text(row, key)
    if not found or found.isspace():
        raise Bad("bad_value", f"{key} is empty.", key)
    return found


def integer(row: Value, key: str, low: int, high: int) -> int:
    value = row.get(key)
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int:
        raise missing_or_wrong(row, key, "a whole number")
    if not low <= value <= high:
        raise Bad("bad_value", f"{key} is {value}; it must lie from {low} to {high}.", f"{key}: {value}")
    return value


def messages(row: Value, key: str) -> Messages:
    """A list of {role, content}."""
    value = row.get(key)
    if type(value) is not list:
        raise missing_or_wrong(row, key, "a list of messages")
    out = []
    for n, message in enumerate(value, 1):
        if type(message) is not dict:
            raise Bad(
                "wrong_type", f"Message {n} of {key} must be an object; it is {type_name(message)}.", str(message)
            )
        role, content = message.get("role"), message.get("content")
        if type(role) is not str or type(content) is not str:
            wrong = "role" if type(role) is not str else "content"
            if wrong not in message:
                raise Bad("missing_key", f"Message {n} of {key} has no {wrong}.", str(message))
            what = f"The {wrong} of message {n} of {key} must be text; it is {type_name(message[wrong])}."
            raise Bad("wrong_type", what, str(message))
        out.append({"role": role, "content": content})
    return out


def system_of(conversation: Messages) -> tuple[str, Messages]:
    """Take the leading system message off."""
    if conversation and conversation[0]["role"] == "system":
        return conversation[0]["content"], conversation[1:]
    return "", conversation


def tags(row: Value) -> list[str]:
    found = row.get("tags")
    if found is None:
        return []
    if type(found) is not list or not all(type(tag) is str for tag in found):
        raise missing_or_wrong(row, "tags", "a list of texts")
    return list(found)


def asked(content: str) -> Messages:
    return [{"role": "user", "content": content}]


def answered(content: str) -> Messages:
    return [{"role": "assistant", "content": content}]


def common_prompt(a: Messages, b: Messages, names: str = "chosen and rejected") -> tuple[Messages, Messages, Messages]:
    """Two whole conversations -> the prompt they share, and what follows it in each.

    The prompt is the longest common beginning that ends before an answer; conversations that are the same throughout
    share all but their last answer.
    """
    shared = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        shared += 1
    shared = min(shared, len(a) - 1, len(b) - 1)
    while shared > 0 and a[shared - 1]["role"] not in ("user", "tool"):
        shared -= 1
    if shared <= 0:
        first = a[0]["content"] if a else ""
        raise Bad("no_common_prompt", f"{names} do not begin with the same question.", first)
    return a[:shared], a[shared:], b[shared:]


def scalars(row: Value, *keys: str) -> dict[str, Any]:
    """What is kept beside the pair, where the row has it."""
    return {key: row[key] for key in keys if row.get(key) is not None}


LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def language(row: Value, key: str) -> str:
    found = some_text(row, key)
    if found and (len(found) > 35 or not LANGUAGE.fullmatch(found)):
        raise Bad("bad_value", f"{key} must be a language tag such as en or pt-BR.", found)
    return found
