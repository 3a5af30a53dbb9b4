"""Pairs -> adjudications: what somebody who has not judged them must settle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet

from annotation import excluding, opening
from annotation.errors import Refused
from annotation.models import Annotator, Draft, Judgement, Project, Role, User
from annotation.recording import record
from curation import browsing
from curation.dimensions import Dimension
from curation.filters import Filter
from curation.models import Adjudication

MOST_AT_ONCE = 100_000
MOST_OPINIONS = 10


@transaction.atomic
def send_to_adjudication(
    *, project: Project, asked: Filter, dims: Sequence[Dimension], expected: int, because: str, actor: User
) -> int:
    """Let every pair that passes wait for an adjudicator; one that waits already keeps its place. Returns how many.

    Raises:
        Refused: the filter does not find the number of pairs that was confirmed, or too many.
    """
    confirm(project=project, asked=asked, dims=dims, expected=expected)
    pairs, params = browsing.pairs_sql(project=project, asked=asked, dims=dims)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO adjudication (project_id, pair_id, because, asked_by_id, asked_at, outcome)
            SELECT %s, each.pair_id, %s, %s, now(), '' FROM ({pairs}) each ORDER BY each.pair_id
            ON CONFLICT (pair_id) WHERE outcome = '' DO NOTHING""",
            [project.pk, because, actor.pk, *params],
        )
        sent = int(cursor.rowcount)
    record(
        act="board.adjudicate",
        subject=f"{sent} pairs",
        actor=actor,
        project=project,
        after={"filter": because, "found": expected, "sent": sent},
    )
    return sent


@transaction.atomic
def ask_again(
    *,
    project: Project,
    asked: Filter,
    dims: Sequence[Dimension],
    expected: int,
    more: int,
    because: str,
    actor: User,
) -> int:
    """Open slots so that `more` people who have not judged a pair judge it, for every pair that passes.

    Returns how many slots were opened; pairs that still have open slots get the difference only.

    Raises:
        Refused: as `send_to_adjudication`; or `more` is out of range.
    """
    if not 1 <= more <= MOST_OPINIONS:
        raise Refused(f"Ask for 1 to {MOST_OPINIONS} more judgements a pair, not {more}.")
    confirm(project=project, asked=asked, dims=dims, expected=expected)
    found = passing(project=project, asked=asked, dims=dims)
    opened = opening.open_extra_slots(project=project, pairs=found, more=more)
    record(
        act="board.ask_again",
        subject=f"{len(found)} pairs",
        actor=actor,
        project=project,
        after={"filter": because, "found": expected, "more": more, "opened": opened},
    )
    return opened


@transaction.atomic
def exclude(
    *,
    project: Project,
    asked: Filter,
    dims: Sequence[Dimension],
    expected: int,
    reason: str,
    because: str,
    actor: User,
) -> int:
    """Take every pair that passes out of play. Returns how many went; those that are out already are passed over.

    Raises:
        Refused: as `send_to_adjudication`; or there is no reason.
    """
    confirm(project=project, asked=asked, dims=dims, expected=expected)
    pairs = passing(project=project, asked=asked, dims=dims)
    return excluding.exclude(project=project, pairs=pairs, because=reason, told=because, actor=actor)


def passing(*, project: Project, asked: Filter, dims: Sequence[Dimension]) -> list[int]:
    """The numbers of the pairs that pass."""
    pairs, params = browsing.pairs_sql(project=project, asked=asked, dims=dims)
    with connection.cursor() as cursor:
        cursor.execute(pairs, params)
        return [pair for (pair,) in cursor.fetchall()]


def confirm(*, project: Project, asked: Filter, dims: Sequence[Dimension], expected: int) -> None:
    """Make sure that a filter finds the number of pairs that somebody was told before they acted on them.

    Raises:
        Refused: it finds another, none, or too many at once.
    """
    found = browsing.count(project=project, asked=asked, dims=dims)
    if found != expected:
        raise Refused(
            f"The filter now finds {found:,} pairs, not the {expected:,} that you confirmed. Look again, then confirm."
        )
    if found > MOST_AT_ONCE:
        raise Refused(f"{found:,} pairs are too many at once: at most {MOST_AT_ONCE:,}. Narrow the filter.")
    if not found:
        raise Refused("No pair passes this filter: there is nothing to send.")


def waiting_for(adjudicator: Annotator) -> QuerySet[Adjudication]:
    """What this adjudicator may settle: nothing that they judged themselves or have begun to judge.

    Most disagreement first, by the entropy of the verdicts when the facts were last gathered; then what waits longest.
    """
    return _open_to([adjudicator]).order_by(F("pair__facts__entropy").desc(nulls_last=True), "asked_at", "pk")


def waiting_counts(adjudicators: Sequence[Annotator]) -> dict[int, int]:
    """How many pairs one person may settle, by number of the project: 0 where none waits. One seat a project."""
    counted = _open_to(adjudicators).order_by().values_list("project").annotate(n=Count("pk"))
    return {seat.project_id: 0 for seat in adjudicators} | dict(counted)


def _open_to(adjudicators: Sequence[Annotator]) -> QuerySet[Adjudication]:
    """What one person may settle in the projects of these seats. A pair is of one project: any seat of theirs does."""
    judged = Judgement.objects.filter(assignment__pair=OuterRef("pair"), annotator__in=adjudicators)
    begun = Draft.objects.filter(assignment__pair=OuterRef("pair"), assignment__annotator__in=adjudicators)
    waiting = Adjudication.objects.filter(project__in=[seat.project_id for seat in adjudicators], outcome="")
    mine = Q(adjudicator=None) | Q(adjudicator__in=adjudicators)
    # What was taken out of play waits until it is put back.
    return waiting.filter(mine, pair__excluded_at=None).exclude(Exists(judged)).exclude(Exists(begun))


@transaction.atomic
def take(*, adjudication: Adjudication, adjudicator: Annotator) -> Adjudication:
    """Give a waiting pair to an adjudicator.

    Raises:
        Refused: they judged the pair, somebody has it, or they are no adjudicator.
    """
    if not adjudicator.may(Role.ADJUDICATOR) or adjudicator.project_id != adjudication.project_id:
        raise Refused("Only adjudicators and leads of this project settle pairs.")
    held: Any = Adjudication.objects.select_for_update().get(pk=adjudication.pk)
    if held.outcome or held.adjudicator_id not in (None, adjudicator.pk):
        raise Refused("Somebody else has this pair already.")
    if Judgement.objects.filter(assignment__pair=held.pair_id, annotator=adjudicator).exists():
        raise Refused("You have judged this pair. Somebody who has not must settle it.")
    held.adjudicator = adjudicator
    held.save(update_fields=["adjudicator"])
    return held  # type: ignore[no-any-return]
