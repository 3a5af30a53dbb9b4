"""Which pairs: saved criteria, versioned."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Selection(models.Model):
    """A saved filter over a project's pairs. Changing it makes a new version; releases name the version they used."""

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="selections")
    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField(default=1)
    # A list of {"field", "operator", "value"}; allowed ones are in curation/criteria.py.
    criteria = models.JSONField(default=list)
    # Made on the board: the filter as its address has it.
    query = models.CharField(max_length=2000, blank=True, default="")
    # What models measured of what its criteria read, as the facts had it when it was saved, as in FactsState.
    measures = models.JSONField(default=dict)
    owner = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "selection"
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "version"], name="one_selection_per_name_and_version")
        ]

    def __str__(self) -> str:
        return f"{self.name}, version {self.version}"
