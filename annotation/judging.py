"""Assignments -> judgements: what annotators say becomes facts, once.

What comes before is in drafting.py, what comes after in revising.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from annotation import assigning, calibrating, ordering, recalling, statements
from annotation.answering import (
    Answer,
    Marked,
    Shown,
    Terms,
    Unfit,
    in_words,
    milliseconds,
    share,
)
from annotation.editing import Edited, edit_meant, store_edit
from annotation.errors import Refused, Stale
from annotation.models import Annotator, Assignment, Judgement, Project
from annotation.wording import NOTHING_TO_JUDGE

__all__ = [
    "Answer",
    "LeaseLost",
    "Outcome",
    "Shown",
    "Unfit",
    "hand_out",
    "lock",
    "submit",
    "submit_and_next",
]


class LeaseLost(Stale):
    """The assignment is not this annotator's to answer any more. What was sent was not stored; the page keeps it."""


# ---- what a project accepts -----------------------------------------------------------------------------------------

# Per process. A cached entry may be old; the statement that relies on it finds nobody then, and it is read again.
_TERMS: dict[str, Terms] = {}


def terms_of(slug: str, *, fresh: bool = False) -> Terms | None:
    """The project's terms; None when there is no such project."""
    if not fresh and slug in _TERMS:
        return _TERMS[slug]
    query = f"""SELECT p.*, {assigning.VERSION} AS version, ARRAY(SELECT principle_id FROM guideline_principle g
      WHERE g.guideline_id = p.guideline_id ORDER BY position) AS principle_ids, ARRAY(SELECT id FROM guideline v
      WHERE v.project_id = p.id) AS guideline_ids FROM project p WHERE p.slug = %s"""
    row = next(iter(Project.objects.raw(query, [slug])), None)
    if row is None:
        _TERMS.pop(slug, None)
        return None
    _TERMS[slug] = Terms(
        version=row.version,  # type: ignore[attr-defined]
        scale=row.scale,
        strengths=tuple(row.strengths),
        allow_tie=row.allow_tie,
        allow_both_bad=row.allow_both_bad,
        rationale_policy=row.rationale_policy,
        tags=tuple(tag["key"] for tag in row.tags),
        votes_policy=row.votes_policy,
        principles=tuple(row.principle_ids),  # type: ignore[attr-defined]
        guideline_id=row.guideline_id,
        guidelines=tuple(row.guideline_ids),  # type: ignore[attr-defined]
        seed=row.seed,
        has_gold=bool(row.gold_round or row.gold_rate),
        allow_edits=row.allow_edits,
        shortest_reason=row.shortest_reason,
    )
    return _TERMS[slug]


def keep_terms(project: Project) -> Terms | None:
    """The project's terms, read again when the cached ones are of another guideline or ask differently."""
    cached = _TERMS.get(project.slug)
    has_gold = bool(project.gold_round or project.gold_rate)
    now = (project.guideline_id, project.votes_policy, has_gold, project.allow_edits)
    same = cached and (cached.guideline_id, cached.votes_policy, cached.has_gold, cached.allow_edits) == now
    return cached if same else terms_of(project.slug, fresh=True)


def _terms_to_try(slug: str) -> Iterator[tuple[Terms, bool]]:
    """The cached terms, then the current ones if they differ; with each, whether it is the last word."""
    cached = _TERMS.get(slug)
    if cached is not None:
        yield cached, False
    current = terms_of(slug, fresh=True)
    if current is not None:
        yield current, True


def hand_out(*, user_id: int, slug: str) -> list[assigning.Handed]:
    """What I hold, topped up: checks among it, where the project has gold.

    Asked anew: nothing later in this act would notice that a lead has just turned the round on.
    """
    terms = terms_of(slug, fresh=True)
    if terms is None or not terms.has_gold:
        return assigning.hand_out(user_id=user_id, slug=slug)
    return calibrating.hand_out(user_id=user_id, slug=slug)


# ---- submitting -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a submit: the stored answer in words, where the annotator stands, and the next item, if any."""

    assignment_id: int
    echo: str
    annotator_id: int
    today: int
    # The place of the next item among today's: what is done, then what I hold.
    position: int
    next: assigning.Handed | None
    # The guideline in force: a page of another one says that there is news.
    guideline_id: int | None = None
    # The draft of another device that the answer took the place of, unseen.
    unseen: dict[str, Any] | None = None


