"""Annotators and pairs -> recusals: who may not judge a pair any more, because they have seen what others said of it.

A recusal is a row of the table of assignments, so that the constraint that keeps an annotator from a pair twice
(`never_twice`) keeps them from this one, whoever hands it out and at whatever moment; the claim asks nothing more.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from annotation import opening, statements
from annotation.errors import Refused
from annotation.models import Annotator, Assignment, Draft, Judgement

# Before every lease that ran out: the sweeper takes the oldest first.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@transaction.atomic
def recuse(*, annotator: Annotator, pair_id: int) -> None:
    """Keep an annotator from being handed a pair. Twice is as good as once.

    A lease of theirs in which nothing is written goes back to the queue.

    Raises:
        Refused: they judged the pair, or have begun to.
    """
    held = Assignment.objects.select_for_update().filter(pair=pair_id, annotator=annotator).first()
    if held is not None and held.is_recused:
        return
    if held is not None:
        if held.done_at or Judgement.objects.filter(assignment=held).exists():
            raise Refused("You have judged this pair. Somebody who has not must settle it.")
        if Draft.objects.filter(assignment=held).exists():
            raise Refused("You have begun to judge this pair. Judge it or skip it, and let somebody else settle it.")
        Assignment.objects.filter(pk=held.pk).update(lease_until=LONG_AGO)
        opening.sweep(project_id=annotator.project_id)
    try:
        with transaction.atomic():
            Assignment.objects.create(
                project_id=annotator.project_id,
                pair_id=pair_id,
                annotator=annotator,
                priority=0,
                is_recused=True,
                done_at=timezone.now(),
            )
    except IntegrityError as error:
        if statements.constraint_of(error) != "never_twice":
            raise
        raise Refused("This pair has just been handed to you to judge. Look again in a moment.") from error
