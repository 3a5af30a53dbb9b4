"""The register of models: leads look, site admins register, check, allow and withdraw."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_http_methods, require_POST

from annotation import access, registering
from annotation.errors import Refused
from annotation.model_forms import ModelForm
from annotation.models import LanguageModel
from annotation.running import living_workers
from config.celery import GPU


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def models(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        return _register(request)
    if not access.may_found(request.user):
        raise Http404
    return _page(request, ModelForm())


def _register(request: HttpRequest) -> HttpResponse:
    if not access.may_administer(request.user):
        raise Http404
    form = ModelForm(request.POST)
    if form.is_valid():
        try:
            model = registering.register_model(actor=access.account_of(request), **form.cleaned_data)
        except Refused as refusal:
            form.add_error(None, str(refusal))
        else:
            messages.success(request, f"{model} is registered. Check it, then allow it.")
            return redirect("models")
    return _page(request, form, status=422)


def _page(request: HttpRequest, form: ModelForm, *, status: int = 200) -> HttpResponse:
    found = list(LanguageModel.objects.select_related("allowed_by", "check_run"))
    context = {
        "models": found,
        "form": form,
        "may_change": access.may_administer(request.user),
        "is_live": any(model.check_run and not model.check_run.is_final for model in found),
        "is_served": any(GPU in worker.queues for worker in living_workers()),
    }
    template = "models/_list.html" if request.headers.get("HX-Request") else "models/list.html"
    return TemplateResponse(request, template, context, status=status)


@login_required
@require_POST
def model(request: HttpRequest, model_id: int) -> HttpResponse:
    """The buttons of a model, each named `do`."""
    if not access.may_administer(request.user):
        raise Http404
    found = get_object_or_404(LanguageModel, pk=model_id)
    actor, act = access.account_of(request), request.POST.get("do", "")
    if act == "check":
        run = registering.request_check(model=found, actor=actor)
        messages.info(request, f"Run {run.pk} loads {found} and lets it say one word.")
    elif act == "allow":
        registering.allow_model(model=found, actor=actor)
        messages.success(request, f"Runs may use {found}, as soon as a check has found it sound.")
    elif act == "withdraw":
        registering.withdraw_model(model=found, actor=actor)
        messages.success(request, f"No new run uses {found}. Runs that use it now go on.")
    else:
        return HttpResponseBadRequest("This page has no such button. Go back and reload it.", content_type="text/plain")
    return redirect("models")
