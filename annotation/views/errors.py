"""The pages that say what went wrong. 404 is the same for what is missing and for what is not yours."""

from __future__ import annotations

import math
import sys
from typing import Any
from urllib.parse import urlencode

from axes.models import AccessAttempt
from django.conf import settings
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from annotation.access import SecondFactorNeeded
from annotation.signing_in import account_named


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith("/api/"):
        return JsonResponse({"detail": "Not found."}, status=404)
    return TemplateResponse(request, "errors/not_found.html", status=404).render()


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """A lead or admin without a second factor is sent to set one up; everything else is not there for who asks."""
    if isinstance(exception, SecondFactorNeeded):
        return redirect(f"{reverse('mfa_activate_totp')}?{urlencode({'next': request.path})}")
    return not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500, or 503 when it is the database that does not answer. Neither page asks the database for anything.

    A page that was asked for is asked for again with one press; what was posted is not.
    """
    error = sys.exc_info()[1]
    down = isinstance(error, (OperationalError, InterfaceError))
    told = {"down": down, "asked": request.method in ("GET", "HEAD")}
    answer = TemplateResponse(request, "errors/server_error.html", told, status=503 if down else 500).render()
    if down:
        answer["Retry-After"] = "10"
    return answer


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    return TemplateResponse(request, "errors/csrf_failure.html", status=403).render()


def locked_out(
    request: HttpRequest, original: HttpResponse | None = None, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """Too many failed sign-ins of one account from one address: says for how long."""
    attempt = (
        AccessAttempt.objects.filter(username=account_named(request, credentials)).order_by("-attempt_time").first()
    )
    ends = (attempt.attempt_time if attempt else timezone.now()) + settings.AXES_COOLOFF_TIME
    minutes = max(1, math.ceil((ends - timezone.now()).total_seconds() / 60))
    context = {"minutes": minutes, "limit": settings.AXES_FAILURE_LIMIT}
    answer = TemplateResponse(request, "errors/locked_out.html", context, status=429).render()
    answer["Retry-After"] = str(minutes * 60)
    return answer
