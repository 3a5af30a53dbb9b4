"""Explained examples, and how one's own gold rounds went: what was expected, and why one sees it differently."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from annotation import calibrating, disagreeing
from annotation.access import membership_for
from annotation.errors import Refused
from annotation.models import Annotator, Cause
from annotation.views.fetching import redirect_after_post, signed_in, whole


def is_to_be_shown(request: HttpRequest, me: Annotator) -> bool:
    """Whether somebody who has not begun is led to the examples: once, for who has seen them is here to judge."""
    return not request.session.get(_seen(me)) and calibrating.begins_with_examples(me)


def _seen(me: Annotator) -> str:
    return f"examples-{me.project_id}"


@require_safe
@signed_in
def training(request: HttpRequest, slug: str) -> HttpResponse:
    """Explained examples; and how my own rounds went, where the project shows it."""
    me = membership_for(request.user, slug)
    shows = me.project.shows_results
    if not request.session.get(_seen(me)):
        request.session[_seen(me)] = True
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "counts": None,
        "examples": calibrating.examples(project=me.project),
        "is_new": not calibrating.has_begun(me),
        "standing": calibrating.standing_of(me) if shows else None,
        "told": calibrating.told(me) if shows else None,
        "missed": _missed(me) if shows else [],
        "choices": calibrating.RIGHT,
        "causes": Cause.choices,
        "longest_note": disagreeing.LONGEST_NOTE,
    }
    return TemplateResponse(request, "judging/training.html", context)


def _missed(me: Annotator) -> list[dict[str, Any]]:
    """What was judged otherwise than expected, with the cause that I gave."""
    missed = calibrating.explained(calibrating.missed(me))
    given = disagreeing.causes_given(one["judgement"] for one in missed)
    return [{**one, "given": given.get(one["judgement"])} for one in missed]


@require_POST
@signed_in
def disagree(request: HttpRequest, slug: str) -> HttpResponse:
    """Why I see a pair differently from what was expected."""
    me = membership_for(request.user, slug)
    cause, note = request.POST.get("cause", ""), request.POST.get("note", "")
    try:
        said = disagreeing.give_cause(annotator=me, judgement_id=whole(request, "judgement"), cause=cause, note=note)
    except Refused as error:
        messages.error(request, str(error))
        return redirect_after_post("training", slug)
    messages.success(request, _("Saved: %(cause)s") % {"cause": said.get_cause_display()})
    answer = redirect_after_post("training", slug)
    answer["Location"] += f"#judged-{said.judgement_id}"
    return answer
