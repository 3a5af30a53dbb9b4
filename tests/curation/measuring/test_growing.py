"""Words ranked by the share of people who marked them, and the areas. The run itself: tests/workers."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.models import Run
from curation.measuring import FaithfulnessRequest
from curation.measuring.growing import Growing, grown, ranked, rows, shares_of

NAN = float("nan")
FIRST, SECOND = (1, 0), (2, 0)
TEXTS = {FIRST: "It is short and right.", SECOND: "No, it is wrong."}
WORDS = 9


def at(text, words, place=FIRST):
    start = TEXTS[place].index(words)
    return (place, start, start + len(words)) if text is None else (start, start + len(words))


def marks(*words, place=FIRST):
    return {place: [at("span", one, place) for one in words]}


def test_shares_are_read_in_order_and_each_once():
    assert shares_of("0.5, .1,0.1,1") == (0.1, 0.5, 1.0)
    assert shares_of("") == ()
    assert FaithfulnessRequest(model="m").shares == (0.01, 0.05, 0.1, 0.2, 0.5)
    for wrong in ("0", "1.01", "-0.1", "some", "nan"):
        with pytest.raises(ValueError, match=r"."):
            shares_of(wrong)


def test_words_that_more_people_marked_come_first_and_those_that_nobody_marked_never():
    marked = [marks("short and"), marks("short"), {**marks("short"), **marks("wrong", place=SECOND)}]
    found = ranked(TEXTS, marked, rng=np.random.default_rng(0))
    assert found.n_words == WORDS
    assert found.best[0] == at(None, "short")
    # Each marked by one of three. A part of a word is the word.
    assert set(found.best[1:]) == {at(None, "and"), at(None, "wrong.", SECOND)}


def test_words_of_the_same_share_are_in_an_order_that_is_drawn():
    marked = [{FIRST: [(0, len(TEXTS[FIRST]))], SECOND: [(0, len(TEXTS[SECOND]))]}]
    orders = [ranked(TEXTS, marked, rng=np.random.default_rng(seed)).best for seed in (1, 1, 2, 3)]
    assert orders[0] == orders[1]
    assert len({*orders}) == 3
    leading = [ranked(TEXTS, marked, rng=np.random.default_rng(seed)).best[0][0] for seed in range(200)]
    # 5 of 9 words are the first candidate's.
    assert 85 < leading.count(FIRST) < 137


def test_a_rationale_grows_to_what_is_marked_and_no_further():
    marked = [marks("right.", "short and"), marks("short"), marks("short and")]
    words = ranked(TEXTS, marked, rng=np.random.default_rng(0))
    assert grown(words, TEXTS, 0.01) == {FIRST: [at("", "short")]}
    assert grown(words, TEXTS, 1 / 9) == {FIRST: [at("", "short")]}
    # Two words that stand together are one span.
    assert grown(words, TEXTS, 0.12) == {FIRST: [at("", "short and")]}
    assert grown(words, TEXTS, 0.33) == grown(words, TEXTS, 1) == {FIRST: [at("", "short and right.")]}


def test_scripts_without_spaces_are_ranked_by_character():
    texts = {FIRST: "答案是对的 yes"}
    found = ranked(texts, [{FIRST: [(3, 4)]}], rng=np.random.default_rng(0))
    assert (found.n_words, found.best) == (6, ((FIRST, 3, 4),))


def test_texts_without_words_and_messages_that_are_empty_have_no_best():
    found = ranked({FIRST: "", SECOND: " \n"}, [{}], rng=np.random.default_rng(0))
    assert (found.best, found.n_words) == ((), 0)
    assert grown(found, {FIRST: "", SECOND: " \n"}, 0.5) == {}


# ---- the areas ------------------------------------------------------------------------------------------------------


def stored(growing, *, shares=(0.1, 0.5), least=1, resamples=0):
    found = rows(Run(seed=0), growing, shares, least=least, least_markers=2, resamples=resamples)
    return {row.metric: row for row in found}


def test_the_areas_are_those_of_the_benchmark():
    """The benchmark's example, V6, and a pair that was not answered throughout."""
    golden = Growing(
        full=np.array([0.9, 0.7, 0.8]),
        without=np.array([[0.8, 0.3], [0.65, 0.1], [0.1, NAN]]),
        only=np.array([[0.5, 0.95], [0.4, 0.7], [0.1, NAN]]),
        left_out=4,
    )
    found = stored(golden)
    needs, enough = found["aopc_comprehensiveness"], found["aopc_sufficiency"]
    assert (needs.value, needs.n) == (pytest.approx(0.3375), 2)
    assert (enough.value, enough.n) == (pytest.approx(0.1625), 2)
    assert [one["change"] for one in needs.detail["at"]] == pytest.approx([0.075, 0.6])
    assert [one["change"] for one in enough.detail["at"]] == pytest.approx([0.35, -0.025])
    assert [one["share"] for one in enough.detail["at"]] == [0.1, 0.5]
    assert needs.detail["marked_by_fewer"] == 4
    assert stored(golden, resamples=50)["aopc_comprehensiveness"].low is not None


def test_few_pairs_and_none_are_not_enough():
    few = Growing(np.array([0.9]), np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]]), left_out=0)
    for growing, n in ((few, 1), (Growing.none(0, 2, left_out=3), 0)):
        found = stored(growing, least=10)
        assert {row.reason for row in found.values()} == {
            f"Not enough data: {n} of at least 10 pairs that 2 people marked."
        }
        assert all("at" not in row.detail for row in found.values())
    assert stored(few, shares=()) == {}
