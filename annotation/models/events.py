"""Who did what, when, and what it was before: append-only, hash-chained."""

from __future__ import annotations

from django.db import models
from django.utils import timezone


class Event(models.Model):
    """One act. `digest` covers the event and the digest of the one before it, so that a changed or missing row shows.

    A database trigger refuses UPDATE and DELETE. Written by annotation/recording.py only.
    """

    at = models.DateTimeField(default=timezone.now)
    actor = models.CharField(max_length=200, help_text="The account's e-mail address, or the command that acted.")
    project = models.CharField(max_length=60, blank=True, default="", help_text="The project's slug.")
    act = models.CharField(max_length=60)
    subject = models.CharField(max_length=200, help_text="What it was done to: kind and number or name.")
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    previous = models.CharField(max_length=64, unique=True)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        db_table = "event"
        indexes = [models.Index(fields=["project", "-id"], name="event_of_project")]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor}: {self.act} {self.subject}"
