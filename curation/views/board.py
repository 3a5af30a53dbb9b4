"""The board: every pair at once, by difficulty, agreement and discretion."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, QueryDict
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.views.decorators.http import require_POST, require_safe

from annotation import access, excluding
from annotation.errors import Refused
from annotation.models import Project, Role
from curation import adjudicating, browsing, comparing, gathering, grouping, keeping, packing
from curation.dimensions import READINGS
from curation.filters import (
    BESIDES,
    LONGEST,
    SCOPES,
    Filter,
    Order,
    Scope,
    orders_of,
    parse,
    parse_order,
    parse_scope,
    words,
)
from curation.models import FactsState, Selection
from curation.trust import in_words, trust_in

# So many pairs are gathered while one waits; more are a worker's.
AT_ONCE = 20_000
# What servers in front of this one take in one line, by usual settings.
LONGEST_ADDRESS = 7_000
A_YEAR = "private, max-age=31536000, immutable"

View = Callable[..., HttpResponse]


def refusals_are_400(view: View) -> View:
    """What an address asks for and the board does not know is answered with a sentence."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **arguments: Any) -> HttpResponse:
        try:
            return view(request, *args, **arguments)
        except Refused as refusal:
            return HttpResponseBadRequest(str(refusal), content_type="text/plain; charset=utf-8")

    return answered


def asked_in(state: FactsState | None, query: QueryDict) -> tuple[Filter, Order]:
    """The filter and the order of an address. Without facts there is nothing to filter by."""
    if any(len(query.getlist(key)) > 1 for key in query):
        raise Refused("Each filter stands in the address once.")
    if state is None:
        return Filter(), Order()
    texts, dims = {key: query.get(key, "") for key in query}, browsing.dims_of(state)
    asked = parse(texts, dims)
    # Whom or what this project does not have is not on the list.
    browsing.scope_in_words(state.project, asked.scope)
    return asked, parse_order(query.get("sort", "-difficulty"), dims)


def _understood(state: FactsState, query: QueryDict) -> tuple[QueryDict, str]:
    """What of an address the board knows, and what is wrong with the rest: links outlive what they name."""
    known, problem = query.copy(), ""
    for key in query:
        alone = QueryDict(mutable=True)
        alone.setlist(key, query.getlist(key))
        try:
            asked_in(state, alone)
            browsing.Mark.read(alone.get("after", ""))
        except Refused as refusal:
            del known[key]
            problem = problem or str(refusal)
    return known, problem


def _within(project: Project, state: FactsState, scope: Scope) -> dict[str, Any]:
    """Which pairs the board is drawn of, in words, and how many they are."""
    if not scope:
        return {"of": state.pairs}
    said = browsing.scope_in_words(project, scope)
    found = browsing.count(project=project, asked=Filter(scope=scope), dims=browsing.dims_of(state))
    return {"of": found, "scope": scope.query, "scope_says": said}


def bare(query: QueryDict, *, without: tuple[str, ...]) -> str:
    kept = query.copy()
    for key in without:
        kept.pop(key, None)
    return keeping.address_text(kept)


def _saved(project: Project) -> QuerySet[Selection]:
    """What was saved on the board. What a release was asked for in criteria is no filter of it."""
    return Selection.objects.of_the_board().filter(project=project).select_related("owner")


def trust_of(state: FactsState | None) -> float | None:
    """How far the trainings agree on the order of difficulty that the board shows."""
    return trust_in(state.measures.get("difficulty", {}).get("run")) if state else None


