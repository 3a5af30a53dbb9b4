"""Acts -> events: the append-only, hash-chained record of who did what."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connection, transaction
from django.utils import timezone

from annotation.models import Event, Project, User

GENESIS = "0" * 64
# Any number, the same in every process: whoever holds it may append.
CHAIN_LOCK = 7_234_001


@transaction.atomic
def record(
    *,
    act: str,
    subject: str,
    actor: User | None = None,
    command: str = "",
    project: Project | None = None,
    before: Any = None,
    after: Any = None,
) -> Event:
    """Append one event. Give the acting user, or the name of the command that acted.

    `before` and `after` are JSON values; they never hold secrets or the text of candidates.
    """
    at = timezone.now()
    # One chain: appending is serialised until the transaction ends. Hot paths (claim, submit, draft) write no events.
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [CHAIN_LOCK])
    previous = Event.objects.order_by("-id").values_list("digest", flat=True).first() or GENESIS
    event = Event(
        at=at,
        actor=actor.email if actor else command or "system",
        project=project.slug if project else "",
        act=act,
        subject=subject,
        before=before,
        after=after,
        previous=previous,
    )
    event.digest = _digest(event)
    event.save(force_insert=True)
    return event


def broken_links() -> Iterator[tuple[int, str]]:
    """Every event whose digest or predecessor is wrong, as (number, sentence). Empty when the record is whole."""
    previous = GENESIS
    for event in Event.objects.order_by("id").iterator():
        if event.previous != previous:
            yield event.pk, f"Event {event.pk} does not follow the one before it: an event was removed or inserted."
        if event.digest != _digest(event):
            yield event.pk, f"Event {event.pk} was changed after it was written."
        previous = event.digest


def _digest(event: Event) -> str:
    fields = [event.at, event.actor, event.project, event.act, event.subject, event.before, event.after, event.previous]
    return hashlib.sha256(json.dumps(fields, cls=_Exact, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


class _Exact(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        # Django's encoder cuts microseconds; the digest must see all of them.
        return o.isoformat() if isinstance(o, datetime) else super().default(o)
