"""Differences with intervals: against the published examples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from curation.comparing import Difference, Sample, newcombe, welch


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


def test_pairs_in_both_make_no_difference() -> None:
    assert newcombe(30, 50, 30, 50, k_both=30, n_both=50) == (0.0, 0.0)
    assert welch(1.0, 2.0, 9, 1.0, 2.0, 9, both=Sample(9, 1.0, 4.0)) == (0.0, 0.0)
    assert newcombe(56, 70, 48, 80, k_both=0, n_both=0) == newcombe(56, 70, 48, 80)


@pytest.mark.parametrize("is_share", [True, False])
@pytest.mark.parametrize(("part", "narrower"), [(0.2, 0.9), (0.5, 0.65), (0.9, 0.3)])
def test_a_part_against_its_whole_has_the_right_interval(part: float, narrower: float, is_share: bool) -> None:
    """Drawn many times, it holds the truth as often as it says; apart, the two would make it wider than need be."""
    draw, held, width, naive = np.random.default_rng(7), 0, 0.0, 0.0
    for _ in range(2000):
        inside = draw.random(400) < part
        # What is in the part is .1 higher on average.
        level = 0.5 + 0.1 * inside
        whole = (draw.random(400) < level).astype(float) if is_share else level + draw.normal(0, 0.3, 400)
        one = whole[inside]
        n, k = len(one), int(one.sum())
        if is_share:
            low, high = newcombe(k, n, int(whole.sum()), 400, k_both=k, n_both=n)
            apart = newcombe(k, n, int(whole.sum()), 400)
        else:
            told = (one.mean(), one.std(ddof=1), n, whole.mean(), whole.std(ddof=1), 400)
            low, high = welch(*told, both=Sample(n, one.mean(), one.var(ddof=1)))
            apart = welch(*told)
        held += low <= 0.1 * (1 - part) <= high
        width, naive = width + high - low, naive + apart[1] - apart[0]
    assert held / 2000 == pytest.approx(0.95, abs=0.02)
    assert width / naive < narrower


def test_too_little_has_no_interval() -> None:
    assert all(map(math.isnan, newcombe(0, 0, 1, 5)))
    assert all(map(math.isnan, welch(1.0, 0.0, 1, 2.0, 1.0, 9)))
    line = Difference("x", "share", 0.5, 4, 0.25, 4, None, None)
    assert line.why_not == "Not enough data: at least 10 pairs on each side."
    assert line.said["difference"] == "+25.0 points"
    assert not line.is_clear
