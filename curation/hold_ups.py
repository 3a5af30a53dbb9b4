"""What holds a project up: each with its cause and what to press. Reads only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Q

from annotation import calibrating
from annotation.models import Assignment, Pair, Project, Role, Run, SkipReason
from curation.models import Adjudication
from curation.progress import Counts

# The sweeper comes every ten seconds; leases that lie longer tell that none runs.
SWEEP_IS_LATE = timedelta(minutes=1)


@dataclass(frozen=True)
class Remedy:
    """A link: its text and the name of the page, which takes the project's slug."""

    text: str
    page: str


@dataclass(frozen=True)
class HoldUp:
    title: str
    cause: str
    remedies: tuple[Remedy, ...] = ()


def hold_ups(
    *, project: Project, counts: Counts, pairs: int, people: int, impossible: int, is_worker_alive: bool, now: datetime
) -> list[HoldUp]:
    """Everything that keeps judgements from coming in, the most fundamental first. Empty: nothing does."""
    found = [*_state(project), *_material(project, counts, pairs)]
    if pairs:
        found += [*_people(project, counts, people, impossible), *_leases(project, is_worker_alive, now)]
        found += _gold_round(project, counts)
        found += _skipped_lineups(project) if project.task == Project.Task.RANKINGS else _skipped(project)
        found += _adjudication(project)
    return found + _failed(project, now)


def _state(project: Project) -> list[HoldUp]:
    if project.state == Project.State.JUDGING:
        return []
    title, cause = {
        Project.State.SETUP: ("The project is being set up", "Nobody is given pairs until judging is switched on."),
        Project.State.PAUSED: (
            "Judging is paused",
            "Nobody is given new pairs. What is on a screen can still be submitted.",
        ),
        Project.State.CLOSED: ("The project is closed", "Nobody is given pairs any more."),
    }[Project.State(project.state)]
    return [HoldUp(title, cause, (Remedy("Open the settings", "settings"),))]


def _material(project: Project, counts: Counts, pairs: int) -> list[HoldUp]:
    if not pairs:
        return [HoldUp("There are no pairs", "Annotators have nothing to judge.", (Remedy("Import pairs", "imports"),))]
    if not counts.total and project.task == Project.Task.RANKINGS:
        return [
            HoldUp(
                "No prompt has three different candidates",
                "A ranking is of 3 to 8 candidates of one prompt, and the pairs of no prompt have as many.",
                (
                    Remedy("Import pairs", "imports"),
                    Remedy("Generate candidates", "runs"),
                    Remedy("Judge pairs instead", "settings"),
                ),
            )
        ]
    if not counts.total:
        return [
            HoldUp(
                f"None of the {pairs:,} pairs is in the queue",
                "Their slots are opened when an import ends and when the settings are saved.",
                (Remedy("Open the settings", "settings"),),
            )
        ]
    return []


def _people(project: Project, counts: Counts, people: int, impossible: int) -> list[HoldUp]:
    if not counts.left:
        return []
    invite = (Remedy("Invite people", "people"),)
    if not project.annotators.people().active().filter(user__is_active=True).exclude(role=Role.LEAD).exists():
        return [
            HoldUp("Nobody has been invited", "Only leads could judge here, and judging is not their work.", invite)
        ]
    if impossible:
        ranks = project.task == Project.Task.RANKINGS
        noun, each = ("ranking", "Each lineup is to be ranked") if ranks else ("judgement", "Each pair is to be judged")
        return [
            HoldUp(
                f"Nobody can give {_n(impossible, noun)}",
                f"{each} by {project.overlap} different people, and {people} can judge here. "
                f"The forecast leaves these {noun}s out.",
                (*invite, Remedy("Change the overlap", "settings")),
            )
        ]
    return []


def _gold_round(project: Project, counts: Counts) -> list[HoldUp]:
    """Who is stopped by the rounds of checks before judging begins, and rounds that nobody can finish."""
    if not counts.left or not project.gold_round or project.task != Project.Task.PAIRS:
        return []
    return [*_checks_missing(project), *_failed_rounds(project)]


def _checks_missing(project: Project) -> list[HoldUp]:
    missing = calibrating.checks_missing(project)
    if not missing:
        return []
    return [
        HoldUp(
            f"The gold round lacks {_n(missing, 'check')}",
            f"A round has {_n(project.gold_round, 'check')}, and the second has others. "
            "Who has judged all there are is handed nothing more.",
            (Remedy("Make pairs gold on the board", "board"), Remedy("Change the rounds", "settings")),
        )
    ]


def _failed_rounds(project: Project) -> list[HoldUp]:
    failed = calibrating.failed_in(project)
    if not failed:
        return []
    names = ", ".join(one.name for one in failed[:3]) + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
    is_one = len(failed) == 1
    return [
        HoldUp(
            f"{len(failed):,} {'person is' if is_one else 'people are'} stopped by the gold rounds",
            f"{names} did not pass {calibrating.ROUNDS} rounds of {project.gold_round} checks, of which "
            f"{project.gold_pass} must be right. Nothing more is handed to {'them' if not is_one else 'this person'}.",
            (Remedy("Look at people", "people_report"), Remedy("Change the rounds", "settings")),
        )
    ]


