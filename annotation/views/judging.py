"""The judging page: what it shows, and what it takes.

POST `judge` is the hot path: session, account and one statement, each plain SQL; no form class, no template.
"""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import assigning, calibrating, citing, drafting, guiding, judging, offering, resting, revising
from annotation.access import assignment_for, membership_for
from annotation.answering import Unfit, sides
from annotation.errors import Refused, Stale
from annotation.models import Annotator, Project, Role
from annotation.views import training
from annotation.views.fetching import (
    as_json,
    beyond_sent,
    draft_answer,
    is_fetch,
    number_in,
    redirect_after_post,
    refused_as_json,
    signed_in,
    whole,
)
from annotation.views.guidelines import version_read
from annotation.views.items import (
    Item,
    answer_sent,
    controls_for,
    counts_shown,
    entered,
    item_of,
    principles_of,
    raw_sides,
)
from annotation.views.keeping import forget_unseen, keep_unseen, kept_page, unseen_kept
from annotation.wording import NOTHING_TO_JUDGE

# ---- the page and its one question ----------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def judge(request: HttpRequest, slug: str) -> HttpResponse:
    if request.method == "POST":
        return _submit(request, slug) if is_fetch(request) else _submit_plainly(request, slug)
    return _page(request, slug)


def _page(request: HttpRequest, slug: str, *, refused: Item | None = None, **extra: Any) -> HttpResponse:
    """The page as it stands now; `refused` is a refused form, which keeps its place and everything in it."""
    me = membership_for(request.user, slug)
    assert me.user_id is not None
    if me.project.task == Project.Task.RANKINGS and refused is None:
        return redirect("rank", slug)
    if refused is None and training.is_to_be_shown(request, me):
        return redirect("training", slug)
    judging.keep_terms(me.project)
    open_here = me.project.state == Project.State.JUDGING
    handed = judging.hand_out(user_id=me.user_id, slug=slug) if open_here else []
    at = assigning.counts_of(annotator_id=me.pk)
    items = [
        item_of(one, slug=slug, user_id=me.user_id, position=at.today + n) for n, one in enumerate(handed, start=1)
    ]
    if refused is not None:
        in_hand = any(item["assignment"] == refused["assignment"] for item in items)
        if not in_hand and extra["error_field"] != "assignment":
            return kept_page(request, me, _why_not_here(me), back="judge")
        _put_first(items, refused)
    left = at.open + at.mine if at.open < assigning.COUNT_AT_MOST else None
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "controls": controls_for(me.project, items[0] if items else None, **extra),
        "item": items[0] if items else None,
        "unread": guiding.is_news_to(me),
        "principles": principles_of(me.project),
        "upcoming": items[1 : assigning.HELD],
        "counts": counts_shown(today=at.today, done=at.done, left=left),
        "queue": None if items else _why_nothing(me),
        "leads": [] if items else _leads(me),
        "echo": "",
        "waiting": offering.draw(annotator=me),
        "held": [one.assignment_id for one in handed] if open_here else assigning.in_hand(annotator_id=me.pk),
        "editing": False,
        "unseen": unseen_kept(request, me.project),
        **raw_sides(me, items[0] if items else None),
        **extra,
    }
    return TemplateResponse(request, "judging/page.html", context, status=422 if refused is not None else 200)


def _put_first(items: list[Item], refused: Item) -> None:
    """The pair of a refused form comes first, with what was filled in."""
    for item in items:
        if item["assignment"] == refused["assignment"]:
            item |= refused
    items.sort(key=lambda item: item["assignment"] != refused["assignment"])


def _why_not_here(me: Annotator) -> Refused:
    """Why a pair that was answered is not handed out again, whatever else is wrong with the answer."""
    if me.project.state != Project.State.JUDGING:
        return Refused(str(NOTHING_TO_JUDGE[me.project.state][0]))
    return judging.LeaseLost(_("This pair is no longer open with you. What you wrote is kept on this page."))


