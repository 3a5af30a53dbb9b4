from __future__ import annotations

import math

import numpy as np
import pytest

from curation.metrics import people
from curation.metrics.estimates import NO_LABELS
from curation.metrics.labels import Labels
from tests.curation.metrics.reading import ends, why

NAN = float("nan")


def reasons(found):
    return [one.reason for one in found]


# ---- agreement with the others --------------------------------------------------------------------------------------


def test_agreement_is_with_the_others_and_never_with_oneself():
    labels = Labels.from_matrix(np.array([[0, 0, 1], [1, 1, 0], [0, 0, NAN]]))
    found = people.leave_one_out_agreement(labels, least=1)
    assert [one.value for one in found] == pytest.approx([2 / 3, 2 / 3, 0])
    assert [one.n for one in found] == [3, 3, 2]


def test_too_few_items_and_nobody_else_are_reasons():
    alone = Labels.from_matrix([[0, NAN, NAN], [1, NAN, NAN]])
    assert reasons(people.leave_one_out_agreement(alone)) == [people.NEVER_MET, NO_LABELS, NO_LABELS]
    few = people.leave_one_out_agreement(Labels.from_matrix([[0, 0]]))
    assert reasons(few) == ["Not enough data: 1 of at least 30 items with others."] * 2
    assert all(math.isnan(one.value) for one in few)
    assert people.leave_one_out_agreement(Labels.from_matrix(np.empty((0, 0)))) == []


def test_a_careless_annotator_stands_out():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, size=(300, 1))
    right = np.array([0.9, 0.9, 0.9, 0.5])
    labels = Labels.from_matrix(np.where(rng.random((300, 4)) < right, truth, 1 - truth))
    found = people.leave_one_out_agreement(labels, rng=np.random.default_rng(0))
    assert ends(found[3])[1] < min(ends(one)[0] for one in found[:3])


def test_judges_are_compared_with_people_and_people_never_with_judges():
    labels = Labels.from_matrix(np.array([[0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 1, 1]]))
    is_person = [True, True, False, False]
    found = people.leave_one_out_agreement(labels, reference=is_person, least=1)
    assert [one.value for one in found] == pytest.approx([2 / 3, 2 / 3, 1 / 6, 1 / 6])
    with pytest.raises(ValueError, match="each of 4 annotators"):
        people.leave_one_out_agreement(labels, reference=[True])


# ---- drift ----------------------------------------------------------------------------------------------------------


def weeks_of(shares, n=60):
    """Two people who judge n items a week; the second one is like the first in so many of them."""
    rng = np.random.default_rng(4)
    first = rng.integers(0, 2, size=n * len(shares))
    same = np.concatenate([np.arange(n) < round(share * n) for share in shares])
    labels = Labels.from_matrix(np.column_stack([first, np.where(same, first, 1 - first)]))
    return labels, np.repeat(np.arange(len(shares)), n)[labels.item]


def test_agreement_that_falls_in_the_last_week_is_a_drift_and_a_steady_one_is_none():
    falling = people.agreement_drift(*weeks_of([0.9, 0.9, 0.9, 0.5]))[1]
    assert falling.value == pytest.approx(-0.4)
    assert ends(falling)[1] < 0
    steady = people.agreement_drift(*weeks_of([0.8, 0.85, 0.8, 0.8]))[1]
    assert ends(steady)[0] < 0 < ends(steady)[1]


def test_few_weeks_and_weeks_of_few_items_are_no_drift():
    assert (
        reasons(people.agreement_drift(*weeks_of([0.9, 0.5, 0.5]))) == ["Not enough data: 3 of at least 4 weeks."] * 2
    )
    assert reasons(people.agreement_drift(*weeks_of([0.9] * 5, n=9))) == [people.NEVER_MET] * 2
    by_week = people.agreement_by_week(*weeks_of([0.9, 0.5], n=20))
    assert [(one.week, one.n, one.mean) for one in by_week[0]] == [(0, 20, 0.9), (1, 20, 0.5)]
    with pytest.raises(ValueError, match="one week for each"):
        people.agreement_drift(weeks_of([0.5])[0], [1])


# ---- gold -----------------------------------------------------------------------------------------------------------


