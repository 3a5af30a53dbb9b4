from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from curation.export import public
from curation.export.records import Broken, Rows, Said


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


SEVERAL = [user("Hello"), assistant("Hi."), user("And now?")]


def said(verdict, strength=None, reason=""):
    return Said("annotator-1", "person", verdict, strength, reason, [], None)


def test_hh_is_two_whole_dialogues(make_record):
    row = public.hh(Rows.of([make_record(prompt=SEVERAL, winner="second")])).to_pylist()[0]
    start = "\n\nHuman: Hello\n\nAssistant: Hi.\n\nHuman: And now?\n\nAssistant: "
    assert (row["chosen"], row["rejected"]) == (f"{start}Five.", f"{start}Four.")


def test_hh_has_no_place_for_a_system_message_and_names_the_pair(make_record):
    with pytest.raises(Broken, match="Pair 7: the layout hh has no place for what the role 'system' says"):
        public.hh(Rows.of([make_record(system="Be brief.")]))


def test_ultrafeedback_has_a_prompt_as_text_conversations_and_scores(make_record):
    record = make_record(prompt=SEVERAL, winner="second", counts=(1, 2, 1, 0))
    row = public.ultrafeedback(Rows.of([record])).to_pylist()[0]
    assert (row["prompt"], row["prompt_id"]) == ("Hello", hashlib.sha256(b"Hello").hexdigest())
    assert row["chosen"] == row["messages"] == [*SEVERAL, assistant("Five.")]
    assert row["rejected"] == [*SEVERAL, assistant("Four.")]
    assert (row["score_chosen"], row["score_rejected"]) == (2.5 / 4, 1.5 / 4)


def test_pku_numbers_its_responses_from_nought(make_record):
    rows = public.pku(Rows.of([make_record(), make_record(winner="second", prompt=SEVERAL)])).to_pylist()
    assert [row["better_response_id"] for row in rows] == [0, 1]
    assert (rows[0]["prompt"], rows[0]["response_0"], rows[0]["response_1"]) == (
        "What is two plus two?",
        "Four.",
        "Five.",
    )
    assert rows[1]["prompt"] == "Human: Hello\n\nAssistant: Hi.\n\nHuman: And now?"
    assert (rows[0]["response_0_source"], rows[0]["response_1_source"]) == ("right", "wrong")


@pytest.mark.parametrize(
    ("mean", "overall"), [(1.5, -2), (-1.5, 2), (0.4, 0), (-2.6, 3), (0.0, 0), (None, 0), (2.5, -3)]
)
def test_helpsteer_scores_are_negative_for_the_first(make_record, mean, overall):
    rows = Rows.of([make_record(strength_mean=mean)])
    opinions = [said("first", 2, "Right."), said("second", -1), said("tie", 0), said("both_bad"), said("first")]
    row = public.helpsteer3(replace(rows, said=[opinions])).to_pylist()[0]
    assert row["overall_preference"] == overall
    assert [(one["score"], one["reasoning"]) for one in row["individual_preference"]] == [
        (-2, "Right."),
        (1, ""),
        (0, ""),
    ]
    assert (row["domain"], row["response1"], row["response2"]) == ("code", "Four.", "Five.")


def test_the_rationale_is_the_first_that_speaks_for_the_chosen_answer(make_record):
    rows = Rows.of([make_record(winner="second")])
    opinions = [said("first", 1, "No."), said("second", 1), said("second", 2, "Yes."), said("second", 1, "Too.")]
    row = public.rationale(replace(rows, said=[opinions])).to_pylist()[0]
    assert (row["chosen"], row["rejected"], row["rationale"]) == ("Five.", "Four.", "Yes.")
