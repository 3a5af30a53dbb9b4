from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.export.records import Broken, check, doubtful


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def test_a_sound_record_passes_as_it_is(make_record):
    record = make_record()
    assert check(record) is record


def test_the_winner_is_chosen_and_the_other_rejected(make_record):
    first, second = make_record(), make_record(winner="second")
    assert (first.chosen, first.rejected) == (first.first, first.second)
    assert (second.chosen, second.rejected) == (second.second, second.first)


def test_a_system_message_stands_in_front_of_the_prompt(make_record):
    assert make_record(system="Be brief.").asked[0] == {"role": "system", "content": "Be brief."}
    assert make_record().asked == make_record().prompt


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "a tie": ({"winner": "tie"}, "chooses no answer"),
    "both bad": ({"winner": "both_bad"}, "chooses no answer"),
    "mixed types: a prompt that is a text": ({"prompt": "What?"}, "the prompt is not a list of messages"),
    "mixed types: an answer that is a text": ({"second": "Five."}, "the second answer is not a list of messages"),
    "a message that is a text": ({"first": ["Four."]}, "holds something other than a role and a text"),
    "a content that is no text": ({"first": [{"role": "assistant", "content": True}]}, "other than a role and a text"),
    "a message without a role": ({"prompt": [{"content": "What?"}]}, "other than a role and a text"),
    "no prompt": ({"prompt": []}, "the prompt has no message"),
    "a blank prompt": ({"prompt": [user(" \n ")]}, "the prompt is empty"),
    "no answer": ({"first": []}, "the first answer has no message"),
    "an empty answer": ({"second": [assistant("")]}, "the second answer is empty"),
    "a blank answer": ({"first": [assistant(" \n\t")]}, "the first answer is empty"),
    "an answer in which only the user speaks": ({"first": [assistant(""), user("More.")]}, "the first answer is empty"),
    "the same answer twice": ({"second": [assistant("Four.")]}, "chosen and rejected are the same"),
    "the same but for what does not leave": (
        {"second": [{"role": "assistant", "content": "Four.", "name": "x"}]},
        "chosen and rejected are the same",
    ),
    "a prompt that ends with the assistant": (
        {"prompt": [user("What?"), assistant("Hm.")]},
        "ends with the role 'assistant'",
    ),
    "a prompt that ends with the system": (
        {"prompt": [{"role": "system", "content": "x"}]},
        "ends with the role 'system'",
    ),
    "an answer that begins with the user": (
        {"first": [user("And?"), assistant("Four.")]},
        "begins with the role 'user'",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_would_mislead_a_trainer_is_named(make_record, name):
    changes, says = BROKEN[name]
    with pytest.raises(Broken, match=says) as caught:
        check(make_record(**changes))
    assert caught.value.pair_id == 7
    assert str(caught.value).startswith("Pair 7: ")
    assert "--where 'pair!=7'" in str(caught.value)


def test_several_turns_and_a_tool_are_sound(make_record):
    check(
        make_record(
            prompt=[user("Weather?"), assistant("Let me look."), {"role": "tool", "content": "Rain."}],
            first=[assistant("It rains."), user("And tomorrow?"), assistant("Sun.")],
            second=[assistant("It rains."), user("And tomorrow?"), assistant("Snow.")],
        )
    )


# ---- many at a time ------------------------------------------------------------------------------------------------

LENIENT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))


def seen(records):
    """What `doubtful` says of records, from columns as lenient as the database's."""
    prompt = pa.array([record.asked for record in records], LENIENT)
    answers = pa.array([*(record.first for record in records), *(record.second for record in records)], LENIENT)
    place = np.arange(len(records))
    return doubtful(prompt, answers, place, place + len(records)).tolist()


@pytest.mark.parametrize("name", [name for name in BROKEN if name not in ("a tie", "both bad")])
def test_what_the_check_refuses_is_never_taken_for_sound_among_many(make_record, name):
    changes, _ = BROKEN[name]
    broken = make_record(**changes)
    try:
        assert seen([make_record(), broken, make_record()]) == [False, True, False]
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        # No column holds it; reading makes it null.
        for part in changes:
            assert seen([make_record(), make_record(**{part: None})]) == [False, True]


def test_what_is_sound_is_rarely_doubted(make_record):
    sound = [
        make_record(first=[assistant(" indented")], second=[assistant("日本語")], prompt=[user("🦊?")]),
        make_record(first=[assistant("Yes.")], second=[assistant("No. ")]),
        make_record(first=[assistant(""), user("?"), assistant("!")]),
    ]
    assert seen(sound) == [False, False, False]
    assert [check(record) for record in sound] == sound


def test_answers_that_only_end_alike_are_doubted_and_pass_the_check(make_record):
    ending = "and so they lived happily ever after."
    record = make_record(first=[assistant(f"A {ending}")], second=[assistant(f"B {ending}")])
    assert seen([record]) == [True]
    assert check(record) is record


def test_slices_of_larger_columns_are_read_from_where_they_begin():
    table = pa.array([[assistant("x")], [assistant("")], [user("x")], [assistant("yes")], [assistant("no")]], LENIENT)
    asks = pa.array([[user("?")]], LENIENT)
    assert doubtful(asks, table.slice(3), np.array([0]), np.array([1])).tolist() == [False]
    assert doubtful(asks, table.slice(1), np.array([0]), np.array([2])).tolist() == [True]
