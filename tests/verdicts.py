"""Verdicts of people, as the page sends them or as they are stored, for tests of what is made of them."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.utils import timezone

from annotation import assigning, judging
from annotation.answering import Shown
from annotation.models import Annotator, Judgement, Pair

MakePair = Callable[..., Pair]


def claim(who: Annotator) -> int:
    """The assignment that is handed out to `who`."""
    assert who.user_id is not None
    taken = assigning.claim(user_id=who.user_id, slug=who.project.slug)
    assert taken
    return taken.assignment_id


def shown(assignment_id: int, control: str = "a2", **fields: Any) -> Shown:
    """An answer as it is given on the screen."""
    if control == "skip":
        fields.setdefault("skip_reason", "language")
    return Shown(assignment_id=assignment_id, key=fields.pop("key", None) or uuid.uuid4(), control=control, **fields)


def send(who: Annotator, answer: Shown, **more: Any) -> judging.Outcome:
    """`who` sends an answer, and is handed the next pair."""
    assert who.user_id is not None
    return judging.submit_and_next(user_id=who.user_id, slug=who.project.slug, shown=answer, **more)


def judge(
    who: Any, pair: Any, strength: int | None = 2, verdict: str = "prefer", *, at: datetime | None = None, **fields: Any
) -> Judgement:
    """`who` judges the next open slot of `pair`, as if it had been handed out; now, or at a time."""
    at = at or timezone.now()
    slot = pair.assignments.filter(annotator=None).earliest("slot")
    slot.annotator, slot.done_at = who, at
    slot.save()
    values = {"key": uuid.uuid4(), "verdict": verdict, "strength": strength, "swapped": False, "created_at": at}
    return Judgement.objects.create(assignment=slot, annotator=who, **{**values, **fields})
