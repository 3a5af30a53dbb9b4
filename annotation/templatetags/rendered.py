"""The one door through which stored HTML enters a page as HTML.

`{{ candidate.html|rendered }}` is for what annotation/rendering.py made and nothing else: it was cleaned when it was
stored. No other place of the templates marks anything as safe.
"""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString, mark_safe

from annotation import wording

register = template.Library()


@register.filter
def rendered(html: str) -> SafeString:
    return mark_safe(wording.framed(html))
