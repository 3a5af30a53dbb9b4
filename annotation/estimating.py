"""What a run will take, from what earlier runs took: tokens, and seconds with a range. Reads only.

The estimate is kept with the run (`Run.estimate`), and so is what came of it: `within` says how many ended near theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet, Sum

from annotation.models import Candidate, Run
from annotation.pacing import TimeLeft, spread

# Speeds come from so many of the latest runs, each with at least so many units done.
LATEST_RUNS = 5
LEAST_UNITS = 8
# An estimate was good when the run took at most so much more or less.
NEAR = 0.30


@dataclass(frozen=True)
class Speed:
    """How fast a run was: units (candidates, judgements) per second of work, and tokens, where they are counted."""

    run_id: int
    units: float
    tokens: float | None
    tokens_per_unit: float | None
    loading: float


@dataclass(frozen=True)
class Estimate:
    """`time` is None while nothing like it was measured; then `tokens` is at most so many, else about so many."""

    units: int
    tokens: int | None
    time: TimeLeft | None
    # The runs whose speeds were taken, the newest first.
    measured_by: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As it is kept with the run."""
        kept: dict[str, Any] = {"units": self.units, "tokens": self.tokens, "measured_by": list(self.measured_by)}
        if self.time:
            kept |= {"seconds": self.time.likely, "low": self.time.early, "high": self.time.late}
        return kept


def speed_of(run: Run, *, now: datetime) -> Speed | None:
    """From the pace of the run's last attempt; of a short run that is over, from all its time, loading included.

    What was there already counts for nothing: a judge is not asked twice. None while too little came out.
    """
    made = run.result.get("asked", run.progress)
    counted = run.tokens or run.result.get("tokens")
    each = counted / made if counted and made else None
    units, seconds, loading = float(made), run.busy_seconds, 0.0
    if run.pace_since and run.claimed_at and run.progress - run.pace_from >= LEAST_UNITS:
        units = run.progress - run.pace_from
        seconds = ((run.finished_at or now) - run.pace_since).total_seconds()
        loading = (run.pace_since - run.claimed_at).total_seconds()
    elif not run.is_final or units < LEAST_UNITS:
        return None
    if seconds <= 0:
        return None
    speed = units / seconds
    return Speed(
        run_id=run.pk, units=speed, tokens=speed * each if each else None, tokens_per_unit=each, loading=loading
    )


def in_words_of(speed: Speed | None) -> str:
    """`1,180`: tokens per second; empty where tokens are not counted."""
    return f"{speed.tokens:,.0f}" if speed and speed.tokens else ""


def speeds_of(*, kind: str, model: str, now: datetime, like: Sequence[Q] = (Q(),)) -> list[Speed]:
    """The latest measured runs of a kind with a model, the newest first.

    like: what they should have in common with the one that is to be estimated, the most alike first: the first that
    was measured counts.
    """
    field = "parameters__models__contains" if kind == Run.Kind.GENERATION else "parameters__model"
    runs = Run.objects.filter(kind=kind, progress__gte=LEAST_UNITS, **{field: model}).defer("log")
    return next((found for alike in like if (found := _measured(runs.filter(alike), now))), [])


def _measured(runs: QuerySet[Run], now: datetime) -> list[Speed]:
    latest = list(runs.order_by("-id")[: 2 * LATEST_RUNS])
    uncounted = [run.pk for run in latest if not run.tokens and not run.result.get("tokens")]
    tokens = dict(
        Candidate.objects.filter(run__in=uncounted).values_list("run").annotate(n=Sum("token_count")).order_by()
    )
    for run in latest:
        run.tokens = run.tokens or tokens.get(run.pk)
    return [speed for run in latest if (speed := speed_of(run, now=now))][:LATEST_RUNS]


def estimate(
    *, kind: str, models: Sequence[str], units: int, now: datetime, most_tokens: int | None, like: Sequence[Q]
) -> Estimate:
    """What `units`, shared evenly by the models, will take one after another on one worker.

    most_tokens: the most that one unit can have, where that is known. like: as in `speeds_of`.
    """
    each = [speeds_of(kind=kind, model=model, now=now, like=like) for model in models]
    if not all(each):
        return Estimate(units=units, tokens=units * most_tokens if most_tokens else None, time=None)
    share = units / len(models)
    times = [_time(share, speeds, most_tokens) for speeds in each]
    lengths = [_length(speeds, most_tokens) for speeds in each]
    return Estimate(
        units=units,
        tokens=round(sum(share * one for one in lengths if one)) if all(lengths) else None,
        time=TimeLeft(
            likely=sum(one.likely for one in times),
            early=sum(one.early for one in times),
            late=sum(one.late for one in times),
        ),
        measured_by=tuple(dict.fromkeys(speed.run_id for speeds in each for speed in speeds)),
    )


def _time(units: float, speeds: Sequence[Speed], most_tokens: int | None) -> TimeLeft:
    """Loading, and then the work: by tokens where every run counted them, because candidates differ in length."""
    length = _length(speeds, most_tokens)
    if length and all(speed.tokens for speed in speeds):
        found = spread(units * length, [speed.tokens or 0.0 for speed in speeds])
    else:
        found = spread(units, [speed.units for speed in speeds])
    loading = speeds[0].loading
    return TimeLeft(found.likely + loading, found.early + loading, found.late + loading)


def _length(speeds: Sequence[Speed], most_tokens: int | None) -> float | None:
    """Tokens per unit: as in the newest run that counted them, and never more than there can be."""
    found = next((speed.tokens_per_unit for speed in speeds if speed.tokens_per_unit), None)
    return min(found, most_tokens) if found and most_tokens else found


def within(*, runs: QuerySet[Run], early: bool = False, last: int = 20) -> tuple[int, int]:
    """Of the last runs that are done and had an estimate: (how many took what was estimated, give or take NEAR; all).

    early: hold the estimate that was made after 50 units against it, instead of the one before the start.
    """
    name = "early_seconds" if early else "seconds"
    rows = runs.filter(state=Run.State.DONE, busy_seconds__gt=0, estimate__has_key=name)
    # Some were ended early, with what was there.
    rows = rows.exclude(parameters__contains={"only_pair": True})
    taken = list(rows.order_by("-id").values_list("busy_seconds", "estimate")[:last])
    return sum(abs(took - told[name]) <= NEAR * took for took, told in taken), len(taken)
