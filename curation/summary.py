"""Everything that the overview of a project shows, counted at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
from django.db.models import F

from annotation import watching
from annotation.models import Project, Run
from annotation.pacing import duration, duration_range, time_left
from curation import charts, listing, progress, weekly
from curation.forecasting import Forecast, NoForecast, day_in_words, forecast, range_in_words
from curation.hold_ups import HoldUp, hold_ups
from curation.metrics.estimates import Estimate
from curation.models import FactsState, Measurement, Release

CHART_DAYS = 28


@dataclass(frozen=True)
class PaceInWords:
    """`before` the date, the date, the range; or one sentence in `why_not`."""

    before: str = ""
    likely: str = ""
    range: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class RunRow:
    run: Run
    # In words; empty while there is no pace to go by.
    left: str
    left_range: str
    is_waiting_for_worker: bool

    @property
    def about(self) -> str:
        """What the run works on: the file of an import, what is measured."""
        return str(self.run.parameters.get("file") or self.run.parameters.get("measure") or "")


@dataclass(frozen=True)
class Summary:
    project: Project
    counts: progress.Counts
    pairs: int
    impossible: int
    activity: progress.Activity
    pace: PaceInWords
    days: list[tuple[date, int]]
    days_chart: charts.Bars
    days_says: str
    agreement: Measurement | None
    weeks: list[weekly.Week]
    weeks_chart: charts.Bands | None
    are_weeks_too_slow: bool
    hold_ups: list[HoldUp]
    workers: watching.Workers
    runs: list[RunRow]
    open_invitations: int
    people: int
    last_import: Run | None
    last_release: Release | None
    facts: FactsState | None
    counted_at: datetime

    @property
    def unit(self) -> str:
        """What is counted."""
        return unit_of(self.project)


def unit_of(project: Project) -> str:
    """What people give in a project: a judgement, or a ranking."""
    return "ranking" if project.task == Project.Task.RANKINGS else "judgement"


def summary(*, project: Project, now: datetime) -> Summary:
    ids = [project.pk]
    counts = progress.counts_of(ids).get(project.pk, progress.Counts())
    pairs = progress.pairs_of(ids).get(project.pk, 0)
    people = progress.people_of(ids).get(project.pk, 0)
    impossible = progress.impossible(project, people=people) if counts.left else 0
    workers = watching.workers_now(ids)
    days = progress.per_day(project, days=CHART_DAYS, now=now)
    until_today = [n for _, n in days[:-1]]
    found = forecast_of(project, counts, impossible, until_today, now)
    agreement = progress.latest_of(ids, listing.AGREEMENT).get(project.pk)
    weeks, are_weeks_too_slow = _weeks(project, agreement)
    chart, says = days_chart(days, found, unit=unit_of(project))
    return Summary(
        project=project,
        counts=counts,
        pairs=pairs,
        impossible=impossible,
        activity=progress.activity_of(ids, now=now).get(project.pk, progress.Activity()),
        pace=in_words(found, project=project, counts=counts, now=now),
        days=days,
        days_chart=chart,
        days_says=says,
        agreement=agreement,
        weeks=weeks,
        weeks_chart=weeks_chart(weeks),
        are_weeks_too_slow=are_weeks_too_slow,
        hold_ups=hold_ups(
            project=project,
            counts=counts,
            pairs=pairs,
            people=people,
            impossible=impossible,
            is_worker_alive=workers.alive > 0,
            now=now,
        ),
        workers=workers,
        runs=runs_now(project, is_worker_alive=workers.alive > 0, now=now),
        open_invitations=project.invitations.filter(
            withdrawn_at=None, taken__lt=F("places"), expires_at__gt=now
        ).count(),
        people=people,
        last_import=project.runs.filter(kind=Run.Kind.IMPORT, state=Run.State.DONE).order_by("-id").first(),
        last_release=project.releases.order_by("-created_at").first(),
        facts=FactsState.objects.filter(project=project).only("pairs", "gathered_at", "model").first(),
        counted_at=now,
    )


def runs_now(project: Project, *, is_worker_alive: bool, now: datetime) -> list[RunRow]:
    """The runs that wait or run, oldest first."""
    rows = []
    for run in project.runs.unfinished().select_related("started_by").defer("log", "result").order_by("id"):
        left = time_left(run, now=now)
        rows.append(
            RunRow(
                run=run,
                left=duration(left.likely) if left else "",
                left_range=duration_range(left.early, left.late) if left else "",
                is_waiting_for_worker=run.state == Run.State.WAITING and not is_worker_alive,
            )
        )
    return rows


def forecast_of(
    project: Project, counts: progress.Counts, impossible: int, until_today: list[int], now: datetime
) -> Forecast | NoForecast | None:
    """None: there is nothing left that anybody could judge."""
    left = counts.total - counts.done - impossible
    if left <= 0:
        return None
    return forecast(counts=until_today, left=left, now=now, rng=np.random.default_rng(project.seed))


def in_words(
    found: Forecast | NoForecast | None, *, project: Project, counts: progress.Counts, now: datetime
) -> PaceInWords:
    if not counts.total:
        return PaceInWords(why_not="There is nothing to judge yet.")
    if counts.done == counts.total:
        return PaceInWords(why_not="Everything is judged.")
    if not project.is_open:
        return PaceInWords(why_not=f"No forecast: the project is {project.get_state_display().lower()}.")
    if found is None:
        return PaceInWords(why_not="No forecast: nobody can give what is left (see what holds it up).")
    if isinstance(found, NoForecast):
        return PaceInWords(why_not=found.reason)
    return PaceInWords(
        before=f"At the pace of the last {found.days} full days it is done on",
        likely=day_in_words(found.likely, now=now, weekday=True),
        range=range_in_words(found.early, found.late, now=now),
    )


def days_chart(
    days: list[tuple[date, int]], found: Forecast | NoForecast | None, *, unit: str
) -> tuple[charts.Bars, str]:
    """The chart of judgements (or rankings) per day, and the sentence beside its heading."""
    labels = [(f"{day.day} {day:%b}", n) for day, n in days]
    name = (
        f"{unit.capitalize()}s per day, {labels[0][0]} to {labels[-1][0]}: from {min(n for _, n in days):,} up to "
        f"{max(n for _, n in days):,}, {days[-1][1]:,} so far today."
    )
    mean_over, says = None, f"{days[-1][1]:,} so far today"
    if isinstance(found, Forecast):
        mean_over = (len(days) - 1 - found.days, len(days) - 1)
        says = f"{found.pace:,.0f} a day over the last {found.days} full days"
        name = f"{name[:-1]}; mean of the last {found.days} full days {found.pace:,.0f}."
    return charts.bars(labels, name=name, label_every=7, mean_over=mean_over, last_is_part=True), says


def _weeks(project: Project, measured: Measurement | None) -> tuple[list[weekly.Week], bool]:
    """Agreement by week. Where the database is too slow for a page, as it was last measured, and True."""
    try:
        return weekly.agreement_by_week(project, patience=weekly.PATIENCE), False
    except weekly.TooSlow:
        stored = measured.run.result.get("weeks", []) if measured else []
        return [weekly.Week.from_json(one) for one in stored], True


def weeks_chart(weeks: list[weekly.Week]) -> charts.Bands | None:
    """None: fewer than two weeks have an interval, and one point is no course."""
    points = [
        charts.Point(
            label=f"{week.monday.day} {week.monday:%b}",
            value=week.alpha.value,
            low=week.alpha.low,
            high=week.alpha.high,
            group=f"Guideline {week.version}" if week.version else "No guideline",
        )
        for week in weeks
        if week.alpha.low is not None and week.alpha.high is not None
    ]
    if len(points) < 2:
        return None
    first, last = points[0], points[-1]
    name = (
        f"Krippendorff's alpha per week by guideline version: {first.value:.2f} in the week of {first.label} under "
        f"{first.group.lower()}, {last.value:.2f} in the week of {last.label} under {last.group.lower()}."
    )
    return charts.bands(points, name=name)


def tables(found: Summary) -> dict[str, Any]:
    """The numbers under the two charts: heads and rows."""
    return {
        "days_heads": ["Day (UTC)", f"{found.unit.capitalize()}s"],
        "days_rows": [[f"{day.day} {day:%b}", f"{n:,}"] for day, n in found.days],
        "weeks_heads": ["Week of", "Guideline", "α", "From", "To", "Pairs"],
        "weeks_rows": [
            [f"{week.monday.day} {week.monday:%b}", str(week.version or "none"), *_figures(week.alpha)]
            for week in found.weeks
        ],
    }


def _figures(alpha: Estimate) -> list[str]:
    if not alpha.is_defined:
        return ["not enough data", "", "", f"{alpha.n:,}"]
    low = "not known" if alpha.low is None else f"{alpha.low:.2f}"
    high = "not known" if alpha.high is None else f"{alpha.high:.2f}"
    return [f"{alpha.value:.2f}", low, high, f"{alpha.n:,}"]
