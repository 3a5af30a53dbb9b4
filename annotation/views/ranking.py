"""The ranking page: what it shows, and what it takes. The own rankings: the list, and one of them opened again."""

from __future__ import annotations

import uuid
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import guiding, ranking, rendering, typesetting
from annotation.access import membership_for
from annotation.answering import Unfit
from annotation.errors import Refused, Stale
from annotation.models import Annotator, Candidate, Flag, Pair, Project, Ranking, SkipReason, Turn
from annotation.ranking import LETTERS, Ranked, claim_of
from annotation.views.fetching import (
    as_json,
    beyond_sent,
    draft_answer,
    draft_seen,
    field_of,
    is_fetch,
    redirect_after_post,
    refused_as_json,
    signed_in,
    status_of,
    whole,
)
from annotation.views.keeping import keep_unseen, kept_page, unseen_kept

PER_PAGE = 50
# The beginning of a text, beside its letter.
WORDS_SHOWN = 90


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def rank(request: HttpRequest, slug: str) -> HttpResponse:
    """The next lineup, or the form that was sent of one."""
    me = membership_for(request.user, slug)
    if me.project.task != Project.Task.RANKINGS:
        return redirect("judge", slug)
    if request.method != "POST":
        return _page(request, me, ranking.hand_out(annotator=me))
    try:
        turn_id = whole(request, "turn")
        if not is_fetch(request):
            guiding.remind(me, reminded="reminded" in request.POST)
        outcome = ranking.submit(annotator=me, turn_id=turn_id, ranked=_sent(request))
    except Refused as error:
        return _refused(request, me, error, ranking.hand_out(annotator=me))
    if not is_fetch(request):
        keep_unseen(request, me.project, outcome.unseen)
    return _saved(request, outcome.ranking, "rank", slug, **({"unseen": outcome.unseen} if outcome.unseen else {}))


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def ranking_again(request: HttpRequest, slug: str, turn_id: int) -> HttpResponse:
    """One of my rankings, opened again in the same page; POST stores a new revision."""
    me = membership_for(request.user, slug)
    mine = Ranking.objects.select_related("turn__lineup__prompt", "turn__lineup__project")
    current = get_object_or_404(mine, turn=turn_id, turn__annotator=me, annotator=me, is_current=True)
    extra: dict[str, Any] = {"editing": True, "revision": current.revision, "filled": ranking.fields_of(current)}
    if request.method != "POST":
        return _page(request, me, current.turn, **extra)
    try:
        expected = whole(request, "revision")
        made = ranking.revise(annotator=me, turn_id=turn_id, ranked=_sent(request), expected_revision=expected)
    except Refused as error:
        return _refused(request, me, error, current.turn, **extra)
    return _saved(request, made, "rankings", slug)


def _saved(request: HttpRequest, made: Ranking, name: str, slug: str, **more: Any) -> HttpResponse:
    text = _("Saved: %(ranking)s") % {"ranking": ranking.echo(made)}
    if is_fetch(request):
        return as_json({"saved": {"text": text}, "next": reverse(name, args=[slug]), **more})
    messages.success(request, text)
    return redirect_after_post(name, slug)


def _refused(request: HttpRequest, me: Annotator, error: Refused, turn: Turn | None, **extra: Any) -> HttpResponse:
    otherwise = 409 if isinstance(error, Stale) else 423
    if is_fetch(request):
        return refused_as_json(error, otherwise=otherwise)
    if turn is None or request.POST.get("claim") != claim_of(turn):
        return kept_page(request, me, error, back="rank")
    field = field_of(error)
    shown = {**extra, "filled": _entered(request), "error": str(error), "error_field": field}
    shown["reminded"] = field == "guideline"
    shown["seen"] = draft_seen(request)
    return _page(request, me, turn, status=status_of(error, otherwise=otherwise), **shown)


def _page(request: HttpRequest, me: Annotator, turn: Turn | None, *, status: int = 200, **extra: Any) -> HttpResponse:
    mine = Ranking.objects.filter(annotator=me, is_current=True)
    midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "counts": {"done": mine.count(), "done_today": mine.filter(created_at__gte=midnight).count()},
        "turn": turn,
        "editing": False,
        "unseen": unseen_kept(request, me.project),
        "unread": guiding.is_news_to(me),
        "skip_reasons": SkipReason.choices,
        "flags": Flag.choices,
        **(_shown(turn, extra.get("filled")) if turn else {"queue": ranking.why_nothing(annotator=me)}),
        **extra,
    }
    return TemplateResponse(request, "ranking/page.html", context, status=status)


