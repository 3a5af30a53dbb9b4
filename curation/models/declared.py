"""What annotators declared of themselves, where they did."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Declared(models.Model):
    """The group of one annotator in one attribute: ("age", "18 to 29"). Voluntary; goes when the annotator goes."""

    annotator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.CASCADE, related_name="declared", db_index=False
    )
    attribute = models.CharField(max_length=60)
    group = models.CharField(max_length=60)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "declared"
        constraints = [
            models.UniqueConstraint(fields=["annotator", "attribute"], name="one_group_per_attribute"),
            models.CheckConstraint(
                condition=~models.Q(attribute="") & ~models.Q(group=""), name="declared_is_not_empty"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.attribute}: {self.group}"
