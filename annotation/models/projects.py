"""A project: what is asked, of whom, how often."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _


def default_tags() -> list[dict[str, str]]:
    """What may have decided a verdict, as offered beside every pair; a project may change the list."""
    return [
        {"key": "correct", "label": "Correctness"},
        {"key": "request", "label": "Follows request"},
        {"key": "clear", "label": "Clarity"},
        {"key": "depth", "label": "Depth"},
        {"key": "length", "label": "Length"},
        {"key": "tone", "label": "Tone"},
        {"key": "safety", "label": "Safety"},
        {"key": "format", "label": "Format"},
    ]


class Scale(models.IntegerChoices):
    """How many points the answer has. Strengths: 2 has 1; 4 has 1, 2; 6 has 1, 2, 3; 7 has these and the tie."""

    TWO = 2, "2 points: A or B"
    FOUR = 4, "4 points: better, slightly better"
    SIX = 6, "6 points: much better, better, slightly better"
    SEVEN = 7, "7 points: six and about the same"


class Project(models.Model):
    class State(models.TextChoices):
        SETUP = "setup", _("Setting up")
        JUDGING = "judging", _("Judging")
        PAUSED = "paused", _("Paused")
        CLOSED = "closed", _("Closed")

    class Task(models.TextChoices):
        PAIRS = "pairs", "Compare two candidates"
        RANKINGS = "rankings", "Rank three to eight candidates"

    class RationalePolicy(models.TextChoices):
        OFF = "off", "Not asked"
        OPTIONAL = "optional", "Asked, may be left out"
        REQUIRED = "required", "Needed for every verdict"

    class VotesPolicy(models.TextChoices):
        OFF = "off", "Not asked"
        SAMPLE = "sample", "Asked for a sample"
        ALL = "all", "Asked for every pair"

    class MachineReasons(models.TextChoices):
        OFF = "off", "Never shown"
        ONE = "one", "One after the answer is saved: accept, edit or reject"
        SEVERAL = "several", "Several after the answer is saved: tick those that fit"

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True, default="")
    question = models.CharField(max_length=200, default="Which is better overall?")
    state = models.CharField(max_length=8, choices=State, default=State.JUDGING)
    # What annotators are given: pairs, or all candidates of a prompt at once.
    task = models.CharField(max_length=8, choices=Task, default=Task.PAIRS, db_default=Task.PAIRS)
    scale = models.PositiveSmallIntegerField(choices=Scale, default=Scale.SEVEN)
    allow_tie = models.BooleanField(default=True)
    allow_both_bad = models.BooleanField(default=True)
    # Whether annotators may edit the answer that they find better.
    allow_edits = models.BooleanField(default=False, db_default=False)
    # k: how many people of this house judge each pair.
    overlap = models.PositiveSmallIntegerField(default=3)
    rationale_policy = models.CharField(max_length=8, choices=RationalePolicy, default=RationalePolicy.OPTIONAL)
    # Where a reason is needed: the fewest characters that have to be written. 0: a tag or a highlight will do.
    shortest_reason = models.PositiveSmallIntegerField(default=0, db_default=0)
    votes_policy = models.CharField(max_length=8, choices=VotesPolicy, default=VotesPolicy.OFF)
    tags = models.JSONField(default=default_tags, blank=True)
    # Whether annotators see reasons that machines wrote, never before their own answer is saved; and for which share of
    # the answers nothing is shown, so that what the reasons change can be measured.
    machine_reasons = models.CharField(
        max_length=7, choices=MachineReasons, default=MachineReasons.OFF, db_default=MachineReasons.OFF
    )
    control_share = models.FloatField(default=0.2, db_default=0.2)
    # The share of gold pairs among those that are handed out, unseen as such.
    gold_rate = models.FloatField(default=0.0)
    # Gold pairs to judge before anything else, and how many must be right; 0: no such round.
    gold_round = models.PositiveSmallIntegerField(default=0, db_default=0)
    gold_pass = models.PositiveSmallIntegerField(default=0, db_default=0)
    # Whether annotators see how their own gold rounds and, later, the checks in between went.
    shows_results = models.BooleanField(default=False, db_default=False)
    lease_minutes = models.PositiveSmallIntegerField(default=30)
    guideline = models.ForeignKey(
        "annotation.Guideline",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name="guideline in force",
    )
    # Seeds the order of pairs and every draw made for this project.
    seed = models.BigIntegerField(default=0)
    is_demo = models.BooleanField(default=False)
    created_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "project"
        constraints = [
            models.CheckConstraint(condition=models.Q(scale__in=[2, 4, 6, 7]), name="project_scale_known"),
            models.CheckConstraint(
                condition=~models.Q(scale=7) | models.Q(allow_tie=True), name="project_seven_points_have_a_tie"
            ),
            models.CheckConstraint(condition=models.Q(overlap__gte=1, overlap__lte=50), name="project_overlap_1_to_50"),
            models.CheckConstraint(
                condition=models.Q(gold_rate__gte=0, gold_rate__lte=0.5), name="project_gold_rate_0_to_half"
            ),
            models.CheckConstraint(
                condition=models.Q(control_share__gte=0, control_share__lte=0.9),
                name="project_control_share_0_to_9_tenths",
            ),
            models.CheckConstraint(
                condition=models.Q(gold_pass__lte=models.F("gold_round")), name="project_gold_pass_within_round"
            ),
            models.CheckConstraint(
                condition=models.Q(shortest_reason__lte=1000), name="project_shortest_reason_to_1000"
            ),
            models.CheckConstraint(
                condition=models.Q(lease_minutes__gte=1, lease_minutes__lte=1440), name="project_lease_1_min_to_1_day"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_open(self) -> bool:
        return self.state == self.State.JUDGING

    @cached_property
    def has_examples(self) -> bool:
        """Whether there are explained examples. Asked once per object: a page leads to them and links them."""
        return self.pairs.in_play().filter(gold_use="example").exists()

    @property
    def has_training(self) -> bool:
        """Whether the page of training has something to say: explained examples, or how rounds and checks go."""
        return self.gold_round > 0 or (self.shows_results and self.gold_rate > 0) or self.has_examples

    @property
    def strengths(self) -> list[int]:
        """The strengths that a verdict `prefer` may have, weakest first."""
        return {2: [1], 4: [1, 2], 6: [1, 2, 3], 7: [1, 2, 3]}[self.scale]
