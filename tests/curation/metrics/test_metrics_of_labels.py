"""Properties of every measure that takes labels: annotators and values have no order, one of them is no agreement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.metrics import METRICS
from tests.curation.metrics.cases import CASES, ITEMS, drawn, quickly, tolerance_of
from tests.curation.metrics.drawing import ANNOTATORS, NAN, items
from tests.curation.metrics.reading import estimates, figures, same

OF_LABELS = [name for name, case in CASES.items() if case.draw is items]
OF_ITEMS = [name for name in OF_LABELS if METRICS[name].subject in ("project", "pair")]
# Takes a weight for each annotator by their place: who stands elsewhere has another one. Its own test turns both.
BY_PLACE = {"raked_winner_change"}


@pytest.mark.parametrize("name", [name for name in OF_ITEMS if name not in BY_PLACE])
@quickly
@drawn
def test_the_order_of_the_annotators_does_not_matter(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    table, model = case.draw(rng, n)
    same(case.call(table, model), case.call(table[:, rng.permutation(ANNOTATORS)], model), tolerance_of(name))


# CROWDLAB breaks ties between values by their order; a test of its own renames values where nothing is tied.
@pytest.mark.parametrize("name", [name for name in OF_ITEMS if METRICS[name].values == "names" and name != "crowdlab"])
@quickly
@drawn
def test_the_names_of_the_values_do_not_matter(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    table, model = case.draw(rng, n)
    renamed = rng.permutation(3)
    moved = np.where(np.isnan(table), NAN, renamed[np.nan_to_num(table).astype(int)])
    moved_model = np.empty_like(model)
    moved_model[:, renamed] = model
    before, after = figures(case.call(table, model)), figures(case.call(moved, moved_model))
    if before.ndim == 2:
        before, after = np.sort(before, axis=1), np.sort(after, axis=1)
    np.testing.assert_allclose(before, after, atol=max(1e-6, tolerance_of(name)), equal_nan=True)


OF_ANNOTATORS = [name for name in OF_LABELS if METRICS[name].subject == "annotator"]


@pytest.mark.parametrize("name", OF_ANNOTATORS)
@quickly
@drawn
def test_annotators_in_another_order_have_the_same_figures(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    table, model = case.draw(rng, n)
    order = rng.permutation(ANNOTATORS)
    before, after = figures(case.call(table, model)), figures(case.call(table[:, order], model))
    np.testing.assert_allclose(before[order], after, atol=1e-9, equal_nan=True)


# ---- one annotator, one value ---------------------------------------------------------------------------------------

# What two labels of an item are needed for. What one label adds up to is that label, and a majority of one is one.
COMPARING = [
    name for name in OF_LABELS if "agree" in METRICS[name].direction or name in ("agreement_drift", "crowdlab")
]
OF_ONE_LABEL = {"majority_vote", "dawid_skene", "one_coin", "glad", "gold_accuracy", "flip_fraction"}
OF_ONE_LABEL |= {"leave_one_group_out", "raked_winner_change"}


def test_every_measure_of_labels_needs_one_label_or_two():
    assert set(COMPARING) | OF_ONE_LABEL == set(OF_LABELS)
    assert not set(COMPARING) & OF_ONE_LABEL


@pytest.mark.parametrize("name", COMPARING)
@quickly
@drawn
def test_one_annotator_agrees_with_nobody(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    table, model = case.draw(rng, n)
    alone = np.full_like(table, NAN)
    who = rng.integers(ANNOTATORS)
    alone[:, who] = table[:, who]
    found = case.call(alone, model)
    assert np.isnan(figures(found)).all()
    assert all(one.reason for one in estimates(found))


@pytest.mark.parametrize("name", COMPARING)
@quickly
@drawn
def test_items_with_one_label_each_agree_with_nothing(name, seed, n):
    case, rng = CASES[name], np.random.default_rng(seed)
    table, model = case.draw(rng, n)
    apart = np.full_like(table, NAN)
    who = rng.integers(ANNOTATORS, size=n)
    apart[np.arange(n), who] = table[np.arange(n), who]
    found = case.call(apart, model)
    assert np.isnan(figures(found)).all()
    assert all(one.reason for one in estimates(found))


BEYOND_CHANCE = [name for name in COMPARING if "chance is 0" in METRICS[name].unit]


@pytest.mark.parametrize("name", BEYOND_CHANCE)
@quickly
@given(value=st.integers(0, 2), seed=st.integers(0, 2**32 - 1), n=st.integers(1, ITEMS))
def test_one_value_throughout_is_no_agreement_beyond_chance(name, value, seed, n):
    case = CASES[name]
    table, model = case.draw(np.random.default_rng(seed), n)
    found = case.call(np.where(np.isnan(table), NAN, value), model)
    assert np.isnan(found.value)
    assert found.reason


@pytest.mark.parametrize("name", [name for name in COMPARING if name.startswith("percent")])
def test_one_value_throughout_is_agreement_where_chance_is_not_taken_off(name):
    assert CASES[name].call(np.ones((6, ANNOTATORS)), np.full((6, 3), 1 / 3)).value == 1
