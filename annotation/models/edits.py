"""What a better answer became when an annotator mended it."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Edit(models.Model):
    """The text of a judgement's better candidate, edited by who judged: of its last message, raw.

    It belongs to one revision of the judgement and is never changed (trigger `edit_is_appended`); another revision has
    its own or none. It is no candidate: nobody is ever asked to judge it as if a model had written it. The database
    refuses an edit of anything but the better candidate, or one that leaves the text as it was (trigger
    `edit_is_of_the_better`).
    """

    judgement = models.OneToOneField("annotation.Judgement", on_delete=models.CASCADE, related_name="edit")
    candidate = models.ForeignKey("annotation.Candidate", on_delete=models.PROTECT, related_name="edits")
    text = models.TextField()
    # Levenshtein's, in Unicode code points.
    edit_distance = models.PositiveIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "edit"
        constraints = [
            models.CheckConstraint(condition=Q(text__regex=r"\S"), name="edit_is_not_empty"),
            models.CheckConstraint(condition=Q(edit_distance__gte=1), name="edit_changes_something"),
        ]

    def __str__(self) -> str:
        return self.text[:80]
