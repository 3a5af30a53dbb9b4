"""Pairs that somebody else must settle."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models import Cause


class Adjudication(models.Model):
    """A pair waits for an adjudicator, or has been settled by one. A pair waits once.

    The adjudicator never judged the pair: the database refuses it (trigger `adjudicator_did_not_judge`).
    """

    class Outcome(models.TextChoices):
        OPEN = "", "Waiting"
        FIRST = "first", "First is better"
        SECOND = "second", "Second is better"
        TIE = "tie", "About the same"
        BOTH_BAD = "both_bad", "Both bad"
        AMBIGUOUS = "ambiguous", "Genuinely ambiguous: keep the distribution"
        UNCLEAR = "unclear", "The guideline is unclear"

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="adjudications")
    pair = models.ForeignKey("annotation.Pair", on_delete=models.CASCADE, related_name="adjudications")
    # Why: the filter of the board, as its address has it.
    because = models.CharField(max_length=4000, blank=True, default="")
    asked_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField(default=timezone.now)
    adjudicator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.PROTECT, null=True, blank=True, related_name="adjudications"
    )
    outcome = models.CharField(max_length=9, choices=Outcome, blank=True, default=Outcome.OPEN)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "adjudication"
        constraints = [
            models.UniqueConstraint(fields=["pair"], condition=Q(outcome=""), name="a_pair_waits_once"),
            models.CheckConstraint(
                condition=Q(outcome="", settled_at=None)
                | ~Q(outcome="") & Q(settled_at__isnull=False, adjudicator__isnull=False),
                name="settled_by_somebody",
            ),
        ]

    def __str__(self) -> str:
        return f"Adjudication of pair {self.pair_id}"


class Ruling(models.Model):
    """What an adjudicator said of a pair: one revision of it. Appended, never changed (trigger `ruling_is_appended`).

    An empty outcome takes the one before it back, and the pair waits again. The adjudication holds what is in force.
    """

    adjudication = models.ForeignKey(Adjudication, on_delete=models.CASCADE, related_name="rulings")
    adjudicator = models.ForeignKey("annotation.Annotator", on_delete=models.PROTECT, related_name="rulings")
    revision = models.PositiveSmallIntegerField(default=1)
    # Made by the page for each attempt; sending it twice stores once.
    key = models.UUIDField()
    outcome = models.CharField(max_length=9, choices=Adjudication.Outcome, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    # What is unclear, and in which version of the guideline.
    note = models.TextField(blank=True, default="")
    # Why the judgements differ, as the adjudicator sees it; empty where nothing was said.
    cause = models.CharField(max_length=8, choices=Cause, blank=True, default="", db_default="")
    guideline = models.ForeignKey(
        "annotation.Guideline", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "ruling"
        constraints = [
            models.UniqueConstraint(fields=["adjudication", "revision"], name="one_ruling_per_revision"),
            models.UniqueConstraint(fields=["key"], name="ruled_once"),
            models.CheckConstraint(condition=Q(outcome__in=Adjudication.Outcome.values), name="ruling_is_known"),
            models.CheckConstraint(condition=Q(cause__in=["", *Cause.values]), name="ruling_cause_is_known"),
            models.CheckConstraint(
                condition=Q(outcome="unclear") & ~Q(note="") | ~Q(outcome="unclear") & Q(note=""),
                name="unclear_says_what",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_outcome_display()} ({self.adjudication})"
