"""Golden values: METHODS-CORE 5, V1 to V4, from the benchmark's own program."""

from __future__ import annotations

import numpy as np
import pytest

from curation.metrics.spans import NO_SPANS, ONE_SIDE, eraser_iou_f1, iou_f1, span_f1, token_f1

NAN = float("nan")
V1 = {"a1": [(2, 6)]}, {"a1": [(3, 7)]}
V2 = {"a1": [(0, 4), (10, 12)], "a2": [(5, 10)]}, {"a1": [(0, 3), (11, 15)], "a2": [(5, 10), (20, 22)]}
V3 = {"a1": [(0, 4)], "a2": [(0, 2)]}, {"a1": [(0, 4)], "a3": [(0, 5)]}
V4 = {"a1": [(0, 10)]}, {"a1": [(0, 6), (4, 10)]}


def figures(found):
    return found.precision, found.recall, found.f1


@pytest.mark.parametrize(
    ("spans", "average", "expected"),
    [
        (V1, "micro", (0.75, 0.75, 0.75)),
        (V1, "macro", (0.75, 0.75, 0.75)),
        (V2, "micro", (0.642857, 0.818182, 0.72)),
        (V2, "macro", (0.642857, 0.833333, 0.724359)),
        (V3, "micro", (0.444444, 0.666667, 0.533333)),
        (V3, "macro", (0.333333, 0.333333, 0.333333)),
    ],
)
def test_tokens_have_their_golden_values(spans, average, expected):
    assert figures(token_f1(*spans, average=average)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("spans", "average", "f1"), [(V1, "micro", 0), (V2, "micro", 0.285714), (V2, "macro", 0.333333)]
)
def test_exact_spans_have_their_golden_values(spans, average, f1):
    assert span_f1(*spans, average=average).f1 == pytest.approx(f1, abs=1e-6)


@pytest.mark.parametrize(
    ("spans", "average", "expected"),
    [
        (V1, "micro", (1, 1, 1)),
        (V2, "micro", (0.5, 0.666667, 0.571429)),
        (V2, "macro", (0.5, 0.75, 0.6)),
        (V3, "micro", (0.5, 0.5, 0.5)),
        (V3, "macro", (0.5, 0.5, 0.5)),
        (V4, "micro", (1, 2, 1.333333)),
    ],
)
def test_the_benchmarks_own_overlap_has_its_golden_values(spans, average, expected):
    assert figures(eraser_iou_f1(*spans, average=average)) == pytest.approx(expected, abs=1e-6)


def test_an_overlap_at_the_threshold_matches():
    assert eraser_iou_f1(*V1, threshold=0.6).f1 == 1
    assert iou_f1(*V1, threshold=0.6).f1 == 1
    assert iou_f1(*V1, threshold=0.61).f1 == 0


def test_ours_matches_one_to_one_and_does_not_care_which_side_is_the_truth():
    assert figures(iou_f1(*V4)) == pytest.approx((0.5, 1, 2 / 3))
    truth, predicted = V4
    assert iou_f1(predicted, truth).f1 == iou_f1(truth, predicted).f1
    assert figures(iou_f1(*V2)) == pytest.approx((0.5, 2 / 3, 0.571429), abs=1e-6)


def test_as_many_spans_match_as_can():
    """Taking the best overlap first would leave the second span alone."""
    truth, predicted = {"a": [(0, 10), (5, 15)]}, {"a": [(2, 12), (0, 8)]}
    assert iou_f1(truth, predicted, threshold=0.4).f1 == 1


def test_one_character_more_in_both_sides_changes_nothing():
    truth, predicted = V2
    moved = [{key: [(s + 7, e + 7) for s, e in spans] for key, spans in side.items()} for side in (truth, predicted)]
    assert token_f1(*moved) == token_f1(truth, predicted)
    assert iou_f1(*moved) == iou_f1(truth, predicted)


@pytest.mark.parametrize("shift", [0, 1, 3, 5, 9, 10, 15])
def test_spans_shifted_by_a_known_amount_have_the_known_figures(shift):
    """Planted truth (d): of a span of 10, shifted by s, 10 - s tokens stay; together the two cover 10 + s."""
    rng = np.random.default_rng(shift)
    starts = {text: np.arange(1, 4) * 50 + rng.integers(0, 10, size=3) for text in range(40)}
    truth = {text: [(int(s), int(s) + 10) for s in found] for text, found in starts.items()}
    predicted = {text: [(s + shift, e + shift) for s, e in found] for text, found in truth.items()}
    kept = max(0, 10 - shift)
    for average in ("micro", "macro"):
        assert token_f1(truth, predicted, average=average).f1 == pytest.approx(kept / 10)
    assert iou_f1(truth, predicted).f1 == (1 if kept / (20 - kept) >= 0.5 else 0)
    assert eraser_iou_f1(truth, predicted).f1 == iou_f1(truth, predicted).f1
    assert span_f1(truth, predicted).f1 == (1 if shift == 0 else 0)


def test_a_share_of_spans_shifted_away_is_found_as_that_share():
    truth = {text: [(0, 20)] for text in range(100)}
    predicted = {text: [(0, 20) if text % 4 else (30, 50)] for text in range(100)}
    assert token_f1(truth, predicted).f1 == 0.75
    assert iou_f1(truth, predicted).f1 == 0.75


@pytest.mark.parametrize("measure", [token_f1, span_f1, iou_f1, eraser_iou_f1])
@pytest.mark.parametrize(
    ("truth", "predicted", "reason"),
    [
        ({}, {}, NO_SPANS),
        ({"a": []}, {"a": []}, NO_SPANS),
        ({"a": [(0, 1)]}, {}, ONE_SIDE),
        ({"a": []}, {"a": [(0, 1)]}, ONE_SIDE),
    ],
)
def test_a_side_that_marked_nothing_is_undefined(measure, truth, predicted, reason):
    found = measure(truth, predicted)
    assert found.reason == reason
    assert np.isnan(figures(found)).all()
    assert found.estimate.reason == reason


def test_a_span_that_ends_before_it_starts_and_an_unknown_average_are_refused():
    with pytest.raises(ValueError, match="ends after its start"):
        token_f1({"a": [(3, 3)]}, {"a": [(0, 1)]})
    for measure in (token_f1, eraser_iou_f1):
        with pytest.raises(ValueError, match="micro"):
            measure(*V1, average="weighted")