def test_gold_counts_gold_items_only():
    rng = np.random.default_rng(1)
    gold = np.where(np.arange(100) < 40, rng.integers(0, 2, 100), -1)
    mine = np.where(np.arange(100) % 4 == 0, 1 - gold, gold)
    labels = Labels(np.arange(100), np.zeros(100, int), np.clip(mine, 0, 1), np.arange(100), np.arange(2), np.arange(2))
    found = people.gold_accuracy(labels, gold)
    assert (found[0].value, found[0].n) == (0.75, 40)
    assert ends(found[0]) == pytest.approx((0.5981, 0.8581), abs=1e-4)
    assert found[1].reason == people.NO_GOLD
    with pytest.raises(ValueError, match="one gold code"):
        people.gold_accuracy(labels, gold[:3])


def test_nineteen_gold_items_are_not_enough():
    labels = Labels.from_matrix(np.zeros((19, 1)))
    assert people.gold_accuracy(labels, np.zeros(19))[0].reason == "Not enough data: 19 of at least 20 gold items."


# ---- habits ---------------------------------------------------------------------------------------------------------


def test_position_needs_three_hundred_decided_pairs():
    annotator = np.repeat([0, 1, 2], [300, 299, 400])
    left = np.concatenate([np.arange(300) < 180, np.arange(299) < 180, np.arange(400) < 200]).astype(float)
    left[-100:] = NAN
    found = people.left_rate(annotator, left, n_annotators=4)
    assert (found[0].value, found[0].n) == (0.6, 300)
    assert ends(found[0])[0] > 0.5
    assert found[1].reason == "Not enough data: 299 of at least 300 decided pairs."
    assert found[2].n == 300
    assert found[3].reason == people.NO_DECIDED


def test_verdicts_are_rates_of_all_judgements():
    annotator = np.repeat([0, 1], [40, 10])
    verdict = np.array(["tie"] * 10 + ["prefer"] * 25 + ["skip"] * 5 + ["tie"] * 10)
    ties = people.verdict_rate(annotator, verdict, of="tie", n_annotators=2)
    assert (ties[0].value, ties[0].n) == (0.25, 40)
    assert ties[1].reason == "Not enough data: 10 of at least 30 judgements."
    assert people.verdict_rate(annotator, verdict, of="skip", n_annotators=2)[0].value == 0.125
    assert people.verdict_rate([], [], of="skip", n_annotators=1)[0].reason == people.NO_JUDGEMENTS


def test_time_is_a_median_in_seconds():
    time = np.concatenate([np.arange(1, 100) * 1000.0, [1e9, NAN], np.full(3, 5000)])
    annotator = np.repeat([0, 1], [101, 3])
    found = people.active_time(annotator, time, n_annotators=3)
    assert (found[0].value, found[0].n) == (50.5, 100)
    assert found[0].low == pytest.approx(40, abs=2)
    assert found[0].high == pytest.approx(61, abs=2)
    assert found[1].reason == "Not enough data: 3 of at least 10 timed judgements."
    assert found[2].reason == "No judgement of this annotator was timed."


def choices(rng, *, n, slope, offset=0.0):
    ratio = rng.normal(size=n)
    return ratio, (rng.random(n) < 1 / (1 + np.exp(-(offset + slope * ratio)))).astype(float)


def test_planted_slopes_of_length_are_found_again():
    rng = np.random.default_rng(2)
    planted = [0.0, 0.8, -0.5]
    parts = [choices(rng, n=4000, slope=slope, offset=0.3) for slope in planted]
    found = people.length_slope(
        np.repeat([0, 1, 2], 4000), *(np.concatenate(column) for column in zip(*parts, strict=True)), n_annotators=3
    )
    assert [one.value for one in found] == pytest.approx(planted, abs=0.1)
    for one, slope in zip(found, planted, strict=True):
        assert ends(one)[0] < slope < ends(one)[1]
    assert ends(found[0])[0] < 0
    assert ends(found[1])[0] > 0


def test_a_slope_without_an_end_is_undefined_and_says_why():
    ratio = np.linspace(-1, 1, 400)
    who = np.zeros(400, dtype=int)
    assert people.length_slope(who, ratio, (ratio > 0).astype(float), n_annotators=1)[0].reason == people.SEPARATED
    same = people.length_slope(who, np.zeros(400), (ratio > 0).astype(float), n_annotators=1)[0]
    assert same.reason == "All pairs have the same ratio of lengths."
    # An empty candidate has no ratio, an undecided pair no choice.
    ratio[0], chose = np.inf, (np.arange(400) % 2).astype(float)
    chose[1] = NAN
    few = people.length_slope(who, ratio, chose, n_annotators=2)
    assert few[0].n == 398
    assert few[1].reason == people.NO_DECIDED
    (nine,) = people.length_slope(who[:9], ratio[1:10], np.ones(9), n_annotators=1)
    assert why(nine) == "Not enough data: 9 of at least 300 decided pairs."
