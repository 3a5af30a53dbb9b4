"""What left the house: frozen, checksummed, byte-identical when rebuilt."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils import timezone


def new_salt() -> str:
    return secrets.token_hex(32)


class Salt(models.Model):
    """What a release's pseudonyms are made with, drawn before it is written and kept when that fails.

    Never in a file of the release, and never shown.
    """

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="+")
    version = models.CharField(max_length=60)
    salt = models.CharField(max_length=64, default=new_salt, editable=False)

    class Meta:
        db_table = "release_salt"
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="one_salt_per_version")]

    def __str__(self) -> str:
        return f"The salt of {self.project}, {self.version}"


class Release(models.Model):
    """A selection and a rule, frozen. The files lie in `folder`; the manifest names their digests."""

    project = models.ForeignKey("annotation.Project", on_delete=models.PROTECT, related_name="releases")
    version = models.CharField(max_length=60)
    selection = models.ForeignKey("curation.Selection", on_delete=models.PROTECT, null=True, related_name="releases")
    run = models.ForeignKey("annotation.Run", on_delete=models.PROTECT, null=True, related_name="releases")
    rule = models.CharField(max_length=40)
    layout = models.CharField(max_length=40)
    manifest = models.JSONField()
    # sha256 of the manifest's canonical form: the name of the whole.
    digest = models.CharField(max_length=64)
    rows = models.PositiveBigIntegerField()
    # By table, the numbers up to the last one heard that its snapshot did not see: int8multiranges in text. Who was
    # still saving then has one of them (hearing.missed_by).
    missed = models.JSONField(default=dict, blank=True, editable=False)
    # What makes the pseudonyms of its annotators its own. Never in a file of the release, and never shown.
    salt = models.CharField(max_length=64, default=new_salt, editable=False)
    folder = models.CharField(max_length=500)
    released_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "release"
        constraints = [models.UniqueConstraint(fields=["project", "version"], name="one_release_per_version")]

    def __str__(self) -> str:
        return f"{self.project}, {self.version}"