def submit_and_next(*, user_id: int, slug: str, shown: Shown, held: tuple[int, ...] = ()) -> Outcome:
    """Store an answer to a leased assignment and lease the next one. Sending the same key again stores nothing twice.

    `held` are assignments that the page shows or keeps ready; a repeated submit returns one that it does not know of.

    Raises:
        Unfit: the answer does not fit the project.
        LeaseLost: the assignment is not mine to answer, or answered otherwise already.
        Refused: the project does not take answers now.
        Annotator.DoesNotExist: this account does not judge in this project.
    """
    straight, swapped = shown.stored(swapped=False), shown.stored(swapped=True)
    return _submit(user_id=user_id, slug=slug, straight=straight, swapped=swapped, claim=True, held=held)


def submit(*, user_id: int, project: Project, answer: Answer) -> Outcome:
    """Store an answer told by first and second, and lease nothing. Raises what `submit_and_next` raises."""
    return _submit(user_id=user_id, slug=project.slug, straight=answer, swapped=answer, claim=False, held=())


def submit_shown(*, user_id: int, slug: str, shown: Shown) -> Outcome:
    """Store an answer as it was given on the screen, and lease nothing. Raises what `submit_and_next` raises."""
    straight, swapped = shown.stored(swapped=False), shown.stored(swapped=True)
    return _submit(user_id=user_id, slug=slug, straight=straight, swapped=swapped, claim=False, held=())


def _submit(
    *, user_id: int, slug: str, straight: Answer, swapped: Answer, claim: bool, held: tuple[int, ...]
) -> Outcome:
    parameters = _parameters(straight, swapped)
    for terms, last in _terms_to_try(slug):
        try:
            terms.check(straight)
        except Unfit:
            if last:
                raise
            continue
        edited = None
        if straight.spans or straight.edit_first is not None or straight.edit_second is not None:
            edited = _check_texts(user_id=user_id, slug=slug, straight=straight, swapped=swapped, terms=terms)
        parameters |= _order(terms.asked(assignment_id=straight.assignment_id, user_id=user_id), straight)
        parameters["guideline"] = _text(terms.stamp(straight))
        try:
            # The judgement and its edit together, or neither. Without an edit the statement is a transaction itself.
            with transaction.atomic() if edited else nullcontext():
                done = assigning.submit(
                    user_id=user_id,
                    slug=slug,
                    version=terms.version,
                    answer=parameters,
                    claim=claim and not terms.has_gold,
                )
                if edited and done.said:
                    store_edit(judgement_id=Judgement.objects.only("pk").get(key=straight.key).pk, edited=edited)
                    done = replace(done, said=replace(done.said, has_edit=True))
        except IntegrityError as error:
            if statements.constraint_of(error) != "once":
                raise
            return _answered_before(user_id=user_id, slug=slug, answer=straight, claim=claim, held=held)
        if done.annotator_id is None:
            continue
        if done.said is None:
            return _answered_before(user_id=user_id, slug=slug, answer=straight, claim=claim, held=held)
        following = done.next
        if claim and terms.has_gold:
            following = calibrating.next_for(user_id=user_id, slug=slug)
        return Outcome(
            assignment_id=straight.assignment_id,
            echo=in_words(done.said, scale=terms.scale),
            annotator_id=done.annotator_id,
            today=done.today,
            position=done.today + done.leases + (following is not done.next),
            next=following,
            guideline_id=terms.guideline_id,
            unseen=json.loads(done.unseen) if done.unseen else None,
        )
    raise Annotator.DoesNotExist


def _parameters(straight: Answer, swapped: Answer) -> dict[str, Any]:
    """The parameters of the statement, as text: for both ways in which the candidates may have stood."""
    return {
        "assignment": str(straight.assignment_id),
        "key": str(straight.key),
        "verdict": str(straight.verdict),
        "strength": _text(straight.strength),
        "swapped_strength": _text(swapped.strength),
        "skip_reason": straight.skip_reason,
        "flags": list(dict.fromkeys(straight.flags)),
        "tags": list(dict.fromkeys(straight.tags)),
        "text": straight.text,
        "spans": _spans(straight),
        "swapped_spans": _spans(swapped),
        "deciding": _text(straight.deciding or None),
        "active_ms": _text(milliseconds(straight.active_ms)),
        "first_key_ms": _text(milliseconds(straight.first_key_ms)),
        "coverage_first": _text(share(straight.coverage_first)),
        "coverage_second": _text(share(straight.coverage_second)),
        "swapped_coverage_first": _text(share(swapped.coverage_first)),
        "swapped_coverage_second": _text(share(swapped.coverage_second)),
        "turned": str(straight.turned).lower(),
        "client": straight.client.replace("\0", "")[:60],
        "beyond": statements.in_array(straight.beyond),
    }


