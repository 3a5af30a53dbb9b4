"""Which pairs: saved criteria, versioned."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone


class SelectionQuerySet(models.QuerySet["Selection"]):
    def of_the_board(self) -> SelectionQuerySet:
        """Those whose filter says all that their criteria do: the board can show them."""
        return self.filter(~Q(query="") | Q(criteria=[]))


class Selection(models.Model):
    """A saved filter over a project's pairs. Changing it makes a new version; releases name the version they used.

    Saved on the board it has both a filter and criteria. What a release was asked for in criteria alone has no filter.
    """

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="selections")
    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField(default=1)
    # A list of {"field", "operator", "value"}; allowed ones are in curation/criteria.py.
    criteria = models.JSONField(default=list)
    # Made on the board: the filter as its address has it.
    query = models.CharField(max_length=4000, blank=True, default="")
    # What models measured of what its criteria read, as the facts had it when it was saved, as in FactsState.
    measures = models.JSONField(default=dict)
    owner = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    objects = SelectionQuerySet.as_manager()

    class Meta:
        db_table = "selection"
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_selection_per_name_and_version")
        ]

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"

    @property
    def is_of_the_board(self) -> bool:
        return bool(self.query) or not self.criteria
