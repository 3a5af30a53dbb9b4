"""Errors of the API: a sentence, and the same 404 for what is missing and for what is not yours."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.http import Http404
from rest_framework import serializers, status
from rest_framework.exceptions import NotFound
from rest_framework.exceptions import ValidationError as InvalidInput
from rest_framework.response import Response
from rest_framework.views import exception_handler as rest_handler

from annotation.errors import Refused, Stale


class ErrorOutput(serializers.Serializer[Any]):
    detail = serializers.CharField(help_text="What was wrong and how to mend it.")
    fields = serializers.DictField(  # type: ignore[assignment]
        required=False, help_text="What was wrong with each field, where it was one of them."
    )


# What an operation may answer that writes what somebody may have changed meanwhile.
WRITES = {400: ErrorOutput, 404: ErrorOutput, 409: ErrorOutput}
# What any operation may answer, beside what it declares itself.
EVERYWHERE = {
    "401": "The token is missing, unknown or withdrawn.",
    "403": "The account may not do this, or needs a second factor first.",
    "404": "There is nothing here, or nothing of yours.",
    "429": "Too many requests. Wait, and try again.",
}
WITH_BODY = {"400": "The input does not fit.", "415": "The body is not JSON."}


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """Domain errors become 409 (stale) or 400 (refused) with their sentence; field errors get one sentence as well."""
    if isinstance(exc, Stale):
        return Response({"detail": str(exc)}, status=status.HTTP_409_CONFLICT)
    if isinstance(exc, Refused):
        return Response({"detail": str(exc)}, status=status.HTTP_400_BAD_REQUEST)
    if isinstance(exc, ValidationError):
        return Response({"detail": " ".join(exc.messages)}, status=status.HTTP_400_BAD_REQUEST)
    if isinstance(exc, InvalidInput) and "detail" not in exc.get_full_details():
        return Response(_in_a_sentence(exc.detail), status=status.HTTP_400_BAD_REQUEST)
    if isinstance(exc, Http404):
        exc = NotFound("Not found.")
    return rest_handler(exc, context)


def _in_a_sentence(detail: Any) -> dict[str, Any]:
    if not isinstance(detail, dict):
        return {"detail": " ".join(_sentences(detail))}
    parts = [f"{name}: {' '.join(_sentences(said))}" for name, said in detail.items()]
    return {"detail": " ".join(parts), "fields": {name: _sentences(said) for name, said in detail.items()}}


def _sentences(said: Any) -> list[str]:
    """The messages in a nested error, in order."""
    if isinstance(said, dict):
        return [f"{name}: {line}" for name, inner in said.items() for line in _sentences(inner)]
    if isinstance(said, list):
        return [line for inner in said for line in _sentences(inner)]
    return [str(said)]


def declare_errors(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """A hook of the schema: every operation declares the errors that any operation may answer."""
    schema = {"$ref": "#/components/schemas/Error"}
    for operations in result["paths"].values():
        for operation in operations.values():
            common = {**EVERYWHERE, **(WITH_BODY if "requestBody" in operation else {})}
            for code, description in common.items():
                body = {"description": description, "content": {"application/json": {"schema": schema}}}
                operation["responses"].setdefault(code, body)
    return result
