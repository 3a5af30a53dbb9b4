"""How long it takes, in seconds and in words. Pure: numbers in, numbers and words out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from annotation.models import Run

# A pace drifts: what is likely becomes a range of 20 % less to 30 % more, and wider where runs differed more.
EARLY, LATE = 0.8, 1.3


@dataclass(frozen=True)
class TimeLeft:
    """Seconds until something is done: likely, and the range in which it may drift."""

    likely: float
    early: float
    late: float


def time_left(run: Run, *, now: datetime) -> TimeLeft | None:
    """From the run's own pace so far. None while there is no pace to go by: not running, no total, or too little done.

    What an earlier attempt made and the time that loading took are no part of the pace.
    """
    since, start = (run.pace_since, run.pace_from) if run.pace_since else (run.claimed_at, 0)
    done = run.progress - start
    if run.state != Run.State.RUNNING or not run.total or not since or done < max(1, (run.total - start) / 20):
        return None
    seconds = max(1.0, (now - since).total_seconds())
    return drifting(max(0, run.total - run.progress) * seconds / done)


def drifting(likely: float) -> TimeLeft:
    return TimeLeft(likely=likely, early=likely * EARLY, late=likely * LATE)


def spread(units: float, speeds: Sequence[float]) -> TimeLeft:
    """How long `units` take at speeds (units per second, each > 0) that runs had, the newest first.

    The newest speed is the likely one. The range is at least the drift of one pace, and reaches as far as the fastest
    and the slowest run.
    """
    found = drifting(units / speeds[0])
    return TimeLeft(
        likely=found.likely,
        early=min(found.early, units / max(speeds)),
        late=max(found.late, units / min(speeds)),
    )


def duration(seconds: float) -> str:
    """`40 s`, `16 min`, `1 h 52 min`."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def duration_range(early: float, late: float) -> str:
    """`13 to 20 min`: the unit once, where both have the same."""
    first, last = duration(early), duration(late)
    if first.split(" ")[1:] == last.split(" ")[1:]:
        first = first.split(" ")[0]
    return f"{first} to {last}"
