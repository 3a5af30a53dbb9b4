"""What the model was asked."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone


class Prompt(models.Model):
    """The conversation up to the turn that the candidates answer.

    `messages` is a list of {"role", "content"}; the raw text is the truth, `html` is what the renderer of version
    `renderer` made of it.
    """

    # Its unique constraint with the digest serves as the index.
    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="prompts", db_index=False)
    messages = models.JSONField()
    system = models.TextField(blank=True, default="")
    language = models.CharField(max_length=35, blank=True, default="")
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    source = models.CharField(max_length=200, blank=True, default="")
    external_id = models.CharField(max_length=300, blank=True, default="")
    meta = models.JSONField(default=dict, blank=True)
    # sha256 over messages and system message: the same conversation is one prompt.
    digest = models.BinaryField(max_length=32)
    html = models.TextField(blank=True, default="")
    renderer = models.PositiveSmallIntegerField(default=0)
    imported_by = models.ForeignKey(
        "annotation.Run", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "prompt"
        constraints = [models.UniqueConstraint(fields=["project", "digest"], name="one_prompt_per_conversation")]

    def __str__(self) -> str:
        return self.last[:80]

    @property
    def last(self) -> str:
        """The text of the last message: the one that is answered."""
        return str(self.messages[-1]["content"]) if self.messages else ""
