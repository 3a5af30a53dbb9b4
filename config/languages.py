"""In which language a page speaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.functional import SimpleLazyObject

Next = Callable[[HttpRequest], HttpResponse]

# The views whose pages are translated, by module, or module and function. Every other page is English throughout:
# half a translation would be a page in two languages that says to be in one. The API speaks English to programs.
TRANSLATED = (
    "allauth.",
    "annotation.views.judging.",
    "annotation.views.training.",
    "annotation.views.answers.",
    "annotation.views.offers.",
    "annotation.views.ranking.",
    "annotation.views.entrances.",
    "annotation.views.languages.",
    "annotation.views.errors.",
    "annotation.views.guidelines.guideline",
    "annotation.views.guidelines.guideline_version",
    "annotation.views.guidelines.acknowledge",
    "curation.views.projects.",
)
WHOLE = tuple(name for name in TRANSLATED if name.endswith("."))


def is_translated(view: Callable[..., Any]) -> bool:
    name = f"{view.__module__}.{getattr(view, '__name__', '')}"
    return name in TRANSLATED or name.startswith(WHOLE)


class Language:
    """Speak the language that the reader chose, or the browser's, where the page is translated into it.

    It comes before the session: a health check, or a page that says that the database is down, must not ask for an
    account to know its language. So the choice travels in a cookie, and the cookie follows the account: where somebody
    is signed in and their cookie says something else than they chose, the answer brings the right one.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        language = translation.get_language_from_request(request)
        with translation.override(language):
            answer = self.get_response(request)
            answer.headers.setdefault("Content-Language", translation.get_language() or settings.LANGUAGE_CODE)
        patch_vary_headers(answer, ("Accept-Language",))
        chosen = getattr(_loaded(request), "language", "")
        if chosen and chosen != request.COOKIES.get(settings.LANGUAGE_COOKIE_NAME):
            keep(answer, chosen)
        return answer

    def process_view(self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any) -> None:
        if not is_translated(view):
            translation.activate(settings.LANGUAGE_CODE)


def _loaded(request: HttpRequest) -> object:
    """The account, if it was loaded or signed in during this request: asking for it here would load it."""
    account = vars(request).get("user")
    return getattr(request, "_cached_user", None) if type(account) is SimpleLazyObject else account


def keep(answer: HttpResponse, language: str) -> None:
    """Keep the choice in this browser."""
    answer.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=settings.LANGUAGE_COOKIE_AGE,
        secure=settings.LANGUAGE_COOKIE_SECURE,
        httponly=settings.LANGUAGE_COOKIE_HTTPONLY,
        samesite="Lax",
    )


def forget(answer: HttpResponse) -> None:
    """The browser decides again."""
    answer.delete_cookie(settings.LANGUAGE_COOKIE_NAME, samesite="Lax")
