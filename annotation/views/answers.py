"""One's own answers: the list, and one of them opened again."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import Prefetch, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from annotation import assigning, judging, offering, recalling, rendering, revising, typesetting
from annotation.access import assignment_for, membership_for
from annotation.answering import verdict_in_words
from annotation.assigning import Handed
from annotation.errors import Refused
from annotation.models import Annotator, Assignment, Flag, Judgement, Project, Rationale, Verdict
from annotation.views.fetching import (
    as_json,
    field_of,
    is_fetch,
    redirect_after_post,
    refused_as_json,
    signed_in,
    status_of,
    whole,
)
from annotation.views.items import answer_sent, controls_for, entered, item_of, principles_of, raw_sides

PER_PAGE = 50


@require_safe
@signed_in
def answers(request: HttpRequest, slug: str) -> HttpResponse:
    """What I have answered, newest first; `q` searches prompts and my own words, `verdict` narrows to one kind."""
    me = membership_for(request.user, slug)
    asked, kind = request.GET.get("q", "").replace("\0", "").strip()[:200], request.GET.get("verdict", "")
    kind = kind if kind in Verdict.values else ""
    page = Paginator(_found(me, asked, kind), PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "page": page,
        "rows": [_row(judgement, me) for judgement in page],
        "q": asked,
        "verdict": kind,
        "counts": None,
        "waiting": offering.waiting(annotator=me),
        "held": assigning.in_hand(annotator_id=me.pk),
        "editable": me.project.state != Project.State.CLOSED,
    }
    return TemplateResponse(request, "judging/answers.html", context)


def _found(me: Annotator, asked: str, kind: str) -> QuerySet[Judgement]:
    """My answers in which the words stand, in the prompt or in my reason, of one kind of verdict; empty: any."""
    mine: QuerySet[Judgement] = (
        recalling.history(me)
        .select_related("assignment__pair__prompt", "edit")
        .prefetch_related(Prefetch("rationales", Rationale.objects.filter(source=Rationale.Source.HUMAN)))
        .order_by("-id")
    )
    if words := " ".join(asked.split()):
        mine = recalling.with_words(mine, words)
    if kind:
        mine = mine.filter(verdict=kind)
    return mine


def _row(judgement: Judgement, me: Annotator) -> dict[str, Any]:
    """One line of the history: never more than its author may see. What was taken back is nowhere else: all of it."""
    why = next(iter(judgement.rationales.all()), None)
    taken_back, edit = not judgement.is_current, getattr(judgement, "edit", None)
    return {
        "taken_back": taken_back,
        "is_here": judgement.assignment.annotator_id == me.pk,
        "edited": edit.text if edit and taken_back else "",
        "assignment": judgement.assignment_id,
        "prompt": judgement.assignment.pair.prompt.last,
        "verdict": verdict_in_words(
            verdict=judgement.verdict,
            strength=judgement.strength,
            swapped=judgement.swapped,
            skip_reason=judgement.skip_reason,
            scale=me.project.scale,
        ),
        "note": why.text if why else "",
        "tags": why.tags if why else [],
        "flags": [Flag(flag).label for flag in judgement.flags],
        "revision": judgement.revision,
        "saw_machine": judgement.saw_machine,
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
    if request.method != "POST":
        return _page(request, me, assignment, current)
    try:
        given = answer_sent(request, assignment_id=assignment.pk).stored(swapped=current.swapped)
        expected = whole(request, "revision")
        revised = revising.revise(annotator=me, assignment=assignment, answer=given, expected_revision=expected)
    except Refused as error:
        if is_fetch(request):
            return refused_as_json(error)
        return _page(request, me, assignment, current, refused=error)
    if is_fetch(request):
        saved = {"assignment": assignment.pk, "text": recalling.echo(revised), "revision": revised.revision}
        return as_json({"saved": saved})
    messages.success(request, _("Saved: %(answer)s") % {"answer": recalling.echo(revised)})
    return redirect_after_post("answers", slug)


def _page(
    request: HttpRequest, me: Annotator, assignment: Assignment, current: Judgement, *, refused: Refused | None = None
) -> HttpResponse:
    """The judging page with an answer in it: as it is stored or, where it was refused, as it was sent."""
    assert me.user_id is not None
    judging.keep_terms(me.project)
    item = item_of(_shown_again(assignment, current), slug=me.project.slug, user_id=me.user_id, position=0)
    item["draft"] = recalling.fields_of(current)
    error = {}
    if refused is not None:
        item |= entered(request)
        error = {"error": str(refused), "error_field": field_of(refused)}
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "controls": controls_for(me.project, item, editing=True, **error),
        "item": item,
        "upcoming": [],
        "counts": None,
        "queue": None,
        "echo": "",
        "editing": True,
        "revision": current.revision,
        "principles": principles_of(me.project),
        **raw_sides(me, item),
        **_neighbours(me, current),
        **error,
    }
    return TemplateResponse(request, "judging/page.html", context, status=status_of(refused) if refused else 200)


def _neighbours(me: Annotator, current: Judgement) -> dict[str, str]:
    """Where `[` and `]` lead: my answer before this one, and the one after it."""
    mine = Judgement.objects.current().filter(annotator=me, assignment__slot__isnull=False)
    before = mine.filter(pk__lt=current.pk).order_by("-pk").values_list("assignment", flat=True).first()
    after = mine.filter(pk__gt=current.pk).order_by("pk").values_list("assignment", flat=True).first()
    found = {"earlier": before, "later": after}
    return {name: reverse("answer", args=[me.project.slug, one]) for name, one in found.items() if one is not None}


def _shown_again(assignment: Assignment, current: Judgement) -> Handed:
    """The pair as it stood when it was judged; texts of an older renderer are set anew."""
    pair = assignment.pair
    if typesetting.typeset_pairs(pairs=[pair.pk]):
        for text in (pair.prompt, pair.first, pair.second):
            text.refresh_from_db(fields=["html", "renderer"])
    return Handed(
        assignment_id=assignment.pk,
        swapped=current.swapped,
        prompt=pair.prompt.html,
        prompt_language=pair.prompt.language,
        first=pair.first.html,
        first_language=pair.first.language,
        second=pair.second.html,
        second_language=pair.second.language,
        pair_id=pair.pk,
        renderer=rendering.RENDERER,
    )
