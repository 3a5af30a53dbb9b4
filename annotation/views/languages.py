"""Choosing the language of the pages: for an account, or, not signed in, for this browser."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from annotation.errors import Refused
from annotation.models import User
from annotation.signing_in import choose_language
from config.languages import forget, keep


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    chosen, back = request.POST.get("language", ""), request.POST.get("next", "/")
    local = url_has_allowed_host_and_scheme(back, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    answer = redirect(back if local else "/")
    if isinstance(request.user, User):
        try:
            choose_language(user=request.user, language=chosen)
        except Refused as error:
            messages.error(request, str(error))
            return answer
    if chosen in dict(settings.LANGUAGES):
        keep(answer, chosen)
    else:
        forget(answer)
    return answer
