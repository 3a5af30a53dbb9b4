"""Answers that were too fast to be read: marked, by one rule in Python and in SQL, and never in the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.models import Judgement
from curation import haste
from curation.arrays import pair_facts
from curation.criteria import parse
from curation.voices import Voices

WHOLE = {"coverage_first": 1.0, "coverage_second": 1.0}


@pytest.mark.parametrize(
    ("measured", "found"),
    [
        ({"active_ms": 2_999, "characters": 10, **WHOLE}, ("short",)),
        ({"active_ms": 3_000, "characters": 10, **WHOLE}, ()),
        # 900 characters are 150 words: 15 a second take 10 s.
        ({"active_ms": 10_000, "characters": 900, **WHOLE}, ()),
        ({"active_ms": 9_999, "characters": 900, **WHOLE}, ("fast",)),
        ({"active_ms": 60_000, "characters": 900, "coverage_first": 0.79, "coverage_second": 1.0}, ("unseen",)),
        ({"active_ms": 60_000, "characters": 900, "coverage_first": 1.0, "coverage_second": 0.8}, ()),
        (
            {"active_ms": 0, "characters": 900, "coverage_first": 0.0, "coverage_second": 0.0},
            ("short", "fast", "unseen"),
        ),
        ({"active_ms": None, "characters": 900, "coverage_first": None, "coverage_second": None}, ()),
    ],
)
def test_what_is_marked(measured, found):
    assert haste.marks(**measured) == found


@given(st.integers(0, 200_000), st.integers(0, 50_000), st.floats(0, 1), st.floats(0, 1), st.integers(1, 100_000))
def test_more_time_never_adds_a_mark(active, characters, first, second, more):
    seen = {"characters": characters, "coverage_first": first, "coverage_second": second}
    assert {*haste.marks(active_ms=active + more, **seen)} <= {*haste.marks(active_ms=active, **seen)}


CASES = [
    (active, size, first, second)
    for active in (None, 0, 2_999, 3_000, 9_999, 10_000, 2**31 - 1)
    for size in (0, 450, 451, 10_000_000)
    for first, second in ((None, None), (0.79999, 1.0), (0.8, 0.8), (1.0, None))
]


def test_the_criterion_counts_what_the_function_marks(project, make_pair, say, alice):
    expected = {}
    for active, size, first, second in CASES:
        pair = make_pair(first="a", second="b")
        type(pair.first).objects.filter(pk__in=[pair.first_id, pair.second_id]).update(characters=size)
        say(alice, pair, "first", 2, active_ms=active, coverage_first=first, coverage_second=second)
        found = haste.marks(active_ms=active, characters=2 * size, coverage_first=first, coverage_second=second)
        expected[pair.pk] = bool(found)
    facts = pair_facts(project=project, voices=Voices(), where=[parse("hasty>=1")])
    assert dict(zip(facts.pair.tolist(), facts.passes[0].tolist(), strict=True)) == expected
    assert {*expected.values()} == {True, False}


def test_a_skip_and_a_withdrawn_answer_are_not_marked(project, make_pair, say, alice, bob):
    pair = make_pair()
    say(alice, pair, "skip", None, active_ms=10)
    say(bob, pair, "first", 1, active_ms=10)
    say(bob, pair, "second", 1, active_ms=100_000)
    facts = pair_facts(project=project, voices=Voices(), where=[parse("hasty=0")])
    assert facts.passes[0].tolist() == [True]


def test_the_lead_sees_the_mark_and_nothing_is_kept_back(project, make_pair, say, alice, bob, lead, sign_in):
    pair = make_pair()
    say(alice, pair, "first", 2, active_ms=1_200, **WHOLE)
    say(bob, pair, "second", 1, active_ms=60_000, **WHOLE)
    page = sign_in(lead).get(f"/p/everyday/board/pairs/{pair.pk}").content.decode()
    assert page.count("fast: less than 3 s") == 1
    assert Judgement.objects.current().decided().count() == 2
