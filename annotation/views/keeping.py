"""Words that came with a form without JavaScript and cannot be stored: they come back, so that they can be copied."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from annotation.errors import Refused, Stale
from annotation.models import Annotator


def words_sent(request: HttpRequest) -> list[tuple[str, str]]:
    """What somebody wrote themselves in the form that was posted, each with its name."""
    named = {
        "note": _("Your reason"),
        "edit_a": _("Your version of candidate A"),
        "edit_b": _("Your version of candidate B"),
    }
    return [(name, request.POST[field]) for field, name in named.items() if request.POST.get(field, "").strip()]


def kept_page(request: HttpRequest, me: Annotator, error: Refused, *, back: str) -> HttpResponse:
    """Why the answer was not stored, and its words. `back` is the page of the next one: this pair is not open there."""
    context = {
        "project": me.project,
        "me": me,
        "guideline": me.project.guideline,
        "why": str(error),
        "words": words_sent(request),
        "back": back,
        "counts": None,
    }
    # As the script is answered: in conflict with what is stored, or locked for now.
    return TemplateResponse(request, "judging/kept.html", context, status=409 if isinstance(error, Stale) else 423)


def signed_out_page(request: HttpRequest) -> HttpResponse:
    """Instead of the sign-in page, which would forget the words."""
    context = {"words": words_sent(request), "next": request.path}
    return TemplateResponse(request, "errors/signed_out.html", context, status=401)
