from __future__ import annotations

import itertools
import re
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.export.records import Mark, Rows
from curation.export.stepwise import steps_of, stepwise


def steps(text):
    return [text[start:end] for start, end in steps_of(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("A line\nanother\n\n  third", ["A line", "another", "third"]),
        ('He said "no." Then he left.', ['He said "no."', "Then he left."]),
        ("1. First do this. Then that.\n2. Second.", ["1. First do this.", "Then that.", "2. Second."]),
        ("It costs 3.50 euros, e.g. in Rome. Yes.", ["It costs 3.50 euros, e.g. in Rome.", "Yes."]),
        ("まず足す。次に割る！終わり", ["まず足す。", "次に割る！", "終わり"]),
        ("Do:\n```python\nx = 1\n\ny. Z\n```\nDone.", ["Do:", "```python\nx = 1\n\ny. Z\n```", "Done."]),
        ("Do:\n```\nnever closed. No\n", ["Do:", "```\nnever closed. No"]),
        ("Wait... What?", ["Wait...", "What?"]),
        ("", []),
        (" \n ", []),
        ("2.", ["2."]),
    ],
)
def test_sentences_lines_and_blocks_of_code_are_steps(text, expected):
    assert steps(text) == expected


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet="aB1 .!?。\n`~\"')é🦊", max_size=60))
def test_between_steps_there_is_white_space_alone(text):
    places = steps_of(text)
    assert "".join(re.sub(r"\s", "", text[start:end]) for start, end in places) == re.sub(r"\s", "", text)
    assert all(start < end for start, end in places)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(places))


def rows_with(make_record, marks, **changes):
    text = "Two and two is four. That is prime. So I am sure."
    record = make_record(first=[{"role": "assistant", "content": text}], **changes)
    return replace(Rows.of([record]), marks=[[Mark(*one) for one in marks]])


def test_a_step_is_wrong_where_more_marked_a_fault_than_a_strength(make_record):
    rows = rows_with(
        make_record,
        [
            (1, "first", 0, 5, False),
            (1, "first", 24, 30, True),
            (2, "first", 21, 36, True),
            (2, "first", 22, 23, True),
            (3, "first", 30, 40, False),
            (4, "first", 45, 46, True),
            (5, "first", 44, 49, False),
        ],
    )
    [row] = stepwise(rows).to_pylist()
    assert row["completions"] == ["Two and two is four.", "That is prime.", "So I am sure."]
    # Of the second step two marked a fault, however often, and one a strength; of the third as many.
    assert (row["step_supports"], row["step_hurts"]) == ([1, 1, 2], [0, 2, 1])
    assert row["labels"] == [True, False, True]
    assert (row["n_markers"], row["side"], row["model"], row["pair_id"]) == (5, "first", "right", 7)
    assert row["prompt"] == "What is two plus two?"


def test_what_nobody_marked_is_right_only_because_others_looked_there(make_record):
    [row] = stepwise(rows_with(make_record, [(1, "first", 0, 3, True)])).to_pylist()
    assert row["labels"] == [False, True, True]
    assert row["step_supports"] == [0, 0, 0]


def test_each_marked_answer_is_a_row_and_others_are_none(make_record):
    both = rows_with(make_record, [(1, "second", 0, 3, False), (1, "first", 0, 3, True)])
    assert [row["side"] for row in stepwise(both).to_pylist()] == ["first", "second"]
    assert stepwise(both).to_pylist()[1]["model"] == "wrong"
    assert stepwise(rows_with(make_record, [])).num_rows == 0
