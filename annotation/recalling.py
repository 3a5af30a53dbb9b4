"""Stored answers, read again: as the form that was filled in, and as a sentence."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.db.models import Exists, F, Func, OuterRef, Q, QuerySet, TextField

from annotation import ordering
from annotation.answering import Marked, Said, control_of, in_words
from annotation.editing import edit_with
from annotation.models import Judgement, Rationale, Span


class OneLine(Func):
    """A text with every run of white space as one blank, as somebody types what they remember of it."""

    template = r"regexp_replace(%(expressions)s, '\s+', ' ', 'g')"
    output_field = TextField()


class Spoken(Func):
    """What a list of messages says, without the names and marks that JSON writes around it."""

    template = "(SELECT string_agg(said ->> 'content', ' ') FROM jsonb_array_elements(%(expressions)s) AS said)"
    output_field = TextField()


def with_words(judgements: QuerySet[Judgement], words: str) -> QuerySet[Judgement]:
    """Those whose prompt, or whose annotator's own reason, holds these words one after the other, in any case."""
    prompt = "assignment__pair__prompt"
    reason = Rationale.objects.filter(judgement=OuterRef("pk"), source=Rationale.Source.HUMAN)
    found = judgements.alias(asked=OneLine(Spoken(f"{prompt}__messages")), system=OneLine(F(f"{prompt}__system")))
    written = Exists(reason.alias(line=OneLine(F("text"))).filter(line__icontains=words))
    return found.filter(Q(asked__icontains=words) | Q(system__icontains=words) | written)


def fields_of(judgement: Judgement) -> dict[str, Any]:
    """A stored answer as the form's fields: the shape of a draft."""
    why = judgement.rationales.filter(source=Rationale.Source.HUMAN).first()
    controls = {str(vote): control for control, vote in ordering.VOTES.items()}
    return {
        "verdict": control_of(verdict=judgement.verdict, strength=judgement.strength, swapped=judgement.swapped),
        "skip_reason": judgement.skip_reason,
        "tag": why.tags if why else [],
        "note": why.text if why else "",
        "flag": judgement.flags,
        "span": [asdict(marked(span, judgement)) for span in why.spans.order_by("id")] if why else [],
        "vote": {
            str(vote.principle_id): controls[ordering.turned(vote.vote, swapped=judgement.swapped)]
            for vote in judgement.votes.all()
        },
        "deciding": _deciding(judgement),
        **_edit(judgement),
    }


def _edit(judgement: Judgement) -> dict[str, Any]:
    """The edited answer by the side on which it stood, if there is one."""
    edit = edit_with(judgement)
    if edit is None:
        return {}
    is_first = edit.candidate_id == judgement.assignment.pair.first_id
    return {"edit": {"a" if is_first != judgement.swapped else "b": edit.text}}


def _deciding(judgement: Judgement) -> str:
    """The deciding principle as the form tells it: its id, "0" for none of them, nothing where nobody was asked."""
    if judgement.deciding_principle_id is not None:
        return str(judgement.deciding_principle_id)
    return "0" if ordering.conflict(vote.vote for vote in judgement.votes.all()) else ""


def marked(span: Span, judgement: Judgement) -> Marked:
    """A stored highlight as it was made on the screen."""
    if span.candidate_id is None:
        place = "prompt"
    else:
        is_first = span.candidate_id == judgement.assignment.pair.first_id
        place = "a" if is_first != judgement.swapped else "b"
    return Marked(
        place=place,
        message=span.message,
        start=span.start,
        end=span.end,
        polarity=span.polarity,
        tag=span.tag,
        principle=span.principle_id,
    )


def echo(judgement: Judgement) -> str:
    """The stored row in words, by the sides on which the annotator saw the candidates."""
    why = judgement.rationales.filter(source=Rationale.Source.HUMAN).first()
    said = Said(
        judgement.verdict,
        judgement.strength,
        judgement.swapped,
        judgement.skip_reason,
        judgement.flags,
        text=why.text if why else "",
        tags=why.tags if why else [],
        spans=why.spans.count() if why else 0,
        has_edit=edit_with(judgement) is not None,
    )
    return in_words(said, scale=judgement.assignment.project.scale)
