"""Golden values: METHODS-CORE 5, V6, from the benchmark's own program."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.faithfulness import (
    NO_PROBABILITIES,
    aopc,
    comprehensiveness,
    divergence,
    entropy_change,
    perturbation_effect,
    rationale_gain,
    sufficiency,
)
from tests.curation.metrics.reading import ends

NAN = float("nan")


def test_faithfulness_has_its_golden_values():
    full = [0.9, 0.7]
    assert comprehensiveness(full, [0.4, 0.5]).value == pytest.approx(0.35)
    assert sufficiency(full, [0.85, 0.8]).value == pytest.approx(-0.025)
    assert aopc(full, [[0.8, 0.3], [0.65, 0.1]]).value == pytest.approx(0.3375)
    assert aopc(full, [[0.5, 0.95], [0.4, 0.7]]).value == pytest.approx(0.1625)

    def classes(p):
        return np.column_stack([p, 1 - np.array(p)])

    assert entropy_change(classes(full), classes([0.4, 0.5])).value == pytest.approx(-0.215106, abs=1e-6)
    assert divergence(classes(full), classes([0.4, 0.5])).value == pytest.approx(0.418930, abs=1e-6)
    assert entropy_change(classes(full), classes([0.85, 0.8])).value == pytest.approx(0.006418, abs=1e-6)
    assert divergence(classes(full), classes([0.85, 0.8])).value == pytest.approx(0.018984, abs=1e-6)


def test_what_is_missing_is_left_out_and_nothing_is_undefined():
    assert comprehensiveness([0.9, NAN], [0.5, 0.5]).n == 1
    for found in (comprehensiveness([], []), sufficiency([NAN], [0.5]), aopc([], np.empty((0, 2))), aopc([1], [[]])):
        assert found.reason == NO_PROBABILITIES
    with pytest.raises(ValueError, match="one row of thresholds"):
        aopc([0.5], [0.5])


def test_a_rationale_that_helps_has_a_gain_and_one_that_is_ignored_has_no_effect():
    found = rationale_gain([-1.0, -2.0, NAN], [-3.0, -2.5, -1], rng=np.random.default_rng(0))
    assert (found.value, found.n) == (1.25, 2)
    assert perturbation_effect([0.8, 0.6], [[0.8, 0.8], [0.6, NAN]]).value == 0
    assert perturbation_effect([0.9], [[0.5, 0.3, NAN]]).value == pytest.approx(0.5)
    assert perturbation_effect([0.9], [[NAN]]).reason
    assert rationale_gain([], []).reason


def test_the_interval_of_a_mean_narrows():
    rng = np.random.default_rng(0)
    few, many = (rationale_gain(rng.normal(0.3, 1, size=n), np.zeros(n), rng=rng) for n in (50, 5000))
    for found in (few, many):
        assert ends(found)[0] < found.value < ends(found)[1]
    assert np.ptp(ends(many)) < np.ptp(ends(few)) / 5
