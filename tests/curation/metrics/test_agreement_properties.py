"""Properties of the measures of agreement; a new one inherits these tests by entering their table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.metrics.agreement import METRICS as AGREEMENT
from curation.metrics.estimates import Estimate
from curation.metrics.labels import Labels

NAMES = np.array(["first", "second", "tie", "both_bad"])
NUMBERS = np.array([-2.0, -1.0, 0.0, 3.0])

cells = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 4), st.integers(0, 3)), max_size=30, unique_by=lambda cell: cell[:2]
)
every_metric = pytest.mark.parametrize("name", AGREEMENT)


def labels_of(rows, name, *, n_items=8, n_annotators=5):
    item, annotator, value = (
        (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)) if rows else [np.empty(0, int)] * 3
    )
    values = NAMES if AGREEMENT[name].values == "names" else NUMBERS
    return Labels(item, annotator, value, np.arange(n_items), np.arange(n_annotators), values)


def figures(found):
    """What a measure found as numbers, undefined as nan."""
    return np.array([found.value]) if isinstance(found, Estimate) else np.asarray(found)


def same(one, other):
    np.testing.assert_allclose(figures(one), figures(other), atol=1e-9, equal_nan=True)


@every_metric
@settings(max_examples=25, deadline=None)
@given(rows=cells, seed=st.integers(0, 1000))
def test_the_order_of_the_labels_does_not_matter(name, rows, seed):
    order = np.random.default_rng(seed).permutation(len(rows))
    measure = AGREEMENT[name].function
    same(measure(labels_of(rows, name)), measure(labels_of([rows[place] for place in order], name)))


@every_metric
@settings(max_examples=25, deadline=None)
@given(rows=cells, seed=st.integers(0, 1000))
def test_renaming_items_does_not_matter(name, rows, seed):
    renamed = np.random.default_rng(seed).permutation(8)
    measure = AGREEMENT[name].function
    before = measure(labels_of(rows, name))
    after = measure(labels_of([(int(renamed[item]), annotator, value) for item, annotator, value in rows], name))
    same(before, after if isinstance(after, Estimate) else after[renamed])


@pytest.mark.parametrize("name", [name for name, metric in AGREEMENT.items() if metric.subject != "two annotators"])
@settings(max_examples=25, deadline=None)
@given(rows=cells, seed=st.integers(0, 1000))
def test_renaming_annotators_does_not_matter(name, rows, seed):
    renamed = np.random.default_rng(seed).permutation(5)
    measure = AGREEMENT[name].function
    moved = [(item, int(renamed[annotator]), value) for item, annotator, value in rows]
    same(measure(labels_of(rows, name)), measure(labels_of(moved, name)))


@pytest.mark.parametrize("name", [name for name, metric in AGREEMENT.items() if metric.subject != "pair"])
@settings(max_examples=25, deadline=None)
@given(rows=cells)
def test_a_value_is_in_range_and_undefined_has_a_reason(name, rows):
    found = AGREEMENT[name].function(labels_of(rows, name))
    if math.isnan(found.value):
        assert found.reason
    else:
        assert found.reason is None
        assert found.value <= 1 + 1e-12
        assert found.n > 0


@pytest.mark.parametrize("name", [name for name, metric in AGREEMENT.items() if metric.subject != "pair"])
@pytest.mark.parametrize(
    "rows",
    [[], [(0, 0, 1)], [(0, 0, 1), (1, 1, 2)], [(0, 0, 1), (1, 0, 2), (2, 0, 1)]],
    ids=["nothing", "one", "apart", "alone"],
)
def test_too_little_is_undefined_and_never_0_or_1(name, rows):
    found = AGREEMENT[name].function(labels_of(rows, name))
    assert math.isnan(found.value)
    assert found.reason


@pytest.mark.parametrize("name", [name for name, metric in AGREEMENT.items() if metric.subject != "pair"])
def test_full_agreement_on_different_values_is_1(name):
    rows = [(item, annotator, item % 2) for item in range(8) for annotator in range(5)]
    assert AGREEMENT[name].function(labels_of(rows, name)).value == pytest.approx(1)


@every_metric
def test_more_disagreement_moves_every_measure_in_its_direction(name):
    agreed = [(item, annotator, item % 2) for item in range(8) for annotator in range(2)]
    dissent = [(item, annotator, (item + (annotator and item % 3 == 0)) % 2) for item, annotator, _ in agreed]
    measure = AGREEMENT[name].function
    before = np.nanmean(figures(measure(labels_of(agreed, name))))
    after = np.nanmean(figures(measure(labels_of(dissent, name))))
    assert (after < before) == (AGREEMENT[name].direction == "higher is more agreement")


@pytest.mark.parametrize(
    "name",
    ["alpha_nominal", "percent_agreement", "cohen_kappa", "fleiss_kappa", "gwet_ac1", "item_agreement", "item_entropy"],
)
@settings(max_examples=25, deadline=None)
@given(rows=cells, seed=st.integers(0, 1000))
def test_names_have_no_order(name, rows, seed):
    renamed = np.random.default_rng(seed).permutation(4)
    measure = AGREEMENT[name].function
    moved = [(item, annotator, int(renamed[value])) for item, annotator, value in rows]
    same(measure(labels_of(rows, name)), measure(labels_of(moved, name)))


@settings(max_examples=25, deadline=None)
@given(rows=cells, shift=st.floats(-5, 5), factor=st.floats(0.1, 10))
def test_alpha_of_intervals_has_no_zero_and_no_unit(rows, shift, factor):
    measure = AGREEMENT["alpha_interval"].function
    labels = labels_of(rows, "alpha_interval")
    moved = Labels(
        labels.item, labels.annotator, labels.value, labels.items, labels.annotators, NUMBERS * factor + shift
    )
    same(measure(labels), measure(moved))


@settings(max_examples=25, deadline=None)
@given(rows=cells)
def test_alpha_of_ranks_knows_the_order_alone(rows):
    measure = AGREEMENT["alpha_ordinal"].function
    labels = labels_of(rows, "alpha_ordinal")
    stretched = Labels(labels.item, labels.annotator, labels.value, labels.items, labels.annotators, np.exp(NUMBERS))
    same(measure(labels), measure(stretched))
