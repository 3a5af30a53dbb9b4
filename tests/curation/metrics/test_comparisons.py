"""Golden values come from choix; those of the crowd's scores from METHODS' own reference."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.aggregation import bradley_terry, crowd_bradley_terry

# Games as (winner, loser).
GAMES = [(0, 1), (1, 2), (0, 2), (0, 1), (2, 1), (0, 2), (1, 0), (2, 1), (2, 0), (0, 1), (1, 2)]
CROWD = [(0, 0, 1), (0, 1, 2), (0, 0, 2), (1, 0, 1), (1, 2, 1), (1, 0, 2)]
CROWD += [(2, 1, 0), (2, 2, 1), (2, 2, 0), (3, 0, 1), (3, 1, 2)]


def wins_of(games, n):
    wins = np.zeros((n, n))
    np.add.at(wins, tuple(np.array(games).T), 1)
    return wins


def test_bradley_terry_has_its_golden_scores():
    wins = wins_of(GAMES, 3)
    np.testing.assert_allclose(bradley_terry(wins, ridge=0), [0.606212, -0.356019, -0.250193], atol=1e-6)
    np.testing.assert_allclose(bradley_terry(wins, ridge=0.01), [0.600623, -0.353102, -0.247521], atol=1e-6)


def test_planted_scores_are_found_again():
    rng = np.random.default_rng(1)
    planted = rng.normal(size=20)
    planted -= planted.mean()
    n = np.triu(rng.integers(200, 400, size=(20, 20)), 1)
    won = rng.binomial(n, 1 / (1 + np.exp(-(planted[:, None] - planted[None, :]))))
    np.testing.assert_allclose(bradley_terry(won + (n - won).T, ridge=0), planted, atol=0.12)


def test_a_group_that_never_loses_has_no_scores_without_a_ridge():
    wins = np.array([[0, 1, 5, 5], [1, 0, 5, 5], [0, 0, 0, 1], [0, 0, 1, 0]])
    assert np.isnan(bradley_terry(wins, ridge=0)).all()
    scores = bradley_terry(wins, ridge=0.01)
    assert scores[:2].min() > scores[2:].max()
    assert scores.sum() == pytest.approx(0, abs=1e-9)


def test_who_never_met_another_has_no_score():
    wins = np.zeros((4, 4))
    wins[:3, :3] = wins_of(GAMES, 3)
    wins[3, 3] = 7  # Against oneself is no game.
    scores = bradley_terry(wins, ridge=0)
    assert np.isnan(scores[3])
    np.testing.assert_allclose(scores[:3], bradley_terry(wins[:3, :3], ridge=0))
    assert np.isnan(bradley_terry(np.zeros((3, 3)), ridge=0.01)).all()
    assert bradley_terry(np.zeros((0, 0)), ridge=0.01).shape == (0,)


def test_all_won_and_none_lost_still_ends():
    wins = np.triu(np.full((30, 30), 1000.0), 1)
    scores = bradley_terry(wins, ridge=1e-6)
    assert np.isfinite(scores).all()
    assert (np.diff(scores) < 0).all()


@pytest.mark.parametrize(
    ("wins", "ridge", "words"),
    [(np.ones((2, 3)), 0.01, "square table"), (-np.ones((2, 2)), 0.01, "from 0 on"), (np.ones((2, 2)), -1, "from 0")],
)
def test_what_is_no_table_of_wins_is_refused(wins, ridge, words):
    with pytest.raises(ValueError, match=words):
        bradley_terry(wins, ridge=ridge)


def test_the_crowds_scores_have_their_golden_values():
    usual = crowd_bradley_terry(CROWD)
    np.testing.assert_allclose(usual.scores, [0.548333, -0.320566, -0.218005], atol=1e-5)
    assert usual.reliability.min() > 0.99
    other = crowd_bradley_terry(CROWD, prior=(2, 1))
    np.testing.assert_allclose(other.scores, [1.989117, -0.480272, -1.162781], atol=1e-4)
    np.testing.assert_allclose(other.reliability, [1, 1, 0.310170, 1], atol=1e-4)


def test_unreliable_annotators_are_found_and_the_scores_gain_by_it():
    rng = np.random.default_rng(4)
    planted, reliability = rng.normal(scale=1.5, size=30), np.array([0.95] * 6 + [0.5, 0.1])
    games = []
    for annotator, reliable in enumerate(reliability):
        for _ in range(400):
            i, j = rng.choice(30, size=2, replace=False)
            i_wins = rng.random() < 1 / (1 + np.exp(planted[j] - planted[i]))
            if rng.random() >= reliable:
                i_wins = not i_wins
            games.append((annotator, i, j) if i_wins else (annotator, j, i))
    found = crowd_bradley_terry(games)
    assert found.reliability[:6].min() > 0.85
    assert found.reliability[6] == pytest.approx(0.5, abs=0.15)
    assert found.reliability[7] < 0.25
    plain = bradley_terry(wins_of([game[1:] for game in games], 30))
    assert np.corrcoef(found.scores, planted)[0, 1] > np.corrcoef(plain, planted)[0, 1]


def test_the_unheard_and_the_uncompared_are_nan():
    found = crowd_bradley_terry(CROWD, n_items=4, n_annotators=6)
    assert np.isnan(found.scores).tolist() == [False, False, False, True]
    assert np.isnan(found.reliability).tolist() == [False] * 4 + [True] * 2
    nothing = crowd_bradley_terry(np.empty((0, 3)), n_items=2, n_annotators=1)
    assert np.isnan(nothing.scores).all()
    assert np.isnan(nothing.reliability).all()
