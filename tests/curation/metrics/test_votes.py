"""Golden values: METHODS-CORE 1.2."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.votes import majority_of_votes, preferences_from_probabilities, preferences_from_scores

NAN = float("nan")


@pytest.mark.parametrize(
    ("first", "second", "combined"),
    [
        ((0.9, 0.05, 0.05), (0.1, 0.85, 0.05), 1),
        ((0.9, 0.05, 0.05), (0.8, 0.15, 0.05), 0),
        ((0.2, 0.1, 0.7), (0.1, 0.85, 0.05), NAN),
        ((0.3, 0.3, 0.3), (0.1, 0.85, 0.05), NAN),
        ((0.05, 0.9, 0.05), (0.85, 0.1, 0.05), -1),
        ((0.4, 0.3, 0.35), (0.3, 0.35, 0.35), 1),
    ],
)
def test_both_orders_combine_as_published(first, second, combined):
    np.testing.assert_equal(preferences_from_probabilities([first], [second])[0], combined)


def test_one_order_alone_says_what_is_likelier():
    found = preferences_from_probabilities([[0.9, 0.05, 0.05], [0.1, 0.2, 0.15], [0.2, 0.2, 0], [0.1, 0.2, 0.7]])
    np.testing.assert_equal(found, [1, -1, NAN, NAN])


def test_rewards_prefer_the_higher():
    np.testing.assert_equal(preferences_from_scores([1.0, 0.5, 2], [0.0, 0.5, 3]), [1, NAN, -1])


def test_probabilities_of_other_answers_are_refused():
    with pytest.raises(ValueError, match="three answers"):
        preferences_from_probabilities([[0.5, 0.5]])


def test_several_voters_become_one_vote_and_a_tie_becomes_none():
    row = [0, 0, 0, 0, 0, 1, 1, 1, 1]
    principle = [0, 0, 0, 1, 1, 0, 0, 1, 1]
    vote = [1, 1, -1, 1, -1, 0, NAN, -1, -1]
    np.testing.assert_equal(
        majority_of_votes(row, principle, vote, n_rows=3, n_principles=2), [[1, NAN], [NAN, -1], [NAN, NAN]]
    )
