from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.export import edited, opinions
from curation.export.edited import edit_script, segment_weights, segments_of, token_weights
from curation.export.records import Edit, Rows

# How fast examples are drawn is the machine's affair.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
words = st.lists(st.sampled_from("abcd"), max_size=12)


def applied(initial, revised, script):
    """What the script makes of the initial segments, taking only what it inserts or replaces from the revised ones."""
    made = []
    for act, one, other in script:
        if act == "keep":
            made.append(initial[one])
        elif act in ("replace", "insert"):
            made.append(revised[other])
    return made


def distance(one, other):
    """Levenshtein's, by its recursion."""
    if not one or not other:
        return len(one) + len(other)
    return min(
        distance(one[1:], other) + 1,
        distance(one, other[1:]) + 1,
        distance(one[1:], other[1:]) + (one[0] != other[0]),
    )


@patient
@given(words, words)
def test_the_script_makes_the_revised_of_the_initial_and_visits_each_once(initial, revised):
    script = edit_script(initial, revised)
    assert applied(initial, revised, script) == revised
    assert [one for act, one, _ in script if act != "insert"] == list(range(len(initial)))
    assert [other for act, _, other in script if act != "delete"] == list(range(len(revised)))


@patient
@given(st.lists(st.sampled_from("abc"), max_size=6), st.lists(st.sampled_from("abc"), max_size=6))
def test_no_script_is_shorter(initial, revised):
    assert sum(step.act != "keep" for step in edit_script(initial, revised)) == distance(initial, revised)


@patient
@given(words, words)
def test_what_is_too_long_to_search_is_replaced_as_a_whole(initial, revised):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edited, "MOST_CELLS", 0)
        assert applied(initial, revised, edit_script(initial, revised)) == revised


@patient
@given(st.text(max_size=80))
def test_segments_joined_are_the_text(text):
    assert "".join(segments_of(text)) == text
    weighed = segment_weights(text, text)
    assert not any([*weighed.initial_weights, *weighed.revised_weights])


def test_words_signs_and_characters_without_spaces_are_segments():
    assert segments_of("It's 3.5, ok?\n") == ["It", "'", "s", " 3", ".", "5", ",", " ok", "?", "\n"]
    assert segments_of("答えは4です") == ["答", "え", "は", "4", "で", "す"]


def test_what_came_weighs_one_what_went_minus_one_and_what_stayed_nothing():
    found = segment_weights("The sum is five, I think.", "The sum is exactly four.")
    assert list(zip(found.initial, found.initial_weights, strict=True)) == [
        ("The", 0), (" sum", 0), (" is", 0), (" five", -1), (",", -1), (" I", -1), (" think", -1), (".", 0),
    ]  # fmt: skip
    assert [word for word, weight in zip(found.revised, found.revised_weights, strict=True) if weight == 1] == [
        " exactly",
        " four",
    ]
    assert not any(segment_weights("Same.", "Same.").revised_weights)


def test_each_edit_is_a_row(make_record):
    several = [{"role": "assistant", "content": "Hm."}, {"role": "user", "content": "?"}]
    records = [make_record(), make_record(pair_id=8, second=[*several, {"role": "assistant", "content": "Five."}])]
    edits = [
        [Edit("annotator-1", "first", "Four!"), Edit("annotator-2", "first", "It is four.")],
        [Edit("x", "second", "4.")],
    ]
    rows = replace(Rows.of(records), edits=edits)
    one, _, other = token_weights(rows).to_pylist()
    assert (one["initial"], one["revised"], one["editor"], one["pair_id"]) == ("Four.", "Four!", "annotator-1", 7)
    assert one["revised_segments"] == ["Four", "!"]
    assert (one["initial_weights"], one["revised_weights"]) == ([0, -1], [0, 1])
    assert (one["tokenizer"], one["side"], one["model"]) == ("words/1", "first", "right")
    # An edit is of the last message; what came before it is part of what was asked.
    assert other["prompt"] == [*records[1].prompt, *several]
    assert (other["initial"], other["revised"]) == ("Five.", "4.")


def test_in_a_list_the_edit_stands_before_what_it_was_made_of(make_record):
    rows = replace(Rows.of([make_record(counts=(3, 0, 0, 0))]), edits=[[Edit("x", "first", "It is four.")]])
    [row] = opinions.listwise(rows).to_pylist()
    assert [one[0]["content"] for one in row["completions"]] == ["It is four.", "Four.", "Five."]
    assert row["scores"] == [1.0, 1.0, 0.0]
    assert row["edited"] == [True, False, False]
    assert row["models"] == ["right", "right", "wrong"]
    assert row["n_judgements"] == [1, 3, 3]
    # Two who make the same of it are two comparisons.
    same = replace(rows, edits=[[Edit("x", "first", "4."), Edit("y", "first", "4.")]])
    assert opinions.listwise(same).to_pylist()[0]["n_judgements"] == [2, 3, 3]
