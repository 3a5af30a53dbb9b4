"""A new release: chosen, counted and looked at on one page, then made by a worker while another page shows how far."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from annotation import access, running
from annotation.errors import Refused
from annotation.models import Project, Role, Run
from curation import drafting
from curation.export.records import Broken
from curation.forms import DraftForm
from curation.planning import Impossible, plan
from curation.releasing import request_release


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def draft(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    form = DraftForm(request.POST if request.method == "POST" else request.GET, project=project)
    counted = _counted(form, project, step=_step(request.GET.get("show", "")))
    if request.method != "POST":
        return _page(request, project, form, counted)
    if request.POST.get("do") != "release" or not (counted or form.too_long):
        return _page(request, project, form, counted, status=422) if form.errors else _again(project, form)
    promised = str(counted.chosen) if counted else ""
    if request.POST.get("counted") != form.digest or request.POST.get("promised") != promised:
        messages.warning(request, "Nothing was released: the settings or the count had changed. This is the new count.")
        return _again(project, form)
    return _release(request, project, form, counted)


def _step(text: str) -> int | None:
    """The place of the step whose removed pairs are to be shown. Steps come and go: what is none shows nothing."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 3 else None


def _counted(form: DraftForm, project: Project, *, step: int | None) -> drafting.Counted | None:
    """What the draft would release; None where it says why it cannot be counted."""
    if not form.is_valid():
        return None
    try:
        asked = plan(project=project, **form.asked())
        scores = form.cleaned_data["scores"]
        return drafting.count(asked, selection=form.selected, least=form.least, scores=scores, step=step)
    except drafting.TooLong as refusal:
        form.too_long = str(refusal)
        return None
    except (Refused, Broken) as refusal:
        # Whether there are vectors, highlights, edits or a measure of a cut is known only when they are read.
        option = getattr(refusal, "option", "cuts" if form.cleaned_data.get("cuts") else None)
        form.add_error(option, str(refusal))
        return None


def _again(project: Project, form: DraftForm) -> HttpResponse:
    """To the address that says the same: it can be shared, and going back never asks to send a form again."""
    return redirect(_address(project, form))


def _address(project: Project, form: DraftForm) -> str:
    query = form.address
    return f"{reverse('release_new', args=[project.slug])}{'?' if query else ''}{query}"


def _page(
    request: HttpRequest, project: Project, form: DraftForm, counted: drafting.Counted | None, *, status: int = 200
) -> HttpResponse:
    context = {
        "project": project,
        "section": "releases",
        "form": form,
        "counted": counted,
        "saved": form.cleaned_data.get("selection"),
        "selected": form.selected if counted else [],
        "most_compared": drafting.MOST_COMPARED,
        "counted_at": timezone.now(),
    }
    answer = TemplateResponse(request, "releases/new.html", context, status=status)
    if request.headers.get("HX-Request"):
        answer["HX-Replace-Url"] = _address(project, form)
    return answer


def _release(request: HttpRequest, project: Project, form: DraftForm, counted: drafting.Counted | None) -> HttpResponse:
    form.refuse_name()
    if counted and counted.is_too_harmful and not form.cleaned_data["sign_off"].strip():
        form.add_error("sign_off", "Say why these pairs belong in, or leave them out with the criterion flag!=harmful.")
    if counted and not counted.chosen:
        form.add_error(None, "No pair is left, so there is nothing to release.")
    if form.errors:
        return _page(request, project, form, counted, status=422)
    promised = counted.chosen if counted and counted.is_exact else None
    try:
        run = request_release(
            project=project,
            actor=access.account_of(request),
            selection=form.cleaned_data["selection"],
            promised=promised,
            **form.asked(),
        )
    except Refused as refusal:
        form.add_error(refusal.option if isinstance(refusal, Impossible) else None, str(refusal))
        return _page(request, project, form, counted, status=422)
    return redirect("release_run", project.slug, run.pk)


# ---- while it is made ------------------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def release_run(request: HttpRequest, slug: str, run_id: int) -> HttpResponse:
    run = access.run_for(request.user, slug, run_id)
    if run.kind != Run.Kind.RELEASE or "release" not in run.parameters:
        raise Http404
    error = _cancelled(request, run) if request.method == "POST" else ""
    is_polled = bool(request.headers.get("HX-Request"))
    if run.state == Run.State.DONE:
        return _made(request, slug, run, is_polled=is_polled)
    context: dict[str, Any] = {
        "project": run.project,
        "section": "releases",
        "run": run,
        "error": error,
        "is_polled": is_polled,
        "workers": running.living_workers().count() if not run.is_final else 0,
    }
    template = "releases/_run.html" if is_polled else "releases/run.html"
    return TemplateResponse(request, template, context, status=422 if error else 200)


def _cancelled(request: HttpRequest, run: Run) -> str:
    """Ask the run to stop. Returns why that cannot be, or nothing."""
    try:
        running.cancel_run(run=run, actor=access.account_of(request))
    except Refused as refusal:
        return str(refusal)
    run.refresh_from_db()
    return ""


def _made(request: HttpRequest, slug: str, run: Run, *, is_polled: bool) -> HttpResponse:
    """To the release. A page that polls is sent there by a header: htmx would follow a redirect inside the page."""
    if is_polled:
        return HttpResponse(headers={"HX-Redirect": reverse("release", args=[slug, run.parameters["release"]])})
    return redirect("release", slug, run.parameters["release"])
