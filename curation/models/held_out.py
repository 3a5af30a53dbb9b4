"""What difficulty was measured from: every training, and every loss that it gave to pairs it never saw."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils import timezone


class HeldOutTraining(models.Model):
    """One training of a run, on all halves but one. Its losses are written with it, in one transaction: what stands
    here is finished and is not trained again."""

    run = models.ForeignKey("annotation.Run", on_delete=models.CASCADE, related_name="trainings")
    model = models.CharField(max_length=200)
    revision = models.CharField(max_length=100)
    # SHA-256 of the pairs, which candidate of each was preferred, and the revision: other data is another training.
    digest = models.CharField(max_length=64)
    seed = models.BigIntegerField()
    half = models.PositiveSmallIntegerField()
    trained_on = models.PositiveIntegerField()
    # After how many steps of the optimiser the losses were taken.
    steps = ArrayField(models.PositiveIntegerField())
    seconds = models.FloatField()
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "held_out_training"
        constraints = [
            models.UniqueConstraint(fields=["run", "digest", "seed", "half"], name="one_training_per_seed_and_half"),
        ]

    def __str__(self) -> str:
        return f"{self.model}, seed {self.seed}, half {self.half}"


class HeldOutLoss(models.Model):
    """The DPO loss of one pair at one checkpoint of one training, in nats."""

    training = models.ForeignKey(HeldOutTraining, on_delete=models.CASCADE, related_name="losses", db_index=False)
    pair = models.ForeignKey("annotation.Pair", on_delete=models.CASCADE, related_name="held_out_losses")
    # From 0; the place in the training's `steps`.
    checkpoint = models.PositiveSmallIntegerField()
    loss = models.FloatField()

    class Meta:
        db_table = "held_out_loss"
        constraints = [
            models.UniqueConstraint(
                fields=["training", "pair", "checkpoint"], name="one_loss_per_training_pair_checkpoint"
            ),
            # PostgreSQL sorts nan above every number, so that the upper end keeps it out, and infinity too.
            models.CheckConstraint(condition=Q(loss__gte=0, loss__lt=1e300), name="a_loss_is_a_number_from_zero"),
        ]

    def __str__(self) -> str:
        return f"Pair {self.pair_id}: {self.loss}"
