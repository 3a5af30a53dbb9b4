"""Each public layout, with a small file written here: recognised, read, and its odd rows refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from annotation.importing import LAYOUTS, recognise
from annotation.importing.checking import check_pair, look, reader_for
from annotation.importing.reading import rows
from annotation.importing.reasons import Bad
from annotation.importing.sources import open_source
from annotation.importing.values import PairRow, common_prompt

USER = {"role": "user", "content": "Why is the sky blue?"}
MORE = {"role": "user", "content": "Shorter, please."}
SYSTEM = {"role": "system", "content": "Be brief."}


def says(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def hh(*turns: str) -> str:
    return "".join(f"\n\n{'Assistant' if n % 2 else 'Human'}: {turn}" for n, turn in enumerate(turns))


PLUMBLINE = {
    "item_id": "x-1",
    "source": "here",
    "prompt": "Why?",
    "response_a": "Because.",
    "response_b": "Who knows.",
    "label": "b",
    "label_kind": "expert",
    "language": "en",
    "tags": ["science"],
    "meta": {"models": ["left", "right"], "turn": 1},
}
HH = {"chosen": hh("Hi", "Hello", "Why?", "Because."), "rejected": hh("Hi", "Hello", "Why?", "Go away.")}
ULTRAFEEDBACK = {
    "prompt": USER["content"],
    "prompt_id": "abc",
    "chosen": [USER, says("Rayleigh.")],
    "rejected": [USER, says("Paint.")],
    "messages": [USER, says("Rayleigh.")],
    "score_chosen": 8.5,
    "score_rejected": 3.0,
}
PKU = {
    "prompt": "How?",
    "response_0": "So.",
    "response_1": "Thus.",
    "response_0_source": "Alpaca-7B",
    "response_1_source": "Alpaca-13B",
    "is_response_0_safe": True,
    "is_response_1_safe": False,
    "response_1_severity_level": 2,
    "better_response_id": 1,
    "safer_response_id": 0,
}
HELPSTEER3 = {
    "domain": "general",
    "language": "english",
    "context": [USER, says("Rayleigh."), MORE],
    "response1": "Scattering.",
    "response2": "Blue light scatters more.",
    "overall_preference": 2,
    "individual_preference": [],
}
PANDALM = {
    "idx": 7,
    "motivation_app": "Mail",
    "cmp_key": "bloom-7b_llama-7b",
    "instruction": "Mend it.",
    "input": "teh",
    "response1": "the",
    "response2": "tea",
    "annotator1": 1,
    "annotator2": 1,
    "annotator3": 0,
}
TRL = {"prompt": "Why?", "chosen": " Because.", "rejected": " No."}
TRL_TALK = {"prompt": [SYSTEM, USER], "chosen": [says("Rayleigh.")], "rejected": [says("Paint.")]}
TRL_WHOLE = {"chosen": [USER, says("Rayleigh.")], "rejected": [USER, says("Paint.")]}
TRL_TEXT = {"chosen": "Q: why? A: Hello there", "rejected": "Q: why? A: Hey"}

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "plumbline": [PLUMBLINE],
    "hh": [HH],
    "ultrafeedback_binarized": [ULTRAFEEDBACK],
    "trl": [TRL, TRL_TALK, TRL_WHOLE, TRL_TEXT],
    "pku_saferlhf": [PKU],
    "helpsteer3": [HELPSTEER3],
    "pandalm": [PANDALM],
}


def as_lines(path: Path, content: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in content))


def as_gzip(path: Path, content: list[dict[str, Any]]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in content).encode()))


def as_array(path: Path, content: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(content, indent=4))


def as_parquet(path: Path, content: list[dict[str, Any]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(content), path)


def test_every_layout_has_an_example() -> None:
    assert set(EXAMPLES) == set(LAYOUTS)


CASES = [
    (layout, example, write)
    for layout, examples in EXAMPLES.items()
    for example in examples
    for write in (as_lines, as_gzip, as_array)
]


@pytest.mark.parametrize(
    ("layout", "example", "write"), [*CASES, ("ultrafeedback_binarized", ULTRAFEEDBACK, as_parquet)]
)
def test_it_is_recognised_and_read_in_every_format(
    tmp_path: Path, layout: str, example: dict[str, Any], write: Callable[[Path, list[dict[str, Any]]], None]
) -> None:
    path = tmp_path / "file"
    write(path, [example] * 3)
    best, second = recognise(path)[:2]
    assert (best[0], best[1]) == (layout, 1.0), recognise(path)
    assert second[1] == 0.0
    source = open_source(path)
    name, read = reader_for(source, "auto", None)
    assert name == layout
    expected = LAYOUTS[layout].read(example)
    for row in rows(source):
        assert row.value is not None
        pair = read(row.value)
        check_pair(pair, frozenset())
        assert (pair.prompt, pair.a, pair.b, pair.label) == (expected.prompt, expected.a, expected.b, expected.label)


def read(layout: str, row: dict[str, Any], **changes: Any) -> PairRow:
    return LAYOUTS[layout].read({key: value for key, value in (row | changes).items() if value != "absent"})


def test_plumbline() -> None:
    pair = read("plumbline", PLUMBLINE)
    assert pair.prompt == [{"role": "user", "content": "Why?"}]
    assert (pair.a, pair.b) == ([says("Because.")], [says("Who knows.")])
    assert (pair.item, pair.source, pair.label, pair.label_kind) == ("x-1", "here", "b", "expert")
    assert (pair.model_a, pair.model_b, pair.meta) == ("left", "right", {"turn": 1})
    assert (pair.language, pair.tags) == ("en", ["science"])


def test_plumbline_takes_the_whole_conversation_before_the_last_message() -> None:
    pair = read("plumbline", PLUMBLINE, messages=[SYSTEM, USER, says("Rayleigh."), MORE])
    assert (pair.system, pair.prompt) == ("Be brief.", [USER, says("Rayleigh."), MORE])


def test_plumbline_with_two_histories_makes_the_prompt_what_they_share() -> None:
    pair = read("plumbline", PLUMBLINE, messages_a=[USER, says("One."), MORE], messages_b=[USER, says("Two."), MORE])
    assert pair.prompt == [USER]
    assert pair.a == [says("One."), MORE, says("Because.")]
    assert pair.b == [says("Two."), MORE, says("Who knows.")]


def test_plumbline_with_the_same_history_twice_keeps_it_in_the_prompt() -> None:
    history = [USER, says("One."), MORE]
    pair = read("plumbline", PLUMBLINE, messages_a=history, messages_b=history, response_b="Because.")
    assert pair.prompt == history
    assert pair.a == pair.b == [says("Because.")]


def test_hh_dialogues_are_split_and_their_common_part_is_the_prompt() -> None:
    pair = read("hh", HH)
    assert [message["role"] for message in pair.prompt] == ["user", "assistant", "user"]
    assert (pair.a, pair.b, pair.label) == ([says("Because.")], [says("Go away.")], "a")


def test_hh_answers_that_begin_alike_are_not_cut_inside_a_word() -> None:
    pair = read("hh", {"chosen": hh("Hi", "Hello there"), "rejected": hh("Hi", "Hey")})
    assert (pair.a, pair.b) == ([says("Hello there")], [says("Hey")])


def test_ultrafeedback() -> None:
    pair = read("ultrafeedback_binarized", ULTRAFEEDBACK)
    assert (pair.prompt, pair.a, pair.b) == ([USER], [says("Rayleigh.")], [says("Paint.")])
    assert (pair.prompt_item, pair.item) == ("abc", "")
    assert pair.meta == {"score_chosen": 8.5, "score_rejected": 3.0}


def test_trl_explicit_and_implicit_standard_and_conversational() -> None:
    pair = read("trl", TRL)
    assert (pair.prompt[0]["content"], pair.a, pair.b) == ("Why?", [says(" Because.")], [says(" No.")])
    pair = read("trl", TRL_TALK)
    assert (pair.system, pair.prompt, pair.a) == ("Be brief.", [USER], [says("Rayleigh.")])
    pair = read("trl", TRL_WHOLE)
    assert (pair.prompt, pair.b) == ([USER], [says("Paint.")])
    pair = read("trl", TRL_TEXT)
    assert (pair.prompt[0]["content"], pair.a, pair.b) == ("Q: why? A:", [says("Hello there")], [says("Hey")])


def test_trl_answers_that_repeat_the_prompt_lose_it() -> None:
    pair = read("trl", TRL_TALK, chosen=[SYSTEM, USER, says("x")], rejected=[SYSTEM, USER, says("y")])
    assert (pair.prompt, pair.a, pair.b) == ([USER], [says("x")], [says("y")])


def test_pku_keeps_safety_beside_the_pair_and_models_with_the_candidates() -> None:
    pair = read("pku_saferlhf", PKU)
    assert (pair.label, pair.label_kind) == ("b", "better_response_id")
    assert (pair.model_a, pair.model_b) == ("Alpaca-7B", "Alpaca-13B")
    assert pair.meta["is_response_1_safe"] is False
    assert pair.meta["safer_response_id"] == 0


@pytest.mark.parametrize(("preference", "label", "strength"), [(-3, "a", 3), (2, "b", -2), (0, "tie", 0)])
def test_helpsteer3_negative_prefers_the_first(preference: int, label: str, strength: int) -> None:
    pair = read("helpsteer3", HELPSTEER3, overall_preference=preference)
    assert (pair.label, pair.strength) == (label, strength)
    assert pair.prompt == [USER, says("Rayleigh."), MORE]


def test_pandalm() -> None:
    pair = read("pandalm", PANDALM)
    assert pair.prompt[0]["content"] == "Mend it.\n\nteh"
    assert (pair.item, pair.label, pair.model_a, pair.model_b) == ("7", "a", "bloom-7b", "llama-7b")
    assert read("pandalm", PANDALM, annotator2=2).label == ""
    assert read("pandalm", PANDALM, input="").prompt[0]["content"] == "Mend it."


@pytest.mark.parametrize(
    ("layout", "example", "changes", "reason"),
    [
        ("plumbline", PLUMBLINE, {"response_a": True}, "wrong_type"),
        ("plumbline", PLUMBLINE, {"response_a": None}, "wrong_type"),
        ("plumbline", PLUMBLINE, {"prompt": 3}, "wrong_type"),
        ("plumbline", PLUMBLINE, {"item_id": "absent"}, "missing_key"),
        ("plumbline", PLUMBLINE, {"item_id": True}, "wrong_type"),
        ("plumbline", PLUMBLINE, {"item_id": " "}, "bad_value"),
        ("plumbline", PLUMBLINE, {"label": "c"}, "unknown_label"),
        ("plumbline", PLUMBLINE, {"label": True}, "unknown_label"),
        ("plumbline", PLUMBLINE, {"language": "the one of Goethe"}, "bad_value"),
        ("plumbline", PLUMBLINE, {"tags": "x"}, "wrong_type"),
        ("plumbline", PLUMBLINE, {"meta": []}, "wrong_type"),
        ("plumbline", PLUMBLINE, {"meta": {"models": ["one"]}}, "wrong_type"),
        ("plumbline", PLUMBLINE, {"messages": [{"role": "user"}]}, "missing_key"),
        ("plumbline", PLUMBLINE, {"messages": [{"role": "user", "content": None}]}, "wrong_type"),
        ("plumbline", PLUMBLINE, {"messages_a": [USER]}, "missing_key"),
        ("plumbline", PLUMBLINE, {"messages_a": [USER], "messages_b": [MORE]}, "no_common_prompt"),
        ("hh", HH, {"rejected": "no dialogue"}, "no_common_prompt"),
        ("hh", HH, {"chosen": 4}, "wrong_type"),
        ("ultrafeedback_binarized", ULTRAFEEDBACK, {"chosen": "text"}, "wrong_type"),
        ("ultrafeedback_binarized", ULTRAFEEDBACK, {"prompt": "another"}, "no_common_prompt"),
        ("ultrafeedback_binarized", ULTRAFEEDBACK, {"rejected": [MORE, says("x")]}, "no_common_prompt"),
        ("trl", TRL, {"rejected": None}, "wrong_type"),
        ("trl", TRL_TALK, {"prompt": "text"}, "wrong_type"),
        ("trl", TRL_TEXT, {"rejected": TRL_TEXT["chosen"]}, "identical"),
        ("trl", TRL_TEXT, {"rejected": "Other"}, "no_common_prompt"),
        ("pku_saferlhf", PKU, {"better_response_id": True}, "wrong_type"),
        ("pku_saferlhf", PKU, {"better_response_id": 2}, "bad_value"),
        ("helpsteer3", HELPSTEER3, {"overall_preference": 4}, "bad_value"),
        ("helpsteer3", HELPSTEER3, {"context": "text"}, "wrong_type"),
        ("pandalm", PANDALM, {"response1": True}, "wrong_type"),
        ("pandalm", PANDALM, {"annotator3": 5}, "bad_value"),
    ],
)
def test_what_a_row_cannot_be(layout: str, example: dict[str, Any], changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(Bad) as found:
        read(layout, example, **changes)
    assert found.value.reason == reason


def test_the_common_prompt_ends_before_an_answer() -> None:
    a = [USER, says("One."), MORE, says("x")]
    b = [USER, says("One."), {"role": "user", "content": "Longer."}, says("y")]
    assert common_prompt(a, b) == ([USER], a[1:], b[1:])


def test_the_look_at_a_file_tells_its_columns_and_first_values(tmp_path: Path) -> None:
    path = tmp_path / "vergleiche.csv"
    path.write_text("frage;antwort_1;antwort_2;besser\nWie?;So.;Anders.;1\n")
    seen = look(path)
    assert seen.columns == ["frage", "antwort_1", "antwort_2", "besser"]
    assert seen.first == ["Wie?", "So.", "Anders.", "1"]
    assert (seen.sampled, seen.readable, seen.source.delimiter) == (1, 1, ";")
    assert {fit for _, fit, _ in seen.fits} == {0.0}
