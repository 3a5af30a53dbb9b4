"""The report of difficulty, and asking for it."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods

from annotation import access
from annotation.errors import Refused
from annotation.models import LanguageModel, Project, Role, Run
from curation import measuring
from curation.measuring import DifficultyRequest, MarginsRequest, RewardsRequest
from curation.measuring.preferred import SAYS, ModelRequest
from curation.reports import difficulty as report
from curation.reports import untrained

# What asks a model without training it.
UNTRAINED = (MarginsRequest.measure, RewardsRequest.measure)
# The settings of a training that small models and small projects need otherwise.
OFFERED = ("learning_rate", "batch", "epochs", "checkpoints", "rank", "beta", "seeds", "max_length")


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def difficulty(request: HttpRequest, slug: str) -> HttpResponse:
    project = access.project_for(request.user, slug, role=Role.LEAD)
    refusal = ""
    if request.method == "POST":
        try:
            measuring.request_measurement(project=project, asked=_asked(request), actor=access.account_of(request))
            return redirect("difficulty", slug=project.slug)
        except Refused as error:
            refusal = str(error)
    return _page(request, project, refusal)


@dataclass(frozen=True)
class Entry:
    """A setting as the form asks for it: as it was entered, or its usual value."""

    name: str
    title: str
    value: str
    help: str


def _entries(request: HttpRequest) -> list[Entry]:
    known = DifficultyRequest.settings()
    return [
        Entry(
            name,
            name.replace("_", " ").capitalize(),
            request.POST.get(name, "").strip() or str(known[name].default),
            known[name].metadata["help"],
        )
        for name in OFFERED
    ]


def _asked(request: HttpRequest) -> ModelRequest:
    """Training by default; without training, what the model is decides which of the two measures it is asked for."""
    model, preference = request.POST.get("model", ""), request.POST.get("preference", SAYS[0])
    if request.POST.get("measure") != "untrained":
        typed = [f"{one.name}={one.value}" for one in _entries(request)]
        return DifficultyRequest(
            model=model, preference=preference, **measuring.parse_settings(DifficultyRequest, typed)
        )
    reference = request.POST.get("reference", "")
    if LanguageModel.objects.that_reward().filter(name=model).exists():
        if reference:
            raise Refused(f"{model} is a reward model: its margin needs no reference. Leave “Trained from” out.")
        return RewardsRequest(model=model, preference=preference)
    return MarginsRequest(model=model, preference=preference, reference=reference)


def _page(request: HttpRequest, project: Project, refusal: str) -> HttpResponse:
    measured = report.latest_runs(project)
    run = measured.get(request.GET.get("model", "")) or next(iter(measured.values()), None)
    runs = project.runs.filter(kind=Run.Kind.MEASUREMENT)
    last = runs.filter(parameters__measure=DifficultyRequest.measure).order_by("-id").first()
    last_untrained = runs.filter(parameters__measure__in=UNTRAINED).order_by("-id").first()
    usable = list(LanguageModel.objects.usable())
    context = {
        "project": project,
        "section": "reports",
        "tab": "difficulty",
        "all": report.report(run) if run else None,
        "measured": list(measured),
        "trainable": [one.name for one in usable if one.backend == LanguageModel.Backend.TRANSFORMERS_LOCAL],
        "unfinished": last if last and not last.is_final else None,
        "failed": last if last and last.state == Run.State.FAILED else None,
        "refusal": refusal,
        "entries": _entries(request),
        "is_refused_untrained": bool(refusal) and request.POST.get("measure") == "untrained",
        "untrained": untrained.untrained(project),
        "references": [one for one in usable if one.backend == LanguageModel.Backend.TRANSFORMERS_LOCAL],
        "scoring": [one for one in usable if one.backend in LanguageModel.LOCAL],
        "unfinished_untrained": last_untrained if last_untrained and not last_untrained.is_final else None,
        "failed_untrained": last_untrained if last_untrained and last_untrained.state == Run.State.FAILED else None,
    }
    return TemplateResponse(request, "reports/difficulty.html", context, status=400 if refusal else 200)
