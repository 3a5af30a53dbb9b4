"""Scores order the candidates of a prompt: by likelihood, or by how often they would win."""

from __future__ import annotations

import numpy as np
import pytest

from annotation.errors import Refused
from annotation.generating import best_of_n_divergence, best_of_n_win_rate
from tests.workers.stub import StubBackend, sure_of
from workers.strategies import Asked
from workers.strategies.scoring import ranks_of, scores_of

PROMPT = Asked(1, ({"role": "user", "content": "Name a colour."},))


def prefers(word):
    """Somebody who takes the candidate that has this word, wherever it stands, and else the first place."""

    def answer(asked):
        a, b = asked.split("## Response 'A':")[1].split("## Response 'B':")
        b = b.split("## Answer:")[0]
        return sure_of("B" if word in b and word not in a else "A")

    return answer


def test_likelihood_is_a_mean_so_that_length_alone_decides_nothing():
    scores = scores_of("likelihood", StubBackend(), PROMPT, ["red red", "red", "magenta"])
    assert scores[0] == scores[1] > scores[2]


def test_a_judge_scores_by_the_probability_of_winning_in_both_orders():
    scores = scores_of("judge", StubBackend(answer=prefers("blue")), PROMPT, ["red", "blue", "green"])
    # Blue wins both of its meetings in both orders; the others win their meeting in one order each.
    assert scores == pytest.approx([(0.05 + 0.475) / 2, 0.9, (0.05 + 0.475) / 2])
    assert ranks_of(scores) == [2, 1, 3]


def test_a_judge_that_loves_a_place_makes_all_candidates_equal():
    scores = scores_of("judge", StubBackend(), PROMPT, ["red", "blue", "green", "grey"])
    assert np.ptp(scores) == pytest.approx(0)


def test_an_empty_candidate_has_no_score_and_ranks_last():
    scores = scores_of("likelihood", StubBackend(), PROMPT, ["", "red"])
    assert np.isnan(scores[0])
    assert ranks_of(scores) == [2, 1]


def test_an_unknown_scorer_is_refused():
    with pytest.raises(Refused, match="no scorer 'beauty'"):
        scores_of("beauty", StubBackend(), PROMPT, ["red"])


def test_the_best_of_n_wins_n_of_n_plus_one_meetings():
    rng = np.random.default_rng(1)
    for n in (1, 2, 4, 8):
        best = rng.random((20_000, n)).max(axis=1)
        wins = (best > rng.random(20_000)).mean()
        expected = best_of_n_win_rate(n)
        assert abs(wins - expected) < 5 * (expected * (1 - expected) / 20_000) ** 0.5
    assert best_of_n_divergence(1) == 0
    assert best_of_n_divergence(4) == pytest.approx(np.log(4) - 0.75)
