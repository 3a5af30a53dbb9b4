"""Who judges which pair: slots, leases, drafts. The schema and its reasons are in docs/design/0002-assigning.md."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class AssignmentQuerySet(models.QuerySet["Assignment"]):
    def open(self) -> AssignmentQuerySet:
        return self.filter(annotator=None)

    def leased(self) -> AssignmentQuerySet:
        return self.filter(lease_until__isnull=False)

    def done(self) -> AssignmentQuerySet:
        return self.filter(done_at__isnull=False)

    def slots(self) -> AssignmentQuerySet:
        """Those that count towards the overlap: judged here, by people."""
        return self.filter(slot__isnull=False)


class Assignment(models.Model):
    """One slot of a pair: open, leased to an annotator, or done.

    Slots 1..k are the overlap. An assignment without a slot carries a judgement that was not handed out here: imported,
    or a judge's. Or it carries none and keeps its annotator from the pair, because they settled it (`is_recused`).
    The keys to pair, annotator and project have no index of their own: the constraints serve them, and an index on
    annotator alone invites the planner to read everything that an annotator ever did.
    """

    # The pair's project, kept here for the claim's index. The key to the pair is checked by the database; checking this
    # one too would cost a look-up for every slot of an import.
    project = models.ForeignKey(
        "annotation.Project", on_delete=models.CASCADE, related_name="assignments", db_index=False, db_constraint=False
    )
    pair = models.ForeignKey("annotation.Pair", on_delete=models.CASCADE, related_name="assignments", db_index=False)
    slot = models.SmallIntegerField(null=True, blank=True)
    priority = models.BigIntegerField()
    annotator = models.ForeignKey(
        "annotation.Annotator",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="assignments",
        db_index=False,
    )
    # True: the second candidate stood left (as A).
    swapped = models.BooleanField(default=False)
    # Opened by a lead beyond the overlap, for another opinion: handed out like the others, never surplus.
    is_extra = models.BooleanField(default=False, db_default=False)
    # The place of somebody who settled the pair: with `never_twice` they are never handed it.
    is_recused = models.BooleanField(default=False, db_default=False)
    lease_until = models.DateTimeField(null=True, blank=True)
    done_at = models.DateTimeField(null=True, blank=True)

    objects = AssignmentQuerySet.as_manager()

    class Meta:
        db_table = "assignment"
        constraints = [
            models.UniqueConstraint(fields=["pair", "slot"], name="one_row_per_slot"),
            models.UniqueConstraint(fields=["pair", "annotator"], name="never_twice"),
            models.CheckConstraint(condition=Q(slot=None) | Q(slot__gte=1), name="slots_count_from_one"),
            models.CheckConstraint(
                condition=Q(annotator=None, lease_until=None, done_at=None)
                | Q(annotator__isnull=False, lease_until=None, done_at__isnull=False)
                | Q(annotator__isnull=False, lease_until__isnull=False, done_at=None),
                name="open_leased_or_done",
            ),
            models.CheckConstraint(
                condition=Q(slot__isnull=False) | Q(done_at__isnull=False), name="without_slot_is_done"
            ),
            models.CheckConstraint(condition=Q(is_recused=False) | Q(slot=None), name="recused_has_no_slot"),
        ]
        indexes = [
            # The claim: the next open slot after the annotator's cursor.
            models.Index(fields=["project", "priority"], condition=Q(annotator=None), name="slot_open"),
            # "My open items."
            models.Index(
                fields=["annotator", "lease_until"], condition=Q(lease_until__isnull=False), name="slot_leased"
            ),
            # The sweeper.
            models.Index(fields=["lease_until"], condition=Q(lease_until__isnull=False), name="slot_expired"),
        ]

    def __str__(self) -> str:
        return f"Slot {self.slot} of pair {self.pair_id}"


class CheckSeat(models.Model):
    """The number of an assignment that a check's lease ran out on: if the check comes again, it comes under this one.

    A pair of the queue keeps its slot, and a browser what it holds of it by the slot's number, a draft above all. A
    check has no slot that waits. Without its number its draft would not come back with it: that would tell it apart.
    """

    # As of the project of an assignment: rows of what is gone do no harm, and nobody waits for their removal.
    pair = models.ForeignKey(
        "annotation.Pair", on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    annotator = models.ForeignKey(
        "annotation.Annotator", on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    assignment_number = models.BigIntegerField()

    class Meta:
        db_table = "check_seat"
        constraints = [models.UniqueConstraint(fields=["pair", "annotator"], name="one_number_per_check")]

    def __str__(self) -> str:
        return f"Number {self.assignment_number} of pair {self.pair_id}"


class Draft(models.Model):
    """What an annotator has entered for a leased assignment and not submitted yet."""

    assignment = models.OneToOneField(Assignment, on_delete=models.CASCADE, primary_key=True, related_name="draft")
    body = models.JSONField()
    # Counts the saves of one page; an older save that arrives late is dropped.
    version = models.BigIntegerField(default=0)
    saved_at = models.DateTimeField()

    class Meta:
        db_table = "draft"

    def __str__(self) -> str:
        return f"Draft of {self.assignment_id}"
