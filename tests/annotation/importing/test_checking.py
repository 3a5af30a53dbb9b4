"""What every pair must satisfy; options; what is recognised and what is asked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from annotation.errors import Refused
from annotation.importing.checking import check_allow, check_mapping, check_on_error, check_pair, reader_for
from annotation.importing.mapping import read_mapping
from annotation.importing.reasons import Bad
from annotation.importing.sources import open_source
from annotation.importing.values import PairRow

NOTHING: frozenset[str] = frozenset()


def turn(role: str, content: str = "x") -> dict[str, str]:
    return {"role": role, "content": content}


def pair(**changes: Any) -> PairRow:
    return PairRow(
        **{"prompt": [turn("user", "q")], "a": [turn("assistant", "1")], "b": [turn("assistant", "2")]} | changes
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prompt": [turn("user"), turn("assistant"), turn("user")]},
        {"prompt": [turn("user"), turn("assistant"), turn("tool")]},
        {"a": [turn("assistant"), turn("tool"), turn("tool"), turn("assistant")]},
        {"a": [turn("assistant", ""), turn("user"), turn("assistant")]},
        {"prompt": [turn("user", "x" * 1_000_000)]},
        {"prompt": [turn("user", "שלום ‏ \u202e and \u200b are text")]},
    ],
)
def test_what_may_come_in(changes: dict[str, Any]) -> None:
    row = pair(**changes)
    check_pair(row, NOTHING)
    assert row.marks == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"prompt": []}, "empty_prompt"),
        ({"prompt": [turn("user", " \n\t")]}, "empty_prompt"),
        ({"a": []}, "empty"),
        ({"b": [turn("assistant", "\u3000 ")]}, "empty"),
        ({"a": [turn("assistant", "2")]}, "identical"),
        ({"prompt": [turn("narrator")]}, "unknown_role"),
        ({"a": [turn("Assistant")]}, "unknown_role"),
        ({"prompt": [turn("assistant")]}, "roles_out_of_order"),
        ({"prompt": [turn("user"), turn("user")]}, "roles_out_of_order"),
        ({"prompt": [turn("user"), turn("assistant")]}, "roles_out_of_order"),
        ({"prompt": [turn("user"), turn("system"), turn("user")]}, "roles_out_of_order"),
        ({"prompt": [turn("system"), turn("user")]}, "roles_out_of_order"),
        ({"a": [turn("user"), turn("assistant")]}, "roles_out_of_order"),
        ({"a": [turn("assistant"), turn("user")]}, "roles_out_of_order"),
        ({"a": [turn("assistant"), turn("assistant")]}, "roles_out_of_order"),
        ({"a": [turn("assistant", "a\x00b")]}, "nul"),
        ({"system": "a\x00b"}, "nul"),
        ({"item": "a\x00b"}, "nul"),
        ({"a": [turn("assistant", "x" * 1_000_001)]}, "text_too_long"),
        ({"item": "x" * 301}, "bad_value"),
        ({"source": "x" * 201}, "bad_value"),
        ({"tags": ["x" * 61]}, "bad_value"),
        ({"tags": [""]}, "bad_value"),
    ],
)
def test_what_no_pair_may_be(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Bad) as found:
        check_pair(pair(**changes), NOTHING)
    assert found.value.reason == reason


def test_what_is_allowed_comes_in_with_a_mark() -> None:
    empty = pair(a=[turn("assistant", "")])
    check_pair(empty, frozenset({"empty"}))
    assert empty.marks == ["empty"]
    both = pair(a=[turn("assistant", "")], b=[turn("assistant", "")])
    with pytest.raises(Bad) as found:
        check_pair(both, frozenset({"empty"}))
    assert found.value.reason == "identical"
    check_pair(both, frozenset({"empty", "identical"}))
    assert both.marks == ["empty", "identical"]


def test_unknown_options_are_refused_with_a_sentence() -> None:
    with pytest.raises(Refused, match=r"'emtpy' cannot be allowed. Known are: empty, identical"):
        check_allow({"emtpy"})
    with pytest.raises(Refused, match="Say stop or skip"):
        check_on_error("ignore")


COLUMNS = ["q", "x", "y", "best", "note"]
MAPPING = {"prompt": "q", "response_a": "x", "response_b": "y"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"first": "x"}, "'first' cannot be mapped"),
        ({"response_b": ""}, "lacks response_b"),
        ({"response_b": "x"}, "the same column"),
        ({"label": "nope"}, r"no column 'nope' \(for label\)"),
        ({"label.a": "1"}, "no column is mapped to label"),
        ({"meta": "note, nope"}, "no column 'nope'"),
    ],
)
def test_a_wrong_mapping_is_refused(changes: dict[str, str], said: str) -> None:
    with pytest.raises(Refused, match=said):
        check_mapping(MAPPING | changes, COLUMNS)


def test_columns_named_by_hand() -> None:
    read = read_mapping(MAPPING | {"label": "best", "reason": "note", "meta": "extra"})
    row = {"q": "why", "x": "1", "y": "2", "best": "2", "note": "clearer", "extra": 5}
    found = read(row)
    assert (found.prompt, found.label, found.meta) == ([turn("user", "why")], "b", {"extra": 5, "reason": "clearer"})
    assert [read(row | {"best": best}).label for best in ("first", "A", 0, "", None)] == ["a", "a", "tie", "", ""]
    with pytest.raises(Bad) as bad:
        read(row | {"best": "left"})
    assert bad.value.reason == "unknown_label"


def test_values_of_the_label_can_be_named() -> None:
    read = read_mapping(MAPPING | {"label": "best", "label.a": "links", "label.b": "rechts"})
    row = {"q": "why", "x": "1", "y": "2", "best": "rechts"}
    assert read(row).label == "b"
    with pytest.raises(Bad):
        read(row | {"best": "1"})


def file(folder: Path, *content: dict[str, Any]) -> Any:
    path = folder / "file.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return open_source(path)


def test_an_unknown_layout_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    source = file(tmp_path, {"a": 1})
    with pytest.raises(Refused, match=r"no layout 'hhh'. Known are: auto, plumbline"):
        reader_for(source, "hhh", None)


def test_a_file_of_no_layout_is_refused_with_its_columns_and_the_way_on(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"No known layout fits. The columns are: frage, eins, zwei.*--map prompt=COLUMN"):
        reader_for(file(tmp_path, {"frage": "?", "eins": "1", "zwei": "2"}), "auto", None)


def test_a_file_of_two_layouts_is_not_guessed(tmp_path: Path) -> None:
    trl = {"prompt": "q", "chosen": "a", "rejected": "b"}
    talk = [turn("user", "q"), turn("assistant", "a")]
    mixed = {"prompt": "q", "chosen": talk, "rejected": talk}
    with pytest.raises(Refused, match="fits 50% of the rows"):
        reader_for(file(tmp_path, trl, mixed), "auto", None)


def test_mapping_needs_a_mapping_and_others_take_none(tmp_path: Path) -> None:
    source = file(tmp_path, {"a": 1})
    with pytest.raises(Refused, match=r"needs columns, .* --map FIELD=COLUMN"):
        reader_for(source, "mapping", None)
    with pytest.raises(Refused, match="Leave out --map"):
        reader_for(source, "hh", MAPPING)
