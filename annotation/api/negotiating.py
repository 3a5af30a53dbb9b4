"""What an operation answers with, whatever the client says that it reads."""

from __future__ import annotations

from typing import Any

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request


class AnyAccepted(BaseContentNegotiation):
    """A file is sent as it is, whatever the client says that it reads; errors are JSON.

    The framework knows nothing of files: asked for `application/octet-stream` it would answer 406.
    """

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type
