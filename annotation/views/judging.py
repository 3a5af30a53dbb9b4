"""The judging page: what it shows, what it takes, one's own answers.

POST `judge` is the hot path: session, account and one statement, each plain SQL; no form class, no template.
"""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import Paginator
from django.db.models import Prefetch, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import assigning, guiding, judging
from annotation.access import assignment_for, membership_for
from annotation.answering import CONTROLS, Shown, Unfit, sides, verdict_in_words
from annotation.assigning import Handed
from annotation.errors import Refused, Stale
from annotation.models import Annotator, Flag, Judgement, Project, Rationale, SkipReason

View = Callable[..., HttpResponse]
Item = dict[str, Any]

PER_PAGE = 50


def is_fetch(request: HttpRequest) -> bool:
    """True for the page's script; a plain form, without JavaScript, does not send the header."""
    return request.headers.get("X-Plumbline") == "1"


def signed_in(view: View) -> View:
    """Without a session the script gets 401 and keeps what was written; a browser is led to the sign-in page."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if is_fetch(request):
            sign_in = reverse("account_login")
            return _json(
                {"error": "You are signed out. Sign in again; what you wrote is kept.", "sign_in": sign_in}, 401
            )
        return redirect_to_login(request.get_full_path())

    return guarded


# ---- the page and its one question ----------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def judge(request: HttpRequest, slug: str) -> HttpResponse:
    if request.method == "POST":
        return _submit(request, slug) if is_fetch(request) else _submit_plainly(request, slug)
    return _page(request, slug)


def _page(request: HttpRequest, slug: str, *, entered: Item | None = None, **extra: Any) -> HttpResponse:
    """The page as it stands now; `entered` is a refused form, which keeps its place and everything in it."""
    me = membership_for(request.user, slug)
    assert me.user_id is not None
    open_here = me.project.state == Project.State.JUDGING
    handed = assigning.hand_out(user_id=me.user_id, slug=slug) if open_here else []
    at = assigning.counts_of(annotator_id=me.pk)
    items = [item_of(one, position=at.today + n) for n, one in enumerate(handed, start=1)]
    if entered is not None:
        for item in items:
            if item["assignment"] == entered["assignment"]:
                item |= entered
        items.sort(key=lambda item: item["assignment"] != entered["assignment"])
    left = at.open + at.mine if at.open < assigning.COUNT_AT_MOST else None
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "controls": controls_for(me.project),
        "item": items[0] if items else None,
        "upcoming": items[1 : assigning.HELD],
        "counts": _counts(today=at.today, done=at.done, left=left),
        "queue": None if items else assigning.why_empty(project=me.project, annotator=me),
        "echo": "",
        "editing": False,
        **extra,
    }
    return TemplateResponse(request, "judging/page.html", context, status=422 if entered is not None else 200)


def _submit(request: HttpRequest, slug: str) -> HttpResponse:
    user_id: int = request.user.pk  # type: ignore[assignment]
    try:
        held = tuple(int(held) for held in request.POST.getlist("held") if held.isdecimal())
        outcome = judging.submit_and_next(user_id=user_id, slug=slug, shown=_shown(request), held=held)
    except Unfit as error:
        membership_for(request.user, slug)  # A stranger learns nothing, whatever was sent.
        return _json({"error": str(error), "field": error.field}, 422)
    except Stale as error:
        return _json({"error": str(error), "item": _replacement(request, slug)}, 409)
    except Refused as error:
        # The project takes no answers now: the page keeps this one and sends it again later.
        return _json({"error": str(error), "item": None}, 423)
    except Annotator.DoesNotExist:
        raise Http404 from None
    following = item_of(outcome.next, position=outcome.position) if outcome.next else None
    answer = {
        "saved": {"assignment": outcome.assignment_id, "text": outcome.echo},
        "item": following,
        "counts": _counts(today=outcome.today),
        "queue": None if following else _why_empty(outcome.annotator_id),
    }
    return _json(answer)


def _submit_plainly(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    assert me.user_id is not None
    try:
        shown = _shown(request)
        outcome = judging.submit_shown(user_id=me.user_id, slug=slug, shown=shown)
    except Unfit as error:
        return _page(request, slug, entered=_entered(request), error=str(error), error_field=error.field)
    except Refused as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"Saved: {outcome.echo}")
    return redirect_after_post("judge", slug)


def _replacement(request: HttpRequest, slug: str) -> Item | None:
    """Instead of a lost item: one that the page does not hold; the same pair again, if nobody has taken it."""
    known = set(request.POST.getlist("held"))
    handed = assigning.hand_out(user_id=request.user.pk, slug=slug)  # type: ignore[arg-type]
    unknown = [one for one in handed if str(one.assignment_id) not in known]
    if not unknown:
        return None
    me = membership_for(request.user, slug)
    at = assigning.counts_of(annotator_id=me.pk)
    return item_of(unknown[-1], position=at.today + at.mine)


def _why_empty(annotator_id: int) -> dict[str, Any]:
    me = Annotator.objects.select_related("project").get(pk=annotator_id)
    return assigning.why_empty(project=me.project, annotator=me)


# ---- while judging ---------------------------------------------------------------------------------------------------


@require_POST
@signed_in
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    try:
        version, assignment_id = _whole(request, "version"), _whole(request, "assignment")
        body = request.POST.get("body", "")
        judging.save_draft(annotator=me, assignment_id=assignment_id, body=body, version=version)
    except Unfit as error:
        return _json({"error": str(error), "field": error.field}, 422)
    except Stale as error:
        return _json({"error": str(error)}, 409)
    return HttpResponse(status=204)


@require_POST
@signed_in
def beat(request: HttpRequest, slug: str) -> HttpResponse:
    """The page is still open: the leases of what it holds start anew."""
    me = membership_for(request.user, slug)
    assigning.renew(annotator_id=me.pk)
    return HttpResponse(status=204)


@require_POST
@signed_in
def undo(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    assert me.user_id is not None
    try:
        reopened = judging.undo(annotator=me)
    except Refused as error:
        if is_fetch(request):
            return _json({"error": str(error)}, 409)
        messages.error(request, str(error))
        return redirect_after_post("judge", slug)
    if not is_fetch(request):
        messages.success(request, "Taken back. Your answer is as you left it.")
        return redirect_after_post("judge", slug)
    handed = assigning.held_by(user_id=me.user_id, slug=slug)
    at = assigning.counts_of(annotator_id=me.pk)
    item = next(item_of(one, position=at.today + 1) for one in handed if one.assignment_id == reopened.pk)
    return _json({"item": item, "counts": _counts(today=at.today, done=at.done)})


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def judge_guideline(request: HttpRequest, slug: str) -> HttpResponse:
    """The guideline in force, for the dialog; POST: I have read it."""
    me = membership_for(request.user, slug)
    if me.project.guideline is None:
        raise Http404
    if request.method == "POST":
        guiding.acknowledge(annotator=me, guideline=me.project.guideline)
        return HttpResponse(status=204) if is_fetch(request) else redirect_after_post("judge", slug)
    acknowledged = guiding.has_acknowledged(annotator=me, guideline=me.project.guideline)
    principles = [place.principle for place in me.project.guideline.places.select_related("principle")]
    context = {"project": me.project, "guideline": me.project.guideline, "principles": principles, "read": acknowledged}
    return TemplateResponse(request, "judging/guideline.html", context)


# ---- one's own answers -----------------------------------------------------------------------------------------------


@require_safe
@signed_in
def answers(request: HttpRequest, slug: str) -> HttpResponse:
    """What I have answered, newest first; `q` searches prompts and my own words, `verdict` narrows to one kind."""
    me = membership_for(request.user, slug)
    asked, kind = request.GET.get("q", "").replace("\0", "").strip()[:200], request.GET.get("verdict", "")
    mine = (
        Judgement.objects.current()
        .filter(annotator=me, assignment__slot__isnull=False)
        .select_related("assignment__pair__prompt")
        .prefetch_related(Prefetch("rationales", Rationale.objects.filter(source=Rationale.Source.HUMAN)))
        .order_by("-id")
    )
    if asked:
        mine = mine.filter(
            Q(assignment__pair__prompt__messages__icontains=asked) | Q(rationales__text__icontains=asked)
        ).distinct()
    if kind:
        mine = mine.filter(verdict=kind)
    page = Paginator(mine, PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "page": page,
        "rows": [_row(judgement, scale=me.project.scale) for judgement in page],
        "q": asked,
        "verdict": kind,
        "counts": None,
        "editable": me.project.state != Project.State.CLOSED,
    }
    return TemplateResponse(request, "judging/answers.html", context)


def _row(judgement: Judgement, *, scale: int) -> dict[str, Any]:
    """One line of the history: never more than its author may see."""
    why = next(iter(judgement.rationales.all()), None)
    return {
        "assignment": judgement.assignment_id,
        "prompt": judgement.assignment.pair.prompt.last,
        "verdict": verdict_in_words(
            verdict=judgement.verdict,
            strength=judgement.strength,
            swapped=judgement.swapped,
            skip_reason=judgement.skip_reason,
            scale=scale,
        ),
        "note": why.text if why else "",
        "tags": why.tags if why else [],
        "flags": [Flag(flag).label for flag in judgement.flags],
        "revision": judgement.revision,
        "at": judgement.created_at,
    }


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
def answer(request: HttpRequest, slug: str, assignment_id: int) -> HttpResponse:
    """One of my answers, opened again in the same page; POST stores a new revision."""
    assignment = assignment_for(request.user, slug, assignment_id)
    me = membership_for(request.user, slug)
    current = assignment.judgements.current().filter(annotator=me).first()
    if current is None:
        raise Http404
    extra: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        try:
            shown = _shown(request, assignment_id=assignment.pk).stored(swapped=current.swapped)
            expected = _whole(request, "revision")
            revised = judging.revise(annotator=me, assignment=assignment, answer=shown, expected_revision=expected)
        except Refused as error:
            field = error.field if isinstance(error, Unfit) else ""
            status = 422 if field else 409
            if is_fetch(request):
                return _json({"error": str(error), **({"field": field} if field else {})}, status)
            extra = {"error": str(error), "error_field": field}
        else:
            if is_fetch(request):
                saved = {"assignment": assignment.pk, "text": judging.echo(revised), "revision": revised.revision}
                return _json({"saved": saved})
            messages.success(request, f"Saved: {judging.echo(revised)}")
            return redirect_after_post("answers", slug)
    pair = assignment.pair
    shown_again = Handed(
        assignment.pk,
        current.swapped,
        pair.prompt.html,
        pair.prompt.language,
        pair.first.html,
        pair.first.language,
        pair.second.html,
        pair.second.language,
    )
    item = item_of(shown_again, position=0) | {"draft": judging.fields_of(current)}
    if extra:
        item |= _entered(request)
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "controls": controls_for(me.project),
        "item": item,
        "upcoming": [],
        "counts": None,
        "queue": None,
        "echo": "",
        "editing": True,
        "revision": current.revision,
        **extra,
    }
    return TemplateResponse(request, "judging/page.html", context, status=status)


# ---- what goes out and comes in --------------------------------------------------------------------------------------


def item_of(handed: Handed, *, position: int) -> Item:
    """What an annotator may see of an assignment: these keys and no others. Blindness stands or falls here."""
    a, b = sides(handed.first, handed.second, swapped=handed.swapped)
    a_lang, b_lang = sides(handed.first_language, handed.second_language, swapped=handed.swapped)
    saved = {**json.loads(handed.draft), "version": handed.draft_version} if handed.draft else None
    return {
        "assignment": handed.assignment_id,
        "key": str(uuid.uuid4()),
        "prompt": handed.prompt,
        "a": a,
        "b": b,
        "prompt_lang": handed.prompt_language,
        "a_lang": a_lang,
        "b_lang": b_lang,
        "draft": saved,
        "position": position,
    }


def _counts(*, today: int, done: int | None = None, left: int | None = None) -> dict[str, int | None]:
    """What is not counted on the hot path is None there: it leaves what the page shows as it is."""
    return {"done_today": today, "done": done, "left": left, "goal": None if left is None else today + left}


def controls_for(project: Project) -> str:
    """The verdict scale and the why panel: the same for every item, rendered once per settings and guideline."""
    tags = tuple((tag["key"], tag["label"]) for tag in project.tags)
    return _controls(
        project.question,
        project.scale,
        project.allow_tie,
        project.allow_both_bad,
        project.rationale_policy,
        project.votes_policy,
        tags,
        project.guideline_id,
    )


@functools.lru_cache(maxsize=256)
def _controls(
    question: str,
    scale: int,
    allow_tie: bool,
    allow_both_bad: bool,
    rationale_policy: str,
    votes_policy: str,
    tags: tuple[tuple[str, str], ...],
    guideline_id: int | None,
) -> str:
    project = Project(
        question=question,
        scale=scale,
        allow_tie=allow_tie,
        allow_both_bad=allow_both_bad,
        rationale_policy=rationale_policy,
        votes_policy=votes_policy,
        tags=[{"key": key, "label": label} for key, label in tags],
        guideline_id=guideline_id,
    )
    context = {"project": project, "skip_reasons": SkipReason.choices, "flags": Flag.choices}
    return render_to_string("judging/controls.html", context)


def _shown(request: HttpRequest, *, assignment_id: int | None = None) -> Shown:
    """The posted answer. What was measured by the browser is dropped when it makes no sense; the rest raises Unfit."""
    sent = request.POST
    if sent.get("verdict", "") not in CONTROLS:
        raise Unfit("Choose an answer first: 1 to 7, or 0.", field="verdict")
    try:
        key = uuid.UUID(sent.get("key", ""))
    except ValueError:
        raise Unfit("The page did not send its key. Reload it and answer again.", field="key") from None
    return Shown(
        assignment_id=_whole(request, "assignment") if assignment_id is None else assignment_id,
        key=key,
        control=sent["verdict"],
        skip_reason=sent.get("skip_reason", ""),
        flags=tuple(sent.getlist("flag")),
        tags=tuple(sent.getlist("tag")),
        # Browsers send line ends as CR LF; stored is what was typed.
        text=sent.get("note", "").replace("\r\n", "\n").strip(),
        active_ms=_number(sent.get("active_ms"), int),
        first_key_ms=_number(sent.get("first_key_ms"), int),
        coverage_a=_number(sent.get("coverage_a"), float),
        coverage_b=_number(sent.get("coverage_b"), float),
        client=sent.get("client", ""),
    )


def _entered(request: HttpRequest) -> Item:
    """A refused form as it was filled in, to be shown again."""
    sent = request.POST
    fields = {
        "verdict": sent.get("verdict", ""),
        "skip_reason": sent.get("skip_reason", ""),
        "note": sent.get("note", ""),
    }
    entered = {**fields, "tag": sent.getlist("tag"), "flag": sent.getlist("flag")}
    number = sent.get("assignment", "")
    item: Item = {"draft": entered}
    return item | ({"assignment": int(number)} if number.isdecimal() else {"assignment": 0})


def _whole(request: HttpRequest, field: str) -> int:
    text = request.POST.get(field, "")
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Unfit(f"The page did not send a number as “{field}”. Reload it and try again.", field=field)
    return int(text)


def _number(text: str | None, kind: Callable[[str], Any]) -> Any:
    try:
        return kind(text) if text and len(text) < 30 else None
    except ValueError:
        return None


def _json(body: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(json.dumps(body, ensure_ascii=False), content_type="application/json", status=status)


def redirect_after_post(name: str, *args: Any) -> HttpResponse:
    """303: whatever the method was, the next request is a GET."""
    answer = redirect(name, *args)
    answer.status_code = 303
    return answer
