"""What pages say of the engine room. See annotation/watching.py."""

from __future__ import annotations

from django import template

from annotation import watching

register = template.Library()


@register.simple_tag
def worker_command(queue: str) -> str:
    """What starts a worker for a queue on the server."""
    return watching.command_for([queue])
