"""The guideline: reading it, its versions and what changed, writing the next one."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from annotation import guiding
from annotation.access import account_of, guideline_for, is_lead, membership_for, project_for
from annotation.errors import Refused
from annotation.forms import SPARE_ROWS, GuidelineForm
from annotation.models import Annotator, Guideline, Project, Role
from annotation.views.fetching import number_in


@login_required
@require_safe
def guideline(request: HttpRequest, slug: str) -> HttpResponse:
    """The guideline in force; where an annotator has not acknowledged it, with what is new since the one they know."""
    project = project_for(request.user, slug)
    me = Annotator.objects.active().filter(user=account_of(request), project=project).first()
    known = None
    if me and project.guideline and guiding.is_news_to(me):
        known = guiding.last_known(annotator=me, before=project.guideline)
    return _page(request, project, project.guideline, earlier=known.guideline if known else None)


@login_required
@require_safe
def guideline_version(request: HttpRequest, slug: str, version: int) -> HttpResponse:
    """One version, with what it changed from the one before or from `?against=`."""
    shown = guideline_for(request.user, slug, version)
    against = request.GET.get("against", "")
    if against and not (against.isascii() and against.isdigit() and len(against) < 9):
        raise Http404
    other = int(against) if against else version - 1
    earlier = guideline_for(request.user, slug, other) if against or other >= 1 else None
    return _page(request, shown.project, shown, earlier=earlier)


@login_required
@require_POST
def acknowledge(request: HttpRequest, slug: str) -> HttpResponse:
    me = membership_for(request.user, slug)
    if me.project.guideline is None:
        raise Http404
    read = version_read(request, me)
    guiding.acknowledge(annotator=me, guideline=read)
    messages.success(request, _("You have acknowledged version %(version)s.") % {"version": read.version})
    return redirect("guideline", slug)


def version_read(request: HttpRequest, me: Annotator) -> Guideline:
    """The version that stood beside the button, which need not be in force any more; without one, the one in force."""
    number = number_in(request.POST.get("version", ""))
    if number is None:
        assert me.project.guideline is not None
        return me.project.guideline
    return guideline_for(request.user, me.project.slug, number)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def guideline_new(request: HttpRequest, slug: str) -> HttpResponse:
    """Write the next version, starting from the one in force."""
    project = project_for(request.user, slug, role=Role.LEAD)
    form = GuidelineForm(request.POST if request.method == "POST" else None, base=project.guideline)
    more = "more" in request.POST
    if more:
        form.add_rows(SPARE_ROWS)
    elif request.method == "POST" and form.is_valid():
        try:
            made = guiding.publish_guideline(project=project, actor=account_of(request), **form.cleaned_data)
        except Refused as error:
            form.add_error(None, str(error))
        else:
            messages.success(request, f"Version {made.version} is in force.")
            return redirect("guideline", slug)
    context = {
        "project": project,
        "section": "guideline",
        "form": form,
        "base": project.guideline,
        "show_errors": not more,
    }
    return render(request, "guidelines/new.html", context, status=422 if form.is_bound and not more else 200)


def _page(
    request: HttpRequest, project: Project, shown: Guideline | None, *, earlier: Guideline | None = None
) -> HttpResponse:
    leads = is_lead(request.user, project)
    me = Annotator.objects.active().filter(user=account_of(request), project=project).first()
    context = {
        "project": project,
        "section": "guideline",
        # The lead's sections are no use to others: they lead to pages that are not theirs.
        "layout": "lead_base.html" if leads else "base.html",
        "leads": leads,
        "me": me,
        "shown": shown,
        "places": shown.places.select_related("principle") if shown else [],
        "acknowledged": bool(me and shown and guiding.has_acknowledged(annotator=me, guideline=shown)),
        "versions": _versions(project),
        "earlier": earlier,
        "pieces": guiding.difference(earlier.text, shown.text) if earlier and shown else [],
        "principle_changes": guiding.principle_changes(earlier, shown) if earlier and shown else [],
    }
    return render(request, "guidelines/guideline.html", context)


def _versions(project: Project) -> QuerySet[Guideline]:
    """The latest hundred, each with the number of annotators who have acknowledged it."""
    versions = project.guidelines.select_related("created_by").annotate(readers=Count("readings"))
    return versions.order_by("-version")[:100]
