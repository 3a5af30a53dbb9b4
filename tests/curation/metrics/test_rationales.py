"""Golden values: METHODS-CORE 5, V5 and V5b, from the benchmark's own program."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.rationales import auprc, eraser_auprc

SOFT = ([[1, 1, 0, 0, 0], [0, 1, 0, 1]], [[0.9, 0.8, 0.3, 0.2, 0.7], [0.1, 0.6, 0.4, 0.35]])


def test_soft_scores_have_their_golden_area():
    assert auprc(*SOFT).value == pytest.approx(0.895833, abs=1e-6)
    assert eraser_auprc(*SOFT).value == pytest.approx(0.895833, abs=1e-6)


def test_a_text_without_a_marked_token_counts_half_in_the_benchmark_and_nothing_here():
    nothing = [[0, 0, 0]], [[0.1, 0.2, 0.3]]
    assert eraser_auprc(*nothing).value == pytest.approx(0.5)
    assert auprc(*nothing).reason == "No text has marked and unmarked tokens."
    truth, scores = [*SOFT[0], *nothing[0]], [*SOFT[1], *nothing[1]]
    assert auprc(truth, scores) == auprc(*SOFT)
    assert eraser_auprc(truth, scores).value < auprc(truth, scores).value


def test_the_area_is_that_of_its_definition():
    """One threshold after the other; equal scores share one."""
    rng = np.random.default_rng(3)
    truth, scores = (rng.random(60) < 0.3).astype(int), rng.integers(0, 9, size=60) / 9
    area, recall, precision = 0.0, 0.0, 1.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = truth[scores >= threshold]
        area += (found.sum() / truth.sum() - recall) * (found.mean() + precision) / 2
        recall, precision = found.sum() / truth.sum(), found.mean()
    assert auprc([truth], [scores]).value == pytest.approx(area)


def test_every_token_needs_a_score():
    with pytest.raises(ValueError, match="one score for each token"):
        auprc([[1, 0]], [[0.5]])
