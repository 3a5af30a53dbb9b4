"""What is known of every pair, derived: `manage.py gather_facts` builds it again from what was said and measured."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q


class PairFact(models.Model):
    """One pair's numbers, for the board and for criteria. Written by curation/tabulating.py only.

    A number that is not known is null, its bin the slot behind the last. `b_…` are the bins of curation/dimensions.py.
    `share`, `item_agreement` (P_i) and `entropy` (nats) are raw; `agreement` is weighted by reliability and shrunk.
    """

    pair = models.OneToOneField("annotation.Pair", on_delete=models.CASCADE, primary_key=True, related_name="facts")
    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="+", db_index=False)
    is_excluded = models.BooleanField()

    judgements = models.IntegerField()
    skips = models.IntegerField()
    n_first = models.IntegerField()
    n_second = models.IntegerField()
    n_tie = models.IntegerField()
    n_both_bad = models.IntegerField()
    # The verdict that more than half gave: first, second, tie, both_bad; empty where there is none.
    majority = models.CharField(max_length=8, blank=True, default="")
    share = models.FloatField(null=True)
    item_agreement = models.FloatField(null=True)
    entropy = models.FloatField(null=True)
    agreement = models.FloatField(null=True)
    dissents = models.IntegerField(null=True)
    strength = models.FloatField(null=True)

    # Held-out loss for the board's model, and its percentile among the project's measured pairs (0 easy, 1 hard).
    loss = models.FloatField(null=True)
    difficulty = models.FloatField(null=True)
    margin = models.FloatField(null=True)
    # Of the reward model that measured last, in its own unit.
    reward_margin = models.FloatField(null=True)

    # consensus, conflict, indifference; empty without votes. `direction`: 1 for first, -1 for second.
    discretion = models.CharField(max_length=12, blank=True, default="")
    n_relevant = models.IntegerField(null=True)
    # The numbers of the principles that ask for each of the two, ascending.
    favour_first = ArrayField(models.BigIntegerField(), default=list, db_default=[])
    favour_second = ArrayField(models.BigIntegerField(), default=list, db_default=[])
    direction = models.SmallIntegerField(null=True)
    arbitrary = models.IntegerField(null=True)

    length_first = models.IntegerField()
    length_second = models.IntegerField()
    # Characters of the preferred candidate minus those of the other; null without a majority for one.
    length_difference = models.IntegerField(null=True)
    language = models.CharField(max_length=35, blank=True, default="")
    source = models.CharField(max_length=200, blank=True, default="")
    tag = models.CharField(max_length=60, blank=True, default="")
    tags = ArrayField(models.CharField(max_length=60), default=list)
    split = models.CharField(max_length=20, blank=True, default="")
    duplicates = models.IntegerField()
    flags = models.IntegerField()
    is_gold = models.BooleanField()
    # The numbers of all whose current judgement says something of the pair, people and judges.
    annotators = ArrayField(models.BigIntegerField(), default=list, db_default=[])
    marked = models.CharField(max_length=40)

    b_difficulty = models.SmallIntegerField(default=0)
    b_agreement = models.SmallIntegerField(default=0)
    b_discretion = models.SmallIntegerField(default=0)
    b_strength = models.SmallIntegerField(default=0)
    b_length = models.SmallIntegerField(default=0)
    b_margin = models.SmallIntegerField(default=0)
    # Means something only where the project's dimensions have it: `FactsState.values` names the reward model then.
    b_reward = models.SmallIntegerField(default=0, db_default=0)
    b_judgements = models.SmallIntegerField(default=0)
    b_dissents = models.SmallIntegerField(default=0)
    b_relevant = models.SmallIntegerField(default=0)
    b_arbitrary = models.SmallIntegerField(default=0)
    b_marked = models.SmallIntegerField(default=0)
    b_language = models.SmallIntegerField(default=0)
    b_tag = models.SmallIntegerField(default=0)
    b_source = models.SmallIntegerField(default=0)
    b_split = models.SmallIntegerField(default=0)
    b_reading = models.SmallIntegerField(default=0)

    class Meta:
        db_table = "pair_facts"
        constraints = [
            models.CheckConstraint(
                condition=Q(difficulty=None, loss=None)
                | Q(loss__isnull=False, difficulty__isnull=False, difficulty__gte=0, difficulty__lte=1),
                name="difficulty_is_a_percentile",
            ),
            models.CheckConstraint(
                condition=Q(discretion="", n_relevant=None) | ~Q(discretion="") & Q(n_relevant__isnull=False),
                name="discretion_counts_its_principles",
            ),
        ]
        indexes = [
            # The table in its usual order: bins follow the value, so (bin, value, pair) is the order by value. With all
            # bins in it as well it was slower: measured, bench/board.py.
            models.Index(
                fields=["project", "b_difficulty", "difficulty", "pair"],
                condition=Q(is_excluded=False),
                name="facts_by_difficulty",
            ),
            # Exact counts without touching the table, whatever is filtered.
            models.Index(
                fields=["project", "b_difficulty", "b_agreement", "b_discretion"],
                include=[
                    "b_strength",
                    "b_length",
                    "b_margin",
                    "b_judgements",
                    "b_dissents",
                    "b_relevant",
                    "b_arbitrary",
                    "b_marked",
                    "b_language",
                    "b_tag",
                    "b_source",
                    "b_split",
                    "b_reading",
                ],
                condition=Q(is_excluded=False),
                name="facts_counted",
            ),
        ]

    def __str__(self) -> str:
        return f"Facts of pair {self.pair_id}"


class FactsState(models.Model):
    """The latest gathering of a project: how old it is, what it has seen, and the board's columns as they are sent."""

    project = models.OneToOneField(
        "annotation.Project", on_delete=models.CASCADE, primary_key=True, related_name="facts_state"
    )
    # Counts gatherings; the columns of one version never change.
    version = models.PositiveIntegerField(default=0)
    gathered_at = models.DateTimeField()
    seconds = models.FloatField()
    is_whole = models.BooleanField(default=True)
    # Pairs in play, and all judgements and events that were there.
    pairs = models.PositiveIntegerField()
    judgement = models.BigIntegerField(default=0)
    event = models.BigIntegerField(default=0)
    # The model whose difficulty the board shows, and all that have one: {"name": run number}.
    model = models.CharField(max_length=300, blank=True, default="")
    models_measured = models.JSONField(default=dict)
    # Whose difficulty, margin and reward the facts have: {"difficulty": {"model", "run", "metric"}}; only those there.
    measures = models.JSONField(default=dict)
    # Reliability by annotator number, mean 1; and the project's own categories by dimension.
    weights = models.JSONField(default=dict)
    values = models.JSONField(default=dict)
    # gzip: the summary that is painted first, and the columns.
    summary = models.BinaryField()
    columns = models.BinaryField()

    class Meta:
        db_table = "facts_state"

    def __str__(self) -> str:
        return f"Facts of {self.project_id}, version {self.version}"


class FactsArray(models.Model):
    """One array beside the board's columns that only the server reads: which pair each row is, and the row numbers in
    the order of one dimension. Written by curation/gathering.py only; curation/columns.py holds it in memory.
    """

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="+", db_index=False)
    # "pair"; the key of a dimension that the table can be sorted by; value_KEY of one of which groups show the mean.
    key = models.CharField(max_length=20)
    # The version of the facts that it belongs to.
    version = models.PositiveIntegerField()
    # Little endian: int64 for pairs, uint32 for rows, float32 for values.
    body = models.BinaryField()

    class Meta:
        db_table = "facts_array"
        constraints = [models.UniqueConstraint(fields=["project", "key"], name="one_facts_array_per_key")]

    def __str__(self) -> str:
        return f"{self.key} of the facts of {self.project_id}, version {self.version}"
