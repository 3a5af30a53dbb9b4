"""Ranking three to eight candidates at once. The decisions and their reasons are in docs/design/0016-ranking.md."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone

from annotation.models.judgements import Flag, SkipReason

FEWEST, MOST = 3, 8


class Lineup(models.Model):
    """The candidates of one prompt that are ranked together."""

    # An index of its own with the rank.
    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="lineups", db_index=False)
    prompt = models.OneToOneField("annotation.Prompt", on_delete=models.CASCADE, related_name="lineup")
    # Numbers of candidates of the prompt, ascending.
    candidates = ArrayField(models.BigIntegerField())
    # The place in the project's shuffled order.
    rank = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "lineup"
        constraints = [
            models.CheckConstraint(
                condition=Q(candidates__len__gte=FEWEST, candidates__len__lte=MOST), name="lineup_of_three_to_eight"
            )
        ]
        indexes = [models.Index(fields=["project", "rank"], name="lineup_queue")]

    def __str__(self) -> str:
        return f"Lineup {self.pk}"


class Turn(models.Model):
    """One of a lineup's k places for a ranking: open, leased to an annotator, or done. As a slot is for a pair."""

    lineup = models.ForeignKey(Lineup, on_delete=models.CASCADE, related_name="turns", db_index=False)
    slot = models.SmallIntegerField()
    annotator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.PROTECT, null=True, blank=True, related_name="turns", db_index=False
    )
    # The order in which the candidates stood on the screen, drawn when the turn was claimed.
    shown = ArrayField(models.BigIntegerField(), default=list, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)
    # What was entered and not submitted; the number counts the saves of one page.
    draft = models.JSONField(null=True, blank=True)
    draft_version = models.BigIntegerField(default=0)

    class Meta:
        db_table = "turn"
        constraints = [
            models.UniqueConstraint(fields=["lineup", "slot"], name="one_turn_per_slot"),
            models.UniqueConstraint(fields=["lineup", "annotator"], name="ranked_never_twice"),
            models.CheckConstraint(condition=Q(slot__gte=1), name="turns_count_from_one"),
            models.CheckConstraint(
                condition=Q(annotator=None, lease_until=None, done_at=None)
                | Q(annotator__isnull=False, lease_until=None, done_at__isnull=False)
                | Q(annotator__isnull=False, lease_until__isnull=False, done_at=None),
                name="turn_open_leased_or_done",
            ),
        ]
        indexes = [
            models.Index(fields=["annotator"], condition=Q(lease_until__isnull=False), name="turn_mine"),
            models.Index(fields=["lease_until"], condition=Q(lease_until__isnull=False), name="turn_due"),
        ]

    def __str__(self) -> str:
        return f"Turn {self.slot} at {self.lineup_id}"


class Ranking(models.Model):
    """One revision of an annotator's ranking of a lineup.

    `ranks` stands beside `shown`: 1 is the best, equal numbers are a tie, null is not ranked; they count without gaps.
    A skip has a reason and ranks nothing. Facts: one change is allowed, `is_current` from true to false (trigger
    `ranking_is_appended`); that `shown` are the lineup's candidates and `ranks` have no gaps is checked by the database
    (trigger `ranking_is_whole`). What it implies of pairs are judgements that name it.
    """

    turn = models.ForeignKey(Turn, on_delete=models.PROTECT, related_name="rankings", db_index=False)
    annotator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.PROTECT, related_name="rankings", db_index=False
    )
    revision = models.PositiveSmallIntegerField(default=1)
    is_current = models.BooleanField(default=True)
    # Made by the client for each attempt; sending it twice stores once.
    key = models.UUIDField()
    shown = ArrayField(models.BigIntegerField())
    ranks = ArrayField(models.SmallIntegerField(null=True))
    skip_reason = models.CharField(max_length=12, choices=SkipReason, blank=True, default="")
    flags = ArrayField(models.CharField(max_length=10, choices=Flag), default=list, blank=True)
    note = models.TextField(blank=True, default="")
    guideline = models.ForeignKey(
        "annotation.Guideline", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    # Visible, not idle time in milliseconds; empty where unknown.
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    client = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "ranking"
        constraints = [
            models.UniqueConstraint(fields=["turn", "revision"], name="one_ranking_per_revision"),
            models.UniqueConstraint(fields=["key"], name="ranked_once"),
            models.UniqueConstraint(fields=["turn"], condition=Q(is_current=True), name="one_current_ranking"),
            models.CheckConstraint(condition=Q(skip_reason__in=["", *SkipReason.values]), name="ranking_skip_is_known"),
        ]
        indexes = [
            models.Index(fields=["annotator", "-id"], condition=Q(is_current=True), name="ranking_history"),
        ]

    def __str__(self) -> str:
        return f"Ranking {self.pk}"

    @property
    def placed(self) -> dict[int, int | None]:
        """The rank of each candidate, by its number, in the order in which they stood on the screen."""
        return dict(zip(self.shown, self.ranks, strict=True))
