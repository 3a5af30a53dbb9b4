"""Golden values come from choix; those of the crowd's scores from METHODS' own reference."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.aggregation import bradley_terry, crowd_bradley_terry, standing

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


# ---- with weights, ties and intervals -------------------------------------------------------------------------------


def columns(games):
    """Games as (winner, loser): the first always won."""
    first, second = np.array(games).T
    return first, second, np.ones(len(games))


def test_a_standing_has_the_scores_of_its_wins():
    found = standing(*columns(GAMES), n_items=4, ridge=0)
    np.testing.assert_allclose(found.scores[:3], [0.606212, -0.356019, -0.250193], atol=1e-6)
    assert np.isnan(found.scores[3])
    assert found.n.tolist() == found.games.tolist() == [7, 8, 7, 0]
    assert np.isnan(found.low).all()
    assert np.isnan(found.high).all()


def test_who_stands_first_does_not_matter_and_a_tie_is_half_a_win_to_each():
    first, second, won = columns(GAMES)
    turned = standing(second, first, 1 - won, n_items=3)
    np.testing.assert_allclose(turned.scores, standing(first, second, won, n_items=3).scores)
    wins = wins_of(GAMES, 3)
    wins[0, 1] += 0.5
    wins[1, 0] += 0.5
    tied = standing([*first, 0], [*second, 1], [*won, 0.5], n_items=3)
    np.testing.assert_allclose(tied.scores, bradley_terry(wins))


def test_two_of_half_the_weight_are_one_and_a_game_against_oneself_is_none():
    first, second, won = columns(GAMES)
    once = standing(first, second, won, n_items=3)
    twice = standing(np.tile(first, 2), np.tile(second, 2), np.tile(won, 2), n_items=3, weight=np.full(22, 0.5))
    np.testing.assert_allclose(twice.scores, once.scores)
    np.testing.assert_allclose(twice.games, once.games)
    itself = standing([*first, 2], [*second, 2], [*won, 1], n_items=3)
    np.testing.assert_array_equal(itself.scores, once.scores)


def drawn(rng, *, n, scores):
    first, second = np.array([rng.choice(len(scores), size=2, replace=False) for _ in range(n)]).T
    won = rng.random(n) < 1 / (1 + np.exp(scores[second] - scores[first]))
    return first, second, won.astype(float)


def test_the_intervals_hold_the_planted_scores_and_narrow():
    planted = np.array([1.0, 0.4, -0.3, -1.1])
    few, many = (
        standing(
            *drawn(np.random.default_rng(3), n=n, scores=planted),
            n_items=4,
            rng=np.random.default_rng(0),
            resamples=300,
        )
        for n in (200, 5000)
    )
    for found in (few, many):
        assert ((found.low < found.scores) & (found.scores < found.high)).all()
        assert ((found.low < planted) & (planted < found.high)).sum() >= 3
    assert (many.high - many.low < (few.high - few.low) / 3).all()


def test_games_of_one_group_are_drawn_together():
    """Three people who say the same of each prompt know no more than one."""
    planted = np.array([0.8, 0.0, -0.8])
    first, second, won = drawn(np.random.default_rng(5), n=300, scores=planted)
    size = {"n_items": 3, "resamples": 200}
    alone = standing(first, second, won, rng=np.random.default_rng(0), **size)
    three = (np.tile(one, 3) for one in (first, second, won))
    group = np.tile(np.arange(300), 3)
    grouped = standing(*three, groups=group, weight=np.full(900, 1 / 3), rng=np.random.default_rng(0), **size)
    np.testing.assert_allclose(grouped.scores, alone.scores)
    np.testing.assert_allclose(grouped.low, alone.low, atol=1e-9)
    np.testing.assert_allclose(grouped.high, alone.high, atol=1e-9)


def test_nothing_compared_has_no_standing():
    found = standing([], [], [], n_items=3, rng=np.random.default_rng(0))
    assert all(np.isnan(one).all() for one in (found.scores, found.low, found.high))
    assert found.n.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("won", "weight", "words"),
    [
        ([1.0, 0.0], [1.0], "Every comparison"),
        ([2.0], [1.0], "0 to 1"),
        ([-1.0], [1.0], "0 to 1"),
        ([1.0], [-1.0], "0 or"),
    ],
)
def test_what_is_no_comparison_is_refused(won, weight, words):
    with pytest.raises(ValueError, match=words):
        standing([0], [1], won, n_items=2, weight=weight)


def test_the_crowds_games_of_half_the_weight_are_half_a_game():
    usual = crowd_bradley_terry(CROWD, prior=(2, 1))
    halves = crowd_bradley_terry(np.repeat(CROWD, 2, axis=0), weight=np.full(22, 0.5), prior=(2, 1))
    np.testing.assert_allclose(halves.scores, usual.scores, atol=1e-4)
    np.testing.assert_allclose(halves.reliability, usual.reliability, atol=1e-4)
    with pytest.raises(ValueError, match="one weight for each of 11 games"):
        crowd_bradley_terry(CROWD, weight=[1.0])
