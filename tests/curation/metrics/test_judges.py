"""Figures about judges: golden values, judges whose faults are known, and what is undefined."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.agreement import cohen_kappa, percent_agreement
from curation.metrics.estimates import Estimate
from curation.metrics.judges import (
    against_people,
    best_of_n_accuracy,
    contrast_accuracy,
    first_place,
    flip_rate,
    longer,
    option_mass,
    order_consistency,
    pairwise_accuracy,
)

NAN = np.nan


def ends(found: Estimate) -> tuple[float, float]:
    """The interval of a defined estimate."""
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def test_nothing_counted_is_undefined_and_never_zero():
    none = np.full((3, 2), NAN)
    none_at_all = np.zeros(0, dtype=np.int64)
    for found in (
        order_consistency(none),
        first_place(none),
        option_mass(np.zeros((0, 3))),
        longer(none[:, 0], np.ones((3, 2), dtype=np.int64)),
        pairwise_accuracy(np.ones(3), np.array([0, NAN, 0])),
        best_of_n_accuracy(none_at_all, none_at_all, none_at_all, np.zeros(0), np.zeros(0)),
        flip_rate(np.zeros(2), np.zeros(2)),
        contrast_accuracy(np.ones(1), np.array([NAN])),
    ):
        assert not found.is_defined
        assert found.reason is not None
        assert found.reason.endswith(".")


def test_the_options_share_of_the_first_token_is_its_mean_over_answers():
    found = option_mass(np.array([[0.5, 0.2, 0.1], [0, 0, 0], [0.04, 0.01, 0.05]]))
    assert (found.value, found.n) == pytest.approx((0.3, 3))
    assert found.interval is None


def test_consistency_and_places_by_hand():
    # Same candidate twice; A twice; B twice; declined once.
    said = np.array([[1, -1], [1, 1], [-1, -1], [NAN, 1.0]])
    assert (order_consistency(said).value, order_consistency(said).n) == pytest.approx((1 / 3, 3))
    assert (first_place(said).value, first_place(said).n) == pytest.approx((4 / 7, 7))


def test_a_judge_that_loves_a_place_is_found_out():
    rng = np.random.default_rng(3)
    truth = rng.choice([-1.0, 1.0], size=4000)
    # In three of ten answers it says A whatever stands there.
    said = np.where(rng.random((4000, 2)) < 0.3, 1.0, np.column_stack([truth, -truth]))
    place = first_place(said)
    low, high = ends(place)
    assert 0.5 < low < 0.65 < high
    # It errs where the place overrules exactly one order: the truth stands as B there.
    consistency = order_consistency(said)
    low, high = ends(consistency)
    assert low < 0.7 < high


def test_a_judge_that_loves_length_is_found_out():
    lengths = np.array([[10, 20], [30, 20], [5, 5], [1, 2]])
    assert longer(np.array([-1.0, 1, 1, -1]), lengths).value == 1
    assert longer(np.array([-1.0, 1, 1, -1]), lengths).n == 3
    assert longer(np.array([1.0, -1, 1, 0]), lengths).value == 0


@pytest.mark.parametrize("m", [1, 2, 3])
def test_perfect_reversed_and_random_judges(m):
    """Prompts with one best candidate and m losers. Scores of a random judge are drawn for each candidate."""
    rng = np.random.default_rng(m)
    prompts = 3000
    prompt = np.repeat(np.arange(prompts), m)
    best = prompt * (m + 1)
    loser = best + 1 + np.tile(np.arange(m), prompts)
    turned = rng.random(prompts * m) < 0.5
    first, second = np.where(turned, loser, best), np.where(turned, best, loser)
    people = np.where(turned, -1.0, 1.0)
    scores = rng.random(prompts * (m + 1))
    random = np.sign(scores[first] - scores[second])
    assert pairwise_accuracy(people, people).value == 1
    assert pairwise_accuracy(-people, people).value == 0
    assert 0.47 < pairwise_accuracy(random, people).value < 0.53
    if m == 1:
        assert not best_of_n_accuracy(prompt, first, second, people, people).is_defined
        return
    assert best_of_n_accuracy(prompt, first, second, people, people).value == 1
    assert best_of_n_accuracy(prompt, first, second, -people, people).value == 0
    found = best_of_n_accuracy(prompt, first, second, random, people)
    assert found.n == prompts
    low, high = ends(found)
    assert low < 1 / (m + 1) < high


def test_a_best_candidate_must_win_all_of_its_pairs():
    # Candidate 1 beats 2 and loses to 3: nobody is best. Candidate 4 beats 5 and 6; the judge misses one of them.
    prompt = np.array([0, 0, 1, 1])
    first, second = np.array([1, 1, 4, 5]), np.array([2, 3, 5, 6])
    second[3], first[3] = 6, 4
    people = np.array([1.0, -1, 1, 1])
    found = best_of_n_accuracy(prompt, first, second, np.array([1.0, -1, 1, 0]), people)
    assert (found.value, found.n) == (0, 1)


def test_undecided_is_not_right():
    found = pairwise_accuracy(np.array([1.0, 0, NAN, -1]), np.array([1.0, 1, 1, 0]))
    assert (found.value, found.n) == pytest.approx((1 / 3, 3))


def test_agreement_with_people_leaves_out_what_changed_with_the_order():
    labels = against_people(np.array([1.0, -1, NAN, 0, 1]), np.array([1.0, 1, 0, 1, NAN]))
    assert labels.n_items == 3
    assert percent_agreement(labels).value == pytest.approx(2 / 3)
    assert cohen_kappa(labels).value == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))


def test_flips_are_those_to_the_other_side():
    # Flipped; stood; became undecided; was undecided before and does not count.
    found = flip_rate(np.array([1.0, 1, -1, 0]), np.array([-1.0, 1, 0, -1]))
    assert (found.value, found.n) == pytest.approx((1 / 3, 3))


def test_contrast_accuracy_finds_a_known_accuracy():
    rng = np.random.default_rng(4)
    label = rng.choice([-1.0, 1.0], size=5000)
    people = np.where(rng.random(5000) < 0.76, label, -label)
    people[:100] = 0
    found = contrast_accuracy(label, people)
    assert found.n == 4900
    low, high = ends(found)
    assert low < 0.76 < high < low + 0.03
