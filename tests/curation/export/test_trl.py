from __future__ import annotations

import pyarrow as pa
import pytest

from curation.export import trl
from curation.export.layouts import LAYOUTS
from curation.export.records import MESSAGES, Rows


def test_records_become_rows_of_lists_of_messages(make_record):
    rows = trl.dpo(
        Rows.of([make_record(), make_record(winner="second", system="Be brief.", first_model="")])
    ).to_pylist()
    assert rows[0]["prompt"] == [{"role": "user", "content": "What is two plus two?"}]
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "Four."}]
    assert rows[0]["rejected"] == [{"role": "assistant", "content": "Five."}]
    assert (rows[0]["chosen_side"], rows[0]["chosen_model"], rows[0]["rejected_model"]) == ("first", "right", "wrong")
    assert rows[1]["prompt"][0] == {"role": "system", "content": "Be brief."}
    assert rows[1]["chosen"] == [{"role": "assistant", "content": "Five."}]
    assert (rows[1]["chosen_side"], rows[1]["chosen_model"], rows[1]["rejected_model"]) == ("second", "wrong", "")
    assert {key: rows[0][key] for key in ("n_judgements", "n_first", "n_second", "n_tie", "n_both_bad")} == {
        "n_judgements": 3,
        "n_first": 2,
        "n_second": 1,
        "n_tie": 0,
        "n_both_bad": 0,
    }


def test_the_mean_strength_is_positive_for_the_chosen_answer(make_record):
    records = [
        make_record(),
        make_record(winner="second", strength_mean=-2.0),
        make_record(strength_mean=None, agreement=None),
    ]
    rows = trl.dpo(Rows.of(records)).to_pylist()
    assert [row["strength_mean"] for row in rows] == [1.5, 2.0, None]
    assert rows[2]["agreement"] is None


def test_of_a_message_role_and_content_leave_and_nothing_else(make_record):
    rows = trl.dpo(
        Rows.of([make_record(first=[{"role": "assistant", "content": "Four.", "logprobs": [1]}])])
    ).to_pylist()
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "Four."}]


def test_the_schema_does_not_depend_on_the_rows(make_record):
    empty = trl.dpo(Rows.of([]))
    full = trl.dpo(Rows.of([make_record(tags=[], agreement=None, strength_mean=None)]))
    assert empty.schema == full.schema == trl.DPO
    full.validate(full=True)


@pytest.mark.parametrize("name", LAYOUTS)
def test_no_side_column_has_a_name_that_means_something_to_trl(name):
    layout = LAYOUTS[name]
    assert not trl.FORBIDDEN & {*layout.side}
    assert {*layout.side} <= {*layout.schema.names}
    assert len({*layout.schema.names}) == len(layout.schema.names)


def test_in_the_dpo_layout_all_texts_have_one_type():
    assert {str(trl.DPO.field(name).type) for name in ("prompt", "chosen", "rejected")} == {str(MESSAGES)}
    assert isinstance(MESSAGES, pa.ListType)


def test_the_reward_layout_has_whole_conversations_and_a_margin_that_is_never_null(make_record):
    records = [
        make_record(system="Be brief."),
        make_record(winner="second", strength_mean=-2.0),
        make_record(strength_mean=None),
        make_record(strength_mean=-0.5),
    ]
    rows = trl.reward(Rows.of(records)).to_pylist()
    assert [row["margin"] for row in rows] == [1.5, 2.0, 0.0, 0.0]
    for record, row in zip(records, rows, strict=True):
        assert row["chosen"] == [*record.asked, *record.chosen]
        assert row["rejected"] == [*record.asked, *record.rejected]
    assert "prompt" not in rows[0]


def test_the_kto_layout_has_each_answer_alone_the_chosen_first(make_record):
    records = [make_record(), make_record(winner="second", pair_id=8)]
    rows = trl.kto(Rows.of(records)).to_pylist()
    assert [(row["pair_id"], row["side"], row["label"], row["model"]) for row in rows] == [
        (7, "first", True, "right"),
        (7, "second", False, "wrong"),
        (8, "second", True, "wrong"),
        (8, "first", False, "right"),
    ]
    assert [row["completion"][0]["content"] for row in rows] == ["Four.", "Five.", "Five.", "Four."]
    assert all(row["prompt"] == records[0].prompt for row in rows)


# Stepwise supervision has no conversational form: its prompt is a text, and so are its steps.
CONVERSATIONAL = ("trl_dpo", "trl_reward", "trl_kto", "soft", "votes", "token_weights", "listwise")


@pytest.mark.parametrize("name", CONVERSATIONAL)
def test_in_layouts_for_trl_prompts_and_answers_are_lists_of_messages_and_nothing_else(name):
    schema = LAYOUTS[name].schema
    texts = {"prompt", "chosen", "rejected", "completion", "first", "second"} & {*schema.names}
    assert {str(schema.field(one).type) for one in texts} == {str(MESSAGES)}
    assert not any(schema.field(one).nullable for one in texts)
