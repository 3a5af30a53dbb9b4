"""Two orders become one preference: the golden vectors of the published rule, and what follows from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotation.combining import combine, declined, leaning

NAN = float("nan")

GOLDEN = [
    ([(0.9, 0.05, 0.05), (0.1, 0.85, 0.05)], 1),
    ([(0.9, 0.05, 0.05), (0.8, 0.15, 0.05)], 0),
    ([(0.2, 0.1, 0.7), (0.1, 0.85, 0.05)], NAN),
    ([(0.3, 0.3, 0.3), (0.1, 0.85, 0.05)], NAN),
    ([(0.05, 0.9, 0.05), (0.85, 0.1, 0.05)], -1),
    # NA ties with B in order 1: it is not strictly the likeliest.
    ([(0.4, 0.3, 0.35), (0.3, 0.35, 0.35)], 1),
]


@pytest.mark.parametrize(("both", "expected"), GOLDEN)
def test_golden_vectors(both, expected):
    [said] = combine([both])
    assert np.array_equal(said, expected, equal_nan=True)


def test_they_hold_for_many_at_once():
    said = combine([both for both, _ in GOLDEN])
    assert np.array_equal(said, [expected for _, expected in GOLDEN], equal_nan=True)
    assert combine(np.empty((0, 2, 3))).shape == (0,)


share = st.floats(0, 0.33)
answers = st.tuples(share, share, share)


@given(answers, answers)
def test_swapping_the_candidates_turns_the_preference_round(one, other):
    straight, turned = combine([[one, other]]), combine([[other, one]])
    assert np.array_equal(straight, -turned, equal_nan=True)
    assert leaning([[one, other]]) == pytest.approx(-leaning([[other, one]]))


@given(answers)
def test_an_answer_that_does_not_look_at_the_candidates_prefers_none(one):
    [said] = combine([[one, one]])
    assert said == 0 or np.isnan(said)
    assert leaning([[one, one]]) == pytest.approx(0)


def test_declining_is_strict_on_both():
    assert declined([(0.3, 0.3, 0.4), (0.4, 0.2, 0.4), (0.1, 0.3, 0.3)]).tolist() == [True, False, False]
