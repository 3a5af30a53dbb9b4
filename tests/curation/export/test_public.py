from __future__ import annotations

import hashlib
import math
from dataclasses import replace

import numpy as np
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


def test_helpsteer_scores_are_negative_for_the_first(make_record):
    rows = Rows.of([make_record()])
    opinions = [said("first", 2, "Right."), said("second", -1), said("tie", 0), said("both_bad"), said("first")]
    row = public.helpsteer3(replace(rows, said=[opinions])).to_pylist()[0]
    # One that says which and not how much scores the least that says it; a tie of unknown strength is one all the same.
    assert [(one["score"], one["reasoning"]) for one in row["individual_preference"]] == [
        (-2, "Right."),
        (1, ""),
        (0, ""),
        (-1, ""),
    ]
    assert (row["domain"], row["response1"], row["response2"]) == ("code", "Four.", "Five.")
    row = public.helpsteer3(replace(rows, said=[[said("second"), said("tie"), said("skip")]])).to_pylist()[0]
    assert [one["score"] for one in row["individual_preference"]] == [1, 0]


@pytest.mark.parametrize(
    ("strengths", "verdict", "overall"),
    [
        # The rounded mean, halves away from nought, where the rule chooses none...
        ((2, 1), math.nan, -2),
        ((-2, -1), math.nan, 2),
        ((1, 0), math.nan, -1),
        ((1, 0, 0), math.nan, 0),
        ((3, 3, 2), math.nan, -3),
        ((), math.nan, 0),
        # ... and where it chooses what they say.
        ((2, 1), 1, -2),
        ((-3, -3, -2), -1, 3),
        # Two prefer the first a little, the third the second a lot: the majority is still for the first.
        ((1, 1, -3), 1, -1),
        # An adjudicator's second against two threes for the first; a source's label without a judgement; a tie.
        ((3, 3), -1, 1),
        ((), 1, -1),
        ((), -1, 1),
        ((0, 0, 3), 0, 0),
    ],
)
def test_the_overall_preference_of_helpsteer_is_never_against_what_was_chosen(make_record, strengths, verdict, overall):
    opinions = [said("first" if one > 0 else "second" if one < 0 else "tie", one) for one in strengths]
    rows = replace(Rows.of([make_record()]), said=[opinions], verdict=np.array([float(verdict)]))
    assert public.helpsteer3(rows).to_pylist()[0]["overall_preference"] == overall


def test_of_imports_that_only_say_which_helpsteer_is_not_all_noughts(make_record):
    rows = Rows.of([make_record(strength_mean=None), make_record(strength_mean=None, winner="second")])
    made = public.helpsteer3(replace(rows, said=[[said("first"), said("first")], [said("second")]])).to_pylist()
    assert [row["overall_preference"] for row in made] == [-1, 1]
    assert [[one["score"] for one in row["individual_preference"]] for row in made] == [[-1, -1], [1]]


def test_ultrafeedback_never_scores_the_rejected_answer_higher(make_record):
    rows = Rows.of(
        [
            make_record(counts=(3, 1, 0, 0)),
            # Overruled by an adjudicator; chosen by a rule that weighs voices; by a label, without a judgement.
            make_record(counts=(3, 0, 0, 1), winner="second"),
            make_record(counts=(2, 1, 0, 0), winner="second"),
            make_record(counts=(0, 0, 0, 0), winner="second"),
        ]
    )
    made = public.ultrafeedback(replace(rows, settled=np.array([False, True, False, False]))).to_pylist()
    scores = [(row["score_chosen"], row["score_rejected"], row["adjudicated"]) for row in made]
    assert scores == [(0.75, 0.25, False), (1.0, 0.0, True), (0.5, 0.5, False), (1.0, 0.0, False)]


def test_the_rationale_is_the_first_that_speaks_for_the_chosen_answer(make_record):
    rows = Rows.of([make_record(winner="second")])
    opinions = [said("first", 1, "No."), said("second", 1), said("second", 2, "Yes."), said("second", 1, "Too.")]
    row = public.rationale(replace(rows, said=[opinions])).to_pylist()[0]
    assert (row["chosen"], row["rejected"], row["rationale"]) == ("Five.", "Four.", "Yes.")
