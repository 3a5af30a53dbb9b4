from __future__ import annotations

import math

import numpy as np
import pytest

from curation.metrics import representativeness as rep
from curation.metrics.labels import Labels
from tests.curation.metrics.reading import ends

NAN = float("nan")


# ---- distance -------------------------------------------------------------------------------------------------------


def test_the_distance_is_what_would_have_to_be_others():
    found = rep.total_variation({"young": 80, "old": 20}, {"young": 0.35, "old": 0.65})
    assert (found.value, found.n) == pytest.approx((0.45, 100))
    assert rep.total_variation({"a": 1}, {"b": 5}).value == 1
    assert rep.total_variation({"a": 1, "b": 3}, {"b": 30, "a": 10}).value == 0


def test_an_empty_side_is_undefined_and_a_negative_size_refused():
    assert rep.total_variation({}, {"a": 1}).reason == rep.NO_POOL
    assert rep.total_variation({"a": 0}, {"a": 1}).reason == rep.NO_POOL
    assert rep.total_variation({"a": 1}, {}).reason == rep.NO_TARGET
    with pytest.raises(ValueError, match="not negative"):
        rep.total_variation({"a": -1}, {"a": 1})


# ---- groups ---------------------------------------------------------------------------------------------------------


def test_a_group_of_nobody_is_named_as_not_estimable():
    found = rep.group_rates({"young": 60}, {"young": 100}, groups=["young", "old"])
    assert (found[0].rate.value, found[0].rate.n) == (0.6, 100)
    assert found[0].half_width == pytest.approx(0.095, abs=0.001)
    assert found[1].rate.reason == "Not estimable: nobody of the group 'old' decided a pair."
    assert math.isnan(found[1].half_width)
    assert rep.not_estimable({"young": 9}, {"young": 1, "old": 2, "none": 0}) == ["old"]


def test_one_point_takes_9604_judgements():
    (found,) = rep.group_rates({"a": 4802}, {"a": 9604}, groups=["a"])
    assert found.half_width == pytest.approx(0.01, abs=1e-5)


# ---- raking ---------------------------------------------------------------------------------------------------------


def test_raking_recovers_the_population_where_every_cell_is_filled():
    """A pool that is young and northern, of a population that is not; who prefers what follows the groups."""
    rng = np.random.default_rng(0)
    n = 20_000
    age = np.where(rng.random(n) < 0.8, "young", "old")
    place = np.where(rng.random(n) < 0.7, "north", "south")
    rate = 0.2 + 0.4 * (age == "old") + 0.2 * (place == "south")
    preferred = (rng.random(n) < rate).astype(float)
    truth = 0.2 + 0.4 * 0.6 + 0.2 * 0.5
    raked = rep.rake({"age": age, "place": place}, {"age": {"young": 4, "old": 6}, "place": {"north": 1, "south": 1}})
    assert raked.reason is None
    assert raked.weights.mean() == pytest.approx(1)
    assert raked.weights[age == "old"].sum() / n == pytest.approx(0.6)
    assert raked.weights[place == "south"].sum() / n == pytest.approx(0.5)
    found = rep.raked_rate(preferred, raked)
    assert abs(preferred.mean() - truth) > 0.15
    assert found.value == pytest.approx(truth, abs=0.02)
    assert ends(found)[0] < truth < ends(found)[1]
    # Weights cost precision, and the interval says so.
    assert raked.effective_n < 0.7 * n
    assert found.n == n


def test_raking_an_empty_group_is_impossible_and_says_which():
    raked = rep.rake({"age": ["young"] * 5}, {"age": {"young": 1, "old": 1}})
    assert raked.reason == "Not estimable: nobody has the age 'old'."
    assert np.isnan(raked.weights).all()
    assert rep.raked_rate(np.ones(5), raked).reason == raked.reason
    many = {"young": 1, "o" * 60: 1} | {f"g{n}": 1 for n in range(8)}
    assert rep.rake({"age": ["young"] * 5}, {"age": many}).reason == (
        f"Not estimable: nobody has the age '{'o' * 29}…', 'g0' and 7 more."
    )


