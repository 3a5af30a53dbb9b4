"""What annotators are asked to go by: principles, and immutable versions of the guideline."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Principle(models.Model):
    """One thing that a good answer does: a short name and a text. Shared by all guideline versions of its project."""

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="principles")
    # The list it belongs to; imported votes name principles by list and key.
    source = models.CharField(max_length=100, blank=True, default="")
    key = models.CharField(max_length=100)
    short = models.CharField(max_length=100)
    text = models.TextField()

    class Meta:
        db_table = "principle"
        constraints = [models.UniqueConstraint(fields=["project", "source", "key"], name="one_principle_per_key")]

    def __str__(self) -> str:
        return self.short


class Guideline(models.Model):
    """One version of a project's guideline. Never changed: a correction is a new version."""

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="guidelines")
    version = models.PositiveIntegerField()
    text = models.TextField(help_text="Markdown.")
    html = models.TextField()
    change_note = models.TextField(blank=True, default="")
    priority_rules = models.JSONField(default=list, blank=True)
    principles = models.ManyToManyField(Principle, through="GuidelinePrinciple", related_name="guidelines")
    created_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "guideline"
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="one_guideline_per_version")]
        ordering = ["project", "version"]

    def __str__(self) -> str:
        return f"Guideline {self.version}"


class GuidelinePrinciple(models.Model):
    """The place of a principle in a guideline version."""

    guideline = models.ForeignKey(Guideline, on_delete=models.CASCADE, related_name="places")
    principle = models.ForeignKey(Principle, on_delete=models.PROTECT, related_name="places")
    position = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "guideline_principle"
        constraints = [
            models.UniqueConstraint(fields=["guideline", "principle"], name="principle_once_in_a_guideline"),
            models.UniqueConstraint(fields=["guideline", "position"], name="one_principle_per_position"),
        ]
        ordering = ["position"]

    def __str__(self) -> str:
        return f"{self.position}. {self.principle}"


class GuidelineReading(models.Model):
    """An annotator has acknowledged a guideline version."""

    annotator = models.ForeignKey("annotation.Annotator", on_delete=models.CASCADE, related_name="readings")
    guideline = models.ForeignKey(Guideline, on_delete=models.CASCADE, related_name="readings")
    read_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "guideline_reading"
        constraints = [models.UniqueConstraint(fields=["annotator", "guideline"], name="guideline_acknowledged_once")]

    def __str__(self) -> str:
        return f"{self.annotator} read {self.guideline}"
