"""Two candidates of one prompt."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone


class PairQuerySet(models.QuerySet["Pair"]):
    def in_play(self) -> PairQuerySet:
        return self.filter(excluded_at=None)


class Pair(models.Model):
    """Two candidates of one prompt; first.id < second.id, so that a pair exists once.

    `label` is what the source of an imported pair said of it. It is not a judgement and is never shown to annotators.
    """

    class Label(models.TextChoices):
        NONE = "", "None"
        FIRST = "first", "First is better"
        SECOND = "second", "Second is better"
        TIE = "tie", "Tie"

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="pairs", db_index=False)
    prompt = models.ForeignKey("annotation.Prompt", on_delete=models.CASCADE, related_name="pairs")
    first = models.ForeignKey(
        "annotation.Candidate", on_delete=models.CASCADE, related_name="pairs_as_first", db_index=False
    )
    second = models.ForeignKey(
        "annotation.Candidate", on_delete=models.CASCADE, related_name="pairs_as_second", db_index=False
    )
    # The place in the project's shuffled order. Slots are claimed along it.
    rank = models.BigIntegerField()
    source = models.CharField(max_length=200, blank=True, default="")
    external_id = models.CharField(max_length=300, blank=True, default="")
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    # What the check let through on request: "empty", "identical". And "toy": a toy model wrote one of its texts.
    marks = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    label = models.CharField(max_length=6, choices=Label, blank=True, default="")
    label_kind = models.CharField(max_length=60, blank=True, default="")
    # -3..3, positive for first, where the source gives one.
    label_strength = models.SmallIntegerField(null=True, blank=True)
    meta = models.JSONField(default=dict, blank=True)
    is_gold = models.BooleanField(default=False)
    split = models.CharField(max_length=20, blank=True, default="")
    excluded_at = models.DateTimeField(null=True, blank=True)
    imported_by = models.ForeignKey(
        "annotation.Run", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = PairQuerySet.as_manager()

    class Meta:
        db_table = "pair"
        constraints = [
            models.CheckConstraint(condition=models.Q(first__lt=models.F("second")), name="first_before_second"),
            models.UniqueConstraint(fields=["first", "second"], name="one_pair_per_two_candidates"),
            models.UniqueConstraint(
                fields=["project", "source", "external_id"],
                condition=~models.Q(external_id=""),
                name="one_pair_per_external_id",
            ),
            models.UniqueConstraint(fields=["project", "rank"], name="one_pair_per_rank"),
        ]

    def __str__(self) -> str:
        return self.external_id or f"Pair {self.pk}"
