"""Judgements -> taken back, or said anew: what was stored stays, and is not current any more."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from annotation import judging, recalling
from annotation.answering import Answer, Marked, milliseconds, share
from annotation.editing import edit_meant, store_edit
from annotation.errors import Refused, Stale
from annotation.models import Annotator, Assignment, Draft, Judgement, PrincipleVote, Project, Rationale, Span
from annotation.recording import record
from annotation.wording import NOTHING_TO_JUDGE


@transaction.atomic
def undo(*, annotator: Annotator) -> Assignment:
    """Take back my latest answer: it stays stored but is not current, and the pair is leased to me with it as a draft.

    Raises:
        Refused: the project takes no answers now, or there is nothing to take back.
    """
    me = judging.lock(annotator)
    if me.project.state != Project.State.JUDGING:
        raise Refused(f"{NOTHING_TO_JUDGE[me.project.state][0]} {_('Answers cannot be taken back now.')}")
    latest = (
        Judgement.objects.current()
        .filter(
            annotator=me, assignment__annotator=me, assignment__done_at__isnull=False, assignment__slot__isnull=False
        )
        .select_related("assignment")
        .order_by("-id")
        .first()
    )
    if latest is None:
        raise Refused(_("There is no answer to take back."))
    now = timezone.now()
    Judgement.objects.filter(pk=latest.pk).update(is_current=False)
    assignment = latest.assignment
    assignment.done_at, assignment.lease_until = None, now + timedelta(minutes=me.project.lease_minutes)
    assignment.save(update_fields=["done_at", "lease_until"])
    Draft.objects.update_or_create(
        assignment=assignment, defaults={"body": recalling.fields_of(latest), "version": 0, "saved_at": now}
    )
    _record(act="judgement.undo", me=me, before=latest, after=None)
    return assignment


@transaction.atomic
def revise(*, annotator: Annotator, assignment: Assignment, answer: Answer, expected_revision: int) -> Judgement:
    """Change an answer of mine: a new revision becomes the current one, the old one stays.

    The new revision keeps the order that was seen when the pair was judged. Sending the same key again changes nothing.

    Raises:
        Unfit: the answer does not fit the project.
        Stale: the answer has been changed since the page was opened.
        Refused: the project is closed, or the answer was taken back.
    """
    me = judging.lock(annotator)
    if me.project.state == Project.State.CLOSED:
        raise Refused(_("This project is closed. Answers can no longer be changed."))
    repeated = Judgement.objects.filter(key=answer.key).first()
    if repeated is not None:
        if (repeated.assignment_id, repeated.annotator_id) != (assignment.pk, me.pk):
            raise Stale(_("This page is out of date. Open the answer again; what you wrote is kept here."))
        return repeated
    terms = judging.terms_of(me.project.slug, fresh=True)
    assert terms is not None
    terms.check(answer)
    judging.within(assignment, answer.spans)
    edited = edit_meant(pair=assignment.pair, answer=answer, allowed=terms.allow_edits)
    current = (
        Judgement.objects.current()
        .select_for_update()
        .filter(assignment=assignment, annotator=me, assignment__annotator=me, assignment__done_at__isnull=False)
        .first()
    )
    if current is None:
        raise Refused(_("This answer was taken back. Judge the pair again on the judging page."))
    if current.revision != expected_revision:
        raise Stale(
            _(
                "You have changed this answer in another window since. "
                "That version is stored, and this one is kept here."
            )
        )
    Judgement.objects.filter(pk=current.pk).update(is_current=False)
    latest = Judgement.objects.filter(assignment=assignment).order_by("-revision").values_list("revision", flat=True)[0]
    assert me.user_id is not None
    asked = terms.asked(assignment_id=assignment.pk, user_id=me.user_id)
    revised = Judgement.objects.create(
        assignment=assignment,
        annotator=me,
        revision=latest + 1,
        key=answer.key,
        verdict=answer.verdict,
        strength=answer.strength,
        deciding_principle_id=answer.deciding or None,
        overall_first=asked.overall_first if answer.votes else None,
        skip_reason=answer.skip_reason,
        flags=list(dict.fromkeys(answer.flags)),
        guideline_id=terms.stamp(answer),
        swapped=current.swapped,
        turned=answer.turned,
        active_ms=milliseconds(answer.active_ms),
        first_key_ms=milliseconds(answer.first_key_ms),
        coverage_first=share(answer.coverage_first),
        coverage_second=share(answer.coverage_second),
        client=answer.client.replace("\0", "")[:60],
    )
    if answer.text or answer.tags or answer.spans:
        tags = list(dict.fromkeys(answer.tags))
        why = Rationale.objects.create(
            pair_id=assignment.pair_id, annotator=me, judgement=revised, text=answer.text, tags=tags
        )
        Span.objects.bulk_create(_span(why, one, assignment) for one in answer.spans)
    PrincipleVote.objects.bulk_create(
        PrincipleVote(
            pair_id=assignment.pair_id,
            annotator=me,
            principle_id=principle,
            judgement=revised,
            vote=answer.votes[principle],
            position=position,
        )
        for position, principle in enumerate(asked.order, start=1)
        if principle in answer.votes
    )
    if edited:
        store_edit(judgement_id=revised.pk, edited=edited)
    _record(act="judgement.revise", me=me, before=current, after=revised)
    return revised


def _span(why: Rationale, one: Marked, assignment: Assignment) -> Span:
    sides = {"first": assignment.pair.first_id, "second": assignment.pair.second_id}
    return Span(
        rationale=why,
        candidate_id=sides.get(one.place),
        message=one.message,
        start=one.start,
        end=one.end,
        polarity=one.polarity,
        tag=one.tag,
        principle_id=one.principle,
    )


def _record(*, act: str, me: Annotator, before: Judgement, after: Judgement | None) -> None:
    def facts(one: Judgement) -> dict[str, Any]:
        return {"judgement": one.pk, "revision": one.revision, "verdict": one.verdict, "strength": one.strength}

    record(
        act=act,
        subject=f"assignment {before.assignment_id}",
        actor=me.user,
        project=me.project,
        before=facts(before),
        after=facts(after) if after else None,
    )
