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

    The database refuses candidates of another prompt, or a prompt of another project (trigger `pair_is_of_one_prompt`),
    and none of them is changed afterwards.

    `label` is what the source of an imported pair said of it. It is not a judgement and is never shown to annotators.
    """

    class Label(models.TextChoices):
        NONE = "", "None"
        FIRST = "first", "First is better"
        SECOND = "second", "Second is better"
        TIE = "tie", "Tie"

    class GoldUse(models.TextChoices):
        NONE = "", "None"
        EXAMPLE = "example", "Explained example"
        CHECK = "check", "Check"

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
    # Gold whose answer is known: an example is explained before judging begins; a check is handed out among the others
    # and looks like them. Neither has slots of its own. Written by marking_gold.py, never shown while it is judged.
    gold_use = models.CharField(max_length=8, choices=GoldUse, blank=True, default="", db_default="")
    gold_verdict = models.CharField(max_length=6, choices=Label, blank=True, default="", db_default="")
    gold_why = models.TextField(blank=True, default="", db_default="")
    split = models.CharField(max_length=20, blank=True, default="")
    excluded_at = models.DateTimeField(null=True, blank=True)
    imported_by = models.ForeignKey(
        "annotation.Run", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = PairQuerySet.as_manager()

    class Meta:
        db_table = "pair"
        indexes = [
            models.Index(fields=["project", "gold_use"], condition=~models.Q(gold_use=""), name="pair_gold"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(first__lt=models.F("second")), name="first_before_second"),
            models.UniqueConstraint(fields=["first", "second"], name="one_pair_per_two_candidates"),
            models.UniqueConstraint(
                fields=["project", "source", "external_id"],
                condition=~models.Q(external_id=""),
                name="one_pair_per_external_id",
            ),
            models.UniqueConstraint(fields=["project", "rank"], name="one_pair_per_rank"),
            models.CheckConstraint(
                condition=models.Q(gold_use="") | models.Q(is_gold=True) & ~models.Q(gold_verdict=""),
                name="gold_in_use_has_its_answer",
            ),
            models.CheckConstraint(
                condition=~models.Q(gold_use="example") | ~models.Q(gold_why=""), name="an_example_is_explained"
            ),
        ]

    def __str__(self) -> str:
        return self.external_id or f"Pair {self.pk}"
