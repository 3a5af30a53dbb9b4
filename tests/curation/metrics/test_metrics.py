"""Properties that every measure of the table has. A new measure enters `CASES`, and inherits these tests."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics import METRICS
from tests.curation.metrics.cases import CASES, GAPS, drawn, every_case, quickly, tolerance_of
from tests.curation.metrics.drawing import take, without
from tests.curation.metrics.reading import estimates, figures, same


def test_every_measure_of_the_table_is_tried():
    assert set(CASES) == set(METRICS)
    assert set(GAPS) == set(METRICS)


@every_case
@quickly
@drawn
def test_the_order_of_the_rows_does_not_matter(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    columns, order = case.draw(rng, n), rng.permutation(n)
    before, after = case.call(*columns), case.call(*take(columns, order))
    if case.per_row:
        np.testing.assert_allclose(
            figures(before)[order], figures(after), atol=tolerance_of(name), rtol=0, equal_nan=True
        )
    else:
        same(before, after, tolerance_of(name))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.doubles])
@quickly
@drawn
def test_every_row_twice_changes_nothing(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    columns = case.draw(rng, n)
    before, after = figures(case.call(*columns)), figures(case.call(*take(columns, [*range(n), *range(n)])))
    # What too few rows leave undefined may be defined by twice as many.
    known = ~np.isnan(np.concatenate([before, before]) if case.per_row else before)
    expected = np.concatenate([before, before]) if case.per_row else before
    np.testing.assert_allclose(after[known], expected[known], atol=1e-6)


@every_case
@quickly
@drawn
def test_values_lie_where_they_should_and_what_is_undefined_says_why(name, seed, n):
    case = CASES[name]
    found = case.call(*case.draw(np.random.default_rng(seed), n))
    known = figures(found)
    known = known[~np.isnan(known)]
    assert (known >= case.low - 1e-9).all()
    assert (known <= case.high + 1e-9).all()
    for one in estimates(found):
        assert bool(np.isnan(figures(one)).all()) == (one.reason is not None)
        assert one.reason is None or one.reason.endswith(".")


@every_case
def test_nothing_at_all_is_undefined_and_never_a_number(name):
    case = CASES[name]
    nothing = take(case.draw(np.random.default_rng(0), 1), [])
    found = case.call(*nothing)
    assert np.isnan(figures(found)).all()
    assert all(one.reason for one in estimates(found))


@pytest.mark.parametrize("name", [name for name, gap in GAPS.items() if isinstance(gap, int)])
@quickly
@drawn
def test_rows_that_are_missing_say_nothing_and_change_nothing(name, seed, n):
    case, gap = CASES[name], GAPS[name]
    columns = case.draw(np.random.default_rng(seed), n)
    before, after = case.call(*columns), case.call(*without(columns, gap, 3))
    if case.per_row:
        assert np.isnan(figures(after)[n:]).all()
        np.testing.assert_allclose(figures(before), figures(after)[:n], atol=tolerance_of(name), rtol=0, equal_nan=True)
    else:
        same(before, after, tolerance_of(name))


@pytest.mark.parametrize("name", [name for name, gap in GAPS.items() if isinstance(gap, int)])
def test_rows_that_are_all_missing_are_undefined(name):
    case, gap = CASES[name], GAPS[name]
    columns = case.draw(np.random.default_rng(0), 1)
    missing = take(without(columns, gap, 6), range(1, 7))
    found = case.call(*missing)
    assert np.isnan(figures(found)).all()
    assert all(one.reason for one in estimates(found))


@every_case
@quickly
@drawn
def test_measuring_changes_none_of_its_input(name, seed, n):
    case = CASES[name]
    columns, copy = (case.draw(np.random.default_rng(seed), n) for _ in range(2))
    case.call(*columns)
    for column, before in zip(columns, copy, strict=True):
        np.testing.assert_equal(column, before)
