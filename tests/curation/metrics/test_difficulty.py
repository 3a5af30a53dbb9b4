"""Golden values: METHODS-CORE 2.1; Chow's scores: METHODS-MORE B2."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curation.metrics.difficulty import (
    assessment_misalignment,
    between_run_spearman,
    chow_quantiles,
    dpo_loss,
    held_out_loss,
    implicit_reward_margin,
    is_noisy,
    learned_step,
    log_likelihood_margin,
    percentile,
    reward_accuracy,
    reward_margin,
)
from tests.curation.metrics.reading import ends, why

NAN = float("nan")


@pytest.mark.parametrize(
    ("chosen", "rejected", "reference_chosen", "reference_rejected", "beta", "loss"),
    [
        (-100, -120, -100, -120, 0.01, 0.693147),
        (-90, -130, -100, -120, 0.01, 0.598139),
        (-130, -100, -100, -120, 0.01, 0.974077),
        (-90, -130, -100, -120, 0.1, 0.126928),
        (-300, -100, -100, -100, 0.1, 20.0),
    ],
)
def test_the_loss_has_its_golden_values(chosen, rejected, reference_chosen, reference_rejected, beta, loss):
    found = dpo_loss(chosen, rejected, reference_chosen, reference_rejected, beta=beta)
    assert found == pytest.approx(loss, abs=1e-6)


def test_the_loss_never_overflows_and_keeps_what_is_missing():
    found = dpo_loss([-1e6, 0, NAN], [0, -1e6, 0], [0, 0, 0], [0, 0, 0], beta=1.0)
    assert found.tolist()[:2] == [1e6, 0]
    assert math.isnan(found[2])


def test_margins_turn_round_with_the_pair_and_are_0_for_the_same_text():
    chosen, rejected = np.array([-90.0, -100.0]), np.array([-130.0, -100.0])
    assert log_likelihood_margin(chosen, rejected).tolist() == [40, 0]
    np.testing.assert_array_equal(log_likelihood_margin(rejected, chosen), -log_likelihood_margin(chosen, rejected))
    assert implicit_reward_margin(-90, -130, -100, -120, beta=0.1) == pytest.approx(2.0)
    assert implicit_reward_margin(-130, -90, -120, -100, beta=0.1) == pytest.approx(-2.0)
    assert reward_margin(1.5, 2.0) == -0.5


def test_what_the_model_finds_about_as_likely_is_tagged():
    assert is_noisy([-3.0, 3.0, 3.1, 0.0, NAN]).tolist() == [True, True, False, True, False]
    assert is_noisy([4.0], gap=5).tolist() == [True]


# ---- held-out losses ------------------------------------------------------------------------------------------------


def test_an_items_difficulty_is_the_mean_of_the_models_that_never_saw_it():
    """Two halves, three seeds, five checkpoints: each item has 15 losses and 15 gaps."""
    rng = np.random.default_rng(0)
    losses = rng.random((6, 2, 3, 5))
    seen = rng.integers(0, 2, size=(6, 3))
    for item in range(6):
        for seed in range(3):
            losses[item, seen[item, seed], seed] = NAN
    found = held_out_loss(losses)
    assert found.n.tolist() == [15] * 6
    np.testing.assert_allclose(found.loss, np.nanmean(losses.reshape(6, -1), axis=1))
    np.testing.assert_allclose(found.spread, np.nanstd(losses.reshape(6, -1), axis=1, ddof=1))


def test_an_item_without_a_loss_is_undefined_and_one_loss_has_no_spread():
    found = held_out_loss([[NAN, NAN], [0.5, NAN]])
    assert found.n.tolist() == [0, 1]
    assert math.isnan(found.loss[0])
    assert found.loss[1] == 0.5
    assert np.isnan(found.spread).all()
    assert held_out_loss(np.empty((0, 3))).loss.shape == (0,)


def test_the_learned_step_is_where_an_item_turns_right_and_stays():
    margins = [
        [1, 1, 1, 1],  # always
        [-1, 1, -1, 1],  # turns, falls back, turns again
        [-1, -1, 1, 1],
        [1, 1, 1, -1],  # lost at the end
        [0, 0, 0, 0],  # 0 is not right
        [-1, NAN, 1, NAN],  # not evaluated everywhere
        [NAN, NAN, NAN, NAN],
    ]
    found = learned_step(np.array(margins), [10, 20, 30, 40])
    np.testing.assert_equal(found, [10, 40, 30, NAN, NAN, 30, NAN])
    assert learned_step(np.empty((2, 0)), []).shape == (2,)


@pytest.mark.parametrize(("steps", "words"), [([1, 2, 3], "one step"), ([2, 1], "ascend"), ([1, 1], "ascend")])
def test_steps_belong_to_the_checkpoints_and_ascend(steps, words):
    with pytest.raises(ValueError, match=words):
        learned_step(np.ones((1, 2)), steps)


def test_percentiles_are_the_share_below_and_half_of_the_equals():
    np.testing.assert_equal(percentile([3.0, 1.0, NAN, 2.0, 4.0]), [62.5, 12.5, NAN, 37.5, 87.5])
    np.testing.assert_equal(percentile([1.0, 1.0]), [50, 50])
    assert np.isnan(percentile([NAN, NAN])).all()


def test_runs_that_order_alike_are_trusted():
    rng = np.random.default_rng(1)
    hard = rng.random(400)
    close = between_run_spearman(hard[:, None] + 0.1 * rng.random((400, 3)))
    far = between_run_spearman(hard[:, None] + 2 * rng.random((400, 3)))
    assert close.value > 0.95 > 0.5 > far.value > 0
    assert close.n == 400
    low, high = ends(close)
    assert low < close.value < high
    # Only the order counts.
    assert between_run_spearman(np.exp(np.column_stack([hard, 5 * hard]))).value == pytest.approx(1)


def test_the_trust_figure_is_scipys_correlation():
    from scipy.stats import spearmanr

    rng = np.random.default_rng(2)
    table = rng.integers(0, 6, size=(50, 2)).astype(float)
    table[3, 0] = NAN
    there = ~np.isnan(table[:, 0])
    expected = spearmanr(table[there, 0], table[there, 1]).statistic
    found = between_run_spearman(table)
    assert found.value == pytest.approx(expected)
    assert found.n == 49


@pytest.mark.parametrize(
    ("losses", "reason"),
    [
        (np.empty((0, 0)), "fewer than two runs"),
        (np.ones((9, 1)), "fewer than two runs"),
        ([[1, NAN], [NAN, 1], [2, 2]], "fewer than three items"),
        (np.ones((5, 2)), "the same value"),
    ],
)
def test_too_little_for_a_trust_figure_has_a_reason(losses, reason):
    found = between_run_spearman(losses)
    assert math.isnan(found.value)
    assert reason in why(found)


# ---- assessment, cascades -------------------------------------------------------------------------------------------


def test_a_reward_model_is_right_where_it_prefers_what_was_preferred():
    found = reward_accuracy([2.0, 1.0, 0.5, NAN, 3.0], [1.0, 2.0, 0.5, 1.0, -1.0])
    assert (found.value, found.n) == (0.5, 4)
    assert 0 < (found.low or 0) < 0.5 < (found.high or 1) < 1
    assert reward_accuracy([NAN], [1.0]).reason == "No pair has both rewards."


def test_misalignment_looks_at_tokens_and_not_at_length():
    found = assessment_misalignment([-100, -10, -10, NAN], [-20, -20, -30, -1], [50, 2, 10, 3], [5, 10, 10, 3])
    # By token: -2 against -4; -5 against -2; -1 against -3; unknown.
    assert (found.value, found.n) == pytest.approx((1 / 3, 3))
    assert assessment_misalignment([], [], [], []).reason == "No pair has both log-probabilities."
    assert assessment_misalignment([-1], [-1], [0], [3]).n == 0


def test_the_quantiles_tell_one_bad_token_from_general_doubt():
    bad = chow_quantiles(np.log([0.9, 0.9, 0.01, 0.9, 0.9]))
    assert (bad.mean, bad.quantiles[5], bad.quantiles[10]) == pytest.approx((1.0, 0.11, 4.6), abs=0.01)
    unsure = chow_quantiles(np.log([0.5] * 5))
    assert unsure.mean == pytest.approx(0.69, abs=0.01)
    np.testing.assert_allclose(unsure.quantiles, math.log(2))
    assert unsure.total == pytest.approx(5 * math.log(2))
    assert unsure.n == 5


def test_no_token_has_no_score_and_says_so():
    found = chow_quantiles([NAN])
    assert found.reason == "The candidate has no scored token."
    assert np.isnan([found.total, found.mean, *found.quantiles]).all()
