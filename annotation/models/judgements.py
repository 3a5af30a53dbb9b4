"""What annotators say: verdicts, votes by principle, rationales, spans. Facts: appended, never overwritten."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Verdict(models.TextChoices):
    PREFER = "prefer", _("Prefers one")
    TIE = "tie", _("About the same")
    BOTH_BAD = "both_bad", _("Both bad")
    SKIP = "skip", _("Skipped")


class SkipReason(models.TextChoices):
    CANNOT_JUDGE = "cannot_judge", _("I cannot tell which is better")
    EXPERTISE = "expertise", _("It needs knowledge I lack")
    BROKEN = "broken", _("Something is broken or cut off")
    LANGUAGE = "language", _("I do not read this language")
    RATHER_NOT = "rather_not", _("I would rather not read this")
    OTHER = "other", _("Another reason")


class Flag(models.TextChoices):
    HARMFUL = "harmful", _("Harmful content")
    PERSONAL = "personal", _("Personal data")
    IDENTITY = "identity", _("Reveals which model wrote it")
    OTHER = "other", _("Something else")


class JudgementQuerySet(models.QuerySet["Judgement"]):
    def current(self) -> JudgementQuerySet:
        return self.filter(is_current=True)

    def decided(self) -> JudgementQuerySet:
        """Current judgements that say something about the pair: everything but skips."""
        return self.current().exclude(verdict=Verdict.SKIP)

    def by_people(self) -> JudgementQuerySet:
        return self.filter(annotator__kind="person")


class Judgement(models.Model):
    """One revision of an annotator's verdict on a pair.

    `strength` is -3..3 and positive for the pair's first candidate, whatever side it stood on: positive or negative for
    `prefer`, 0 for `tie`, empty for `both_bad` and `skip`; `prefer` without a known strength (imported) is +-1 with
    `strength_known` false. A database trigger allows one change only: `is_current` from true to false.
    """

    assignment = models.ForeignKey(
        "annotation.Assignment", on_delete=models.PROTECT, related_name="judgements", db_index=False
    )
    # Kept here too: after an undo the slot may go to somebody else, the withdrawn revision stays its author's.
    annotator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.PROTECT, related_name="judgements", db_index=False
    )
    revision = models.PositiveSmallIntegerField(default=1)
    is_current = models.BooleanField(default=True)
    # Made by the client for each attempt; sending it twice stores once.
    key = models.UUIDField()
    verdict = models.CharField(max_length=8, choices=Verdict)
    strength = models.SmallIntegerField(null=True, blank=True)
    strength_known = models.BooleanField(default=True)
    confidence = models.FloatField(null=True, blank=True)
    deciding_principle = models.ForeignKey(
        "annotation.Principle", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    # Whether the overall verdict was asked before the principles; empty where principles were not asked.
    overall_first = models.BooleanField(null=True, blank=True)
    skip_reason = models.CharField(max_length=12, choices=SkipReason, blank=True, default="")
    flags = ArrayField(models.CharField(max_length=10, choices=Flag), default=list, blank=True)
    guideline = models.ForeignKey(
        "annotation.Guideline", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    # The order seen: true when the second candidate stood left.
    swapped = models.BooleanField()
    # Whether the annotator let the sides change places on the screen while judging: both views were seen then.
    turned = models.BooleanField(default=False, db_default=False)
    # Whether a machine's reason about this pair had been shown to its annotator before. A trigger sets it, whoever
    # writes the row: after an undo, in an edit, in another slot.
    saw_machine = models.BooleanField(default=False, db_default=False)
    # Visible, not idle time in milliseconds; empty where unknown. This and those below tell of all that its annotator
    # has read of the pair up to this answer: a trigger adds what came before an undo or an edit.
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    first_key_ms = models.PositiveIntegerField(null=True, blank=True)
    # The share of each candidate that was ever on screen, 0..1.
    coverage_first = models.FloatField(null=True, blank=True)
    coverage_second = models.FloatField(null=True, blank=True)
    # What it was given with: the page and its version, how it stood on the screen (wide, medium, narrow) and whether by
    # touch; or "api", "judge", "simulation".
    client = models.CharField(max_length=60, blank=True, default="")
    run = models.ForeignKey(
        "annotation.Run", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    # The ranking that implies it; empty for a verdict on the pair itself. Those of one ranking do not stand for
    # themselves: m ranked candidates imply m (m - 1) / 2 of them.
    ranking = models.ForeignKey(
        "annotation.Ranking",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="implied",
        db_index=False,
    )
    created_at = models.DateTimeField(default=timezone.now)

    objects = JudgementQuerySet.as_manager()

    class Meta:
        db_table = "judgement"
        constraints = [
            models.UniqueConstraint(fields=["assignment", "revision"], name="one_revision"),
            models.UniqueConstraint(fields=["key"], name="once"),
            models.UniqueConstraint(fields=["assignment"], condition=Q(is_current=True), name="one_current_judgement"),
            models.CheckConstraint(
                condition=Q(verdict="prefer", strength__isnull=False, strength__gte=-3, strength__lte=3)
                & ~Q(strength=0)
                | Q(verdict="tie", strength=0)
                | Q(verdict__in=["both_bad", "skip"], strength=None),
                name="verdict_fits_strength",
            ),
            models.CheckConstraint(
                condition=Q(verdict="skip") & ~Q(skip_reason="") | ~Q(verdict="skip") & Q(skip_reason=""),
                name="skip_has_a_reason",
            ),
            # Which is better is implied, not by how much.
            models.CheckConstraint(
                condition=Q(ranking=None)
                | Q(verdict__in=["prefer", "tie"], strength__gte=-1, strength__lte=1, strength_known=False),
                name="implied_without_strength",
            ),
        ]
        indexes = [
            # An annotator's own history, newest first.
            models.Index(fields=["annotator", "-id"], condition=Q(is_current=True), name="judgement_history"),
            models.Index(fields=["ranking"], condition=Q(ranking__isnull=False), name="judgement_of_ranking"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} {self.strength or ''}".strip()


class PrincipleVote(models.Model):
    """Which candidate follows one principle better: said with a judgement, or (imported, judges) without one."""

    class Vote(models.TextChoices):
        FIRST = "first", "First"
        SECOND = "second", "Second"
        SAME = "same", "Same"
        IRRELEVANT = "irrelevant", "Not relevant"

    pair = models.ForeignKey("annotation.Pair", on_delete=models.CASCADE, related_name="votes")
    annotator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.PROTECT, related_name="votes", db_index=False
    )
    principle = models.ForeignKey(
        "annotation.Principle", on_delete=models.PROTECT, related_name="votes", db_index=False
    )
    judgement = models.ForeignKey(Judgement, on_delete=models.CASCADE, null=True, blank=True, related_name="votes")
    vote = models.CharField(max_length=10, choices=Vote)
    # The place at which the principle was asked; empty where unknown.
    position = models.PositiveSmallIntegerField(null=True, blank=True)
    run = models.ForeignKey(
        "annotation.Run", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "principle_vote"
        constraints = [
            models.UniqueConstraint(fields=["judgement", "principle"], name="one_vote_per_judgement_and_principle"),
            models.UniqueConstraint(
                fields=["annotator", "pair", "principle"],
                condition=Q(judgement=None),
                name="one_vote_per_annotator_and_principle",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.principle}: {self.vote}"


class Rationale(models.Model):
    """Why: free text, tags, and spans. Of a judgement, or (imported, machine) of an annotator and a pair."""

    class Source(models.TextChoices):
        HUMAN = "human", "Written by a person"
        MACHINE = "machine", "Written by a model"
        EDITED = "edited", "A model's, edited by a person"
        IMPORTED = "imported", "Came with a file"

    class Format(models.TextChoices):
        PLAIN = "plain", "Plain text"
        MARKDOWN = "markdown", "Markdown"

    pair = models.ForeignKey("annotation.Pair", on_delete=models.CASCADE, related_name="rationales")
    annotator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.PROTECT, related_name="rationales", db_index=False
    )
    judgement = models.ForeignKey(Judgement, on_delete=models.CASCADE, null=True, blank=True, related_name="rationales")
    text = models.TextField(blank=True, default="")
    tags = ArrayField(models.CharField(max_length=60), default=list, blank=True)
    format = models.CharField(max_length=8, choices=Format, default=Format.PLAIN)
    source = models.CharField(max_length=8, choices=Source, default=Source.HUMAN)
    # Provenance of machine text: the template, whether the verdict was given away, what it was edited from, how much.
    template = models.CharField(max_length=60, blank=True, default="")
    is_hinted = models.BooleanField(default=False)
    # Machine text only: the side whose preference it explains.
    explains = models.CharField(
        max_length=6,
        choices=[("", "Not said"), ("first", "First"), ("second", "Second")],
        blank=True,
        default="",
        db_default="",
    )
    edited_from = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="edits")
    edit_distance = models.PositiveIntegerField(null=True, blank=True)
    run = models.ForeignKey(
        "annotation.Run", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "rationale"
        constraints = [
            models.UniqueConstraint(fields=["judgement", "source"], name="one_rationale_per_judgement_and_source"),
            models.CheckConstraint(
                condition=~Q(source="edited") | Q(edited_from__isnull=False), name="edited_names_its_origin"
            ),
            # A run that goes on after a crash writes none twice.
            models.UniqueConstraint(
                fields=["run", "pair", "template"],
                condition=Q(source="machine", run__isnull=False),
                name="one_machine_rationale_per_run_and_template",
            ),
            models.CheckConstraint(
                condition=~Q(source="machine", run__isnull=False) | ~Q(template=""), name="machine_names_its_template"
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]


class Span(models.Model):
    """A highlighted part of the stored raw text, in Unicode code points, end exclusive."""

    class Polarity(models.TextChoices):
        SUPPORTS = "supports", "Supports"
        HURTS = "hurts", "Hurts"

    rationale = models.ForeignKey(Rationale, on_delete=models.CASCADE, related_name="spans")
    # Empty: the span lies in the prompt.
    candidate = models.ForeignKey(
        "annotation.Candidate", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    message = models.PositiveSmallIntegerField(default=0)
    start = models.PositiveIntegerField()
    end = models.PositiveIntegerField()
    polarity = models.CharField(max_length=8, choices=Polarity, default=Polarity.SUPPORTS)
    tag = models.CharField(max_length=60, blank=True, default="")
    principle = models.ForeignKey(
        "annotation.Principle", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )

    class Meta:
        db_table = "span"
        constraints = [models.CheckConstraint(condition=Q(start__lt=F("end")), name="span_is_not_empty")]

    def __str__(self) -> str:
        return f"{self.start}..{self.end}"
