"""Without JavaScript, words that are not stored come back to who wrote them, so that they can be copied."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from annotation.errors import Refused, Stale
from annotation.models import Annotator, Project

# The session's key for words of other devices, and of how many answers it keeps them: the latest.
UNSEEN = "unseen"
MOST_UNSEEN = 20

FIELDS = ("note", "edit_a", "edit_b")


def _named(words: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Words by field -> words by the field's name."""
    names = {
        "note": _("Your reason"),
        "edit_a": _("Your version of candidate A"),
        "edit_b": _("Your version of candidate B"),
    }
    return [(names[field], text) for field, text in words]


def _words_sent(request: HttpRequest) -> list[tuple[str, str]]:
    return [(field, request.POST[field]) for field in FIELDS if request.POST.get(field, "").strip()]


def words_sent(request: HttpRequest) -> list[tuple[str, str]]:
    """What somebody wrote themselves in the form that was posted, each with its name."""
    return _named(_words_sent(request))


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


# ---- a draft of another device that whoever answered had not seen ---------------------------------------------------


def keep_unseen(request: HttpRequest, project: Project, draft: dict[str, Any] | None) -> None:
    """Keep its words in the session, beside the answer that is stored, until they are deleted there.

    Words that the answer holds as well are not kept twice.
    """
    edits = (draft or {}).get("edit") or {}
    written = {"note": (draft or {}).get("note", ""), "edit_a": edits.get("a", ""), "edit_b": edits.get("b", "")}
    said = {field: text.replace("\r\n", "\n") for field, text in _words_sent(request)}
    words = [
        (field, text) for field, text in written.items() if text.strip() and text.strip() not in said.get(field, "")
    ]
    if words:
        one = {"id": uuid.uuid4().hex, "project": project.pk, "words": words}
        request.session[UNSEEN] = [*request.session.get(UNSEEN, []), one][-MOST_UNSEEN:]


def unseen_kept(request: HttpRequest, project: Project) -> dict[str, Any] | None:
    """What of this project is kept so: the words with their names, and the ids to delete them by."""
    mine = [one for one in request.session.get(UNSEEN, []) if one["project"] == project.pk]
    if not mine:
        return None
    return {"ids": [one["id"] for one in mine], "words": _named(said for one in mine for said in one["words"])}


def forget_unseen(request: HttpRequest, ids: Iterable[str]) -> None:
    """Delete those that a page has shown; what has come since stays."""
    shown = set(ids)
    request.session[UNSEEN] = [one for one in request.session.get(UNSEEN, []) if one["id"] not in shown]
