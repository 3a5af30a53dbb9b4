"""What a project asks machines in its own words: templates, by version. The database refuses to change one.

A correction is a new version. Version 1 of each built-in name stands in code; a project's own versions begin at 2.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Template(models.Model):
    """One version of a project's text under a name; each kind has a table of its own."""

    name = models.SlugField(max_length=40)
    version = models.PositiveIntegerField()
    created_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.name}-{self.version}"


class RationaleTemplate(Template):
    """One version of a project's wording of a request for a rationale. Built in: annotation/reasoning.py."""

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="rationale_templates")
    text = models.TextField()

    class Meta:
        db_table = "rationale_template"
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_rationale_template_per_version")
        ]


class JudgeTemplate(Template):
    """One version of a project's wording of what judges are asked. Built in: annotation/questions.py."""

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="judge_templates")
    # With a principle, and overall. The system messages may be empty.
    system = models.TextField(blank=True, default="")
    user = models.TextField()
    system_overall = models.TextField(blank=True, default="")
    user_overall = models.TextField()

    class Meta:
        db_table = "judge_template"
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_judge_template_per_version")
        ]


class ValueTemplate(Template):
    """One version of what a project's system messages are drawn from. Built in: annotation/values.py."""

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="value_templates")
    text = models.TextField()

    class Meta:
        db_table = "value_template"
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_value_template_per_version")
        ]