def _shown(turn: Turn, filled: dict[str, Any] | None) -> dict[str, Any]:
    """What an annotator may see of a lineup: texts by letter, in the drawn order. Blindness stands or falls here."""
    found = {one.pk: one for one in Candidate.objects.filter(pk__in=turn.shown)}
    prompt = turn.lineup.prompt
    if {prompt.renderer, *(one.renderer for one in found.values())} != {rendering.RENDERER}:
        typesetting.typeset_pairs(pairs=Pair.objects.filter(prompt=prompt).values_list("pk", flat=True))
        prompt.refresh_from_db(fields=["html", "renderer"])
        found = {one.pk: one for one in Candidate.objects.filter(pk__in=turn.shown)}
    filled = filled or turn.draft or {}
    places = filled.get("place") if isinstance(filled.get("place"), dict) else {}
    candidates = [
        {
            "letter": letter,
            "html": found[number].html,
            "language": found[number].language,
            "words": " ".join(found[number].text.split())[:WORDS_SHOWN],
            "place": (places or {}).get(letter, ""),
        }
        for letter, number in zip(LETTERS, turn.shown, strict=False)
    ]
    saved = {**turn.draft, "version": turn.draft_version} if turn.draft and turn.lease_until else None
    return {
        "prompt": prompt,
        "candidates": candidates,
        "claim": claim_of(turn),
        "key": uuid.uuid4(),
        "filled": filled,
        "draft": saved,
        "seen": saved["version"] if saved else 0,
    }


def _sent(request: HttpRequest) -> Ranked:
    """The posted form; raises Unfit."""
    try:
        key = uuid.UUID(request.POST.get("key", ""))
    except ValueError:
        raise Unfit(_("The page did not send its key. Reload it and rank again."), field="key") from None
    sent = _entered(request)
    time = request.POST.get("active_ms", "")
    return Ranked(
        key=key,
        claim=request.POST.get("claim", ""),
        places={letter: _place(place) for letter, place in sent["place"].items()},
        skip_reason=sent["skip_reason"] if request.POST.get("skip") else "",
        flags=tuple(sent["flag"]),
        note=sent["note"].replace("\r\n", "\n").strip(),
        guideline=whole(request, "guideline") if request.POST.get("guideline") else None,
        active_ms=int(time) if time.isascii() and time.isdigit() and len(time) < 12 else None,
        client=request.POST.get("client", ""),
        beyond=beyond_sent(request),
    )


def _entered(request: HttpRequest) -> dict[str, Any]:
    """The form as it was filled in: the shape of a draft."""
    return {
        "place": {at: request.POST[f"place-{at}"].strip() for at in LETTERS if f"place-{at}" in request.POST},
        "skip": request.POST.get("skip", ""),
        "skip_reason": request.POST.get("skip_reason", ""),
        "flag": request.POST.getlist("flag"),
        "note": request.POST.get("note", ""),
    }


def _place(text: str) -> int | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise Unfit(_("A place is a whole number from 1 on; 1 is the best."), field="place")
    return int(text)


# ---- while ranking ---------------------------------------------------------------------------------------------------


@require_POST
@signed_in
def rank_draft(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    try:
        stands = ranking.save_draft(
            annotator=me,
            turn_id=whole(request, "turn"),
            claim=request.POST.get("claim", ""),
            body=request.POST.get("body", ""),
            version=whole(request, "version"),
            beyond=beyond_sent(request),
        )
    except (Unfit, Stale) as error:
        return refused_as_json(error)
    return draft_answer(stands)


@require_POST
@signed_in
def rank_beat(request: HttpRequest, slug: str) -> HttpResponse:
    ranking.renew(annotator=membership_for(request.user, slug))
    return HttpResponse(status=204)


@require_POST
@signed_in
def rank_undo(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    try:
        ranking.undo(annotator=me)
    except Refused as error:
        if is_fetch(request):
            return refused_as_json(error)
        messages.error(request, str(error))
        return redirect_after_post("rank", slug)
    if is_fetch(request):
        return as_json({"next": reverse("rank", args=[slug])})
    messages.success(request, _("Taken back. Your ranking is as you left it."))
    return redirect_after_post("rank", slug)


@require_safe
@signed_in
def rankings(request: HttpRequest, slug: str) -> HttpResponse:
    """What I have ranked, newest first."""
    me = membership_for(request.user, slug)
    mine = Ranking.objects.filter(annotator=me, is_current=True).select_related("turn__lineup__prompt").order_by("-pk")
    page = Paginator(mine, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "page": page,
        "rows": [
            {
                "turn": one.turn_id,
                "prompt": one.turn.lineup.prompt.last,
                "said": ranking.echo(one),
                "note": one.note,
                "flags": [Flag(flag).label for flag in one.flags],
                "revision": one.revision,
                "at": one.created_at,
            }
            for one in page
        ],
        "counts": None,
        "editable": me.project.state != Project.State.CLOSED,
    }
    return TemplateResponse(request, "ranking/list.html", context)