def _leases(project: Project, is_worker_alive: bool, now: datetime) -> list[HoldUp]:
    left_open = Assignment.objects.filter(project=project, lease_until__lt=now - SWEEP_IS_LATE)
    # A check is its annotator's own: nobody waits for it.
    expired = left_open.exclude(pair__gold_use=Pair.GoldUse.CHECK).count()
    if not expired:
        return []
    cause = "Their leases ran out and they were not given back to the queue. "
    cause += "The sweeper is behind." if is_worker_alive else "A worker does that, and none is alive."
    return [HoldUp(f"{_n(expired, 'pair')} left open by somebody", cause)]


def _adjudication(project: Project) -> list[HoldUp]:
    """Pairs that somebody must settle, and what those who settled some found unclear."""
    counts = Adjudication.objects.filter(project=project).aggregate(
        waiting=Count("pk", filter=Q(outcome="")), unclear=Count("pk", filter=Q(outcome="unclear"))
    )
    found = []
    if counts["waiting"]:
        has_somebody = project.annotators.people().active().filter(role=Role.ADJUDICATOR).exists()
        cause = "Somebody who has not judged a pair settles it. "
        cause += "Until then the rule of a release decides." if has_somebody else "Nobody has the role of adjudicator."
        remedies = [Remedy("Open adjudication", "adjudication")]
        remedies += [] if has_somebody else [Remedy("Invite an adjudicator", "people")]
        waits = "waits" if counts["waiting"] == 1 else "wait"
        found.append(HoldUp(f"{_n(counts['waiting'], 'pair')} {waits} for an adjudicator", cause, tuple(remedies)))
    if counts["unclear"]:
        found.append(
            HoldUp(
                f"The guideline is unclear on {_n(counts['unclear'], 'pair')}",
                "Adjudicators could not settle them by it, and say why.",
                (Remedy("Read their notes", "adjudication"), Remedy("Write a new version", "guideline_new")),
            )
        )
    return found


def _skipped(project: Project) -> list[HoldUp]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH skip AS (
                SELECT a.pair_id, j.skip_reason
                FROM judgement j JOIN assignment a ON a.id = j.assignment_id
                WHERE j.is_current AND j.verdict = 'skip' AND a.project_id = %s AND a.slot IS NOT NULL
            ), lost AS (
                SELECT pair_id FROM skip GROUP BY pair_id
                HAVING count(*) = (
                    SELECT count(*) FROM assignment s WHERE s.pair_id = skip.pair_id AND s.slot IS NOT NULL
                )
            )
            SELECT skip_reason, count(*), (SELECT count(*) FROM lost)
            FROM skip JOIN lost USING (pair_id) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1
            """,
            [project.pk],
        )
        return _all_skipped(cursor.fetchone(), "pair")


def _skipped_lineups(project: Project) -> list[HoldUp]:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            WITH given AS (
                SELECT t.lineup_id, coalesce(r.skip_reason, '') AS skip_reason
                FROM turn t JOIN lineup l ON l.id = t.lineup_id
                LEFT JOIN ranking r ON r.turn_id = t.id AND r.is_current
                WHERE l.project_id = %s
            ), lost AS (SELECT lineup_id FROM given GROUP BY lineup_id HAVING bool_and(skip_reason <> ''))
            SELECT skip_reason, count(*), (SELECT count(*) FROM lost)
            FROM given JOIN lost USING (lineup_id) GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 1
            """,
            [project.pk],
        )
        return _all_skipped(cursor.fetchone(), "lineup")


def _all_skipped(row: tuple[str, int, int] | None, what: str) -> list[HoldUp]:
    """From the reason given most, how often, and how many were skipped by everybody who could have answered."""
    if row is None:
        return []
    reason, times, lost = row
    return [
        HoldUp(
            f"{_n(lost, f'{what} was', f'{what}s were')} skipped by everybody",
            f"Reason given most: “{SkipReason(reason).label}” ({times:,}). More people will not help.",
        )
    ]


def _failed(project: Project, now: datetime) -> list[HoldUp]:
    """Runs that failed in the last day and were not followed by one of their kind that did not."""
    newest: dict[str, Run] = {}
    for run in project.runs.filter(created_at__gt=now - timedelta(days=1)).order_by("-id").defer("log", "result")[:50]:
        newest.setdefault(run.kind, run)
    return [
        HoldUp(
            f"{run} failed",
            run.error,
            (Remedy("Look at the imports", "imports"),) if run.kind == Run.Kind.IMPORT else (),
        )
        for run in newest.values()
        if run.state == Run.State.FAILED
    ]


def _n(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