def _submit(request: HttpRequest, slug: str) -> HttpResponse:
    user_id: int = request.user.pk  # type: ignore[assignment]
    try:
        held = tuple(one for sent in request.POST.getlist("held") if (one := number_in(sent)) is not None)
        outcome = judging.submit_and_next(user_id=user_id, slug=slug, shown=answer_sent(request), held=held)
    except Unfit as error:
        membership_for(request.user, slug)  # A stranger learns nothing, whatever was sent.
        return refused_as_json(error)
    except Stale as error:
        return refused_as_json(error, item=_replacement(request, slug))
    except Refused as error:
        # The project takes no answers now: the page keeps this one and sends it again later.
        return refused_as_json(error, otherwise=423, item=None)
    except Annotator.DoesNotExist:
        raise Http404 from None
    following = item_of(outcome.next, slug=slug, user_id=user_id, position=outcome.position) if outcome.next else None
    answer = {
        "guideline": outcome.guideline_id,
        "saved": {"assignment": outcome.assignment_id, "text": outcome.echo},
        "item": following,
        "counts": counts_shown(today=outcome.today),
        "queue": None if following else _why_empty(outcome.annotator_id),
        **({"unseen": outcome.unseen} if outcome.unseen else {}),
    }
    return as_json(answer)


def _submit_plainly(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    assert me.user_id is not None
    try:
        shown = answer_sent(request)
        guiding.remind(me, reminded="reminded" in request.POST)
        outcome = judging.submit_shown(user_id=me.user_id, slug=slug, shown=shown)
    except Unfit as error:
        about = {"error": str(error), "error_field": error.field, "reminded": error.field == "guideline"}
        return _page(request, slug, refused=entered(request), **about)
    except Refused as error:
        return kept_page(request, me, error, back="judge")
    keep_unseen(request, me.project, outcome.unseen)
    messages.success(request, _("Saved: %(answer)s") % {"answer": outcome.echo})
    return redirect_after_post("judge", slug)


def _replacement(request: HttpRequest, slug: str) -> Item | None:
    """Instead of a lost item: one that the page does not hold; the same pair again, if nobody has taken it."""
    known = set(request.POST.getlist("held"))
    handed = judging.hand_out(user_id=request.user.pk, slug=slug)  # type: ignore[arg-type]
    unknown = [one for one in handed if str(one.assignment_id) not in known]
    if not unknown:
        return None
    me = membership_for(request.user, slug)
    at = assigning.counts_of(annotator_id=me.pk)
    assert me.user_id is not None
    return item_of(unknown[-1], slug=slug, user_id=me.user_id, position=at.today + at.mine)


def _why_empty(annotator_id: int) -> dict[str, Any]:
    me = Annotator.objects.select_related("project").get(pk=annotator_id)
    return _why_nothing(me)


def _leads(me: Annotator) -> list[str]:
    """Whom to ask where there is nothing to judge: the names of some who lead the project, besides me."""
    leads = Annotator.objects.active().filter(project=me.project, role=Role.LEAD, user__is_active=True)
    return list(leads.exclude(pk=me.pk).order_by("name").values_list("name", flat=True)[:3])


def _why_nothing(me: Annotator) -> dict[str, Any]:
    return calibrating.why_nothing(me) or assigning.why_empty(project=me.project, annotator=me)


# ---- while judging ---------------------------------------------------------------------------------------------------


@require_POST
@signed_in
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    try:
        stands = drafting.save_draft(
            annotator=me,
            assignment_id=whole(request, "assignment"),
            body=request.POST.get("body", ""),
            version=whole(request, "version"),
            beyond=beyond_sent(request),
        )
    except (Unfit, Stale) as error:
        return refused_as_json(error)
    return draft_answer(stands)


@require_POST
@signed_in
def beat(request: HttpRequest, slug: str) -> HttpResponse:
    """The page is still open: the leases of what it holds start anew. 200 where a break would do its reader good."""
    me = membership_for(request.user, slug)
    assigning.renew(annotator_id=me.pk)
    return as_json({"rest": True}) if resting.is_due(annotator=me) else HttpResponse(status=204)


@require_POST
@signed_in
def undo(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    assert me.user_id is not None
    try:
        reopened = revising.undo(annotator=me)
    except Refused as error:
        if is_fetch(request):
            return refused_as_json(error)
        messages.error(request, str(error))
        return redirect_after_post("judge", slug)
    if not is_fetch(request):
        messages.success(request, _("Taken back. Your answer is as you left it."))
        return redirect_after_post("judge", slug)
    handed = assigning.held_by(user_id=me.user_id, slug=slug)
    at = assigning.counts_of(annotator_id=me.pk)
    item = next(
        item_of(one, slug=slug, user_id=me.user_id, position=at.today + 1)
        for one in handed
        if one.assignment_id == reopened.pk
    )
    return as_json({"item": item, "counts": counts_shown(today=at.today, done=at.done)})


@require_POST
@signed_in
def forget(request: HttpRequest, slug: str) -> HttpResponse:
    """Words of another device that the page showed, and that are not needed any more."""
    membership_for(request.user, slug)
    forget_unseen(request, request.POST.getlist("unseen"))
    return redirect_after_post("judge", slug)


@require_safe
@signed_in
def ready(request: HttpRequest, slug: str) -> HttpResponse:
    """Whether there is something to judge, for the page that waits: it leases nothing."""
    me = membership_for(request.user, slug)
    at = assigning.counts_of(annotator_id=me.pk)
    some = at.mine > 0 or calibrating.is_something_due(me, open_pairs=at.open)
    return as_json({"ready": at.state == Project.State.JUDGING and some})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def judge_guideline(request: HttpRequest, slug: str) -> HttpResponse:
    """The guideline in force, for the dialog, with what is new to me; POST: I have read the version that it showed."""
    me = membership_for(request.user, slug)
    if me.project.guideline is None:
        raise Http404
    if request.method == "POST":
        guiding.acknowledge(annotator=me, guideline=version_read(request, me))
        return HttpResponse(status=204) if is_fetch(request) else redirect_after_post("judge", slug)
    guideline = me.project.guideline
    news = guiding.is_news_to(me)
    known = guiding.last_known(annotator=me, before=guideline) if news else None
    before = known.guideline if known else None
    context = {
        "project": me.project,
        "guideline": guideline,
        "principles": [place.principle for place in guideline.places.select_related("principle")],
        "read": not news,
        "known": known,
        "changes": guiding.difference(before.text, guideline.text) if before else [],
        "principle_changes": guiding.principle_changes(before, guideline) if before else [],
        "asked": bool(request.GET.get("assignment")),
        "relevant": _relevant(request, slug, me),
    }
    return TemplateResponse(request, "judging/guideline.html", context)


def _relevant(request: HttpRequest, slug: str, me: Annotator) -> list[citing.Paragraph]:
    """The paragraphs of the guideline that concern the pair on the screen, the nearest first."""
    number = number_in(request.GET.get("assignment", ""))
    if number is None or me.project.guideline is None:
        return []
    pair = assignment_for(request.user, slug, number).pair
    texts = [pair.prompt.last, pair.first.text, pair.second.text]
    languages = [pair.prompt.language, pair.first.language, pair.second.language]
    return citing.relevant_paragraphs(guideline=me.project.guideline, texts=texts, languages=languages)


@require_safe
@signed_in
def raw(request: HttpRequest, slug: str, assignment_id: int) -> HttpResponse:
    """The raw texts of a pair of mine, by message, on the sides on which I see it."""
    assignment = assignment_for(request.user, slug, assignment_id)
    pair = assignment.pair
    a, b = sides(pair.first, pair.second, swapped=assignment.swapped)
    texts = {"prompt": pair.prompt.messages, "a": a.messages, "b": b.messages}
    return as_json({name: [str(one.get("content", "")) for one in said] for name, said in texts.items()})
