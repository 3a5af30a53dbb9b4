"""What was measured: of a pair, an annotator, a candidate, or the project as a whole."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class Measurement(models.Model):
    """One value of one metric, or the reason why it is undefined. Its run knows parameters, seed and code version."""

    run = models.ForeignKey("annotation.Run", on_delete=models.CASCADE, related_name="measurements")
    metric = models.CharField(max_length=60)
    pair = models.ForeignKey(
        "annotation.Pair", on_delete=models.CASCADE, null=True, blank=True, related_name="measurements"
    )
    annotator = models.ForeignKey(
        "annotation.Annotator",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="measurements",
        db_index=False,
    )
    # With `annotator`: the other one of a measure of two annotators.
    other = models.ForeignKey(
        "annotation.Annotator", on_delete=models.CASCADE, null=True, blank=True, related_name="+", db_index=False
    )
    candidate = models.ForeignKey(
        "annotation.Candidate",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="measurements",
        db_index=False,
    )
    value = models.FloatField(null=True, blank=True)
    reason = models.CharField(max_length=200, null=True, blank=True)  # noqa: DJ001 - exactly one of value and reason.
    low = models.FloatField(null=True, blank=True)
    high = models.FloatField(null=True, blank=True)
    n = models.PositiveBigIntegerField(null=True, blank=True)
    detail = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "measurement"
        constraints = [
            models.CheckConstraint(
                condition=Q(value__isnull=False, reason=None) | Q(value=None, reason__isnull=False),
                name="value_or_reason",
            ),
            models.CheckConstraint(
                condition=Q(pair=None, annotator=None)
                | Q(pair=None, candidate=None)
                | Q(annotator=None, candidate=None),
                name="measurement_has_one_subject",
            ),
            models.CheckConstraint(
                condition=Q(other=None) | Q(annotator__isnull=False), name="other_needs_an_annotator"
            ),
            models.UniqueConstraint(
                fields=["run", "metric", "pair", "annotator", "other", "candidate"],
                nulls_distinct=False,
                name="one_value_per_run_metric_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.metric}: {self.value if self.reason is None else self.reason}"