def _spans(answer: Answer) -> str:
    return json.dumps([asdict(span) for span in answer.spans]) if answer.spans else "[]"


def _order(asked: ordering.Asked, answer: Answer) -> dict[str, Any]:
    """The votes with the places at which they were asked, for both ways in which the candidates may have stood."""
    votes = [
        {
            "principle": principle,
            "vote": answer.votes[principle],
            "swapped_vote": ordering.turned(answer.votes[principle], swapped=True),
            "position": position,
        }
        for position, principle in enumerate(asked.order, start=1)
        if principle in answer.votes
    ]
    return {"votes": json.dumps(votes), "overall_first": str(asked.overall_first).lower() if votes else None}


def _check_texts(*, user_id: int, slug: str, straight: Answer, swapped: Answer, terms: Terms) -> Edited | None:
    """What is said of the raw texts, which never change: highlights end within them, an edit is of the better one.

    Returns the edit, if there is one. A lost lease is found by the statement, not here.
    """
    assignment = (
        Assignment.objects.filter(pk=straight.assignment_id, annotator__user_id=user_id, project__slug=slug)
        .select_related("pair__prompt", "pair__first", "pair__second")
        .first()
    )
    if assignment is None:
        return None
    answer = swapped if assignment.swapped else straight
    within(assignment, answer.spans)
    return edit_meant(pair=assignment.pair, answer=answer, allowed=terms.allow_edits)


def within(assignment: Assignment, spans: Iterable[Marked]) -> None:
    """Raises Unfit where a highlight ends outside of its raw text."""
    pair = assignment.pair
    texts = {"prompt": pair.prompt.messages, "first": pair.first.messages, "second": pair.second.messages}
    for span in spans:
        messages = texts.get(span.place, [])
        length = len(str(messages[span.message].get("content", ""))) if span.message < len(messages) else 0
        if span.end > length:
            raise Unfit(_("A highlight lies outside of the text. Take it off and mark the words again."), field="span")


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _answered_before(*, user_id: int, slug: str, answer: Answer, claim: bool, held: tuple[int, ...]) -> Outcome:
    """Nothing was stored. Either this very answer is stored already (its reply was lost), or the slot is not mine."""
    me = Annotator.objects.active().select_related("project").get(user_id=user_id, project__slug=slug)
    stored = Judgement.objects.filter(key=answer.key, annotator=me, assignment=answer.assignment_id).first()
    if stored is None or not stored.is_current:
        if me.project.state != Project.State.JUDGING:
            closed = NOTHING_TO_JUDGE[me.project.state][0]
            kept = _("Your answer was not stored; what you wrote is kept on this page.")
            raise Refused(f"{closed} {kept}")
        raise LeaseLost(_why_lost(me=me, answer=answer, withdrawn=stored is not None))
    following = None
    if claim:
        known = {answer.assignment_id, *held}
        mine = hand_out(user_id=user_id, slug=slug)
        unknown = [item for item in mine if item.assignment_id not in known]
        following = unknown[-1] if unknown else None
    counts = assigning.counts_of(annotator_id=me.pk)
    return Outcome(
        assignment_id=answer.assignment_id,
        echo=recalling.echo(stored),
        annotator_id=me.pk,
        today=counts.today,
        position=counts.today + counts.mine,
        next=following,
    )


def _why_lost(*, me: Annotator, answer: Answer, withdrawn: bool) -> str:
    if withdrawn:
        return _("This answer was taken back since. Send it again from the page that shows the pair now.")
    if Assignment.objects.filter(pk=answer.assignment_id, annotator=me, done_at__isnull=False).exists():
        return _(
            "You have answered this pair already, in another window. It is stored; you can change it in My answers."
        )
    return _("Your time for this pair ran out, and it went back to the queue. What you wrote is kept on this page.")


# ---- one act of one annotator at a time ----------------------------------------------------------------------------


def lock(annotator: Annotator) -> Annotator:
    """The same lock as a claim takes: one act of one annotator at a time."""
    return (
        Annotator.objects.select_for_update(no_key=True, of=("self",))
        .select_related("project", "user")
        .get(pk=annotator.pk)
    )
