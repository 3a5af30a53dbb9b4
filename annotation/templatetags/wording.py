"""Texts of the interface that no template holds. See annotation/wording.py."""

from __future__ import annotations

from django import template
from django.conf import settings
from django.utils.safestring import SafeString

from annotation import wording

register = template.Library()


@register.simple_tag
def texts_of_scripts() -> SafeString:
    """What the page's scripts say, as a JSON element."""
    return wording.script_texts()


@register.simple_tag
def languages_offered() -> list[tuple[str, str]]:
    """Codes and names; each language by its own name for itself, for those who read no other."""
    return list(settings.LANGUAGES)


@register.filter
def as_offered(text: str) -> str:
    """A project's question or tag: translated where it is what every new project is offered."""
    return wording.as_offered(text)


@register.filter
def in_a_sentence(code: str) -> str:
    """A role or a state inside of a sentence."""
    return wording.in_a_sentence(code)