def test_what_cannot_be_raked_has_its_reason():
    assert "says nothing of the age 'elder'" in (rep.rake({"age": ["elder", "a"]}, {"age": {"a": 1}}).reason or "")
    assert rep.rake({"age": []}, {"age": {"a": 1}}).reason == rep.NO_POOL
    against = rep.rake({"a": ["x", "y"], "b": ["x", "y"]}, {"a": {"x": 1, "y": 3}, "b": {"x": 3, "y": 1}})
    assert "contradict" in (against.reason or "")
    with pytest.raises(ValueError, match="Every attribute has a target"):
        rep.rake({"age": ["a"]}, {"place": {"a": 1}})


def test_a_pool_like_the_population_keeps_its_rate():
    raked = rep.rake({"age": ["a", "b", "a", "b"]}, {"age": {"a": 1, "b": 1}})
    np.testing.assert_allclose(raked.weights, 1)
    found = rep.raked_rate([1, 0, 1, NAN], raked)
    assert (found.value, found.n) == pytest.approx((2 / 3, 3))
    assert rep.raked_rate([NAN] * 4, raked).reason == "Nobody decided."
    with pytest.raises(ValueError, match="one preference"):
        rep.raked_rate([1], raked)


def test_the_design_effect_is_kishs():
    raked = rep.rake({"age": ["a"] * 8 + ["b"] * 2}, {"age": {"a": 1, "b": 1}})
    # Weights .625 and 2.5: 10 (8 .625^2 + 2 2.5^2) / 10^2.
    assert raked.design_effect == pytest.approx(10 * (8 * 0.625**2 + 2 * 2.5**2) / 100)
    assert rep.rake({"age": ["a", "b"]}, {"age": {"a": 1, "b": 1}}).design_effect == pytest.approx(1)


def test_a_majority_that_the_weights_turn_is_counted_and_a_tie_is_a_change():
    labels = Labels.from_matrix(np.array([[0, 0, 1], [0, 0, 0], [1, 0, 1], [0, 1, NAN], [0, 1, 1]]))
    found = rep.raked_winner_change(labels, [0.5, 0.5, 2.0])
    # Of four clear ones the first turns; the tie is none.
    assert (found.value, found.n) == (0.25, 4)
    # Half and half against one: tied.
    assert rep.raked_winner_change(labels, [0.5, 0.5, 1.0]).value == 0.25
    # Without the third, the first two disagree on the others.
    alone = rep.raked_winner_change(labels, [1.0, 1.0, NAN])
    assert (alone.value, alone.n) == (0, 2)
    assert rep.raked_winner_change(labels, [NAN] * 3).reason
    turned = Labels.from_matrix(np.array([[1, 0, 0], [0, 0, 0], [1, 1, 0], [NAN, 0, 1], [1, 0, 1]]))
    assert rep.raked_winner_change(turned, [2.0, 0.5, 0.5]).value == found.value
    with pytest.raises(ValueError, match="one weight for each of 3"):
        rep.raked_winner_change(labels, [1.0])


# ---- how firmly labels stand ----------------------------------------------------------------------------------------


def test_the_winner_falls_when_half_of_its_lead_changes_sides():
    labels = Labels.from_counts([[3, 0], [2, 1], [2, 2], [5, 1], [0, 0], [1, 0]])
    np.testing.assert_allclose(rep.flip_fraction(labels), [2 / 3, 1 / 3, 0, 2 / 6, NAN, 1])
    assert np.isnan(rep.flip_fraction(Labels.from_matrix([[NAN]]))).all()


def test_a_group_that_decides_is_found():
    # Two of group a against one of b on the first five items; all agree on the others.
    table = [[0, 0, 1]] * 5 + [[1, 1, 1]] * 15
    found = rep.leave_one_group_out(Labels.from_matrix(table), ["a", "a", "b"])
    assert (found["a"].value, found["a"].n) == (0.25, 20)
    assert found["b"].value == 0
    alone = rep.leave_one_group_out(Labels.from_matrix([[0, 1]]), ["a", "b"])
    assert alone["a"].reason == "No item with a clear majority has a label of this group."
    with pytest.raises(ValueError, match="one group"):
        rep.leave_one_group_out(Labels.from_matrix([[0, 1]]), ["a"])
