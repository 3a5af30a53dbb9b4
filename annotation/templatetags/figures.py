"""Numbers as pages write them."""

from __future__ import annotations

from django import template

register = template.Library()


@register.filter
def minus(number: str) -> str:
    """A formatted number with the typographer's minus: a hyphen may stand alone at the end of a line."""
    return number.replace("-", "−")
