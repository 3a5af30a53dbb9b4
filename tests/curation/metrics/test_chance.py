"""Golden values come from irrCAC, on the ten items of METHODS-CORE 7.3."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.agreement import brennan_prediger, cohen_kappa, conger_kappa, fleiss_kappa, gwet_ac1
from curation.metrics.estimates import NO_OVERLAP, ONE_VALUE
from curation.metrics.labels import Labels
from tests.curation.metrics.reading import ends

NAN = float("nan")
ROWS = ["000", "001", "111", "1.1", "010", "110", "22.", "000", "111", "020"]
M = [[NAN if cell == "." else float(cell) for cell in row] for row in ROWS]
COMPLETE = [row for row in M if not np.isnan(row).any()]


def test_ac1_has_its_golden_value():
    found = gwet_ac1(Labels.from_matrix(M), rng=np.random.default_rng(0))
    assert found.value == pytest.approx(0.61722, abs=5e-6)
    assert found.n == 10
    # irrCAC's interval by a formula, on ten items: .267 to .968.
    assert ends(found) == pytest.approx((0.267, 0.968), abs=0.12)
    # irrCAC 0.4.4 takes a missing label for a fourth value, unless it is told the three.
    assert gwet_ac1(Labels.from_matrix(M), n_values=4).value == pytest.approx(0.66574, abs=5e-6)


def test_ac1_cannot_have_fewer_values_than_were_given():
    with pytest.raises(ValueError, match="3 different values"):
        gwet_ac1(Labels.from_matrix(M), n_values=2)


def test_ac1_does_not_collapse_where_nearly_all_labels_are_the_same():
    """The paradox that it was made for: 118 of 125 items agree, and kappa is below 0."""
    labels = Labels.from_counts([[2, 0]] * 118 + [[1, 1]] * 7)
    assert gwet_ac1(labels).value == pytest.approx(0.9408, abs=1e-4)
    assert fleiss_kappa(labels).value < 0


def test_brennan_and_prediger_have_their_golden_values():
    assert brennan_prediger(Labels.from_matrix(COMPLETE)).value == pytest.approx(0.5), "Randolph's, of complete items."
    # irrCAC takes a missing label for a fourth value here too.
    assert brennan_prediger(Labels.from_matrix(M), n_values=4).value == pytest.approx(0.64444, abs=5e-6)
    found = brennan_prediger(Labels.from_matrix(M), rng=np.random.default_rng(0))
    assert found.value == pytest.approx(0.6)
    assert found.n == 10
    low, high = ends(found)
    assert low < 0.6 < high


def test_brennan_and_prediger_cannot_have_fewer_values_than_were_given():
    with pytest.raises(ValueError, match="3 different values"):
        brennan_prediger(Labels.from_matrix(M), n_values=2)


def test_guessing_is_0_for_brennan_and_prediger():
    rng = np.random.default_rng(2)
    found = brennan_prediger(Labels.from_matrix(rng.integers(0, 4, size=(4000, 3)).astype(float)))
    assert found.value == pytest.approx(0, abs=0.02)


def test_conger_has_its_golden_value():
    found = conger_kappa(Labels.from_matrix(M))
    assert found.value == pytest.approx(0.55433, abs=5e-6)
    assert found.n == 10


def test_of_two_annotators_on_complete_items_conger_is_cohen():
    labels = Labels.from_matrix(np.random.default_rng(3).integers(0, 3, size=(60, 2)).astype(float))
    assert conger_kappa(labels).value == pytest.approx(cohen_kappa(labels).value)


def test_annotators_of_one_habit_make_conger_fleiss():
    """With the same share of every value from everybody the variance is 0, and chance that of all labels together."""
    table = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 0, 0], [1, 1, 1], [2, 2, 2]], dtype=float)
    labels = Labels.from_matrix(table)
    assert conger_kappa(labels).value == pytest.approx(fleiss_kappa(labels).value)


@pytest.mark.parametrize("measure", [gwet_ac1, brennan_prediger, conger_kappa])
def test_one_value_and_single_labels_have_reasons(measure):
    assert measure(Labels.from_matrix([[1, 1], [1, 1]])).reason == ONE_VALUE
    assert measure(Labels.from_matrix([[1, NAN], [NAN, 0]])).reason == NO_OVERLAP
