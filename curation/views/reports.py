"""The reports of a project: what was measured, in words first."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods, require_safe

from annotation import access
from annotation.models import Judgement, Project, Role, Run
from annotation.models.runs import RunQuerySet
from curation import docket
from curation.measuring import AgreementRequest, DiscretionRequest, PeopleRequest, request_measurement
from curation.measuring.discretion import MINIMA
from curation.reports import agreement as agreement_report
from curation.reports import comparing, matrix
from curation.reports import discretion as report
from curation.reports import people as people_report
from curation.reports.addresses import PeopleForm
from curation.reports.index import entries
from curation.reports.supremacy import PEOPLE
from curation.reports.words import percent

Measured = type[AgreementRequest] | type[DiscretionRequest] | type[PeopleRequest]
# What the address of the table keeps while two are chosen.
KEPT = ("round", "sort", "dir", "names", "enough")
# Rows of the table of people on one page.
ROWS = 50


def _runs(project: Project, asked: Measured) -> RunQuerySet:
    found: RunQuerySet = project.runs.filter(kind=Run.Kind.MEASUREMENT, parameters__measure=asked.measure)
    return found


def _context(project: Project, asked: Measured, tab: str) -> dict[str, Any]:
    """What every report page shows around its figures."""
    last = _runs(project, asked).order_by("-id").first()
    return {
        "project": project,
        "section": "reports",
        "tab": tab,
        "all": None,
        "unfinished": last if last and not last.is_final else None,
        "failed": last if last and last.state == Run.State.FAILED else None,
    }


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def agreement(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    if request.method == "POST":
        request_measurement(project=project, asked=AgreementRequest(), actor=access.account_of(request))
        return redirect("agreement_report", slug=project.slug)
    context = _context(project, AgreementRequest, "agreement")
    run = agreement_report.latest_run(project)
    context["counted_causes"] = docket.causes_of(project)
    context["implied"] = Judgement.objects.current().filter(assignment__project=project, ranking__isnull=False).count()
    if run is not None:
        context |= {"all": agreement_report.report(run=run), "counted_at": run.finished_at}
    return TemplateResponse(request, "reports/agreement.html", context)


@require_safe
@login_required
def reports(request: HttpRequest, slug: str) -> HttpResponse:
    """Every report: when it was last measured, and what it found."""
    project = access.project_for(request.user, slug, role=Role.LEAD)
    context = {"project": project, "section": "reports", "tab": "", "entries": entries(project)}
    return TemplateResponse(request, "reports/index.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def discretion(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    if request.method == "POST":
        request_measurement(project=project, asked=DiscretionRequest(), actor=access.account_of(request))
        return redirect("discretion", slug=project.slug)
    try:
        minimum, picked, pin = _asked(request)
    except ValueError:
        return HttpResponseBadRequest("The address of this report is not whole: min is 1 to 5, pin two numbers.")
    run = report.latest_run(project)
    context = _context(project, DiscretionRequest, "discretion")
    if run is not None:
        found = report.report(run=run, minimum=minimum, subject=request.GET.get("of", PEOPLE), picked=picked, pin=pin)
        context |= {"all": found, "counted_at": run.finished_at, **_lead(found)}
    return TemplateResponse(request, "reports/discretion.html", context)


def _asked(request: HttpRequest) -> tuple[int, int, tuple[int, int] | None]:
    """The least number of relevant principles, the principle of the table, and the pinned cell of the address."""
    minimum = int(request.GET.get("min") or 1)
    if minimum not in MINIMA:
        raise ValueError(minimum)
    first, comma, second = request.GET.get("pin", "").partition(",")
    return minimum, int(request.GET.get("principle") or 0), (int(first), int(second)) if comma else None


def _lead(found: report.Report) -> dict[str, Any]:
    """The sentence and the bar at the head of the page."""
    pairs = found.run.result["pairs"]
    people = found.people if found.people and found.people["value"] is not None else None
    parts = [("f-con", found.counts["consensus"]), ("f-cnf", found.counts["conflict"])]
    parts += [("f-ind", found.counts["indifference"])]
    if people:
        # The hatched part of consensus is the second half of the sentence.
        held = found.counts["consensus"] * (1 - people["value"])
        parts[:1] = [("f-con", held), ("f-against", found.counts["consensus"] - held)]
    bar, at = [], 0.0
    for look, size in parts:
        width = 100 * size / pairs
        bar.append({"look": look, "x": f"{at:.3f}", "width": f"{width:.3f}"})
        at += width
    shares = {name: percent(one["value"]) for name, one in found.shares.items()}
    if not people:
        return {**shares, "bar": bar}
    ends = f"{percent(people['low'])}–{percent(people['high'])}" if people["low"] is not None else ""
    return {**shares, "bar": bar, "against": percent(people["value"]), "against_interval": ends}


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def people(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    if request.method == "POST":
        request_measurement(project=project, asked=PeopleRequest(), actor=access.account_of(request))
        return redirect("people_report", slug=project.slug)
    form = PeopleForm(request.GET)
    if not form.is_valid():
        return HttpResponseBadRequest(
            f"The address of this report is not whole: {' '.join(form.errors)} cannot be read.",
            content_type="text/plain",
        )
    context = _context(project, PeopleRequest, "people") | {"asked": form.cleaned_data}
    run = people_report.latest_run(project)
    if run is not None:
        context |= {"counted_at": run.finished_at, **_people(request, run, form.cleaned_data)}
    return TemplateResponse(request, "reports/people.html", context)


def _people(request: HttpRequest, run: Run, asked: dict[str, Any]) -> dict[str, Any]:
    """The table, the grid, and the two that are compared."""
    found = people_report.report(
        run=run,
        version=asked["round"],
        sort=asked["sort"],
        is_descending=asked["dir"] == "desc",
        only_enough=asked["enough"],
        is_hidden=asked["names"] == "hidden",
    )
    chosen = asked["who"]
    busiest = [(one.number, one.name) for one in found.everybody]
    return {
        "all": found,
        "page": Paginator(found.rows, ROWS).get_page(request.GET.get("page")),
        "heads": _heads(request, found.columns, asked),
        "chosen": chosen,
        "compared": comparing.comparison(run=run, all_of=found, numbers=chosen) if len(chosen) == 2 else None,
        "matrix": matrix.matrix(run=run, busiest=busiest, pin=asked["pin"]),
        "kept": [(name, value) for name, value in request.GET.items() if name in KEPT],
        "as_it_is": _query(request, who=None, page=None),
        "other_names": _query(request, names="shown" if asked["names"] == "hidden" else "hidden"),
    }


def _heads(
    request: HttpRequest, columns: tuple[people_report.Column, ...], asked: dict[str, Any]
) -> list[people_report.Head]:
    """The columns' heads, each with the address that sorts by it: once more turns the order."""
    heads = []
    for one in (people_report.NAME, people_report.COUNT, *columns):
        is_here = one.key == asked["sort"]
        usual = "asc" if one.key == people_report.NAME.key else "desc"
        turned = {"asc": "desc", "desc": "asc"}[asked["dir"]] if is_here else usual
        direction = {"asc": "ascending", "desc": "descending"}[asked["dir"]] if is_here else ""
        heads.append(people_report.Head(one, direction, _query(request, sort=one.key, dir=turned, page=None)))
    return heads


def _query(request: HttpRequest, **changes: str | None) -> str:
    """This page's query with changes; None leaves a parameter out."""
    query = request.GET.copy()
    for name, value in changes.items():
        query.pop(name, None)
        if value is not None:
            query[name] = value
    return query.urlencode()
