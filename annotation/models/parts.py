"""A run in parts, so that several processes can do it at once."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Part(models.Model):
    """One part of a run that is being done: a shard of a release, a range of facts.

        waiting --claim--> running --finish--> done
         ^                    |
         +--lease lost, or an error, before the third attempt--+--> failed

    Whoever holds the run divides it and does parts like everybody else, so that a run ends with one process alive. A
    part belongs to one attempt of its run, by the run's fencing token: parts of an earlier attempt can be neither
    claimed nor finished. They are gone when the run is. Every write lives in annotation/dividing.py.
    """

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"

    MAX_ATTEMPTS = 3

    run = models.ForeignKey("annotation.Run", on_delete=models.CASCADE, related_name="parts")
    place = models.PositiveIntegerField()
    # The run's token when it was divided.
    run_token = models.UUIDField()
    # Whose workers are rung for; empty where only processes that the run's own process started may help.
    queue = models.CharField(max_length=60, blank=True, default="")
    # What is to be done, and what came of it, in the words of the run's kind.
    task = models.JSONField(default=dict)
    result = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempt = models.PositiveSmallIntegerField(default=0)
    token = models.UUIDField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="", help_text="A sentence that can be shown.")

    class Meta:
        db_table = "run_part"
        constraints = [
            models.UniqueConstraint(fields=["run", "place"], name="one_part_per_place"),
            models.CheckConstraint(
                condition=Q(state="running", lease_until__isnull=False, token__isnull=False)
                | ~Q(state="running") & Q(lease_until=None),
                name="running_part_has_a_lease",
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(error=""), name="failed_part_says_why"),
            models.CheckConstraint(condition=Q(attempt__lte=3), name="at_most_three_attempts_at_a_part"),
        ]

    def __str__(self) -> str:
        return f"Part {self.place + 1} of run {self.run_id}"
