"""Golden values: METHODS-CORE 5, V5 and V5b, from the benchmark's own program."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.rationales import auprc, average_precision, eraser_auprc, roc_auc
from curation.metrics.soft_scores import ONE_KIND
from tests.curation.metrics.reading import ends

SOFT = ([[1, 1, 0, 0, 0], [0, 1, 0, 1]], [[0.9, 0.8, 0.3, 0.2, 0.7], [0.1, 0.6, 0.4, 0.35]])
NOTHING = [[0, 0, 0]], [[0.1, 0.2, 0.3]]
EVERYTHING = [[1, 1]], [[0.1, 0.2]]
OF_BOTH_KINDS = [auprc, average_precision, roc_auc]


@pytest.mark.parametrize(
    ("measure", "value"),
    [(auprc, 0.895833), (eraser_auprc, 0.895833), (average_precision, 0.916667), (roc_auc, 0.875)],
)
def test_soft_scores_have_their_golden_values(measure, value):
    found = measure(*SOFT)
    assert found.value == pytest.approx(value, abs=1e-6)
    assert found.n == 2


def test_a_text_without_a_marked_token_counts_half_in_the_benchmark_and_nothing_here():
    assert eraser_auprc(*NOTHING).value == pytest.approx(0.5)
    assert auprc(*NOTHING).reason == ONE_KIND
    truth, scores = [*SOFT[0], *NOTHING[0]], [*SOFT[1], *NOTHING[1]]
    assert auprc(truth, scores) == auprc(*SOFT)
    assert eraser_auprc(truth, scores).value < auprc(truth, scores).value


@pytest.mark.parametrize("measure", OF_BOTH_KINDS)
@pytest.mark.parametrize("texts", [NOTHING, EVERYTHING, ([], []), ([[]], [[]])])
def test_texts_of_one_kind_of_token_say_nothing(measure, texts):
    assert measure(*texts).reason == ONE_KIND
    truth, scores = [*SOFT[0], *texts[0]], [*SOFT[1], *texts[1]]
    assert measure(truth, scores) == measure(*SOFT)


def drawn(seed):
    """A text of sixty tokens with many equal scores."""
    rng = np.random.default_rng(seed)
    return (rng.random(60) < 0.3).astype(int), rng.integers(0, 9, size=60) / 9


@pytest.mark.parametrize("seed", range(4))
def test_the_areas_under_precision_are_those_of_their_definition(seed):
    """One threshold after the other; equal scores share one."""
    truth, scores = drawn(seed)
    lines, steps, recall, precision = 0.0, 0.0, 0.0, 1.0
    for threshold in sorted(set(scores.tolist()), reverse=True):
        found = truth[scores >= threshold]
        gained = found.sum() / truth.sum() - recall
        lines += gained * (found.mean() + precision) / 2
        steps += gained * found.mean()
        recall, precision = found.sum() / truth.sum(), found.mean()
    assert auprc([truth], [scores]).value == pytest.approx(lines)
    assert average_precision([truth], [scores]).value == pytest.approx(steps)


@pytest.mark.parametrize("seed", range(4))
def test_a_marked_token_is_above_an_unmarked_one_as_often_as_counting_says(seed):
    truth, scores = drawn(seed)
    marked, unmarked = scores[truth == 1][:, None], scores[truth == 0][None, :]
    counted = ((marked > unmarked) + (marked == unmarked) / 2).mean()
    assert roc_auc([truth], [scores]).value == pytest.approx(counted)


def test_perfect_scores_give_1_reversed_ones_0_and_equal_ones_chance():
    truth = [[1, 0, 0, 1, 0]]
    right = [[0.9, 0.1, 0.2, 0.8, 0.3]]
    assert [measure(truth, right).value for measure in OF_BOTH_KINDS] == [1, 1, 1]
    assert roc_auc(truth, [[1 - one for one in right[0]]]).value == 0
    same = [[0.4] * 5]
    assert roc_auc(truth, same).value == 0.5
    # Steps: the share of marked tokens. Straight lines begin at precision 1.
    assert average_precision(truth, same).value == pytest.approx(0.4)
    assert auprc(truth, same).value == pytest.approx(0.7)


@pytest.mark.parametrize("measure", OF_BOTH_KINDS)
def test_only_the_order_of_the_scores_counts(measure):
    truth, scores = drawn(0)
    assert measure([truth], [np.exp(5 * scores) - 7]) == measure([truth], [scores])


@pytest.mark.parametrize("measure", OF_BOTH_KINDS)
def test_the_interval_is_that_of_texts(measure):
    texts = [drawn(seed) for seed in range(30)]
    truth, scores = [one[0] for one in texts], [one[1] for one in texts]
    found = measure(truth, scores, rng=np.random.default_rng(0))
    low, high = ends(found)
    assert low < found.value < high
    assert measure(truth, scores).interval is None


@pytest.mark.parametrize("measure", [*OF_BOTH_KINDS, eraser_auprc])
def test_every_token_needs_a_score(measure):
    with pytest.raises(ValueError, match="one score for each token"):
        measure([[1, 0]], [[0.5]])
