"""One pair: everything about it, and what a lead does to it alone. The board that leads here: board.py."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_POST, require_safe

from annotation import access, excluding, marking_gold
from annotation.errors import Refused
from annotation.models import Pair, Role
from curation import browsing, inspecting
from curation.dimensions import REWARD
from curation.models import PairFact
from curation.views.board import asked_in, bare, gather_now, refusals_are_400, trust_of


@require_safe
@login_required
@refusals_are_400
def pair(request: HttpRequest, slug: str, pair_id: int) -> HttpResponse:
    return _pair_page(request, access.pair_for(request.user, slug, pair_id))


def _pair_page(request: HttpRequest, found: Pair, *, status: int = 200, **extra: Any) -> HttpResponse:
    """Everything about one pair: for the board's script the part that goes into its drawer, else a page of its own."""
    project = found.project
    state = browsing.state_of(project)
    fact = PairFact.objects.filter(pair=found).first()
    asked, _ = asked_in(state, request.GET)
    dims = browsing.dims_of(state) if state else ()
    context = {
        "project": project,
        "section": "board",
        "scope_says": browsing.scope_in_words(project, asked.scope),
        "opened": inspecting.opened(pair=found, fact=fact, asked=asked, dims=dims),
        "filter": bare(request.GET, without=("after", "pair")),
        "model": state.model if state else "",
        "measures": state.measures if state else {},
        "trust": trust_of(state),
        "rewarder": next(iter(state.values.get(REWARD.key, [])), "") if state else "",
        "more": range(1, 6),
        "gold": {"verdict": found.gold_verdict, "use": found.gold_use, "why": found.gold_why},
        "longest_why": marking_gold.LONGEST_WHY,
        **extra,
    }
    is_fragment = request.headers.get("X-Fragment") or request.headers.get("HX-Request")
    template = "board/_pair.html" if is_fragment else "board/pair.html"
    return TemplateResponse(request, template, context, status=status)


@require_POST
@login_required
@refusals_are_400
def put_back(request: HttpRequest, slug: str) -> HttpResponse:
    """Pairs that were taken out of play together, or one of them, back into it."""
    project = access.project_for(request.user, slug, role=Role.LEAD)
    actor, number = access.account_of(request), request.POST.get("pair", "")
    if number:
        which: dict[str, Any] = {"pairs": [_pair_posted(request, slug).pk]}
    else:
        which = {"batch": excluding.read_moment(request.POST.get("batch", ""))}
    came = excluding.put_back(project=project, actor=actor, **which)
    messages.success(request, f"{came:,} pair{' is' if came == 1 else 's are'} in play again.")
    state = browsing.state_of(project)
    gather_now(request, project, model=state.model if state else "")
    return redirect("board_pair", slug, number) if number else redirect("board", slug)


@require_POST
@login_required
@refusals_are_400
def gold(request: HttpRequest, slug: str) -> HttpResponse:
    """What is right of one pair, and what it is used for; or that it is gold no longer."""
    access.project_for(request.user, slug, role=Role.LEAD)
    found = _pair_posted(request, slug)
    is_ended = "not_gold" in request.POST
    said = {name: "" if is_ended else request.POST.get(name, "") for name in ("verdict", "use", "why")}
    use = marking_gold.NOT_GOLD if is_ended else said["use"]
    try:
        one = marking_gold.Gold(pair=found.pk, verdict=said["verdict"], use=use, why=said["why"])
        marking_gold.mark_gold(project=found.project, gold=[one], actor=access.account_of(request))
    except Refused as refusal:
        return _pair_page(request, found, status=422, gold=said, gold_error=str(refusal))
    messages.success(request, f"{found} is {'gold no longer' if is_ended else 'gold'}.")
    state = browsing.state_of(found.project)
    if state is not None:
        gather_now(request, found.project, model=state.model)
    return redirect("board_pair", slug, found.pk)


def _pair_posted(request: HttpRequest, slug: str) -> Pair:
    number = request.POST.get("pair", "")
    if not (number.isascii() and number.isdecimal() and len(number) <= 18):
        raise Refused("The form names no pair. Go back to the board and try again.")
    return access.pair_for(request.user, slug, int(number))
