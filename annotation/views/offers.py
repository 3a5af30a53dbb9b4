"""Reasons that machines wrote, once an answer is saved: how many wait, one of them, and what its reader makes of it.

What was made of the last one can be taken back: it is then shown again, as it was left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from annotation import offering, reacting, typesetting
from annotation.access import membership_for
from annotation.answering import sides, verdict_in_words
from annotation.errors import Refused
from annotation.models import Annotator, Offer, Reaction
from annotation.views.fetching import (
    as_json,
    field_of,
    is_fetch,
    number_in,
    redirect_after_post,
    refused_as_json,
    signed_in,
    status_of,
    whole,
)

# What the page's button “Edit” sends: open the text, and store nothing yet.
OPEN_EDIT = "edit"


@require_POST
@signed_in
def draw(request: HttpRequest, slug: str) -> HttpResponse:
    """What the page asks after an answer is saved: how many reasons there are to look at."""
    return as_json({"waiting": offering.draw(annotator=membership_for(request.user, slug))})


@require_http_methods(["GET", "POST"])
@signed_in
def reasons(request: HttpRequest, slug: str) -> HttpResponse:
    """The latest reason that waits, or the one that is asked for; POST says what I make of it."""
    me = membership_for(request.user, slug)
    if request.method == "GET":
        number = number_in(request.GET.get("offer", ""))
        asked_for = offering.show(annotator=me, number=number) if number is not None else None
        return _shown(request, me, asked_for or offering.show(annotator=me))
    try:
        if request.POST.get("choice") == OPEN_EDIT:
            return _shown(request, me, offering.show(annotator=me, number=whole(request, "offer")), is_editing=True)
        said = _react(request, me)
    except Refused as error:
        return _refused(request, me, error)
    if is_fetch(request):
        return as_json({"said": said, "waiting": offering.waiting(annotator=me)})
    messages.success(request, said)
    return redirect_after_post("reasons", slug)


def _react(request: HttpRequest, me: Annotator) -> str:
    """Store what was chosen, and say it in words."""
    number, sent = whole(request, "offer"), request.POST
    took = whole(request, "active_ms") if sent.get("active_ms", "").isdecimal() else None
    if sent.get("choice") == Reaction.Choice.TICKED:
        places = [int(place) if place.isdecimal() and len(place) < 4 else -1 for place in sent.getlist("tick")]
        stored = reacting.tick(annotator=me, number=number, ticked=places, active_ms=took)
    else:
        stored = reacting.react(
            annotator=me, number=number, choice=sent.get("choice", ""), text=sent.get("text", ""), active_ms=took
        )
    return _("Saved: %(choice)s.") % {"choice": _in_words(stored)}


def _in_words(said: Sequence[Reaction]) -> str:
    """What was made of an offer."""
    words = {
        Reaction.Choice.ACCEPTED: _("accepted"),
        Reaction.Choice.EDITED: _("your version"),
        Reaction.Choice.REJECTED: _("rejected"),
    }
    if said[0].choice in words:
        return words[Reaction.Choice(said[0].choice)]
    fit = sum(one.choice == Reaction.Choice.TICKED for one in said)
    return _("%(fit)d of %(all)d fit") % {"fit": fit, "all": len(said)}


@require_POST
@signed_in
def take_back(request: HttpRequest, slug: str) -> HttpResponse:
    """What I made of a reason is taken back; it is shown again, as I left it."""
    me = membership_for(request.user, slug)
    try:
        offer = reacting.take_back(annotator=me, number=whole(request, "offer"))
    except Refused as error:
        return _refused(request, me, error)
    if is_fetch(request):
        said = _("Taken back. The reason is as you left it.")
        return as_json({"said": said, "offer": offer.pk, "waiting": offering.waiting(annotator=me)})
    messages.success(request, _("Taken back. The reason is as you left it."))
    answer = redirect_after_post("reasons", slug)
    answer["Location"] += f"?offer={offer.pk}"
    return answer


def _refused(request: HttpRequest, me: Annotator, error: Refused) -> HttpResponse:
    if is_fetch(request):
        return refused_as_json(error, waiting=offering.waiting(annotator=me))
    field = field_of(error)
    number = number_in(request.POST.get("offer", ""))
    if not field or number is None:
        messages.error(request, str(error))
        return redirect_after_post("reasons", me.project.slug)
    offer = offering.show(annotator=me, number=number)
    return _shown(request, me, offer, is_editing=field == "text", error=str(error), status=status_of(error))


def _shown(
    request: HttpRequest,
    me: Annotator,
    offer: Offer | None,
    *,
    is_editing: bool = False,
    error: str = "",
    status: int = 200,
) -> HttpResponse:
    """A page of its own, or for the script the part that goes into its dialog."""
    context: dict[str, Any] = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "counts": None,
        "offer": offer,
        "left": offering.waiting(annotator=me),
        "is_editing": is_editing,
        "error": error,
        **_before(me),
    }
    if offer is not None:
        context |= _pair(offer, scale=me.project.scale)
        before = reacting.left_as(offer)
        context["text"] = request.POST.get("text") or before.text or context["reasons"][0].text
        context["is_editing"] = is_editing or bool(before.text)
        context["ticked"] = before.ticked
    template = "judging/_after.html" if is_fetch(request) else "judging/after.html"
    return TemplateResponse(request, template, context, status=status)


def _before(me: Annotator) -> dict[str, Any]:
    """The reason that I answered last, and what I made of it."""
    last = reacting.last_answered(annotator=me)
    return {"last": last, "last_said": _in_words(list(last.reactions.all()))} if last else {"last": None}


def _pair(offer: Offer, *, scale: int) -> dict[str, Any]:
    """The pair as its annotator judged it, the preferred candidate first, and the reasons."""
    judgement, pair = offering.standing(offer), offer.pair
    if typesetting.typeset_pairs(pairs=[pair.pk]):
        for text in (pair.prompt, pair.first, pair.second):
            text.refresh_from_db(fields=["html", "renderer"])
    a, b = sides(pair.first, pair.second, swapped=judgement.swapped)
    preferred_is_a = (offer.side == "first") != judgement.swapped
    said = verdict_in_words(
        verdict=judgement.verdict, strength=judgement.strength, swapped=judgement.swapped, skip_reason="", scale=scale
    )
    return {
        "prompt": pair.prompt,
        "a": a,
        "b": b,
        "preferred": "A" if preferred_is_a else "B",
        "said": said,
        "reasons": offering.reasons(offer, swapped=judgement.swapped),
    }
