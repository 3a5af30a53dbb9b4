"""Pairs -> out of play, and back. Nothing is deleted: judgements stay, and count again once a pair is back.

A pair out of play is handed to nobody, stands on no board and goes into no release. Open slots go at once. Who holds a
lease finishes, and what they say is kept, for when the pair is back; a lease that runs out takes its slot along.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from annotation import opening
from annotation.errors import Refused
from annotation.models import Event, Pair, Project, User
from annotation.recording import record

OUT, BACK = "pairs.exclude", "pairs.put_back"
LONGEST_REASON = 500
# Numbers that one event names. A larger batch is known by its moment.
MOST_NAMED = 100
# Batches that a page lists.
LISTED = 50


@dataclass(frozen=True)
class Batch:
    """Pairs that were taken out of play together; `at` is their `excluded_at`, which names the batch."""

    at: datetime
    pairs: int
    because: str
    actor: str


@transaction.atomic
def exclude(*, project: Project, pairs: Iterable[int], because: str, actor: User, told: str = "") -> int:
    """Take pairs out of play. Those that are out already keep their reason. Returns how many went.

    Args:
        pairs: their numbers; those of other projects are passed over.
        because: why, for whoever meets the pair later.
        told: the filter that found them, for the record.

    Raises:
        Refused: there is no reason, or it is too long.
    """
    because = " ".join(because.split())
    if not 0 < len(because) <= LONGEST_REASON or "\0" in because:
        raise Refused(f"Say why the pairs leave, in at most {LONGEST_REASON} characters and no NUL character.")
    at = timezone.now()
    gone = _locked(Pair.objects.in_play().filter(project=project, pk__in=list(pairs)))
    if not gone:
        return 0
    Pair.objects.filter(pk__in=gone).update(excluded_at=at)
    opening.open_slots(project=project, pairs=gone)
    record(
        act=OUT,
        subject=f"{len(gone)} pairs",
        actor=actor,
        project=project,
        after={"at": at.isoformat(), "because": because, "filter": told, "pairs": gone[:MOST_NAMED], "n": len(gone)},
    )
    return len(gone)


@transaction.atomic
def put_back(
    *, project: Project, actor: User, pairs: Iterable[int] | None = None, batch: datetime | None = None
) -> int:
    """Put pairs back into play: these, or all that are still out of one batch. Returns how many came.

    Their slots up to the overlap open again; what was asked for beyond it is asked for anew.

    Raises:
        Refused: neither pairs nor a batch is given, or both.
    """
    if (pairs is None) == (batch is None):
        raise Refused("Say which pairs come back: their numbers, or the moment at which they were taken out.")
    out = Pair.objects.filter(project=project, excluded_at__isnull=False)
    back = _locked(out.filter(pk__in=list(pairs)) if pairs is not None else out.filter(excluded_at=batch))
    Pair.objects.filter(pk__in=back).update(excluded_at=None)
    if back:
        opening.open_slots(project=project, pairs=back)
    if back or batch:
        record(
            act=BACK,
            subject=f"{len(back)} pairs",
            actor=actor,
            project=project,
            after={"of": batch.isoformat() if batch else "", "pairs": back[:MOST_NAMED], "n": len(back)},
        )
    return len(back)


def batches(project: Project) -> list[Batch]:
    """What was taken out of play and not put back as a whole, latest first, at most `LISTED`."""
    done = Event.objects.filter(project=project.slug, act__in=(OUT, BACK)).order_by("-pk")
    back: set[str] = set()
    found: list[Batch] = []
    for event in done[: 4 * LISTED]:
        told = event.after or {}
        if event.act == BACK:
            back.add(told["of"])
        elif told["at"] not in back:
            found.append(_batch(event))
    return found[:LISTED]


def batch_of(pair: Pair) -> Batch | None:
    """With which others, why and by whom a pair was taken out of play; None where it is in play or nothing tells."""
    if pair.excluded_at is None:
        return None
    told = Event.objects.filter(project=pair.project.slug, act=OUT, after__at=pair.excluded_at.isoformat())
    event = told.order_by("-pk").first()
    return _batch(event) if event else None


def read_moment(text: str) -> datetime:
    """The moment that names a batch, as pages and the API write it.

    Raises:
        Refused: it is none.
    """
    try:
        at = parse_datetime(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Refused("A batch is named by the moment at which its pairs were taken out. Choose it from the list.")
    return at


def _batch(event: Event) -> Batch:
    told = event.after or {}
    return Batch(at=read_moment(told["at"]), pairs=told["n"], because=told["because"], actor=event.actor)


def _locked(pairs: QuerySet[Pair]) -> list[int]:
    """Their numbers, ascending, held until the transaction ends: two who do this at once do it one after the other."""
    return list(pairs.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