def _table(project: Project, state: FactsState, query: QueryDict) -> dict[str, Any]:
    asked, order = asked_in(state, query)
    dims = browsing.dims_of(state)
    page = browsing.page(state=state, asked=asked, order=order, dims=dims, after=query.get("after", ""))
    rest = bare(query, without=("sort", "after", "pair"))
    heads = {
        key: {"query": f"{rest}&sort={'' if order == Order(key, True) else '-'}{key}".lstrip("&"), "key": key}
        for key in orders_of(dims)
    }
    heads[order.key]["sorted"] = "descending" if order.is_descending else "ascending"
    return {
        "project": project,
        "page": page,
        "found": page.found,
        "order": order,
        "heads": heads,
        "filter": bare(query, without=("after", "pair")),
        "next": f"{bare(query, without=('after', 'pair', 'v'))}&after={page.after}".lstrip("&") if page.after else "",
        "is_first": not query.get("after"),
        "first": bare(query, without=("after", "pair")),
        "size": browsing.PAGE,
        "version": state.version,
        "model": state.model,
    }


@require_safe
@login_required
def board(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state = browsing.state_of(project)
    context: dict[str, Any] = {
        "project": project,
        "section": "board",
        "readings": READINGS,
        "longest": LONGEST,
        "state": state,
        "pairs": 0 if state else project.pairs.in_play().count(),
        "waiting": project.runs.unfinished().filter(kind="facts").first(),
        "selections": _saved(project).order_by("-created_at")[:100],
    }
    if state is not None:
        query, context["problem"] = _understood(state, request.GET)
        asked, _ = asked_in(state, query)
        dims = browsing.dims_of(state)
        context |= _within(project, state, asked.scope) | _table(project, state, query)
        context["unscoped"] = bare(query, without=("after", "pair", *SCOPES))
        context["asked"], context["annotators"] = asked, browsing.annotators_of(project)
        context["is_stale"] = gathering.is_stale(state)
        context["said"] = [(one, words(one, asked.passing[one.key])) for one in dims if one.key in asked.passing]
        context["batches"] = excluding.batches(project)
        context["trust"] = trust_of(state)
        context["trust_says"] = in_words(context["trust"])
        context["selections"] = [(one, keeping.address_of(one, dims)) for one in context["selections"]]
    return TemplateResponse(request, "board/page.html", context, status=400 if context.get("problem") else 200)


def _packed(request: HttpRequest, slug: str, part: str, kind: str) -> HttpResponse:
    """One gzip answer, stored but for a scope. A version never changes, so an address with one may be kept for ever."""
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state = FactsState.objects.filter(project=project).only("version", "values").first()
    if state is None:
        return HttpResponse("The facts have not been gathered yet.", status=409, content_type="text/plain")
    if strange := sorted({*request.GET} - {"v", *SCOPES}):
        raise Refused(f"Unknown is {strange[0][:60]!r}. The columns are those of all pairs, or within a scope.")
    scope = parse_scope(request.GET.dict())
    etag = f'"{project.pk}-{state.version}-{part}{scope.query and "-" + scope.query}"'
    is_this = request.GET.get("v") == str(state.version)
    answer = HttpResponse(content_type=kind)
    if request.headers.get("If-None-Match") == etag:
        answer.status_code = 304
    else:
        answer.content = _body(project, state, part, scope)
        answer["Content-Encoding"] = "gzip"
    answer["ETag"] = etag
    answer["Cache-Control"] = A_YEAR if is_this else "private, no-cache"
    patch_vary_headers(answer, ["Cookie"])
    return answer


def _body(project: Project, state: FactsState, part: str, scope: Scope) -> bytes:
    if not scope:
        return bytes(FactsState.objects.values_list(part, flat=True).get(pk=state.pk))
    browsing.scope_in_words(project, scope)
    made = packing.pack(project=project, dims=browsing.dims_of(state), version=state.version, scope=scope)
    body: bytes = getattr(made, part)
    return body


@require_safe
@login_required
@refusals_are_400
def summary(request: HttpRequest, slug: str) -> HttpResponse:
    return _packed(request, slug, "summary", "application/json")


@require_safe
@login_required
@refusals_are_400
def columns(request: HttpRequest, slug: str) -> HttpResponse:
    return _packed(request, slug, "columns", "application/octet-stream")


@require_safe
@login_required
@refusals_are_400
def rows(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state = browsing.state_of(project)
    if state is None:
        return HttpResponse("The facts have not been gathered yet.", status=409, content_type="text/plain")
    return TemplateResponse(request, "board/_rows.html", _table(project, state, request.GET))


# ---- acts ------------------------------------------------------------------------------------------------------------


def _back(slug: str, query: str) -> HttpResponse:
    return redirect(reverse("board", args=[slug]) + (f"?{query}" if query else ""))


def _posted(request: HttpRequest) -> QueryDict:
    """The filter that a form carries, as the board's address has it.

    Raises:
        Refused: it is too long.
    """
    return keeping.query_of(request.POST.get("filter", ""))


def gather_now(request: HttpRequest, project: Project, *, model: str) -> None:
    """The facts of few pairs at once, of many by a worker."""
    actor = access.account_of(request)
    if project.pairs.count() <= AT_ONCE:
        run = gathering.gather_facts(project=project, model=model, actor=actor, command="board")
        messages.success(request, f"The facts of {run.result['pairs']:,} pairs are new.")
    else:
        run = gathering.ask_for_facts(project=project, model=model, actor=actor)
        messages.info(request, f"Run {run.pk} gathers the facts; the board shows them when it is done.")


@require_POST
@login_required
@refusals_are_400
def gather(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    model, query = request.POST.get("model", ""), _posted(request)
    if len(model) > 300 or "\0" in model:
        raise Refused("No model has such a name. Go back to the board and choose one from the list.")
    gather_now(request, project, model=model)
    return _back(slug, bare(query, without=("after",)))


@require_POST
@login_required
@refusals_are_400
def send(request: HttpRequest, slug: str) -> HttpResponse:
    """Pairs to adjudication, to annotators again or out of play: the number that was confirmed is what goes."""
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state, query, actor = browsing.state_of(project), _posted(request), access.account_of(request)
    if state is None:
        raise Refused("The facts have not been gathered yet.")
    asked, _ = asked_in(state, query)
    numbers = {name: request.POST.get(name, "") for name in ("expected", "more")}
    if not all(value.isdecimal() and len(value) <= 9 for value in numbers.values() if value):
        raise Refused("The form lacks the number of pairs. Go back to the board and confirm again.")
    expected, more = int(numbers["expected"] or 0), int(numbers["more"] or 2)
    act, dims, because = request.POST.get("do", ""), browsing.dims_of(state), keeping.address_text(query)
    try:
        if act == "adjudicate":
            sent = adjudicating.send_to_adjudication(
                project=project, asked=asked, dims=dims, expected=expected, because=because, actor=actor
            )
            messages.success(request, f"{sent:,} pairs wait for an adjudicator; {expected - sent:,} did so already.")
        elif act == "ask_again":
            opened = adjudicating.ask_again(
                project=project, asked=asked, dims=dims, expected=expected, more=more, because=because, actor=actor
            )
            messages.success(
                request, f"{opened:,} judgements more are asked for, of people who have not seen the pairs."
            )
        elif act == "exclude":
            gone = adjudicating.exclude(
                project=project,
                asked=asked,
                dims=dims,
                expected=expected,
                reason=request.POST.get("because", ""),
                because=because,
                actor=actor,
            )
            messages.success(
                request, f"{gone:,} pair{' is' if gone == 1 else 's are'} out of play{_already(expected - gone)}."
            )
            gather_now(request, project, model=state.model)
        else:
            raise Refused("The board has no such button. Go back and reload it.")
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _back(slug, request.POST.get("back", because))


def _already(n: int) -> str:
    return f"; {n:,} {'was' if n == 1 else 'were'} so already" if n else ""


@require_POST
@login_required
@refusals_are_400
def save(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state, query = browsing.state_of(project), _posted(request)
    for key in BESIDES:
        query = QueryDict(bare(query, without=(key,)))
    asked = keeping.filter_of(state, query)
    try:
        saved = keeping.save_selection(
            project=project,
            name=request.POST.get("name", ""),
            asked=asked,
            dims=browsing.dims_of(state) if state else (),
            query=keeping.address_text(query),
            actor=access.account_of(request),
        )
        messages.success(request, f"Saved as {saved}.")
    except Refused as refusal:
        messages.error(request, str(refusal))
    return _back(slug, keeping.address_text(query))


@require_safe
@login_required
@refusals_are_400
def release(request: HttpRequest, slug: str) -> HttpResponse:
    """To the draft of a release of the pairs that the board shows."""
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state = browsing.state_of(project)
    asked, _ = asked_in(state, keeping.query_of(request.GET.get("filter", "")))
    lines = [one.text for one in keeping.criteria_of(asked, browsing.dims_of(state))] if state else []
    if any(len(one.splitlines()) > 1 for one in lines):
        raise Refused("A value of this filter has a line break. Save the selection, and choose it in a new release.")
    query = urlencode({"where": "\n".join(lines)}) if lines else ""
    if len(query) > LONGEST_ADDRESS:
        raise Refused("This filter is too long for an address. Save the selection, and choose it in a new release.")
    return redirect(f"{reverse('release_new', args=[project.slug])}{'?' if query else ''}{query}")


@require_safe
@login_required
@refusals_are_400
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """Two selections by number; 0 is all pairs. `filter` stands for the first where the board sends its own."""
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state = browsing.state_of(project)
    saved = _saved(project).order_by("name", "-version")[:200]
    context: dict[str, Any] = {"project": project, "section": "board", "state": state, "selections": saved}
    if state is not None:
        chosen = [_side(request, project, state, side) for side in ("first", "second")]
        context |= {"chosen": chosen, "filter": request.GET.get("filter", "")}
        context["compared"] = comparing.compare(
            project=project, first=chosen[0]["asked"], second=chosen[1]["asked"], dims=browsing.dims_of(state)
        )
    return TemplateResponse(request, "board/compare.html", context)


@require_safe
@login_required
@refusals_are_400
def groups(request: HttpRequest, slug: str) -> HttpResponse:
    """The pairs of the board's filter by the values of one dimension."""
    project = access.project_for(request.user, slug, role=Role.LEAD)
    state = browsing.state_of(project)
    if state is None:
        raise Refused(keeping.NO_FACTS)
    query, dims = keeping.query_of(request.GET.get("filter", "")), browsing.dims_of(state)
    asked, by = keeping.filter_of(state, query), grouping.parse_by(request.GET.get("by", "discretion"), dims)
    context = {
        "project": project,
        "section": "board",
        "by": by,
        "allowed": grouping.groupable(dims),
        "groups": grouping.groups(state=state, asked=asked, dims=dims, by=by, query=query),
        "filter": keeping.address_text(query),
        "said": [(one, words(one, asked.passing[one.key])) for one in dims if one.key in asked.passing],
    }
    return TemplateResponse(request, "board/groups.html", context)


def _side(request: HttpRequest, project: Project, state: FactsState, side: str) -> dict[str, Any]:
    number = request.GET.get(side, "")
    query, name = keeping.query_of(""), "All pairs"
    if number == "now" or (side == "first" and not number and request.GET.get("filter")):
        query, name, number = keeping.query_of(request.GET.get("filter", "")), "The board's filter", "now"
    elif number not in ("", "0"):
        if not number.isdecimal() or len(number) > 18:
            raise Refused("Choose two selections from the lists.")
        one = get_object_or_404(Selection, pk=int(number), project=project)
        query, name = QueryDict(keeping.address_of(one, browsing.dims_of(state))), str(one)
    asked, _ = asked_in(state, query)
    said = [
        f"{d.label.lower()} {words(d, asked.passing[d.key])}" for d in browsing.dims_of(state) if d.key in asked.passing
    ]
    if asked.scope:
        said.insert(0, f"pairs {browsing.scope_in_words(project, asked.scope)}")
    return {
        "number": number or "0",
        "name": name,
        "asked": asked,
        "words": ", ".join(said),
        "side": side,
    }
