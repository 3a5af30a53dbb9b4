from __future__ import annotations

import numpy as np
import pytest

from curation.budgeting import LEAST_MEASURED, advice, curve, learned, sizes_up_to
from curation.spread import greedy


@pytest.fixture
def found():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(200, 10)).astype(np.float32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return curve(points, greedy(points, budget=200), rng=rng), points


def test_the_curve_ends_with_everything_and_by_gain_is_never_below_chance(found):
    drawn, _ = found
    last = drawn.points[-1]
    assert (last.pairs, last.share, last.by_chance) == (200, pytest.approx(1), pytest.approx(1))
    shares = [one.share for one in drawn.points]
    assert shares == sorted(shares)
    assert all(one.share >= one.by_chance - 0.02 for one in drawn.points)


def test_enough_is_the_least_number_that_holds_the_share(found):
    drawn, points = found
    taken = greedy(points, budget=200)
    held = np.cumsum(taken.gains) / taken.gains.sum()
    for share, pairs in drawn.enough:
        assert held[pairs - 1] >= share - 1e-6 > held[pairs - 2] - 2e-6
    assert [share for share, _ in drawn.enough] == [0.8, 0.9, 0.95]


def test_sizes_ascend_to_the_last_and_lie_closer_where_they_are_small():
    for count in (1, 2, 7, 100, 5000):
        sizes = sizes_up_to(count)
        assert sizes == sorted(set(sizes))
        assert (sizes[0], sizes[-1]) == (1 if count < 800 else sizes[0], count)
    assert sizes_up_to(0) == []


def test_a_power_law_is_found_again():
    truth = {size: 0.8 - 2 * size**-0.4 for size in (100, 300, 1000, 3000, 10000)}
    fitted = learned(truth)
    assert fitted is not None
    assert fitted.limit == pytest.approx(0.8, abs=0.01)
    assert fitted.at(30000) == pytest.approx(0.8 - 2 * 30000**-0.4, abs=0.003)
    assert fitted.error < 1e-3
    assert learned(dict(list(truth.items())[: LEAST_MEASURED - 1])) is None


def test_advice_says_what_the_budget_holds_and_what_scores_say_of_it(found):
    drawn, _ = found
    text = " ".join(advice(drawn, budget=50, measured={}))
    pairs = dict(drawn.enough)[0.9]
    assert f"{pairs} pairs hold 90 %" in text
    assert "50 by gain hold about" in text
    assert "budget" not in advice(drawn, budget=0, measured={})[0]
    scored = advice(drawn, budget=50, measured={10: 0.5, 20: 0.55, 40: 0.58, 80: 0.6})[-1]
    assert "50 pairs would reach 0.5" in scored
    assert "all 200 would reach 0.6" in scored
    assert "4 sizes at least" in advice(drawn, budget=50, measured={10: 0.5})[-1]
    assert "do not rise" in advice(drawn, budget=50, measured={10: 0.6, 20: 0.58, 40: 0.55, 80: 0.5})[-1]


def test_pairs_that_do_not_differ_make_no_curve():
    points = np.zeros((5, 3), dtype=np.float32)
    drawn = curve(points, greedy(points, budget=5), rng=np.random.default_rng(0))
    assert drawn.points == []
    assert "No two pairs differ" in advice(drawn, budget=2, measured={})[0]
