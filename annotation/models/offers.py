"""What may be shown once a judgement is saved: reasons that machines wrote, and what their reader made of them."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from annotation.models.judgements import Judgement, Verdict


class OfferQuerySet(models.QuerySet["Offer"]):
    def of(self, annotator_id: int) -> OfferQuerySet:
        """Those that this annotator may see: controls are never among them."""
        return self.filter(annotator=annotator_id, is_control=False)

    def waiting(self) -> OfferQuerySet:
        """Not answered yet, and of the side that its annotator still prefers."""
        said = Judgement.objects.current().filter(
            annotator=OuterRef("annotator"), assignment__pair=OuterRef("pair"), verdict=Verdict.PREFER
        )
        return self.filter(
            Q(side="first") & Exists(said.filter(strength__gt=0))
            | Q(side="second") & Exists(said.filter(strength__lt=0)),
            is_control=False,
            answered_at=None,
        )


class Offer(models.Model):
    """Reasons of machines for the side that an annotator preferred: to be shown, or held back as a control.

    Drawn once for an annotator and a pair, after the judgement was saved and before anything is shown. `rationales` are
    those that are shown (of a control: would have been), in the order in which they stand. Triggers of the database
    refuse an offer that is not younger than its judgement, and any change of what was drawn. `answered_at` is emptied
    again when what was made of it is taken back.
    """

    annotator = models.ForeignKey("annotation.Annotator", on_delete=models.PROTECT, related_name="offers")
    pair = models.ForeignKey("annotation.Pair", on_delete=models.CASCADE, related_name="+", db_index=False)
    # The judgement as it stood before anything was shown.
    judgement = models.ForeignKey(Judgement, on_delete=models.CASCADE, related_name="+", db_index=False)
    # The side that it prefers, which the rationales explain.
    side = models.CharField(max_length=6, choices=[("first", "First"), ("second", "Second")])
    # 0 to 1, see offering.place_of; below the share of that day it is a control.
    draw = models.FloatField()
    control_share = models.FloatField()
    is_control = models.BooleanField()
    rationales = ArrayField(models.BigIntegerField())
    drawn_at = models.DateTimeField(db_default=Now())
    shown_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    objects = OfferQuerySet.as_manager()

    class Meta:
        db_table = "offer"
        constraints = [
            # The annotator comes last: the trigger that marks judgements finds an offer by its pair.
            models.UniqueConstraint(fields=["pair", "annotator"], name="one_offer_per_annotator_and_pair"),
            models.CheckConstraint(
                condition=Q(is_control=True, draw__lt=F("control_share"))
                | Q(is_control=False, draw__gte=F("control_share")),
                name="offer_arm_follows_its_draw",
            ),
            models.CheckConstraint(
                condition=Q(draw__gte=0, draw__lt=1, control_share__gte=0, control_share__lte=1),
                name="offer_draw_is_a_share",
            ),
            models.CheckConstraint(condition=~Q(rationales__len=0), name="offer_has_rationales"),
            models.CheckConstraint(condition=Q(is_control=False) | Q(shown_at=None), name="control_is_never_shown"),
            models.CheckConstraint(
                condition=Q(shown_at=None) | Q(shown_at__gte=F("drawn_at")), name="offer_is_drawn_before_it_is_shown"
            ),
            models.CheckConstraint(
                condition=Q(answered_at=None) | Q(shown_at__isnull=False, answered_at__gte=F("shown_at")),
                name="offer_is_shown_before_it_is_answered",
            ),
        ]

    def __str__(self) -> str:
        return f"Offer {self.pk}"

    @property
    def is_list(self) -> bool:
        """Several rationales, to be ticked; a single one is accepted, edited or rejected."""
        return len(self.rationales) > 1


class Reaction(models.Model):
    """What an annotator makes of one rationale of an offer. Never changed; what is taken back becomes a `TakenBack`."""

    class Choice(models.TextChoices):
        ACCEPTED = "accepted", "Accepted"
        EDITED = "edited", "Edited"
        REJECTED = "rejected", "Rejected"
        TICKED = "ticked", "Ticked in a list"
        LEFT = "left", "Left unticked in a list"

    AGREED = (Choice.ACCEPTED, Choice.TICKED)

    offer = models.ForeignKey(Offer, on_delete=models.CASCADE, related_name="reactions", db_index=False)
    rationale = models.ForeignKey("annotation.Rationale", on_delete=models.RESTRICT, related_name="reactions")
    # The revision that was in force when it was given.
    judgement = models.ForeignKey(Judgement, on_delete=models.CASCADE, related_name="+", db_index=False)
    choice = models.CharField(max_length=8, choices=Choice)
    # What an edit made of it, and how far that is: Levenshtein's distance in code points, and divided by the longer.
    edited = models.OneToOneField(
        "annotation.Rationale", on_delete=models.RESTRICT, null=True, blank=True, related_name="made_by"
    )
    distance = models.PositiveIntegerField(null=True, blank=True)
    distance_share = models.FloatField(null=True, blank=True)
    # From when it was shown to the choice, as the page counted it; empty where unknown.
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        db_table = "reaction"
        constraints = [
            models.UniqueConstraint(fields=["offer", "rationale"], name="one_reaction_per_offer_and_rationale"),
            models.CheckConstraint(
                condition=Q(choice="edited", edited__isnull=False, distance__gte=1, distance_share__isnull=False)
                | ~Q(choice="edited") & Q(edited=None, distance=None, distance_share=None),
                name="only_an_edit_has_a_distance",
            ),
            models.CheckConstraint(
                condition=Q(distance_share=None) | Q(distance_share__gt=0, distance_share__lte=1),
                name="reaction_distance_is_a_share",
            ),
        ]

    def __str__(self) -> str:
        return str(self.get_choice_display())


class TakenBack(models.Model):
    """A reaction that its annotator took back: as it was, for the record. Nothing that reads reactions sees it."""

    offer = models.ForeignKey(Offer, on_delete=models.CASCADE, related_name="taken_back")
    rationale = models.ForeignKey("annotation.Rationale", on_delete=models.RESTRICT, related_name="+", db_index=False)
    judgement = models.ForeignKey(Judgement, on_delete=models.CASCADE, related_name="+", db_index=False)
    choice = models.CharField(max_length=8, choices=Reaction.Choice)
    # What an edit had made of the rationale, and how far that was; the edited rationale itself is gone.
    text = models.TextField(blank=True, default="")
    distance = models.PositiveIntegerField(null=True, blank=True)
    distance_share = models.FloatField(null=True, blank=True)
    active_ms = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField()
    # The same for all that were taken back together.
    taken_back_at = models.DateTimeField()

    class Meta:
        db_table = "reaction_taken_back"
        constraints = [
            models.CheckConstraint(
                condition=Q(taken_back_at__gte=F("created_at")), name="taken_back_after_it_was_given"
            ),
            models.CheckConstraint(
                condition=Q(choice="edited", distance__gte=1, distance_share__isnull=False) & ~Q(text="")
                | ~Q(choice="edited") & Q(text="", distance=None, distance_share=None),
                name="only_an_edit_taken_back_has_a_text",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_choice_display()}, taken back"
