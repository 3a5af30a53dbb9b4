"""The forecast: honest ranges, and a sentence where there is nothing to go by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from curation.forecasting import Forecast, NoForecast, day_in_words, forecast, range_in_words

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_an_even_pace_gives_the_day_that_division_gives():
    found = forecast(counts=[100] * 14, left=1000, now=NOW, rng=rng())
    assert isinstance(found, Forecast)
    assert found.pace == 100
    assert found.days == 14
    assert found.early.date() == found.likely.date() == found.late.date() == (NOW + timedelta(days=10)).date()


def test_the_range_holds_the_true_day_at_least_as_often_as_it_says():
    """Counts scatter twice as widely as chance alone; 80 % is promised, and rounding to days may only add to it."""
    draw, hits, rounds = rng(7), 0, 300
    for _ in range(rounds):
        days = iter(draw.poisson(draw.gamma(4, 25, size=400)))
        counts = [int(next(days)) for _ in range(14)]
        found = forecast(counts=counts, left=2000, now=NOW, rng=draw)
        assert isinstance(found, Forecast)
        rest, passed = 2000.0, 0.0
        for count in days:
            if count >= rest:
                passed += rest / count
                break
            rest, passed = rest - count, passed + 1
        done = (NOW + timedelta(days=passed)).date()
        hits += found.early.date() <= done <= found.late.date()
    assert 0.74 <= hits / rounds <= 0.95


def test_a_pace_that_scatters_more_has_a_wider_range():
    even = forecast(counts=[100] * 14, left=3000, now=NOW, rng=rng())
    uneven = forecast(counts=[0, 200] * 7, left=3000, now=NOW, rng=rng())
    assert isinstance(even, Forecast)
    assert isinstance(uneven, Forecast)
    assert uneven.late - uneven.early > even.late - even.early


def test_days_without_judgements_are_part_of_the_pace_but_not_those_before_the_first():
    weekends = forecast(counts=[0] * 14 + [10, 10, 10, 10, 10, 0, 0], left=100, now=NOW, rng=rng())
    assert isinstance(weekends, Forecast)
    assert weekends.days == 7
    assert weekends.pace == pytest.approx(50 / 7)


def test_only_the_last_two_weeks_count():
    found = forecast(counts=[1000] * 14 + [10] * 14, left=100, now=NOW, rng=rng())
    assert isinstance(found, Forecast)
    assert found.pace == 10


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ([], "nobody has judged on a full day"),
        ([0, 0, 0], "nobody has judged on a full day"),
        ([0, 0, 5], "gone on for 1 full day, and a pace needs 5"),
        ([7, 5], "gone on for 2 full days"),
        ([5, *[0] * 14], "nobody judged in the last 14 full days"),
    ],
)
def test_no_forecast_says_why(counts, words):
    found = forecast(counts=counts, left=10, now=NOW, rng=rng())
    assert isinstance(found, NoForecast)
    assert words in found.reason


def test_a_far_day_is_not_named():
    found = forecast(counts=[1] * 14, left=100_000, now=NOW, rng=rng())
    assert isinstance(found, NoForecast)
    assert "more than two years" in found.reason


def test_the_same_seed_gives_the_same_day():
    counts = [3, 9, 0, 12, 5, 8, 2, 11]
    assert forecast(counts=counts, left=500, now=NOW, rng=rng(3)) == forecast(
        counts=counts, left=500, now=NOW, rng=rng(3)
    )


def test_days_and_ranges_in_words():
    def at(day: int, month: int = 12, year: int = 2026) -> datetime:
        return datetime(year, month, day, tzinfo=UTC)

    assert day_in_words(at(7), now=NOW, weekday=True) == "Monday 7 December"
    assert day_in_words(at(7, 1, 2027), now=NOW) == "7 January 2027"
    assert range_in_words(at(3), at(10), now=NOW) == "between 3 and 10 December"
    assert range_in_words(at(28, 11), at(2), now=NOW) == "between 28 November and 2 December"
    assert range_in_words(at(3), at(3), now=NOW) == "on 3 December"
    assert range_in_words(at(3), NOW + timedelta(days=2000), now=NOW) == "after 3 December"
