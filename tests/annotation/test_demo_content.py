"""The demo's files are whole, readable, and give no cheap way to guess the better answer. No database is needed."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "annotation" / "demo"
FILES = ("pairs.jsonl", "principles.jsonl", "guideline.md", "annotators.json", "README.md")
LINE_KEYS = {
    "item_id",
    "source",
    "prompt",
    "messages",
    "system",
    "response_a",
    "response_b",
    "language",
    "tags",
    "meta",
}
META_KEYS = {"models", "quality_a", "quality_b", "principle_votes", "reasons"}
TAGS = {"correct", "request", "clear", "depth", "length", "tone", "safety", "format"}
# Allowed range of each number that describes a simulated annotator.
RANGES = {
    "skill": (0.0, 3.0),
    "left_bias": (-2.0, 2.0),
    "length_bias": (-2.0, 2.0),
    "tie_width": (0.0, 2.0),
    "both_bad_rate": (0.0, 0.2),
    "skip_rate": (0.0, 0.2),
    "rationale_rate": (0.0, 1.0),
    "speed_seconds": (1.0, 600.0),
}
FENCE = re.compile(r"^ {0,3}(?:> ?)*(`{3,}|~{3,})(.*)$")

Line = dict[str, Any]


def read_lines(name: str) -> list[Line]:
    return [json.loads(text) for text in (FOLDER / name).read_text(encoding="utf-8").rstrip("\n").split("\n")]


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    return read_lines("pairs.jsonl")


@pytest.fixture(scope="module")
def principle_keys() -> list[str]:
    return [principle["key"] for principle in read_lines("principles.jsonl")]


@pytest.fixture(scope="module")
def crew() -> Line:
    crew: Line = json.loads((FOLDER / "annotators.json").read_text(encoding="utf-8"))
    return crew


def conversation(line: Line) -> str:
    return json.dumps([line.get("system"), line["messages"]])


def texts(line: Line) -> list[str]:
    return [line["prompt"], line["response_a"], line["response_b"], *(m["content"] for m in line["messages"])]


def open_fence(text: str) -> str | None:
    """The fence that is still open at the end of `text`, or None."""
    mark: str | None = None
    for row in text.splitlines():
        found = FENCE.match(row)
        if not found:
            continue
        ticks, info = found.groups()
        if mark is None:
            mark = ticks
        elif ticks[0] == mark[0] and len(ticks) >= len(mark) and not info.strip():
            mark = None
    return mark


def share_where_the_better_is_longer(lines: list[Line]) -> float:
    longer = decided = 0
    for line in lines:
        quality = line["meta"]["quality_a"] - line["meta"]["quality_b"]
        length = len(line["response_a"]) - len(line["response_b"])
        if quality and length:
            decided += 1
            longer += quality * length > 0
    return longer / decided


# ---- the files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_it_is_valid_text(name: str) -> None:
    raw = (FOLDER / name).read_bytes()
    text = raw.decode("utf-8", errors="strict")
    assert "\x00" not in text
    assert "�" not in text
    assert "\r" not in text
    assert text.endswith("\n")


def test_strings_hold_no_nul_and_no_lone_surrogate(lines: list[Line]) -> None:
    for line in lines:
        for text in texts(line):
            assert "\x00" not in text, line["item_id"]
            text.encode("utf-8")


def test_there_are_enough_prompts_and_pairs(lines: list[Line]) -> None:
    by_prompt = Counter(conversation(line) for line in lines)
    assert len(by_prompt) >= 64
    assert len(lines) >= 80
    assert sum(count >= 3 for count in by_prompt.values()) >= 6


def test_the_readme_counts_what_is_there(lines: list[Line]) -> None:
    prompts = {conversation(line) for line in lines}
    assert f"{len(lines)} pairs on {len(prompts)} prompts" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_readme_says_that_judgements_are_simulated() -> None:
    assert "Judgements in the demo project are simulated" in (FOLDER / "README.md").read_text(encoding="utf-8")


# ---- the pairs ---------------------------------------------------------------------------------------------------


def test_ids_run_without_a_gap(lines: list[Line]) -> None:
    assert [line["item_id"] for line in lines] == [f"demo-{n:03d}" for n in range(1, len(lines) + 1)]


def test_a_line_has_the_keys_of_our_layout_and_no_others(lines: list[Line]) -> None:
    for line in lines:
        assert set(line) | {"system"} == LINE_KEYS, line["item_id"]
        assert set(line["meta"]) == META_KEYS, line["item_id"]
        assert line["source"] == "plumbline-demo"


def test_nothing_is_empty(lines: list[Line]) -> None:
    for line in lines:
        assert all(text.strip() for text in texts(line)), line["item_id"]
        assert line["tags"], line["item_id"]
        assert line.get("system", "none").strip(), line["item_id"]


def test_the_two_candidates_differ(lines: list[Line]) -> None:
    for line in lines:
        first, second = line["response_a"], line["response_b"]
        assert " ".join(first.split()) != " ".join(second.split()), line["item_id"]
        assert line["meta"]["models"][0] != line["meta"]["models"][1], line["item_id"]


def test_messages_alternate_and_end_with_the_prompt(lines: list[Line]) -> None:
    for line in lines:
        messages = line["messages"]
        assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"], line["item_id"]
        assert messages[-1]["content"] == line["prompt"], line["item_id"]
        assert all(set(m) == {"role", "content"} for m in messages), line["item_id"]


def test_a_pair_of_texts_comes_once_under_a_prompt(lines: list[Line]) -> None:
    seen = Counter((conversation(line), frozenset((line["response_a"], line["response_b"]))) for line in lines)
    assert max(seen.values()) == 1


def test_a_candidate_is_the_same_in_every_line_it_is_in(lines: list[Line]) -> None:
    known: dict[tuple[str, str], set[tuple[str, float]]] = defaultdict(set)
    for line in lines:
        for side, model in zip("ab", line["meta"]["models"], strict=True):
            known[conversation(line), model].add((line[f"response_{side}"], line["meta"][f"quality_{side}"]))
    assert all(len(candidates) == 1 for candidates in known.values())


def test_lines_on_one_prompt_are_not_neighbours(lines: list[Line]) -> None:
    for earlier, later in itertools.pairwise(lines):
        assert conversation(earlier) != conversation(later), later["item_id"]


def test_model_names_are_plainly_invented_and_stay_out_of_the_text(lines: list[Line]) -> None:
    for line in lines:
        for model in line["meta"]["models"]:
            assert re.fullmatch(r"[a-z]+-\d+b-demo", model), line["item_id"]
            assert all(model not in text for text in texts(line)), line["item_id"]


def test_every_code_fence_is_closed(lines: list[Line]) -> None:
    for line in lines:
        for text in texts(line):
            assert open_fence(text) is None, f"{line['item_id']}: {text[:60]!r}"


def test_the_fence_check_sees_an_open_fence() -> None:
    assert open_fence("```python\nprint(1)\n") == "```"
    assert open_fence("````\n```\n") == "````"
    assert open_fence("~~~\n```\n~~~\n") is None


# ---- the kinds ---------------------------------------------------------------------------------------------------


def in_script(text: str, *names: str) -> bool:
    letters = [unicodedata.name(c, "") for c in text if c.isalpha()]
    return sum(name.startswith(names) for name in letters) > len(letters) / 2


def test_right_to_left_and_cjk_languages_are_there(lines: list[Line]) -> None:
    scripts = {
        "ar": ("ARABIC",),
        "he": ("HEBREW",),
        "ja": ("HIRAGANA", "KATAKANA", "CJK"),
        "zh": ("CJK",),
    }
    for language, names in scripts.items():
        found = [line for line in lines if line["language"] == language]
        assert found, language
        for line in found:
            assert all(in_script(text, *names) for text in (line["prompt"], line["response_a"], line["response_b"]))
    assert {"de", "en", "fr"} <= {line["language"] for line in lines}


def test_latex_code_tables_lists_and_joined_emoji_are_there(lines: list[Line]) -> None:
    answers = [line[key] for line in lines for key in ("response_a", "response_b")]
    assert sum(re.search(r"^\$\$\n.+?\n\$\$$", text, re.S | re.M) is not None for text in answers) >= 5
    assert sum(re.search(r"(?<!\$)\$[^$\n]+\$(?!\$)", text) is not None for text in answers) >= 5
    for language in ("python", "sql", "js", "bash", "json", "css"):
        assert any(f"```{language}\n" in text for text in answers), language
    assert sum(re.search(r"^\|[ :|-]+\|$", text, re.M) is not None for text in answers) >= 5
    assert any(re.search(r"^- .+\n(?: {2}- .+\n)+ {4}- ", text, re.M) for text in answers)
    assert any("\U0001f468\u200d\U0001f469\u200d\U0001f467" in line["prompt"] for line in lines)


def test_enough_conversations_have_several_turns(lines: list[Line]) -> None:
    assert len({conversation(line) for line in lines if len(line["messages"]) >= 3}) >= 8
    assert any("system" in line for line in lines)


def test_one_answer_is_very_long_and_does_not_repeat_itself(lines: list[Line]) -> None:
    answers = [line[key] for line in lines for key in ("response_a", "response_b")]
    longest = max(answers, key=lambda text: len(text.split()))
    assert len(longest.split()) >= 2500
    paragraphs = [p for p in longest.split("\n\n") if len(p) > 40]
    assert len(paragraphs) == len(set(paragraphs))


def test_every_kind_is_there(lines: list[Line]) -> None:
    tags = {tag for line in lines for tag in line["tags"]}
    assert tags >= {
        "writing", "rewriting", "code", "maths", "multi-turn", "advice", "sensitive", "refusal", "science", "planning",
        "data", "translation", "poem", "rtl", "cjk", "emoji", "factual", "table", "long",
    }  # fmt: skip


# ---- no cheap way to guess the better answer -----------------------------------------------------------------------


def test_the_better_answer_is_as_often_the_shorter_one(lines: list[Line]) -> None:
    assert 0.40 <= share_where_the_better_is_longer(lines) <= 0.60


def test_nor_does_length_tell_where_the_difference_is_clear(lines: list[Line]) -> None:
    clear = [line for line in lines if abs(line["meta"]["quality_a"] - line["meta"]["quality_b"]) >= 0.8]
    assert len(clear) >= 30
    assert 0.40 <= share_where_the_better_is_longer(clear) <= 0.60


def test_the_side_does_not_tell(lines: list[Line]) -> None:
    share = sum(line["meta"]["quality_a"] > line["meta"]["quality_b"] for line in lines) / len(lines)
    assert 0.40 <= share <= 0.60


def test_some_pairs_are_ambiguous_and_some_are_plain(lines: list[Line]) -> None:
    differences = [abs(line["meta"]["quality_a"] - line["meta"]["quality_b"]) for line in lines]
    assert sum(d < 0.3 for d in differences) >= 8
    assert sum(d > 1.5 for d in differences) >= 8
    assert max(differences) <= 4


# ---- principles, guideline, annotators -----------------------------------------------------------------------------


def test_there_are_eight_principles(principle_keys: list[str]) -> None:
    assert len(principle_keys) == len(set(principle_keys)) == 8
    for principle in read_lines("principles.jsonl"):
        assert set(principle) == {"key", "short", "text"}
        assert principle["text"].startswith("The answer should ")
        assert len(principle["short"]) <= 30


def test_votes_name_every_principle_and_no_other(lines: list[Line], principle_keys: list[str]) -> None:
    for line in lines:
        votes = line["meta"]["principle_votes"]
        assert sorted(votes) == sorted(principle_keys), line["item_id"]
        assert set(votes.values()) <= {"a", "b", "same", "irrelevant"}, line["item_id"]
    used = {key for line in lines for key, vote in line["meta"]["principle_votes"].items() if vote in {"a", "b"}}
    assert used == set(principle_keys)


def test_principles_agree_conflict_and_keep_silent(lines: list[Line]) -> None:
    sides = [set(line["meta"]["principle_votes"].values()) & {"a", "b"} for line in lines]
    assert sum(len(side) == 1 for side in sides) >= 15
    assert sum(len(side) == 2 for side in sides) >= 15
    assert sum(not side for side in sides) >= 1


def test_the_reasons_of_a_pair_are_sentences_with_known_tags(lines: list[Line]) -> None:
    for line in lines:
        reasons = line["meta"]["reasons"]
        assert set(reasons) == {"a", "b"}, line["item_id"]
        for reason in reasons.values():
            assert set(reason) == {"tags", "text"}
            assert reason["tags"]
            assert set(reason["tags"]) <= TAGS, line["item_id"]
            assert re.search(r"[.!?。]$", reason["text"]), line["item_id"]


def test_the_guideline_explains_each_principle() -> None:
    text = (FOLDER / "guideline.md").read_text(encoding="utf-8")
    assert 500 <= len(text.split()) <= 700
    for principle in read_lines("principles.jsonl"):
        assert re.search(rf"^\d\. \*\*{re.escape(principle['short'])}\.\*\* .+\*.+\*$", text, re.M), principle["short"]
    for answer in ("Much better", "Better", "Slightly better", "About the same", "Both bad", "Skip"):
        assert answer in text


def test_annotators_are_marked_as_simulated_and_in_range(crew: Line) -> None:
    people = crew["annotators"]
    assert 6 <= len(people) <= 7
    for person in people:
        assert set(person) == {"name", "seed", "note", *RANGES}
        assert person["name"].startswith("Simulated ")
        assert isinstance(person["seed"], int)
        for key, (low, high) in RANGES.items():
            assert isinstance(person[key], float), f"{person['name']}: {key}"
            assert low <= person[key] <= high, f"{person['name']}: {key}"
    assert len({person["name"] for person in people}) == len({person["seed"] for person in people}) == len(people)
    assert set(crew["about"]) == {"what", "seed", *RANGES}


def test_judges_are_marked_as_simulated_and_described(crew: Line) -> None:
    told = crew["judges"]
    assert "No model" in told["about"]["what"]
    for judge in told["judges"]:
        assert set(judge) - {"name", "note"} == set(told["about"]) - {"what"}
        assert judge["name"].startswith("Simulated ")
        assert set(judge["asks"]) <= {"overall", "principles"}
    seeds = [one["seed"] for one in [*told["judges"], *crew["annotators"]]]
    assert len(seeds) == len(set(seeds))


def test_every_sort_of_annotator_is_there(crew: Line) -> None:
    people = crew["annotators"]
    assert any(p["skill"] >= 2.5 and abs(p["left_bias"]) < 0.1 and abs(p["length_bias"]) < 0.1 for p in people)  # good
    assert any(1.0 <= p["skill"] <= 1.8 and abs(p["left_bias"]) <= 0.2 for p in people)  # average
    assert any(p["left_bias"] >= 0.8 for p in people)
    assert any(p["length_bias"] >= 0.8 for p in people)
    assert any(p["speed_seconds"] <= 15 and p["skill"] <= 1 for p in people)  # hasty
    assert any(p["tie_width"] >= 0.9 and p["skill"] >= 1.8 for p in people)  # careful, often a tie


def test_reasons_to_choose_from_name_no_side(crew: Line, lines: list[Line]) -> None:
    assert set(crew["rationales"]) == TAGS
    sentences = [text for group in crew["rationales"].values() for text in group]
    assert len(sentences) == len(set(sentences))
    assert all(len(group) >= 5 for group in crew["rationales"].values())
    written = [reason["text"] for line in lines for reason in line["meta"]["reasons"].values()]
    for text in sentences + written:
        assert not re.search(r"\b(left|right-hand|answer [AB]|candidate|response [AB])\b", text), text
