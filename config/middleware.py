"""One log line per request, and the headers that Django does not set."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from django.http import HttpRequest, HttpResponse

log = structlog.get_logger("plumbline.request")

Next = Callable[[HttpRequest], HttpResponse]


class RequestLog:
    """Log method, path, status, milliseconds and account of each request; drafts are too many to be worth a line.

    The path only: queries may carry what people searched for, and one-time tokens are cut off.
    """

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        start = time.perf_counter()
        answer = self.get_response(request)
        path = request.path
        if path.startswith("/static/") or path.endswith("/draft"):
            return answer
        if path.startswith(("/enter/", "/join/")):
            path = path[: path.index("/", 1) + 1] + "…"
        # Only what is loaded already: asking for it here would ask a database that may be what just failed.
        loaded = getattr(getattr(request, "session", None), "_session_cache", {})
        account = loaded.get("_auth_user_id")
        log.info(
            "request",
            method=request.method,
            path=path,
            status=answer.status_code,
            ms=round((time.perf_counter() - start) * 1000, 1),
            account=account,
        )
        return answer


class SecurityHeaders:
    """Permissions-Policy, no caching of pages: they hold what one annotator may see; and files are no pages."""

    def __init__(self, get_response: Next) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        answer.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=()")
        answer.headers.setdefault("X-Frame-Options", "DENY")
        answer.headers.setdefault("Cache-Control", "no-store")
        if answer.headers.get("Content-Disposition", "").startswith("attachment"):
            # Whatever is in a file, and however a browser comes to open it: nothing of it runs here.
            answer._csp_update = {"sandbox": True}  # type: ignore[attr-defined]
        return answer
