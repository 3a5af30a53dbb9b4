"""What machine reasons change: against planted truth, by hand, and where there is not enough to say anything."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curation.metrics import anchoring
from curation.metrics.estimates import Estimate


def cases(rng, n, *, offered, control, share=0.2):
    """What happened in n cases with planted chances, and the drawn arm."""
    is_control = rng.random(n) < share
    return (rng.random(n) < np.where(is_control, control, offered)).astype(float), is_control


def bounds(one: Estimate) -> tuple[float, float]:
    """The interval, which must be there."""
    assert one.interval is not None
    return one.interval


def test_a_planted_effect_is_found_and_covered():
    """Of 400 projects in which .15 more judgements are changed, the interval holds .15 in about 95 %."""
    rng = np.random.default_rng(20261121)
    found = [anchoring.revision_effect(*cases(rng, 600, offered=0.25, control=0.1)) for _ in range(400)]
    values = np.array([one.value for one in found])
    # The standard error of a mean of 400 such differences is about .0017.
    assert values.mean() == pytest.approx(0.15, abs=0.006)
    held = sum(low <= 0.15 <= high for low, high in map(bounds, found))
    assert 366 <= held <= 396  # 95 % of 400 within three standard deviations.
    # An effect of four standard errors is seen in nearly every project.
    assert sum(low > 0 for low, _ in map(bounds, found)) > 380


def test_no_effect_is_seldom_seen():
    rng = np.random.default_rng(7)
    found = [anchoring.agreement_effect(*cases(rng, 400, offered=0.7, control=0.7)) for _ in range(400)]
    seen = sum(not low <= 0 <= high for low, high in map(bounds, found))
    assert seen <= 36  # 5 % of 400, and three standard deviations.


def test_a_planted_difference_of_lengths_is_found_and_covered():
    """Own reasons are 30 characters shorter where a reason was offered; many are empty."""
    rng = np.random.default_rng(3)

    def one():
        is_control = rng.random(500) < 0.3
        length = np.where(rng.random(500) < 0.4, 0.0, rng.gamma(4, 50, size=500) + np.where(is_control, 50.0, 0.0))
        return anchoring.reason_effect(length, is_control, rng=rng, resamples=300)

    found = [one() for _ in range(150)]
    assert np.mean([each.value for each in found]) == pytest.approx(-30, abs=3.5)
    held = sum(each.low <= -30 <= each.high for each in found)
    assert 134 <= held <= 150


def test_by_hand():
    """20 of 80 against 5 of 50: .25 and .1, with Newcombe's interval."""
    happened = np.array([1.0] * 20 + [0.0] * 60 + [1.0] * 5 + [0.0] * 45)
    is_control = np.array([False] * 80 + [True] * 50)
    arms = anchoring.shares(happened, is_control)
    assert (arms.offered.value, arms.control.value) == (0.25, 0.1)
    assert (arms.offered.n, arms.control.n) == (80, 50)
    effect = anchoring.revision_effect(happened, is_control)
    assert effect.value == pytest.approx(0.15)
    (offered_low, offered_high), (control_low, control_high) = bounds(arms.offered), bounds(arms.control)
    low = 0.15 - math.hypot(0.25 - offered_low, control_high - 0.1)
    high = 0.15 + math.hypot(offered_high - 0.25, 0.1 - control_low)
    assert effect.low == pytest.approx(low)
    assert effect.high == pytest.approx(high)
    assert effect.n == 50


@pytest.mark.parametrize(
    ("offered", "control", "reason"),
    [
        (40, 12, "Not enough data: 12 of at least 30 cases in the arm control."),
        (12, 40, "Not enough data: 12 of at least 30 cases in the arm offered."),
        (40, 0, "There is no case in this arm."),
        (0, 0, "There is no case in this arm."),
    ],
)
def test_below_the_least_number_nothing_is_said(offered, control, reason):
    is_control = np.array([False] * offered + [True] * control)
    for effect in (
        anchoring.revision_effect(np.zeros(len(is_control)), is_control),
        anchoring.reason_effect(np.zeros(len(is_control)), is_control, rng=np.random.default_rng(0)),
    ):
        assert effect.reason == reason
        assert math.isnan(effect.value)


def test_what_could_not_happen_is_in_neither_arm():
    rng = np.random.default_rng(0)
    happened, is_control = cases(rng, 300, offered=0.5, control=0.5, share=0.5)
    holed = happened.copy()
    holed[::3] = np.nan
    kept = ~np.isnan(holed)
    assert anchoring.agreement_effect(holed, is_control) == anchoring.agreement_effect(happened[kept], is_control[kept])


def test_arms_and_values_belong_together():
    with pytest.raises(ValueError, match="one arm for each case"):
        anchoring.shares([1.0, 0.0], [True])


def test_reactions():
    choice = ["accepted"] * 12 + ["edited"] * 6 + ["rejected"] * 6
    rates = {one: anchoring.reaction_rate(choice, of=one).value for one in ("accepted", "edited", "rejected")}
    assert rates == {"accepted": 0.5, "edited": 0.25, "rejected": 0.25}
    assert anchoring.reaction_rate(choice[:19], of="accepted").reason == "Not enough data: 19 of at least 20 reactions."
    assert anchoring.edit_size([0.1, 0.3]).value == pytest.approx(0.2)
    assert anchoring.edit_size([]).reason == anchoring.NO_EDITS


def test_the_share_of_readers_who_agree():
    found = anchoring.agreed_share([0, 0, 0, 2], [True, True, False, False], n_rationales=3)
    assert [one.n for one in found] == [3, 0, 1]
    assert found[0].value == pytest.approx(2 / 3)
    assert found[1].reason == "Nobody was shown it."
    assert found[2].value == 0
