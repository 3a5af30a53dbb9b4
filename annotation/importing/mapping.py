"""Rows whose columns were named by hand -> PairRow. What can be named stands in layouts.FIELDS."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from annotation.errors import Refused
from annotation.importing.reasons import Bad
from annotation.importing.values import (
    Messages,
    PairRow,
    Value,
    identifier,
    language,
    messages,
    scalars,
    some_text,
    system_of,
    text,
    written,
)

_USUAL = {"a": "a", "first": "a", "1": "a", "b": "b", "second": "b", "2": "b", "tie": "tie", "same": "tie", "0": "tie"}


def parse_mapping(given: Iterable[str]) -> dict[str, str]:
    """FIELD=COLUMN, each once, as a command or a program says it.

    Raises:
        Refused: one of them is something else, or names a field again.
    """
    mapping: dict[str, str] = {}
    for entry in given:
        field, separator, column = entry.partition("=")
        if not separator or not field.strip() or not column:
            raise Refused(f"{entry!r} is no mapping. Write FIELD=COLUMN, for example prompt=question.")
        if field.strip() in mapping:
            raise Refused(f"{field.strip()} is mapped twice. Keep one of them.")
        mapping[field.strip()] = column
    return mapping


def read_mapping(mapping: Mapping[str, str]) -> Callable[[Value], PairRow]:
    """The reader for columns named by hand. `mapping` was checked (checking.check_mapping)."""
    means = {mapping[f"label.{side}"]: side for side in ("a", "b", "tie") if f"label.{side}" in mapping} or _USUAL
    kept = [column.strip() for column in mapping.get("meta", "").split(",") if column.strip()]

    def optional(row: Value, key: str) -> str:
        return some_text(row, mapping[key]) if key in mapping else ""

    def conversation(row: Value, key: str, role: str) -> Messages:
        column = mapping[key]
        if type(row.get(column)) is list:
            return messages(row, column)
        return [{"role": role, "content": text(row, column)}]

    def read(row: Value) -> PairRow:
        system, prompt = system_of(conversation(row, "prompt", "user"))
        meta = scalars(row, *kept)
        if optional(row, "reason"):
            meta["reason"] = optional(row, "reason")
        return PairRow(
            prompt=prompt,
            a=conversation(row, "response_a", "assistant"),
            b=conversation(row, "response_b", "assistant"),
            item=_mapped_id(row, mapping),
            source=optional(row, "source"),
            system=system or optional(row, "system"),
            language=language(row, mapping["language"]) if "language" in mapping else "",
            model_a=optional(row, "model_a"),
            model_b=optional(row, "model_b"),
            label=_mapped_label(row, mapping["label"], means) if "label" in mapping else "",
            label_kind=mapping["label"][:60] if "label" in mapping else "",
            meta=meta,
        )

    return read


def _mapped_id(row: Value, mapping: Mapping[str, str]) -> str:
    return identifier(row, mapping["id"]) if "id" in mapping else ""


def _mapped_label(row: Value, column: str, means: Mapping[str, str]) -> str:
    value = row.get(column)
    if value is None or value == "":
        return ""
    if type(value) is float and value.is_integer():
        value = int(value)
    said = str(value).strip() if type(value) in (str, int) else ""
    found = means.get(said) or means.get(said.lower())
    if found is None:
        raise Bad("unknown_label", f"{column} must be one of {', '.join(means)}.", f"{column}: {written(value)}")
    return found
