"""Requests of an annotator's page: from its script, which is answered in JSON, or from a plain form without it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from annotation.answering import Unfit
from annotation.drafting import Stands
from annotation.errors import Refused
from annotation.views.keeping import signed_out_page, words_sent

View = Callable[..., HttpResponse]


def is_fetch(request: HttpRequest) -> bool:
    """True for the page's script; a plain form, without JavaScript, does not send the header."""
    return request.headers.get("X-Plumbline") == "1"


def signed_in(view: View) -> View:
    """Without a session the script gets 401 and keeps what was written; a browser is led to the sign-in page, or gets
    back what was written."""

    @functools.wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if is_fetch(request):
            sign_in = reverse("account_login")
            return as_json(
                {"error": _("You are signed out. Sign in again; what you wrote is kept."), "sign_in": sign_in}, 401
            )
        if request.method == "POST" and words_sent(request):
            return signed_out_page(request)
        return redirect_to_login(request.get_full_path())

    return guarded


def number_in(text: str) -> int | None:
    """A number as a page sends one: digits, and no more of them than a key can have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def whole(request: HttpRequest, field: str) -> int:
    """A number that was posted; raises Unfit."""
    number = number_in(request.POST.get(field, ""))
    if number is None:
        raise Unfit(
            _("The page did not send a number as “%(field)s”. Reload it and try again.") % {"field": field}, field=field
        )
    return number


def as_json(body: dict[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(json.dumps(body, ensure_ascii=False), content_type="application/json", status=status)


def field_of(error: Refused) -> str:
    """The form's field that has to be mended; empty where it is none of them."""
    return error.field if isinstance(error, Unfit) else ""


def status_of(error: Refused, *, otherwise: int = 409) -> int:
    """422 where a field has to be mended."""
    return 422 if field_of(error) else otherwise


def refused_as_json(error: Refused, *, otherwise: int = 409, **more: Any) -> HttpResponse:
    """What was refused, for the script: the sentence, and the field where one has to be mended."""
    field = field_of(error)
    body = {"error": str(error), **({"field": field} if field else {}), **more}
    return as_json(body, status_of(error, otherwise=otherwise))


def beyond_sent(request: HttpRequest) -> tuple[int, ...] | None:
    """The versions of a draft that the page has seen and may replace; None for a page of before, which sends none."""
    sent = [number_in(text) for text in request.POST.getlist("beyond")]
    return tuple(number for number in sent if number is not None) if sent else None


def draft_seen(request: HttpRequest) -> int:
    """The version of the draft that a posted form was made from; 0 for none."""
    return (beyond_sent(request) or (0,))[0]


def draft_answer(stands: Stands) -> HttpResponse:
    """204: the draft is stored as sent. 409 with the stored `version` and `draft` where another window or device wrote
    what this page has not seen: the page offers it. Nothing else may be called saved.
    """
    if stands.other is None:
        return HttpResponse(status=204)
    error = _("Another draft is stored already.")
    return as_json({"error": error, "version": stands.version, "draft": stands.other}, 409)


def redirect_after_post(name: str, *args: Any) -> HttpResponse:
    """303: whatever the method was, the next request is a GET."""
    answer = redirect(name, *args)
    answer.status_code = 303
    return answer
