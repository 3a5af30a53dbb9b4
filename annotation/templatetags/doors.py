"""What a page may offer to whom."""

from __future__ import annotations

from django import template

from annotation.access import AnyUser
from annotation.models import Annotator, Project

register = template.Library()


@register.filter
def has_seat_in(user: AnyUser, project: Project) -> bool:
    """True when `user` judges in `project`. A site admin without a seat leads everywhere and judges nowhere."""
    return user.is_authenticated and Annotator.objects.active().filter(user=user, project=project).exists()
