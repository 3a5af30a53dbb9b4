"""The geometry of the charts: inside the frame, in proportion, and never a share that cannot be seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.charts import BASE, HEIGHT, Point, bands, bars, interval, stack

COUNTS = st.lists(st.integers(min_value=0, max_value=10_000_000), min_size=1, max_size=60)


def test_the_stack_adds_up_and_shows_what_is_small():
    found = stack(done=24180, leased=46, total=37200)
    assert found.label == "24,180 done, 46 leased, 12,974 left"
    assert (found.done, found.leased) == ("65.00", "0.80")
    assert stack(done=0, leased=0, total=0).done == "0"


@given(st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10**7))
def test_the_stack_never_leaves_its_frame(done, leased, left):
    found = stack(done=done, leased=leased, total=done + leased + left)
    assert 0 <= float(found.done) <= 100
    assert float(found.done) + float(found.leased) <= 100.01


def test_an_interval_is_cut_to_the_line_from_0_to_1():
    found = interval(value=0.63, low=-0.2, high=1.3)
    assert (found.low, found.value, found.high) == ("0.0", "63.0", "100.0")


@given(COUNTS)
def test_bars_stand_on_the_axis_and_are_in_proportion(counts):
    found = bars([(str(i), n) for i, n in enumerate(counts)], name="x", label_every=7, last_is_part=True)
    assert len(found.bars) == len(counts)
    for bar, count in zip(found.bars, counts, strict=True):
        assert float(bar.y) + float(bar.height) == pytest.approx(BASE, abs=0.11)
        assert 0 <= float(bar.y) <= BASE
        assert 0 <= float(bar.x) <= 100
        assert float(bar.x) + float(bar.width) <= 100.01
        assert float(bar.height) == pytest.approx(
            float(found.bars[counts.index(max(counts))].height) * count / max(1, max(counts)), abs=0.2
        )
    assert [bar.is_part for bar in found.bars] == [False] * (len(counts) - 1) + [True]
    assert all(0 < float(tick.y) < BASE for tick in found.ticks)


def test_the_axis_has_round_marks():
    assert [tick.text for tick in bars([("a", 1331)], name="x", label_every=1).ticks] == ["500", "1,000"]
    assert [tick.text for tick in bars([("a", 3)], name="x", label_every=1).ticks] == ["1", "2", "3"]
    assert [tick.text for tick in bars([("a", 0)], name="x", label_every=1).ticks] == ["1"]


def test_the_mean_lies_over_its_bars_and_at_its_height():
    found = bars([("a", 0), ("b", 100), ("c", 300)], name="x", label_every=1, mean_over=(1, 3))
    assert found.mean is not None
    assert float(found.mean.x1) < float(found.bars[1].x) < float(found.mean.x2)
    high, low = float(found.bars[2].y), float(found.bars[1].y)
    assert float(found.mean.y) == pytest.approx((high + low) / 2, abs=0.1)


def test_today_is_named_and_its_neighbour_makes_room():
    labels = [
        label.text
        for label in bars([(f"d{i}", 1) for i in range(29)], name="x", label_every=7, last_is_part=True).labels
    ]
    assert labels == ["d0", "d7", "d14", "d21", "today"]


POINTS = [
    Point("5 Oct", 0.41, 0.34, 0.48, "Guideline 1"),
    Point("12 Oct", 0.43, 0.37, 0.49, "Guideline 1"),
    Point("19 Oct", 0.52, 0.47, 0.57, "Guideline 2"),
]


def test_the_line_breaks_where_the_guideline_changes():
    found = bands(POINTS, name="x")
    assert [len(shape.line.split()) for shape in found.shapes] == [2, 1]
    assert [(heading.text, heading.has_line) for heading in found.headings] == [
        ("Guideline 1", False),
        ("Guideline 2", True),
    ]
    assert float(found.marks[1].x) < float(found.headings[1].x) < float(found.marks[2].x)
    assert found.marks[2].title == "19 Oct: 0.52 (0.47 to 0.57)"


@given(
    st.lists(
        st.tuples(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(1, 3)), min_size=1, max_size=15
    )
)
def test_every_band_lies_within_the_frame(rows):
    points = [Point("w", value, value - down, value + up, str(group)) for value, down, up, group in rows]
    found = bands(points, name="x")
    for shape in found.shapes:
        for pair in [*shape.band.split(), *shape.line.split()]:
            x, y = map(float, pair.split(","))
            assert 0 <= x <= 100
            assert 0 <= y <= HEIGHT
    assert len(found.ticks) <= 5
