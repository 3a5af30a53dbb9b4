"""The chart over which cuts are drawn: what its bars count, and where its lines and their names stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from curation.cut_chart import BINS, histogram

VALUES = np.array([0.0, 1.0, 2.0, 3.0, np.nan, 4.0])


def cut(share: float, hardest: float | None) -> dict[str, Any]:
    return {"share": share, "hardest": hardest}


def test_bars_count_the_pairs_whose_difficulty_is_known() -> None:
    chart = histogram(VALUES, {}, np.ones(6, dtype=bool))
    assert chart is not None
    assert len(chart.bars) == len(chart.counts) == BINS
    assert sum(chart.counts) == chart.kept == 5
    assert (chart.removed, chart.cuts, chart.low, chart.high) == (0, [], 0.0, 4.0)
    assert chart.name == "Histogram of the difficulty of 5 pairs, from 0 to 4. Nothing is cut."
    assert [text for _, text, _ in chart.labels] == ["0", "1", "2", "3", "4"]
    assert all(bar.is_kept for bar in chart.bars)


def test_the_largest_cut_colours_the_bars_and_counts_what_it_leaves_out() -> None:
    inside = np.array([True, True, True, False, False, False])
    cuts = {"small": cut(0.2, 0.0), "large": cut(0.6, 2.0)}
    chart = histogram(VALUES, cuts, inside)
    assert chart is not None
    assert (chart.kept, chart.removed) == (3, 2)
    assert [(line.x, line.text, line.is_largest) for line in chart.cuts] == [
        ("0.00", "20 %: 0", False),
        ("50.00", "60 %: 2", True),
    ]
    assert [bar.is_kept for bar in chart.bars] == [n / BINS * 4 <= 2 for n in range(BINS)]
    assert chart.name.endswith("The cut at 2 keeps 3 and leaves 2 out of its config.")


@pytest.mark.parametrize(("hardest", "is_left"), [(0.3, False), (2.0, False), (2.9, True), (4.0, True)])
def test_a_name_that_would_leave_the_chart_stands_left_of_its_line(hardest: float, is_left: bool) -> None:
    """At 7.5 % as well as at 100 %: places are compared as numbers."""
    chart = histogram(VALUES, {"one": cut(0.5, hardest)}, np.ones(6, dtype=bool))
    assert chart is not None
    assert [line.is_left for line in chart.cuts] == [is_left]


def test_one_value_is_one_bar_and_none_is_no_chart() -> None:
    chart = histogram(np.full(3, 0.1), {"one": cut(0.5, 0.1)}, np.array([True, False, False]))
    assert chart is not None
    assert (max(chart.counts), chart.kept, chart.removed) == (3, 1, 2)
    assert histogram(np.array([np.nan]), {}, np.ones(1, dtype=bool)) is None
    # A cut that keeps nobody draws no line.
    nobody = histogram(VALUES, {"one": cut(0.1, None)}, np.zeros(6, dtype=bool))
    assert nobody is not None
    assert (nobody.cuts, nobody.removed) == ([], 0)
