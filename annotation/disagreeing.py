"""Judgements -> disagreements: why others see it differently, as somebody thinks who was shown that they do."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction
from django.utils.translation import gettext as _

from annotation import calibrating
from annotation.answering import Unfit
from annotation.errors import Refused
from annotation.models import Annotator, Cause, Disagreement

LONGEST_NOTE = 2_000


@transaction.atomic
def give_cause(*, annotator: Annotator, judgement_id: int, cause: str, note: str = "") -> Disagreement:
    """Say why an answer of mine differs from what was expected. Saying the same twice stores it once.

    Raises:
        Unfit: the cause is not one of `Cause`, or the note cannot be stored.
        Refused: it is not an answer of mine that was shown to differ.
    """
    if cause not in Cause.values:
        raise Unfit(_("Choose one of the causes."), field="cause")
    note = note.replace("\r\n", "\n").strip()
    if len(note) > LONGEST_NOTE or "\0" in note:
        raise Unfit(
            _("A note holds at most %(most)s characters, and no NUL character.") % {"most": f"{LONGEST_NOTE:,}"},
            field="note",
        )
    # One act of one annotator at a time: a double click finds what the first one stored.
    me = Annotator.objects.select_for_update(no_key=True, of=("self",)).select_related("project").get(pk=annotator.pk)
    shown = calibrating.missed(me) if me.project.shows_results else []
    if judgement_id not in {one.pk for one in shown}:
        raise Refused(_("Only an answer of yours that differs from what was expected has such a cause."))
    last = Disagreement.objects.filter(judgement=judgement_id).order_by("-pk").first()
    if last is not None and (last.cause, last.note) == (cause, note):
        return last
    return Disagreement.objects.create(judgement_id=judgement_id, cause=cause, note=note)


def causes_given(judgements: Iterable[int]) -> dict[int, Disagreement]:
    """What is in force, by judgement number; without those of which nothing was said."""
    found = Disagreement.objects.filter(judgement__in=list(judgements)).order_by("judgement", "-pk")
    return {one.judgement_id: one for one in found.distinct("judgement")}
