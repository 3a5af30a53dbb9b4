"""The rows of the project list, with a fixed number of queries for any number of projects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from annotation.models import Annotator, Project, Role, User
from curation import progress
from curation.adjudicating import waiting_counts
from curation.charts import Interval, interval
from curation.models import Measurement

# The coefficient that the list and the overview show.
AGREEMENT = "alpha_nominal"
# The states by which the list can be narrowed; "released" is no state of a project but that something left it.
STATES = {**dict(Project.State.choices), "released": _("Released")}


@dataclass(frozen=True)
class Row:
    """A project as its lead sees it in the list."""

    project: Project
    pairs: int
    counts: progress.Counts
    activity: progress.Activity
    agreement: Measurement | None
    releases: int
    people: int
    # Open slots that nobody can take.
    impossible: int

    @property
    def is_held_up(self) -> bool:
        """Judgements are wanted that nobody can give."""
        return self.project.is_open and self.impossible > 0

    @property
    def interval(self) -> Interval | None:
        found = self.agreement
        if found is None or found.value is None or found.low is None or found.high is None:
            return None
        return interval(value=found.value, low=found.low, high=found.high)

    @property
    def last_at(self) -> datetime:
        return self.activity.last_at or self.project.created_at


@dataclass(frozen=True)
class Seat:
    """A project as somebody sees it who judges there: their own answers, and what is open to anybody."""

    project: Project
    # Their membership, by which a browser keeps what is theirs.
    annotator_id: int
    mine: int
    left: int
    last_at: datetime | None
    # How many pairs they may settle; None where their role settles none.
    waiting: int | None


def led(*, projects: QuerySet[Project], state: str, now: datetime) -> list[Row]:
    """The rows of these projects, latest activity first."""
    found = list(projects)
    ids = [project.pk for project in found]
    counts, pairs, people = progress.counts_of(ids), progress.pairs_of(ids), progress.people_of(ids)
    activity, releases = progress.activity_of(ids, now=now), progress.releases_of(ids)
    agreement = progress.latest_of(ids, AGREEMENT)
    impossible = progress.impossible_of({pk: people.get(pk, 0) for pk in ids})
    rows = [
        Row(
            project=project,
            pairs=pairs.get(project.pk, 0),
            counts=counts.get(project.pk, progress.Counts()),
            activity=activity.get(project.pk, progress.Activity()),
            agreement=agreement.get(project.pk),
            releases=releases.get(project.pk, 0),
            people=people.get(project.pk, 0),
            impossible=impossible.get(project.pk, 0),
        )
        for project in found
    ]
    if state == "released":
        rows = [row for row in rows if row.releases]
    return sorted(rows, key=lambda row: row.last_at, reverse=True)


def judged(*, user: User, projects: QuerySet[Project]) -> list[Seat]:
    """The projects in which `user` judges and does not lead, by name."""
    seats = {
        seat.project_id: seat
        for seat in Annotator.objects.active().filter(user=user, project__in=projects).exclude(role=Role.LEAD)
    }
    found = list(projects.filter(pk__in=seats).order_by("name", "pk"))
    counts = progress.counts_of([project.pk for project in found])
    own = progress.own_counts([seat.pk for seat in seats.values()])
    waiting = waiting_counts([seat for seat in seats.values() if seat.settles])
    return [
        Seat(
            project=project,
            annotator_id=seats[project.pk].pk,
            mine=own.get(seats[project.pk].pk, (0, None))[0],
            left=counts.get(project.pk, progress.Counts()).left,
            last_at=own.get(seats[project.pk].pk, (0, None))[1],
            waiting=waiting.get(project.pk),
        )
        for project in found
    ]
