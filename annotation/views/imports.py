"""Files into a project: upload, look, check, import, undo. Nothing is kept before the lead says so."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from annotation import access, running
from annotation.errors import Refused
from annotation.estimating import speed_of
from annotation.importing import checking, layouts, receiving, undoing, uploads
from annotation.importing.options import Options
from annotation.models import Project, Role, Run
from annotation.pacing import duration, duration_range, time_left

PER_PAGE = 50
REFUSED_PER_PAGE = 200


# ---- upload ----------------------------------------------------------------------------------------------------------


@csrf_exempt  # Checked in `_received`: reading the token reads the file, which wants its place first.
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def imports(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    if request.method != "POST":
        return _list(request, project)
    if receiving.is_too_large(request.META.get("CONTENT_LENGTH") or ""):
        error = "It is larger than this page takes. The command import_pairs on the server takes files of any size."
        return _list(request, project, error=error, status=413)
    receiver = receiving.Receiver(request)
    request.upload_handlers = [receiver]
    try:
        return _received(request, project, receiver)
    finally:
        receiver.tidy()


@csrf_protect
def _received(request: HttpRequest, project: Project, receiver: receiving.Receiver) -> HttpResponse:
    receiving.discard_old()
    holds, actor = request.POST.get("holds", "pairs"), access.account_of(request)
    try:
        upload = receiver.arrived()
        options = Options(holds=holds, judges=_judges(request))
        run = uploads.request_check(project=project, upload=upload, actor=actor, options=options)
    except Refused as refusal:
        return _list(request, project, error=str(refusal), status=422)
    receiver.keep()
    return redirect("import_run", project.slug, run.pk)


def _judges(request: HttpRequest) -> frozenset[str]:
    """The identifiers in the field `judges`, separated by commas."""
    return frozenset(one.strip() for one in request.POST.get("judges", "").split(",") if one.strip())


def _list(request: HttpRequest, project: Project, *, error: str = "", status: int = 200) -> HttpResponse:
    runs = project.runs.filter(kind=Run.Kind.IMPORT).select_related("started_by").defer("log").order_by("-id")
    context = {
        "project": project,
        "section": "import",
        "runs": Paginator(runs, PER_PAGE).get_page(request.GET.get("page")),
        "max_bytes": settings.UPLOAD_MAX_BYTES,
        "kept_days": receiving.KEPT.days,
        "error": error,
    }
    return TemplateResponse(request, "imports/list.html", context, status=status)


# ---- one run ---------------------------------------------------------------------------------------------------------


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def import_run(request: HttpRequest, slug: str, run_id: int) -> HttpResponse:
    run = _import_of(request, slug, run_id)
    if request.method == "POST":
        return _act(request, run)
    template = "imports/_state.html" if request.headers.get("HX-Request") else "imports/run.html"
    return TemplateResponse(request, template, _context(request, run))


def _import_of(request: HttpRequest, slug: str, run_id: int) -> Run:
    run = access.run_for(request.user, slug, run_id)
    if run.kind != Run.Kind.IMPORT:
        raise Http404
    return run


def _context(
    request: HttpRequest, run: Run, *, error: str = "", mapping: dict[str, str] | None = None
) -> dict[str, Any]:
    lines = receiving.ReportLines(run.pk, run.result.get("refused", 0))
    context: dict[str, Any] = {
        "project": run.project,
        "section": "import",
        "run": run,
        "at": run.parameters,
        "found": run.result,
        "error": error,
        "is_polled": request.headers.get("HX-Request") and run.is_final,
        "is_here": uploads.is_here(run),
        "refused": Paginator(lines, REFUSED_PER_PAGE).get_page(request.GET.get("page")),
        "workers": running.living_workers().count() if not run.is_final else 0,
        "import_of_it": uploads.import_of(run),
        "can_undo": undoing.can_undo(run),
        "has_report": receiving.report_path(run.pk).exists(),
        **_pace(run),
    }
    if run.result.get("columns"):
        context["fields"] = uploads.mapping_fields(run, chosen=mapping)
    return context


def _pace(run: Run) -> dict[str, Any]:
    """How fast a running one goes and what is left of it, in words; nothing while there is no pace to go by."""
    now = timezone.now()
    speed, left = speed_of(run, now=now) if run.state == Run.State.RUNNING else None, time_left(run, now=now)
    return {
        "speed": round(speed.units) if speed else 0,
        "left": duration(left.likely) if left else "",
        "left_range": duration_range(left.early, left.late) if left else "",
    }


def _act(request: HttpRequest, run: Run) -> HttpResponse:
    """The page's buttons, each named `do`."""
    actor = access.account_of(request)
    slug = run.project.slug if run.project else ""
    act = request.POST.get("do", "")
    mapping = {name: request.POST[name] for name in layouts.FIELDS if request.POST.get(name)}
    try:
        if act == "again":
            allow = frozenset(request.POST.getlist("allow"))
            layout = request.POST.get("layout", checking.AUTO)
            run = uploads.check_again(
                run=run, actor=actor, layout=layout, mapping=mapping, allow=allow, judges=_judges(request)
            )
        elif act == "import":
            run = uploads.request_import(run=run, actor=actor)
        elif act == "nothing":
            uploads.import_nothing(run=run, actor=actor)
            messages.info(request, f"Nothing was imported, and “{run.parameters['file']}” was deleted.")
            return redirect("imports", slug)
        elif act == "cancel":
            running.cancel_run(run=run, actor=actor)
        elif act == "undo":
            count = undoing.undo_import(run=run, actor=actor)
            messages.success(request, f"The import was undone: {count:,} {run.parameters['holds']} were deleted.")
        else:
            return HttpResponseBadRequest(
                "This page has no such button. Go back and reload it.", content_type="text/plain"
            )
    except Refused as refusal:
        is_mapping = request.POST.get("layout") == checking.MAPPING
        context = _context(request, run, error=str(refusal), mapping=mapping if is_mapping else None)
        return TemplateResponse(request, "imports/run.html", context, status=422)
    return redirect("import_run", slug, run.pk)


@login_required
@require_safe
def refused_csv(request: HttpRequest, slug: str, run_id: int) -> StreamingHttpResponse:
    """All refused lines, as a file: never shown by a browser, and without formulas."""
    run = _import_of(request, slug, run_id)
    answer = StreamingHttpResponse(receiving.csv_lines(run.pk), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="refused-{run.pk}.csv"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer
