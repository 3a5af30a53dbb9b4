"""How far a project is: what the project list and the overview count.

Reads only, and a fixed number of queries for any number of projects.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from django.db import connection
from django.db.models import Count, Max, Q, QuerySet
from django.db.models.functions import TruncDate

from annotation import lining_up
from annotation.models import Annotator, Assignment, Judgement, Pair, Project, Ranking, Run, Turn
from curation.charts import Stack, stack
from curation.models import Measurement, Release

# One probe of the index judgement_history for each annotator: their newest judgement. BETWEEN instead of = keeps the
# planner from walking the primary key backwards until it meets the annotator: 15 s instead of 5 ms, seen at 600,000
# judgements.
ACTIVITY = """
SELECT a.project_id, count(*) FILTER (WHERE j.created_at >= %s), max(j.created_at)
FROM annotator a
CROSS JOIN LATERAL (
    SELECT created_at FROM judgement WHERE annotator_id BETWEEN a.id AND a.id AND is_current
    ORDER BY annotator_id, id DESC LIMIT 1
) j
WHERE a.project_id = ANY(%s) AND a.kind = 'person' AND (a.external_id = '' OR a.is_simulated)
GROUP BY a.project_id
"""

# What is open of each pair, less the people who have not judged it yet. `{of}` are rows of a project, a pair of it and
# an annotator; a lineup and its turns will do as well.
IMPOSSIBLE = """
SELECT project_id, sum(greatest(0, open - (people - taken)))::bigint
FROM (
    SELECT a.project_id, asked.people, count(*) FILTER (WHERE a.annotator_id IS NULL) AS open,
           count(*) FILTER (WHERE u.is_active AND n.is_active) AS taken
    FROM unnest(%s::bigint[], %s::bigint[]) AS asked (project_id, people)
    JOIN project p ON p.id = asked.project_id AND asked.people < p.overlap
    JOIN {of} a ON a.project_id = asked.project_id
    LEFT JOIN annotator n ON n.id = a.annotator_id
    LEFT JOIN account u ON u.id = n.user_id
    GROUP BY a.project_id, asked.people, a.pair_id
) pair
GROUP BY project_id HAVING sum(greatest(0, open - (people - taken))) > 0
"""
TURNS = "(SELECT project_id, lineup_id AS pair_id, annotator_id FROM turn JOIN lineup ON lineup.id = lineup_id)"


@dataclass(frozen=True)
class Counts:
    """The slots and turns of a project. `elsewhere`: judgements not handed out here, from files and from judges."""

    total: int = 0
    done: int = 0
    leased: int = 0
    elsewhere: int = 0

    @property
    def left(self) -> int:
        return self.total - self.done - self.leased

    @property
    def percent(self) -> int:
        """Done, in full percent, rounded down: 100 means all."""
        return 100 * self.done // self.total if self.total else 0

    @property
    def bar(self) -> Stack:
        return stack(done=self.done, leased=self.leased, total=self.total)


@dataclass(frozen=True)
class Activity:
    """`active_today`: people who judged since midnight, UTC; `last_at`: the latest judgement of any of them."""

    active_today: int = 0
    last_at: datetime | None = None


def counts_of(project_ids: Collection[int]) -> dict[int, Counts]:
    """Done, leased and all slots by project; where rankings are given, turns. Projects without any are left out.

    Turns are made when somebody asks for one: those of prompts that nobody has lined up yet are counted as if they were
    there. Gold checks are beside the work: their slots are no part of it, neither done nor to do.
    """
    slot = Q(slot__isnull=False)
    rows = (
        Assignment.objects.filter(project__in=project_ids)
        .exclude(pair__in=_gold(project_ids))
        .values("project")
        .annotate(
            total=Count("pk", filter=slot),
            done=Count("pk", filter=slot & Q(done_at__isnull=False)),
            leased=Count("pk", filter=slot & Q(lease_until__isnull=False)),
            elsewhere=Count("pk", filter=~slot & Q(is_recused=False)),
        )
        .order_by()
    )
    counts = {
        row["project"]: Counts(total=row["total"], done=row["done"], leased=row["leased"], elsewhere=row["elsewhere"])
        for row in rows
    }
    return counts | _with_turns(counts, project_ids)


def _with_turns(counts: Mapping[int, Counts], project_ids: Collection[int]) -> dict[int, Counts]:
    """The same of the projects that rank, or have ranked. What a ranking implies was not handed out elsewhere."""
    turns = (
        Turn.objects.filter(lineup__project__in=project_ids)
        .values("lineup__project")
        .annotate(
            total=Count("pk"),
            done=Count("pk", filter=Q(done_at__isnull=False)),
            leased=Count("pk", filter=Q(lease_until__isnull=False)),
        )
        .order_by()
    )
    found = {row["lineup__project"]: Counts(row["total"], row["done"], row["leased"]) for row in turns}
    for project, n in turns_to_come(project_ids).items():
        before = found.get(project, Counts())
        found[project] = replace(before, total=before.total + n)
    if not found:
        return {}
    implied = (
        Assignment.objects.filter(project__in=found, slot=None, judgements__ranking__isnull=False)
        .values("project")
        .annotate(n=Count("pk", distinct=True))
        .order_by()
    )
    by_ranking = {row["project"]: row["n"] for row in implied}
    merged = {}
    for project, ranked in found.items():
        own = counts.get(project, Counts())
        merged[project] = Counts(
            total=own.total + ranked.total,
            done=own.done + ranked.done,
            leased=own.leased + ranked.leased,
            elsewhere=own.elsewhere - by_ranking.get(project, 0),
        )
    return merged


def turns_to_come(project_ids: Collection[int]) -> dict[int, int]:
    """The turns at lineups that are not made yet, by project."""
    ranks = Project.objects.filter(pk__in=project_ids, task=Project.Task.RANKINGS)
    overlap = dict(ranks.values_list("pk", "overlap"))
    lacking = lining_up.lacking(projects=overlap) if overlap else {}
    return {project: n * overlap[project] for project, n in lacking.items()}


def _gold(project_ids: Collection[int]) -> QuerySet[Pair]:
    """Pairs that are in use as gold: examples and checks."""
    return Pair.objects.filter(project__in=project_ids).exclude(gold_use="")


def pairs_of(project_ids: Collection[int]) -> dict[int, int]:
    """Pairs in play by project."""
    rows = Pair.objects.in_play().filter(project__in=project_ids).values("project").annotate(n=Count("pk")).order_by()
    return {row["project"]: row["n"] for row in rows}


def people_of(project_ids: Collection[int]) -> dict[int, int]:
    """Active people who can sign in and judge, by project; leads are among them."""
    rows = (
        Annotator.objects.people()
        .active()
        .filter(project__in=project_ids, user__is_active=True)
        .values("project")
        .annotate(n=Count("pk"))
        .order_by()
    )
    return {row["project"]: row["n"] for row in rows}


def releases_of(project_ids: Collection[int]) -> dict[int, int]:
    rows = Release.objects.filter(project__in=project_ids).values("project").annotate(n=Count("pk")).order_by()
    return {row["project"]: row["n"] for row in rows}


def activity_of(project_ids: Collection[int], *, now: datetime) -> dict[int, Activity]:
    """Who was active today, and when it was last.

    Annotators that came with a file are not counted: they were active elsewhere. Simulated ones stand in for people.
    """
    with connection.cursor() as cursor:
        cursor.execute(ACTIVITY, [midnight(now), list(project_ids)])
        return {project: Activity(active_today=today, last_at=last) for project, today, last in cursor.fetchall()}


def own_counts(annotator_ids: Collection[int]) -> dict[int, tuple[int, datetime | None]]:
    """How many judgements and rankings each of these annotators has given, and the time of the last.

    A ranking is one, however many judgements it implies.
    """
    found: dict[int, tuple[int, datetime | None]] = {}
    for rows in (
        Judgement.objects.current().filter(annotator__in=annotator_ids, ranking=None),
        Ranking.objects.filter(annotator__in=annotator_ids, is_current=True),
    ):
        for row in rows.values("annotator").annotate(n=Count("pk"), last=Max("created_at")).order_by():
            n, last = found.get(row["annotator"], (0, None))
            found[row["annotator"]] = (n + row["n"], max(filter(None, (last, row["last"])), default=None))
    return found


def per_day(project: Project, *, days: int, now: datetime) -> list[tuple[date, int]]:
    """Judgements and rankings given here on each of the last `days` days (UTC), today the last; 0 where none were.

    Answers to gold checks are left out, as in `counts_of`: the pace is that of the work that is left.
    """
    first = now.astimezone(UTC).date() - timedelta(days=days - 1)
    rows = (
        Assignment.objects.slots()
        .filter(project=project, done_at__gte=datetime.combine(first, time(), tzinfo=UTC))
        .exclude(pair__in=_gold([project.pk]))
        .annotate(day=TruncDate("done_at", tzinfo=UTC))
        .values_list("day")
        .annotate(n=Count("pk"))
        .order_by()
    )
    found = dict(rows)
    if project.task == Project.Task.RANKINGS:
        ranked = Turn.objects.filter(lineup__project=project, done_at__gte=datetime.combine(first, time(), tzinfo=UTC))
        days_ranked = ranked.annotate(day=TruncDate("done_at", tzinfo=UTC)).values_list("day").annotate(n=Count("pk"))
        for day, n in days_ranked.order_by():
            found[day] = found.get(day, 0) + n
    return [(day, found.get(day, 0)) for day in (first + timedelta(days=n) for n in range(days))]


def impossible_of(people: Mapping[int, int]) -> dict[int, int]:
    """Open slots and turns that nobody can take, by project; `people` says how many can judge in each.

    Nobody judges a pair or ranks a lineup twice, so neither can have more answers than there are people. Projects in
    which every one can be taken are left out.
    """
    found = _impossible_of("assignment", people)
    ranks = Project.objects.filter(pk__in=people, task=Project.Task.RANKINGS)
    too_many = {pk: overlap - people[pk] for pk, overlap in ranks.values_list("pk", "overlap") if overlap > people[pk]}
    if too_many:
        lined_up = _impossible_of(TURNS, {pk: people[pk] for pk in too_many})
        to_come = {pk: n * too_many[pk] for pk, n in lining_up.lacking(projects=too_many).items()}
        for pk in {*lined_up, *to_come}:
            found[pk] = found.get(pk, 0) + lined_up.get(pk, 0) + to_come.get(pk, 0)
    return found


def _impossible_of(of: str, people: Mapping[int, int]) -> dict[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(IMPOSSIBLE.format(of=of), [list(people), list(people.values())])
        return dict(cursor.fetchall())


def impossible(project: Project, *, people: int) -> int:
    """Open slots and turns of one project that nobody can take."""
    return impossible_of({project.pk: people}).get(project.pk, 0)


def midnight(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date(), time(), tzinfo=UTC)


def latest_of(project_ids: Collection[int], metric: str) -> dict[int, Measurement]:
    """The latest measurement of a metric over everything that people said, by project."""
    rows = (
        Measurement.objects.filter(
            run__project__in=project_ids,
            run__state=Run.State.DONE,
            run__parameters__whole=True,
            metric=metric,
            pair=None,
            annotator=None,
            candidate=None,
        )
        .select_related("run")
        .order_by("run__project", "-run_id", "-id")
        .distinct("run__project")
    )
    return {row.run.project_id: row for row in rows if row.run.project_id is not None}
