"""The runs of a project: start one, watch them, stop one, let one go on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_safe

from annotation import access, running, starting
from annotation.errors import Refused
from annotation.estimating import within
from annotation.models import LanguageModel, Project, Role, Run
from annotation.origins import first_of
from annotation.pacing import duration, duration_range
from annotation.run_forms import FORMS, StartForm
from annotation.starting import Offer
from annotation.watching import row_of, who_stopped, workers_now

PER_PAGE = 25
# A list among the parameters is named so far.
MOST_NAMED = 8


# ---- the list, and the form beside it --------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def runs(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    if request.method == "POST":
        return _start(request, project)
    if request.headers.get("HX-Request"):
        return TemplateResponse(request, "runs/_list.html", _listed(request, project) | {"is_fragment": True})
    return _page(request, project, _form(request, project))


def _form(request: HttpRequest, project: Project) -> StartForm:
    kind = request.POST.get("kind") or request.GET.get("kind", "")
    form = FORMS.get(kind, FORMS["generate"])
    usable = list(LanguageModel.objects.usable().that_answer())
    return form(request.POST if request.method == "POST" else None, project=project, usable=usable)


def _start(request: HttpRequest, project: Project) -> HttpResponse:
    """The form's buttons: `estimate` shows what it would take, `start` starts what was promised."""
    act, form = request.POST.get("do", ""), _form(request, project)
    if act not in ("estimate", "start"):
        return HttpResponseBadRequest("This page has no such button. Go back and reload it.", content_type="text/plain")
    if not form.is_valid():
        return _page(request, project, form, status=422)
    try:
        offered = starting.offer(project=project, plan=form.plan())
        if act == "estimate" or str(offered.units) != request.POST.get("promised", ""):
            return _page(request, project, form, offered=offered, is_new=act == "start")
        run = starting.start(
            project=project, plan=offered.plan, actor=access.account_of(request), seed=form.cleaned_data["seed"]
        )
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return _page(request, project, form, status=422)
    messages.success(request, f"Run {run.pk} is waiting for a worker: {offered.sum}.")
    return redirect("runs", project.slug)


def _page(
    request: HttpRequest,
    project: Project,
    form: StartForm,
    *,
    offered: Offer | None = None,
    is_new: bool = False,
    status: int = 200,
) -> HttpResponse:
    """`is_new`: what was offered is not what the button promised, so nothing was started."""
    if not form.is_bound:
        offered = _first_offer(form)
    time = offered.expected.time if offered else None
    context = {
        "form": form,
        "kinds": [("generate", "Generate"), ("judge", "Judge")],
        "offered": offered,
        "tokens": _many(offered.expected.tokens) if offered and offered.expected.tokens else "",
        "likely": duration(time.likely) if time else "",
        "range": duration_range(time.early, time.late) if time else "",
        "is_new": is_new,
        "may_register": request.user.is_staff,
        "open": _open(request, project),
        **_listed(request, project),
    }
    template = "runs/_estimate.html" if request.headers.get("HX-Request") else "runs/list.html"
    return TemplateResponse(request, template, context, status=status if template == "runs/list.html" else 200)


def _many(number: int) -> str:
    return f"{number / 1e6:,.1f} million" if number >= 1_000_000 else f"{number:,}"


def _first_offer(form: StartForm) -> Offer | None:
    """What the form says before anybody has touched it."""
    first = type(form)(
        {name: form.get_initial_for_field(field, name) for name, field in form.fields.items()}
        | {"which": form.fields["which"].choices[0][0]},  # type: ignore[attr-defined]
        project=form.project,
        usable=form.usable,
    )
    try:
        return starting.offer(project=form.project, plan=first.plan()) if first.is_valid() else None
    except Refused:
        return None


def _listed(request: HttpRequest, project: Project) -> dict[str, Any]:
    found = project.runs.select_related("started_by").defer("log").order_by("-id")
    page = Paginator(found, PER_PAGE).get_page(request.GET.get("page"))
    workers = workers_now([project.pk])
    served = {queue for queue, _ in workers.by_queue}
    near, counted = within(runs=Run.objects.filter(project=project))
    return {
        "project": project,
        "section": "runs",
        "page": page,
        "rows": [row_of(run, served=served) for run in page],
        "workers": workers,
        "is_live": project.runs.unfinished().exists(),
        "near": near,
        "counted": counted,
        "counted_at": timezone.now(),
    }


def _open(request: HttpRequest, project: Project) -> dict[str, Any] | None:
    """The run whose drawer is open."""
    asked = request.GET.get("log", "")
    if not (0 < len(asked) <= 18 and asked.isdecimal()):
        return None
    found = project.runs.select_related("started_by").filter(pk=int(asked)).first()
    return _shown(found) if found else None


def _shown(run: Run) -> dict[str, Any]:
    served = {queue for worker in running.living_workers() for queue in worker.queues}
    pairs = run.result.get("pairs")
    return {
        "run": run,
        # Not of one that still works: what polls would close them again.
        "candidates": first_of(run) if run.kind == Run.Kind.GENERATION and run.is_final else None,
        "pairs": f"{pairs:,} pair{'' if pairs == 1 else 's'}" if pairs else "",
        "row": row_of(run, served=served),
        "parameters": _in_words(run),
        "stopped_by": who_stopped(run),
    }


def _in_words(run: Run) -> list[tuple[str, str]]:
    """The parameters that say something, as (name, value)."""
    told = []
    for name, value in sorted(run.parameters.items()):
        words = [str(one) for one in value] if isinstance(value, list) else [str(value)]
        more = f" and {len(words) - MOST_NAMED:,} more" if len(words) > MOST_NAMED else ""
        if value not in ("", None, [], {}):
            told.append((name.replace("_", " "), ", ".join(words[:MOST_NAMED]) + more))
    return told


# ---- one run ---------------------------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def run(request: HttpRequest, slug: str, run_id: int) -> HttpResponse:
    found = access.run_for(request.user, slug, run_id)
    if request.method == "POST":
        return _act(request, found)
    template = "runs/_run.html" if request.headers.get("HX-Request") else "runs/run.html"
    context = {"project": found.project, "section": "runs", "open": _shown(found)}
    return TemplateResponse(request, template, context)


def _act(request: HttpRequest, found: Run) -> HttpResponse:
    """The buttons of a run, each named `do`."""
    verbs: dict[str, Callable[..., Run]] = {
        "cancel": running.cancel_run,
        "retry": running.retry_run,
        "pair": partial(running.retry_run, only_pair=True),
    }
    verb = verbs.get(request.POST.get("do", ""))
    if verb is None:
        return HttpResponseBadRequest("This page has no such button. Go back and reload it.", content_type="text/plain")
    try:
        verb(run=found, actor=access.account_of(request))
    except Refused as refusal:
        messages.error(request, str(refusal))
    return redirect("runs", found.project.slug if found.project else "")


@login_required
@require_safe
def run_log(request: HttpRequest, slug: str, run_id: int) -> HttpResponse:
    """The lines that are kept, as text."""
    found = access.run_for(request.user, slug, run_id)
    answer = HttpResponse(found.log + "\n", content_type="text/plain; charset=utf-8")
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
