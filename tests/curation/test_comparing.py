"""Differences with intervals: against the published examples."""

from __future__ import annotations

import math

import pytest

from curation.comparing import Difference, newcombe, welch


def test_newcombe_gives_the_papers_examples() -> None:
    """Newcombe 1998, table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 10/10 - 0/20."""
    for counts, low, high in (
        ((56, 70, 48, 80), 0.0524, 0.3339),
        ((9, 10, 3, 10), 0.1705, 0.8090),
        ((10, 10, 0, 20), 0.6791, 1.0),
    ):
        assert newcombe(*counts) == pytest.approx((low, high), abs=5e-5)


def test_welch_gives_scipys_interval() -> None:
    from scipy import stats

    a, b = [3.0, 4.5, 2.0, 5.5, 4.0], [1.0, 2.5, 2.0, 3.5]
    theirs = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    import statistics as s

    ours = welch(s.mean(a), s.stdev(a), len(a), s.mean(b), s.stdev(b), len(b))
    assert ours == pytest.approx((theirs.low, theirs.high))


def test_too_little_has_no_interval() -> None:
    assert all(map(math.isnan, newcombe(0, 0, 1, 5)))
    assert all(map(math.isnan, welch(1.0, 0.0, 1, 2.0, 1.0, 9)))
    line = Difference("x", "share", 0.5, 4, 0.25, 4, None, None)
    assert line.why_not == "Not enough data: at least 10 pairs on each side."
    assert line.said["difference"] == "+25.0 points"
    assert not line.is_clear
