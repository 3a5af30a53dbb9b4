"""What every row must satisfy, whatever its layout; and what layout a file has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from annotation.errors import Mendable, Refused
from annotation.importing import layouts
from annotation.importing.layouts import LAYOUTS
from annotation.importing.mapping import read_mapping
from annotation.importing.reading import rows
from annotation.importing.reasons import LONGEST_TEXT, Bad
from annotation.importing.sources import Source, open_source
from annotation.importing.values import Messages, PairRow, Value

# Kinds of rows that may be let in on request; the pair carries the kind as a mark.
ALLOWABLE = frozenset({"empty", "identical"})
MAPPING = "mapping"
AUTO = "auto"
# A layout is recognised when it fits at least this share of the readable rows, and twice as many as any other.
SURE = 0.5
# Rows that a sample looks at, and their bytes.
SAMPLE = 200
SAMPLE_BYTES = 16 * 2**20

_AFTER = {"user": ("assistant",), "assistant": ("user", "tool"), "tool": ("assistant", "tool")}
_LENGTHS = {"item": 300, "prompt_item": 300, "source": 200, "model_a": 300, "model_b": 300, "label_kind": 60}
_SHORT = attrgetter(*_LENGTHS)


# ---- one pair ------------------------------------------------------------------------------------------------------


def check_pair(row: PairRow, allow: frozenset[str]) -> None:
    """Raise `Bad` for what no pair may be; mark what was let in on request."""
    check_prompt(row.prompt, row.system)
    _check_turns(row.a, "first answer", first="assistant", last=("assistant",))
    _check_turns(row.b, "second answer", first="assistant", last=("assistant",))
    row.marks = []
    for which, answer in (("first", row.a), ("second", row.b)):
        if not answer[-1]["content"].strip():
            if "empty" not in allow:
                raise Bad("empty", f"The {which} answer is empty.", answer[-1]["content"])
            row.marks = ["empty"]
    if row.a == row.b:
        if "identical" not in allow:
            raise Bad("identical", "Both answers are the same text.", row.a[-1]["content"])
        row.marks = [*row.marks, "identical"]
    for name, longest, value in zip(_LENGTHS, _LENGTHS.values(), _SHORT(row), strict=True):
        if value and ("\x00" in value or len(value) > longest):
            check_text(value, name)
            raise Bad("bad_value", f"{name} has {len(value):,} characters; the limit is {longest}.", value)
    check_tags(row.tags)


def check_prompt(messages: Messages, system: str) -> None:
    """Raise `Bad` for what no prompt may be."""
    if messages and messages[0]["role"] == "system":
        raise Bad("roles_out_of_order", "There are two system messages at the beginning.", messages[0]["content"])
    _check_turns(messages, "prompt", first="user", last=("user", "tool"))
    check_text(system, "The system message")
    if not messages[-1]["content"].strip():
        raise Bad("empty_prompt", "The prompt is empty.", messages[-1]["content"])


def check_tags(tags: list[str]) -> None:
    for tag in tags:
        check_text(tag, "A tag")
        if not 0 < len(tag) <= 60:
            raise Bad("bad_value", "A tag must have 1 to 60 characters.", tag)


def _check_turns(messages: Messages, name: str, *, first: str, last: tuple[str, ...]) -> None:
    if not messages:
        # An empty list says nothing: that is an empty prompt or answer, not a wrong order.
        raise Bad("empty_prompt" if name == "prompt" else "empty", f"The {name} has no messages.", "[]")
    before = ""
    for n, message in enumerate(messages, 1):
        role, content = message["role"], message["content"]
        if role != first if n == 1 else role not in _AFTER[before]:
            if role not in _AFTER and role != "system":
                raise Bad("unknown_role", f"The role {role[:40]!r} of message {n} of the {name} is not known.", content)
            place = f"follows {before}" if before else f"comes first in the {name}"
            raise Bad("roles_out_of_order", f"Message {n} of the {name} is by {role} and {place}.", content)
        if "\x00" in content or len(content) > LONGEST_TEXT:
            check_text(content, f"Message {n} of the {name}")
        before = role
    if before not in last:
        raise Bad("roles_out_of_order", f"The {name} ends with a message by {before}.", messages[-1]["content"])


def check_text(value: str, name: str) -> None:
    if "\x00" in value:
        raise Bad("nul", f"{name} holds a NUL character.", value[max(0, value.index("\x00") - 60) :])
    if len(value) > LONGEST_TEXT:
        raise Bad("text_too_long", f"{name} has {len(value):,} characters.", value)


def check_names(*named: tuple[str, str, int], broken: str) -> None:
    """Raise `Bad` for texts of a row (each with its name and its limit, 0 for none) that the database cannot keep.

    `broken` is the reason for half characters (Source.broken_text).
    """
    for value, name, longest in named:
        check_text(value, name)
        if longest and len(value) > longest:
            raise Bad("bad_value", f"{name} has {len(value):,} characters; the limit is {longest}.", value)
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError as error:
                raise Bad(broken, "A text holds what no character is.", value) from error


def check_json(value: Any) -> None:
    """Raise `Bad` where a value beside the pair holds what the database cannot keep. Called only when it may."""
    if isinstance(value, str):
        check_text(value, "A value in meta")
    elif isinstance(value, dict):
        for key, inner in value.items():
            check_text(key, "A name in meta")
            check_json(inner)
    elif isinstance(value, list):
        for inner in value:
            check_json(inner)


# ---- options -------------------------------------------------------------------------------------------------------


def check_allow(allow: frozenset[str] | set[str]) -> frozenset[str]:
    unknown = sorted(set(allow) - ALLOWABLE)
    if unknown:
        raise Refused(f"{unknown[0]!r} cannot be allowed. Known are: {', '.join(sorted(ALLOWABLE))}.")
    return frozenset(allow)


def check_on_error(on_error: str) -> str:
    if on_error not in ("stop", "skip"):
        raise Refused(f"{on_error!r} is no way to treat bad rows. Say stop or skip.")
    return on_error


def check_layout(layout: str, mapping: Mapping[str, str] | None) -> str:
    """The layout that is meant; what can be told without the file.

    Raises:
        Refused: there is no such layout, or the columns that were named do not go with it.
    """
    if layout == AUTO and mapping:
        layout = MAPPING
    if layout == MAPPING:
        if not mapping:
            raise Mendable(
                "The layout mapping needs columns, at least for the prompt and both answers.",
                by_command="Name them with --map FIELD=COLUMN (prompt, response_a, response_b).",
                on_page="Choose them.",
            )
        check_fields(mapping)
    elif mapping:
        raise Mendable(
            f"The layout {layout} names its columns itself.",
            by_command="Leave out --map, or use the layout mapping.",
            on_page="Choose columns named by hand instead.",
        )
    elif layout != AUTO and layout not in LAYOUTS:
        raise Refused(f"There is no layout {layout!r}. Known are: auto, {', '.join(LAYOUTS)}, mapping.")
    return layout


def check_fields(mapping: Mapping[str, str]) -> None:
    """Raise `Refused` unless `mapping` names known fields, and all that a pair needs."""
    unknown = sorted(set(mapping) - set(layouts.FIELDS))
    if unknown:
        raise Refused(f"{unknown[0]!r} cannot be mapped. Known are: {', '.join(layouts.FIELDS)}.")
    missing = [name for name in layouts.NEEDED if not mapping.get(name)]
    if missing:
        raise Mendable(
            f"The mapping lacks {' and '.join(missing)}.",
            by_command=f"Name its column, as --map {missing[0]}=COLUMN.",
            on_page="Choose its column.",
        )
    for name in mapping:
        if name.startswith("label.") and "label" not in mapping:
            raise Mendable(
                f"{name} says what a value means, but no column is mapped to label.",
                by_command="Add --map label=COLUMN.",
                on_page="Choose its column under “Which is better”, or empty the values.",
            )
    if mapping["response_a"] == mapping["response_b"]:
        raise Refused("First and second answer are the same column. Name another column for response_b.")


def check_mapping(mapping: Mapping[str, str], columns: list[str]) -> None:
    """Raise `Refused` unless `mapping` names known fields and columns that the file has."""
    check_fields(mapping)
    for name, column in mapping.items():
        if name.startswith("label."):
            continue
        for one in [part.strip() for part in column.split(",")] if name == "meta" else [column]:
            if one not in columns:
                raise Refused(f"The file has no column {one!r} (for {name}). It has: {', '.join(columns[:30])}.")


# ---- recognising ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """The beginning of a file: what the pages of recognition and mapping show."""

    source: Source
    columns: list[str]
    # The first value of each column, in the order of `columns`.
    first: list[Any]
    sampled: int
    readable: int
    # (layout, fit 0..1, why), the best first.
    fits: list[tuple[str, float, str]]


def look(path: Path | str, *, name: str = "", split: str = "") -> Look:
    """Read the first rows of a file.

    Raises:
        Refused: the file cannot be read at all.
    """
    source = open_source(path, name=name, split=split)
    return look_at(source)


def look_at(source: Source) -> Look:
    sampled, weight = 0, 0
    good: list[dict[str, Any]] = []
    columns: dict[str, Any] = {}
    for row in rows(source):
        sampled += 1
        if row.value is not None:
            good.append(row.value)
            for key, value in row.value.items():
                columns.setdefault(key, value)
            weight += len(str(row.value))
        if sampled >= SAMPLE or weight > SAMPLE_BYTES:
            break
    fits = [(name, *_fit(name, good)) for name in LAYOUTS]
    fits.sort(key=lambda entry: -entry[1])
    return Look(source, list(columns), list(columns.values()), sampled, len(good), fits)


def _fit(name: str, sample: list[dict[str, Any]]) -> tuple[float, str]:
    layout = LAYOUTS[name]
    if not sample:
        return 0.0, "no row can be read"
    have_keys = [row for row in sample if all(key in row for key in layout.keys)]
    fitting = sum(layout.fits(row) for row in have_keys)
    share = fitting / len(sample)
    if share == 0:
        return 0.0, layout.why
    count = f"all {len(sample)}" if fitting == len(sample) else f"{fitting} of {len(sample)}"
    return share, f"{count} rows looked at have {layout.columns}"


def recognise(path: Path | str, *, name: str = "", split: str = "") -> list[tuple[str, float, str]]:
    """(layout, fit 0..1, reason), the best first. The fit is the share of the readable rows that have its shape."""
    return look(path, name=name, split=split).fits


def reader_for(
    source: Source, layout: str, mapping: Mapping[str, str] | None
) -> tuple[str, Callable[[Value], PairRow]]:
    """The layout's name and its reader; `auto` recognises it.

    Raises:
        Refused: the layout is not known, not sure, or the mapping is wrong.
    """
    layout = check_layout(layout, mapping)
    if mapping:
        check_mapping(mapping, look_at(source).columns)
        return MAPPING, read_mapping(mapping)
    if layout == AUTO:
        layout = _sure(look_at(source))
    return layout, LAYOUTS[layout].read


def is_sure(fits: list[tuple[str, float, str]]) -> bool:
    """Whether the best of `fits` is taken without asking."""
    return fits[0][1] >= SURE and fits[0][1] >= 2 * fits[1][1]


def _sure(seen: Look) -> str:
    name, fit, _ = seen.fits[0]
    if is_sure(seen.fits):
        return name
    if not seen.columns:
        raise Refused(f"No row of {seen.source.name} can be read, so its layout cannot be told.")
    have = ", ".join(seen.columns[:12]) + (", …" if len(seen.columns) > 12 else "")
    if fit > 0:
        best = f"{LAYOUTS[name].title} fits {fit:.0%} of the rows looked at, which is not enough to be sure"
    else:
        best = "No known layout fits"
    raise Mendable(
        f"{best}. The columns are: {have}.",
        by_command=f"Name the layout with --layout ({', '.join(LAYOUTS)}), or the columns with "
        f"--layout mapping --map prompt=COLUMN --map response_a=COLUMN --map response_b=COLUMN.",
        on_page="Choose a layout, or name the columns.",
    )
