"""Work done by workers: the row is the truth, the message only a bell."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class RunQuerySet(models.QuerySet["Run"]):
    def unfinished(self) -> RunQuerySet:
        return self.filter(state__in=Run.UNFINISHED)

    def waiting(self) -> RunQuerySet:
        return self.filter(state=Run.State.WAITING)


class Run(models.Model):
    """One piece of work for a worker.

        waiting --claim--> running --finish--> done
         ^ |  ^               |
         | |  +--lease lost---+--fail---> failed      (attempt < 3: waiting again; a poison run stops as failed)
         | +-----cancel----> cancelled <--+             |
         +---------------------retry--------------------+   (both; three new attempts, what is finished is kept)

    A run that is done may have left something out, because a model could not answer it: it too can be retried.

    A claim takes a lease and a new fencing token; a worker writes only while its token is the row's. A running worker
    renews its lease by a heartbeat and looks for `cancel_requested` there. The sweeper hands back runs whose lease ran
    out and rings the bell for those that are due. Every write lives in annotation/running.py.
    """

    class Kind(models.TextChoices):
        IMPORT = "import", "Import"
        GENERATION = "generation", "Generate"
        JUDGING = "judging", "Judge"
        MEASUREMENT = "measurement", "Measure"
        RELEASE = "release", "Release"
        CHECK = "check", "Check a model"
        FACTS = "facts", "Gather facts"

    class State(models.TextChoices):
        WAITING = "waiting", "Waiting"
        RUNNING = "running", "Running"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    UNFINISHED = (State.WAITING, State.RUNNING)
    MAX_ATTEMPTS = 3
    # An import keeps all of a file or nothing: its page offers what comes next.
    CAN_GO_ON = (Kind.GENERATION, Kind.JUDGING, Kind.MEASUREMENT, Kind.RELEASE, Kind.CHECK)
    # These ask models, leave out what is not answered, and count it in `progress` by not counting it.
    LEAVE_OUT = (Kind.GENERATION, Kind.JUDGING)

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, null=True, related_name="runs")
    kind = models.CharField(max_length=12, choices=Kind)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    # Everything that decides the outcome: model, revision, strategy, rule, file digest, ...
    parameters = models.JSONField(default=dict, blank=True)
    seed = models.BigIntegerField(default=0)
    code_version = models.CharField(max_length=60)
    started_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField(default=timezone.now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Lease, fencing token, heartbeat.
    attempt = models.PositiveSmallIntegerField(default=0)
    token = models.UUIDField(null=True, blank=True)
    worker = models.CharField(max_length=200, blank=True, default="")
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    cancel_requested = models.BooleanField(default=False)
    # How often somebody asked for three new attempts.
    retries = models.PositiveSmallIntegerField(default=0)
    # Progress in the run's own units (rows, candidates, pairs).
    progress = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True, blank=True)
    # The pace of this attempt: since when it works, and how much was there at that moment. Loading is before.
    pace_since = models.DateTimeField(null=True, blank=True)
    pace_from = models.PositiveBigIntegerField(default=0)
    # Seconds of all attempts that ended.
    busy_seconds = models.FloatField(default=0.0)
    # Tokens that a model read and wrote for this run, where its handler counts them; of a generation those of its
    # candidates.
    tokens = models.PositiveBigIntegerField(null=True, blank=True)
    # What was expected when the run was asked for, in units, tokens and seconds; see annotation/estimating.py.
    estimate = models.JSONField(default=dict, blank=True)
    result = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True, default="", help_text="A sentence that can be shown.")
    log = models.TextField(blank=True, default="", help_text="The last lines that the worker wrote.")

    objects = RunQuerySet.as_manager()

    class Meta:
        db_table = "run"
        constraints = [
            models.CheckConstraint(
                condition=Q(state="running", lease_until__isnull=False, token__isnull=False)
                | ~Q(state="running") & Q(lease_until=None),
                name="running_has_a_lease",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "running"], finished_at=None)
                | Q(state__in=["done", "failed", "cancelled"], finished_at__isnull=False),
                name="final_has_an_end",
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(error=""), name="failed_says_why"),
            # In one budget; a retry gives a new one.
            models.CheckConstraint(condition=Q(attempt__lte=3), name="at_most_three_attempts"),
            models.CheckConstraint(condition=Q(busy_seconds__gte=0), name="time_spent_is_not_negative"),
        ]
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state__in=["waiting", "running"]), name="run_unfinished"),
            models.Index(fields=["project", "-id"], name="run_of_project"),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk}: {self.get_kind_display()}"

    @property
    def is_final(self) -> bool:
        return self.state not in self.UNFINISHED

    @property
    def can_be_retried(self) -> bool:
        ended_early = self.state in (self.State.FAILED, self.State.CANCELLED)
        return (ended_early and self.kind in self.CAN_GO_ON) or self.is_partial

    @property
    def can_be_paired(self) -> bool:
        """A generation that stopped early: it made candidates, and pairs are made at the end."""
        ended_early = self.state in (self.State.FAILED, self.State.CANCELLED)
        wants_pairs = self.kind == self.Kind.GENERATION and self.parameters.get("pairing") != "none"
        return ended_early and wants_pairs and self.progress > 0

    @property
    def is_partial(self) -> bool:
        """Done, but for what a model could not answer."""
        return self.state == self.State.DONE and self.kind in self.LEAVE_OUT and bool(self.missing)

    @property
    def missing(self) -> int | None:
        """Units that are not there yet; None while the total is not known."""
        return None if self.total is None else max(0, self.total - self.progress)

    @property
    def share(self) -> float | None:
        """Progress as a share of the total, 0..1; None while the total is not known."""
        return min(1.0, self.progress / self.total) if self.total else None


class Worker(models.Model):
    """A worker process that has been heard of. Alive means: heard within the last 30 seconds."""

    name = models.CharField(max_length=200, unique=True)
    queues = models.JSONField(default=list)
    code_version = models.CharField(max_length=60, blank=True, default="")
    started_at = models.DateTimeField(default=timezone.now)
    seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "worker"

    def __str__(self) -> str:
        return self.name
