"""The simulation finds what was put in: skill, bias and rates, within their standard errors."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from annotation.simulating import (
    Simulated,
    SimulatedJudge,
    answer_in_both_orders,
    badness_of,
    fill_slots,
    say,
    seconds_for_pair,
    session_times,
)

PLAIN = Simulated(
    name="Simulated Plain",
    skill=0.0,
    left_bias=0.0,
    length_bias=0.0,
    tie_width=0.0,
    both_bad_rate=0.0,
    skip_rate=0.0,
    rationale_rate=0.0,
    speed_seconds=60.0,
    seed=1,
)
N = 6000


def share(condition, *, who, difference=0.0, words=0, first_on_left=True, badness=1.0):
    """The share of N draws for which `condition(said)` holds."""
    rng = np.random.default_rng(20)
    draws = (
        say(who=who, difference=difference, words=words, first_on_left=first_on_left, badness=badness, rng=rng)
        for _ in range(N)
    )
    return sum(map(condition, draws)) / N


def prefers_first(said):
    return said.verdict == "prefer" and said.strength > 0


def near(p):
    """Within four standard errors of a share."""
    return pytest.approx(p, abs=4 * (p * (1 - p) / N) ** 0.5)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("who", "case", "logit"),
    [
        (PLAIN, {"difference": 3.0}, 0.0),
        (replace(PLAIN, skill=2.0), {"difference": 1.0}, 2.0),
        (replace(PLAIN, skill=2.0), {"difference": -0.5}, -1.0),
        (replace(PLAIN, left_bias=1.2), {"first_on_left": True}, 1.2),
        (replace(PLAIN, left_bias=1.2), {"first_on_left": False}, -1.2),
        (replace(PLAIN, length_bias=1.5), {"words": 80}, 1.2),
        (replace(PLAIN, length_bias=1.5), {"words": -80}, -1.2),
    ],
)
def test_preference_follows_the_logistic_model(who, case, logit):
    assert share(prefers_first, who=who, **case) == near(sigmoid(logit))


def test_a_leaning_within_the_tie_is_a_tie():
    who = replace(PLAIN, tie_width=0.8)
    assert share(lambda said: said.verdict == "tie", who=who) == near(sigmoid(0.8) - sigmoid(-0.8))


def test_rates_of_skips_and_both_bad():
    who = replace(PLAIN, skip_rate=0.1, both_bad_rate=0.2)
    assert share(lambda said: said.verdict == "skip", who=who) == near(0.1)
    assert share(lambda said: said.verdict == "both_bad", who=who, badness=2.0) == near(0.9 * 0.4)


def test_strength_fits_its_verdict_and_grows_with_the_leaning():
    rng = np.random.default_rng(3)
    who = replace(PLAIN, skill=2.0, tie_width=0.3, skip_rate=0.1, both_bad_rate=0.1)
    allowed: dict[str, set[int | None]] = {
        "prefer": {-3, -2, -1, 1, 2, 3},
        "tie": {0},
        "both_bad": {None},
        "skip": {None},
    }
    for difference in rng.uniform(-2, 2, size=500):
        said = say(who=who, difference=difference, words=0, first_on_left=True, badness=1.0, rng=rng)
        assert said.strength in allowed[said.verdict]
    sure = replace(PLAIN, skill=2.0)
    assert share(lambda said: said.strength == 3, who=sure, difference=3.0) > 0.9
    assert share(lambda said: said.strength == -3, who=sure, difference=-3.0) > 0.9


def test_the_same_seed_says_the_same_and_rates_do_not_shift_later_draws():
    def verdicts(who):
        rng = who.generator()
        return [
            say(who=who, difference=d / 10, words=0, first_on_left=True, badness=1.0, rng=rng) for d in range(-20, 20)
        ]

    who = replace(PLAIN, skill=1.0)
    assert verdicts(who) == verdicts(who)
    skipping = verdicts(replace(who, skip_rate=0.3))
    assert [a for a, b in zip(verdicts(who), skipping, strict=True) if b.verdict != "skip"] == [
        b for b in skipping if b.verdict != "skip"
    ]


def test_badness_is_highest_for_the_worst_and_one_on_average():
    badness = badness_of(np.array([0.5, -1.0, 2.0, 0.0]))
    assert badness.mean() == pytest.approx(1.0)
    assert list(np.argsort(-badness)) == [1, 3, 0, 2]


def test_most_pairs_are_full_and_some_keep_open_slots():
    rng = np.random.default_rng(5)
    filled = [fill_slots(slots=3, open_share=0.4, rng=rng) for _ in range(N)]
    assert set(filled) == {1, 2, 3}
    assert filled.count(3) / N == near(0.6)
    assert fill_slots(slots=1, open_share=1.0, rng=rng) == 0


def test_times_lie_in_order_within_the_days_and_never_after_now():
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    rng = np.random.default_rng(6)
    seconds = [seconds_for_pair(who=PLAIN, rng=rng) for _ in range(100)]
    times = session_times(seconds=seconds, until=now, days=12, per_session=15, rng=rng)
    assert len(times) == 100
    assert times == sorted(times)
    assert times[-1] <= now
    assert times[0] > now - timedelta(days=12, hours=2)
    assert len({moment.date() for moment in times}) > 3
    assert session_times(seconds=[], until=now, days=12, per_session=15, rng=rng) == []


def test_median_time_is_the_annotators_speed():
    rng = np.random.default_rng(7)
    seconds = [seconds_for_pair(who=PLAIN, rng=rng) for _ in range(N)]
    assert np.median(seconds) == pytest.approx(60, rel=0.05)
    assert min(seconds) >= 2


# ---- judges ----------------------------------------------------------------------------------------------------------

JUDGE = SimulatedJudge(
    name="Simulated Judge",
    skill=0.0,
    first_bias=0.0,
    length_bias=0.0,
    decline=3.0,
    wavering=0.0,
    asks=("overall",),
    seed=1,
)


def answers(who, *, leaning=0.0, words=0, applies=True):
    rng = np.random.default_rng(21)
    return np.stack(
        [answer_in_both_orders(who=who, leaning=leaning, words=words, applies=applies, rng=rng) for _ in range(N)]
    )


def test_a_judges_probabilities_add_up_and_without_bias_both_orders_mirror_each_other():
    table = answers(replace(JUDGE, skill=1.0), leaning=0.5)
    assert table.shape == (N, 2, 3)
    assert np.allclose(table.sum(axis=2), 1)
    share_of_a = table[:, :, 0] / table[:, :, :2].sum(axis=2)
    assert np.allclose(share_of_a[:, 0], 1 - share_of_a[:, 1])


@pytest.mark.parametrize(
    ("who", "case", "logit"),
    [
        (JUDGE, {"leaning": 2.0}, 0.0),
        (replace(JUDGE, skill=1.5), {"leaning": 1.0}, 1.5),
        (replace(JUDGE, length_bias=0.6), {"words": -100}, -0.6),
    ],
)
def test_a_judge_prefers_by_skill_and_length(who, case, logit):
    table = answers(who, **case)
    assert np.mean(table[:, 0, 0] > table[:, 0, 1]) == near(sigmoid(logit))


def test_a_judge_that_loves_the_first_place_changes_with_the_order():
    table = answers(replace(JUDGE, first_bias=1.1))
    says_a = table[:, :, 0] > table[:, :, 1]
    # It says A twice where the opinion is weaker than the bias.
    assert np.mean(says_a.all(axis=1)) == near(sigmoid(1.1) - sigmoid(-1.1))
    assert not (~says_a).all(axis=1).any()


def test_a_judge_declines_where_the_question_does_not_apply():
    half = replace(JUDGE, decline=0.8)
    for applies, logit in ((True, -0.8), (False, 0.8)):
        assert np.median(answers(half, applies=applies)[:, :, 2]) == pytest.approx(sigmoid(logit), abs=0.02)
