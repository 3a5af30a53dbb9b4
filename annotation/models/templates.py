"""What a project asks machines in its own words: templates, by version. The database refuses to change one."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class RationaleTemplate(models.Model):
    """One version of a project's wording of a request for a rationale. Never changed: a correction is a new version.

    Version 1 of the built-in names stands in annotation/reasoning.py; a project's own versions of them begin at 2.
    """

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="rationale_templates")
    name = models.SlugField(max_length=40)
    version = models.PositiveIntegerField()
    text = models.TextField()
    created_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "rationale_template"
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_rationale_template_per_version")
        ]

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"


class JudgeTemplate(models.Model):
    """One version of a project's wording of what judges are asked. Never changed: a correction is a new version.

    Version 1 of the built-in names stands in annotation/questions.py; a project's own versions of them begin at 2.
    """

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="judge_templates")
    name = models.SlugField(max_length=40)
    version = models.PositiveIntegerField()
    # With a principle, and overall. The system messages may be empty.
    system = models.TextField(blank=True, default="")
    user = models.TextField()
    system_overall = models.TextField(blank=True, default="")
    user_overall = models.TextField()
    created_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "judge_template"
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_judge_template_per_version")
        ]

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"


class ValueTemplate(models.Model):
    """One version of what a project's system messages are drawn from. Never changed: a correction is a new version.

    Version 1 of the built-in name stands in annotation/values.py; a project's own versions of it begin at 2.
    """

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="value_templates")
    name = models.SlugField(max_length=40)
    version = models.PositiveIntegerField()
    text = models.TextField()
    created_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "value_template"
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_value_template_per_version")
        ]

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"
