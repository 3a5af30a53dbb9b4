"""Adjudication: pairs on which people disagree, settled by somebody who has not judged them. No names are shown."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from annotation import access
from annotation.errors import Refused
from annotation.models import Annotator, Cause, Project, Role
from curation import docket, settling
from curation.adjudicating import MOST_AT_ONCE, waiting_for
from curation.models import Adjudication

SENT_AT_ONCE = 25
NOT_WHOLE = "The form was not whole. Reload the page and decide again."
SEATLESS = "Settling needs a seat of your own in this project."


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def adjudication(request: HttpRequest, slug: str) -> HttpResponse:
    """The next pair of the queue, or `at` of the address. GET takes nothing: two may read the same pair."""
    project = access.project_for(request.user, slug, role=Role.ADJUDICATOR)
    me = access.seat_of(request.user, project, role=Role.ADJUDICATOR)
    if request.method == "POST":
        return _settle(request, project, me)
    return _page(request, project, me, at=_number(request.GET.get("at", "")))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else 0


def _settle(request: HttpRequest, project: Project, me: Annotator | None) -> HttpResponse:
    asked = _asked(request, project)
    if asked is None:
        return _not_whole(request, project)
    sent = {name: request.POST.get(name, "") for name in ("outcome", "reason", "note", "cause")}
    try:
        if me is None:
            raise Refused(SEATLESS)
        key = _key(request.POST.get("key", ""))
        ruling = settling.settle(adjudication=asked, adjudicator=me, key=key, **sent)
    except Refused as refusal:
        return _page(request, project, me, at=asked.pk, error=str(refusal), entered=sent)
    messages.success(request, f"Pair {asked.pair_id}: {ruling.get_outcome_display().lower()}.")
    return redirect("adjudication", project.slug)


def _asked(request: HttpRequest, project: Project) -> Adjudication | None:
    """What the form is about; None where it does not say."""
    number = _number(request.POST.get("adjudication", ""))
    return get_object_or_404(Adjudication, pk=number, project=project) if number else None


def _not_whole(request: HttpRequest, project: Project) -> HttpResponse:
    messages.error(request, NOT_WHOLE)
    return redirect("adjudication", project.slug)


def _key(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Refused(NOT_WHOLE) from None


def _page(
    request: HttpRequest,
    project: Project,
    me: Annotator | None,
    *,
    at: int,
    error: str = "",
    entered: dict[str, str] | None = None,
) -> HttpResponse:
    queue = list(waiting_for(me).select_related("pair__facts")[: docket.LISTED]) if me else []
    one = _chosen(project, me, queue, at=at, is_refused=bool(error))
    case = docket.case_of(one) if one else None
    places = [waiting.pk for waiting in queue]
    following = places.index(one.pk) + 1 if one and one.pk in places else 0
    leads = access.is_lead(request.user, project)
    context: dict[str, Any] = {
        "project": project,
        "section": "adjudication",
        "settles_only": not leads,
        "me": me,
        "standing": docket.standing(project=project, adjudicator=me),
        "queue": queue,
        "case": case,
        # After the last comes the first again.
        "later": queue[following % len(queue)] if len(queue) > 1 else None,
        "outcomes": OUTCOMES,
        "causes": Cause.choices,
        "counted_causes": docket.causes_of(project),
        "entered": entered or _before(case, me),
        "key": uuid.uuid4(),
        "error": error,
        "decisions": docket.decisions_of(me) if me else [],
        **(_for_leads(request, project) if leads else {}),
    }
    return TemplateResponse(request, "adjudication/page.html", context, status=422 if error else 200)


def _chosen(
    project: Project, me: Annotator | None, queue: list[Adjudication], *, at: int, is_refused: bool
) -> Adjudication | None:
    """The pair `at`, if it waits for me; else the first of the queue."""
    one = next((waiting for waiting in queue if waiting.pk == at), None)
    if one is None and at and me:
        one = waiting_for(me).filter(pk=at).first()
        if one is None and is_refused:
            # What was settled while it was read stays on the page together with what was written about it.
            one = get_object_or_404(Adjudication, pk=at, project=project)
    return one or (queue[0] if queue else None)


# The outcomes as the form asks them, with the keys of the judging page where they mean the same.
OUTCOMES = (
    ("first", "First is better", "1", "", "1 2 3"),
    ("second", "Second is better", "7", "", "5 6 7"),
    ("tie", "About the same", "4", "", "4"),
    ("both_bad", "Both bad", "0", "", "0"),
    ("ambiguous", "Genuinely ambiguous", "8", "Keep the distribution: people may differ here.", "8"),
    ("unclear", "The guideline is unclear", "9", "The lead reads your note.", "9"),
)


def _before(case: docket.Case | None, me: Annotator | None) -> dict[str, str]:
    """What the adjudicator had said before they took it back: it need not be written twice."""
    if case is None or me is None or case.before_last is None or case.before_last.adjudicator_id != me.pk:
        return {}
    return {name: getattr(case.before_last, name) for name in ("outcome", "reason", "note", "cause")}


def _for_leads(request: HttpRequest, project: Project) -> dict[str, Any]:
    """What is unclear, and the number that would be sent when `send` is in the address."""
    asked = min(_number(request.GET.get("send", "")), MOST_AT_ONCE)
    return {
        "leads": True,
        "notes": docket.unclear_notes(project),
        "n": asked or SENT_AT_ONCE,
        "asked": asked,
        "most": MOST_AT_ONCE,
        "divided": settling.most_divided(project=project, n=asked) if asked else None,
    }


@require_POST
@login_required
def take_back(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.ADJUDICATOR)
    me = access.seat_of(request.user, project, role=Role.ADJUDICATOR)
    asked = _asked(request, project)
    if asked is None:
        return _not_whole(request, project)
    try:
        if me is None:
            raise Refused(SEATLESS)
        settling.take_back(adjudication=asked, adjudicator=me)
        messages.info(request, f"Pair {asked.pair_id} waits again.")
    except Refused as refusal:
        messages.error(request, str(refusal))
        return redirect("adjudication", slug)
    return redirect(f"{reverse('adjudication', args=[slug])}?at={asked.pk}")


@require_POST
@login_required
def send(request: HttpRequest, slug: str) -> HttpResponse:
    """The pairs with the most disagreement into the queue: the number that was confirmed is the number that goes."""
    project = access.project_for(request.user, slug, role=Role.LEAD)
    numbers = {name: _number(request.POST.get(name, "")) for name in ("n", "expected")}
    try:
        sent = settling.send_most_divided(project=project, actor=access.account_of(request), **numbers)
        messages.success(request, f"{sent:,} pair{'s' if sent != 1 else ''} more wait for an adjudicator.")
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("adjudication", slug)
