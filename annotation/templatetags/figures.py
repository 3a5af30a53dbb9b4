"""Numbers as pages write them."""

from __future__ import annotations

from collections.abc import Iterable

from django import template

register = template.Library()


@register.filter
def minus(number: str) -> str:
    """A formatted number with the typographer's minus: a hyphen may stand alone at the end of a line."""
    return number.replace("-", "−")


@register.filter
def total(rows: Iterable[object], column: str) -> int:
    """The sum of one column of a table."""
    return sum(getattr(row, column) for row in rows)
