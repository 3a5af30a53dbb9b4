"""Why people see a pair differently."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Cause(models.TextChoices):
    """The four classes of causes by which people disagree about preferences, and the rest.

    Source: Zhang et al., Diverging preferences: when do annotators disagree and do models know?, ICML 2025.
    """

    TASK = "task", _("The request leaves open what is wanted")
    STYLE = "style", _("It is a matter of style: length, format, depth or taste")
    REFUSAL = "refusal", _("It turns on whether, or how, to refuse")
    ERROR = "error", _("Somebody made a mistake")
    OTHER = "other", _("None of these")


class Disagreement(models.Model):
    """Why an annotator thinks that others see a pair differently: said of the own judgement, after seeing theirs.

    Appended, never changed (trigger `disagreement_is_appended`): the latest of a judgement is in force.
    """

    judgement = models.ForeignKey("annotation.Judgement", on_delete=models.CASCADE, related_name="disagreements")
    cause = models.CharField(max_length=8, choices=Cause)
    note = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "disagreement"
        constraints = [
            models.CheckConstraint(condition=Q(cause__in=Cause.values), name="disagreement_cause_is_known"),
        ]

    def __str__(self) -> str:
        return str(self.get_cause_display())
