"""Properties of every measure of principle votes: sides, principles and scales of weights have no names."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.discretion import (
    CATEGORIES,
    arbitrariness,
    categorise,
    category_share,
    discrepancy,
    majority_of_votes,
    priorities,
    rows,
    supremacy,
)
from tests.curation.metrics.cases import drawn, quickly
from tests.curation.metrics.drawing import PRINCIPLES, votes


@quickly
@drawn
def test_turning_every_pair_round_changes_nothing(seed, n):
    table, preferences = votes(np.random.default_rng(seed), n)
    assert categorise(-table).tolist() == categorise(table).tolist()
    np.testing.assert_equal(rows(-table).direction, -rows(table).direction)
    assert arbitrariness(-table, -preferences) == arbitrariness(table, preferences)
    for before, after in zip(supremacy(table, preferences), supremacy(-table, -preferences), strict=True):
        np.testing.assert_array_equal(before, after)


@quickly
@drawn
def test_an_annotator_who_says_the_opposite_is_as_arbitrary_as_the_other_is_not(seed, n):
    table, preferences = votes(np.random.default_rng(seed), n)
    one, other = arbitrariness(table, preferences), arbitrariness(table, -preferences)
    assert one.n == other.n
    assert one.reason == other.reason
    if one.is_defined:
        assert one.value + other.value == pytest.approx(1)
    found, turned = supremacy(table, preferences), supremacy(table, -preferences)
    np.testing.assert_allclose(found.ps + turned.ps, np.where(found.n > 0, 1, np.nan))


@quickly
@drawn
def test_the_order_of_the_principles_does_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    table, preferences = votes(rng, n)
    order = rng.permutation(PRINCIPLES)
    assert categorise(table[:, order]).tolist() == categorise(table).tolist()
    assert arbitrariness(table[:, order], preferences) == arbitrariness(table, preferences)
    found, moved = supremacy(table, preferences), supremacy(table[:, order], preferences)
    np.testing.assert_array_equal(moved.n, found.n[np.ix_(order, order)])
    np.testing.assert_array_equal(moved.ps, found.ps[np.ix_(order, order)])
    np.testing.assert_allclose(priorities(*moved), priorities(*found)[order], atol=1e-7, equal_nan=True)


@quickly
@drawn
def test_the_shares_of_the_categories_add_up(seed, n):
    table, _ = votes(np.random.default_rng(seed), n)
    assert sum(category_share(table, category=one).value for one in CATEGORIES) == pytest.approx(1)


@quickly
@drawn
def test_supremacy_of_two_principles_adds_up_and_is_of_as_many_rows_either_way(seed, n):
    found = supremacy(*votes(np.random.default_rng(seed), n))
    np.testing.assert_array_equal(found.n, found.n.T)
    assert not found.n.diagonal().any()
    np.testing.assert_allclose((found.ps + found.ps.T)[found.n > 0], 1)
    np.testing.assert_array_equal(np.isnan(found.ps), found.n == 0)


@quickly
@drawn
def test_only_the_order_of_the_weights_counts(seed, n):
    rng = np.random.default_rng(seed)
    one, other = rng.normal(size=n + 1), rng.normal(size=n + 1)
    assert discrepancy(np.exp(one), 3 * other - 7) == discrepancy(one, other)
    assert discrepancy(other, one) == discrepancy(one, other)
    assert discrepancy(one, one).value == 0
    assert discrepancy(one, -one).value == 1
    assert discrepancy(one, -other).value == pytest.approx(1 - discrepancy(one, other).value)


@quickly
@drawn
def test_one_voter_is_the_majority_and_the_order_of_voters_does_not_matter(seed, n):
    rng = np.random.default_rng(seed)
    table, _ = votes(rng, n)
    row, principle = (axis.ravel() for axis in np.indices(table.shape))
    size = {"n_rows": n, "n_principles": PRINCIPLES}
    np.testing.assert_array_equal(majority_of_votes(row, principle, table.ravel(), **size), table)
    several = votes(rng, n)[0], votes(rng, n)[0], table
    columns = np.tile(row, 3), np.tile(principle, 3), np.concatenate([one.ravel() for one in several])
    order = rng.permutation(3 * table.size)
    np.testing.assert_array_equal(
        majority_of_votes(*columns, **size), majority_of_votes(*(one[order] for one in columns), **size)
    )
