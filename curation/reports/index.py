"""The page of all reports: which there are, when each was last measured, and what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.urls import NoReverseMatch, reverse

from annotation.models import Project, Run
from curation import judges, scoreboard
from curation.listing import AGREEMENT
from curation.measuring.storing import latest, whole_runs
from curation.models import Measurement
from curation.reports import aggregation, anchoring, faithfulness
from curation.reports.words import number, percent


@dataclass(frozen=True)
class ReportPage:
    """`key` names its tab, `page` its URL, `asks` what it answers, `measure` the measurement that it reads."""

    key: str
    name: str
    page: str
    asks: str
    measure: str


REPORTS = (
    ReportPage("agreement", "Agreement", "agreement_report", "How far do people agree, and on what?", "agreement"),
    ReportPage(
        "aggregation",
        "Aggregation",
        "aggregation_report",
        "What do the answers add up to, and who errs how?",
        "aggregation",
    ),
    ReportPage(
        "discretion",
        "Discretion",
        "discretion",
        "What do the principles leave open, and who goes against them?",
        "discretion",
    ),
    ReportPage(
        "difficulty", "Difficulty", "difficulty", "Which pairs are hard for the model to be trained?", "difficulty"
    ),
    ReportPage("people", "People", "people_report", "What can be said of each annotator, and from how much?", "people"),
    ReportPage(
        "representativeness",
        "Representativeness",
        "representativeness",
        "Whom do the people stand for, and what would the target say?",
        "representativeness",
    ),
    ReportPage("anchoring", "Anchoring", "anchoring", "What do reasons that machines wrote change?", "anchoring"),
    ReportPage(
        "faithfulness",
        "Faithfulness",
        "faithfulness_report",
        "Does a model’s answer rest on what people marked and wrote?",
        "faithfulness",
    ),
    ReportPage("judges", "Judges", "judges", "How far can each judge be trusted?", ""),
)


@dataclass(frozen=True)
class Entry:
    report: ReportPage
    address: str
    # None: it was never measured.
    measured_at: datetime | None
    finding: str


def address_of(report: ReportPage, project: Project) -> str:
    """Where the report's page is; empty where this house has none."""
    try:
        return reverse(report.page, args=[project.slug])
    except NoReverseMatch:
        return ""


def entries(project: Project) -> list[Entry]:
    """One entry for each report that has a page."""
    found = []
    for report in REPORTS:
        address = address_of(report, project)
        if address:
            run = _last_run(report, project)
            finding = _FINDINGS[report.key](project, run) if run and report.key in _FINDINGS else ""
            found.append(Entry(report, address, run.finished_at if run else None, finding))
    return found


def _last_run(report: ReportPage, project: Project) -> Run | None:
    if report.measure:
        return whole_runs(project, report.measure).first()
    done = project.runs.filter(kind=Run.Kind.JUDGING, state=Run.State.DONE)
    return done.order_by("-finished_at", "-id").first()


def _agreement(project: Project, run: Run) -> str:
    alpha = latest(project, AGREEMENT)
    if alpha is None:
        return ""
    return f"Krippendorff's α is {_with_interval(alpha, 2)}." if alpha.value is not None else f"{alpha.reason}"


def _discretion(project: Project, run: Run) -> str:
    share = run.measurements.filter(metric="consensus_share", annotator=None).first()
    if share is None or share.value is None:
        return ""
    return f"On {percent(share.value)} % of pairs every relevant principle points the same way."


def _difficulty(project: Project, run: Run) -> str:
    if "still_wrong" not in run.result:
        return ""
    wrong, pairs = run.result["still_wrong"], run.result["pairs"]
    return (
        f"{wrong:,} of {pairs:,} pairs stay wrong for {run.parameters['model']} after it has learned from the others."
    )


def _people(project: Project, run: Run) -> str:
    said = run.result.get("judgements")
    if said is None:
        return ""
    people, judges = run.result["people"], run.result["judges"]
    beside = f" and {judges:,} judge{'' if judges == 1 else 's'}" if judges else ""
    return f"{said:,} judgements by {people:,} {'person' if people == 1 else 'people'}{beside}."


def _representativeness(project: Project, run: Run) -> str:
    distance = run.measurements.filter(metric="total_variation").first()
    if distance is None or distance.value is None:
        return str(distance.reason) if distance else ""
    return f"The people are {distance.value:.2f} away from the target, where 0 is like it and 1 nothing in common."


def _anchoring(project: Project, run: Run) -> str:
    return anchoring.finding(run)


def _aggregation(project: Project, run: Run) -> str:
    way = aggregation.leading(run)
    if way is None or way.why:
        return way.why if way else ""
    return f"{way.name} gives {way.changed:,} of {way.clear:,} pairs another answer than most votes."


def _faithfulness(project: Project, run: Run) -> str:
    return faithfulness.finding(run)


def _judges(project: Project, run: Run) -> str:
    said = scoreboard.finding(scoreboard.rows(judges.judge_reports(project=project)))
    if said is None:
        return ""
    value = f"{said.value} ({said.range}) " if said.value else ""
    return f"{said.before}{said.name}{said.middle}{value}{said.after}"


def _with_interval(found: Measurement, digits: int) -> str:
    value = number(found.value or 0.0, digits)
    if found.low is None or found.high is None:
        return value
    return f"{value} ({number(found.low, digits)} to {number(found.high, digits)})"


_FINDINGS: dict[str, Callable[[Project, Run], str]] = {
    "agreement": _agreement,
    "aggregation": _aggregation,
    "discretion": _discretion,
    "difficulty": _difficulty,
    "people": _people,
    "anchoring": _anchoring,
    "faithfulness": _faithfulness,
    "judges": _judges,
    "representativeness": _representativeness,
}
