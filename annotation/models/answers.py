"""What a judge answered, call by call. Facts: appended, never overwritten."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone


class JudgeAnswer(models.Model):
    """One call to a judge: the probabilities of the first token being exactly A, B or NA.

    Every question is asked in both orders; `swapped` says that the second candidate stood as A. Votes and judgements
    are made of both (annotation/combining.py), and whatever they leave out (which order said what, how surely) is read
    here. With `injection` a text was put at the end of one candidate, to measure whether it turns the verdict; such
    answers become neither votes nor judgements.
    """

    class Side(models.TextChoices):
        NONE = "", "Neither"
        FIRST = "first", "First"
        SECOND = "second", "Second"

    run = models.ForeignKey("annotation.Run", on_delete=models.PROTECT, related_name="answers", db_index=False)
    annotator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.PROTECT, related_name="answers", db_index=False
    )
    pair = models.ForeignKey("annotation.Pair", on_delete=models.CASCADE, related_name="answers")
    # Empty: which is better overall.
    principle = models.ForeignKey(
        "annotation.Principle", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    swapped = models.BooleanField()
    injection = models.CharField(max_length=20, blank=True, default="")
    injected_into = models.CharField(max_length=6, choices=Side, blank=True, default="")
    probability_a = models.FloatField()
    probability_b = models.FloatField()
    probability_na = models.FloatField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "judge_answer"
        constraints = [
            # Overall questions have no principle, and must not be answered twice either.
            models.UniqueConstraint(
                fields=["annotator", "pair", "principle", "swapped", "injection"],
                name="one_answer_per_question_and_order",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=Q(probability_a__gte=0, probability_b__gte=0, probability_na__gte=0)
                # Each by itself too, because nan is the largest number here. And room for what is lost in adding up.
                & Q(probability_b__lte=1.000001, probability_na__lte=1.000001)
                & Q(probability_a__lte=1.000001 - F("probability_b") - F("probability_na")),
                name="answer_probabilities_are_shares",
            ),
            models.CheckConstraint(
                condition=Q(injection="", injected_into="") | ~Q(injection="") & ~Q(injected_into=""),
                name="an_injection_is_in_a_candidate",
            ),
        ]

    def __str__(self) -> str:
        return f"A {self.probability_a:.2f}, B {self.probability_b:.2f}, NA {self.probability_na:.2f}"
