from __future__ import annotations

from typing import Any

import pytest

from curation.export.records import Broken, check


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
