"""When it will be done: a pace, its uncertainty, and the words for both. Pure numbers: no database, no clock.

The daily counts of the last full days are resampled by the Bayesian bootstrap (Rubin 1981): each draw weighs the days
by a flat Dirichlet, which gives a mean and a variance per day; the days that the rest will take then follow the central
limit theorem for renewals, N ~ Normal(rest / mean, variance * rest / mean^3). Days without judgements count: weekends
are part of the pace.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

# The window: two weeks, so that every weekday is in it equally often.
WINDOW_DAYS = 14
FEWEST_DAYS = 5
DRAWS = 4_000
# A forecast that reaches further is not worth a date.
HORIZON = timedelta(days=730)


@dataclass(frozen=True)
class Forecast:
    """When the rest is done: the middle of what is likely, and the range that holds it with 80 % probability."""

    likely: datetime
    early: datetime
    late: datetime
    # Judgements per day, and over how many full days it was taken.
    pace: float
    days: int


@dataclass(frozen=True)
class NoForecast:
    """Why there is none yet: a sentence."""

    reason: str


def forecast(*, counts: Sequence[int], left: int, now: datetime, rng: np.random.Generator) -> Forecast | NoForecast:
    """The day on which `left` more judgements will have been given.

    Args:
        counts: judgements per full day, oldest first, up to and without today.
        left: what is to be judged yet, 1 or more.
        now: the moment from which it goes on.
        rng: draws the resamples.
    """
    window = np.asarray(counts[-WINDOW_DAYS:], dtype=float)
    begun = np.flatnonzero(np.asarray(counts, dtype=float))
    if not len(begun):
        return NoForecast("No forecast yet: nobody has judged on a full day.")
    if not window.any():
        return NoForecast(f"No forecast: nobody judged in the last {WINDOW_DAYS} full days, so there is no pace.")
    # Days before the first judgement say nothing about the pace.
    window = window[-(len(counts) - int(begun[0])) :]
    if len(window) < FEWEST_DAYS:
        had = "1 full day" if len(window) == 1 else f"{len(window)} full days"
        return NoForecast(f"No forecast yet: judging has gone on for {had}, and a pace needs {FEWEST_DAYS}.")
    weights = rng.dirichlet(np.ones(len(window)), size=DRAWS)
    mean = weights @ window
    variance = np.maximum(weights @ window**2 - mean**2, 0.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        days = left / mean + rng.standard_normal(DRAWS) * np.sqrt(variance * left / mean**3)
    far = HORIZON.days * 10.0
    early, likely, late = np.quantile(np.clip(np.nan_to_num(days, nan=far, posinf=far), 0.0, far), [0.1, 0.5, 0.9])
    if likely > HORIZON.days:
        pace = f"{window.mean():,.1f} a day"
        return NoForecast(f"At the pace of the last {len(window)} full days ({pace}) it takes more than two years.")
    return Forecast(
        likely=now + timedelta(days=float(likely)),
        early=now + timedelta(days=float(early)),
        late=now + timedelta(days=float(min(late, far))),
        pace=float(window.mean()),
        days=len(window),
    )


def day_in_words(day: datetime, *, now: datetime, weekday: bool = False) -> str:
    """`7 December`, or `Monday 7 December`; with its year when that is not this one."""
    words = f"{day:%A} {day.day} {day:%B}" if weekday else f"{day.day} {day:%B}"
    return words if day.year == now.year else f"{words} {day.year}"


def range_in_words(early: datetime, late: datetime, *, now: datetime) -> str:
    """`between 3 and 10 December`, `between 28 November and 2 December`, `on 3 December`, `after 3 December`."""
    if early.date() == late.date():
        return f"on {day_in_words(late, now=now)}"
    if late - now > 2 * HORIZON:
        return f"after {day_in_words(early, now=now)}"
    if (early.year, early.month) == (late.year, late.month):
        return f"between {early.day} and {day_in_words(late, now=now)}"
    return f"between {day_in_words(early, now=now)} and {day_in_words(late, now=now)}"
