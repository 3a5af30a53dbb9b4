"""Which models workers may load and ask."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone


class LanguageModelQuerySet(models.QuerySet["LanguageModel"]):
    def allowed(self) -> LanguageModelQuerySet:
        return self.filter(allowed_at__isnull=False)

    def usable(self) -> LanguageModelQuerySet:
        return self.allowed().filter(is_sound=True)

    def that_answer(self) -> LanguageModelQuerySet:
        """Those that write and choose: all but reward models."""
        return self.exclude(backend=LanguageModel.Backend.REWARD_LOCAL)

    def that_reward(self) -> LanguageModelQuerySet:
        return self.filter(backend=LanguageModel.Backend.REWARD_LOCAL)


class LanguageModel(models.Model):
    """A model that is known by its name: where it lies, which revision, whether an admin has allowed it.

    Runs name models by `name` and find them here. A run may use a model that is allowed and that a worker has loaded
    once. What a run used stands in its candidates and judges, whatever becomes of this row. Written by
    annotation/registering.py only.
    """

    class Backend(models.TextChoices):
        TRANSFORMERS_LOCAL = "transformers_local", "Transformers, in the worker"
        OPENAI_COMPATIBLE = "openai_compatible", "Endpoint (OpenAI-compatible)"
        # A sequence classification with one output: it says how good an answer is, and writes none.
        REWARD_LOCAL = "reward_local", "Reward model, in the worker"

    # What a worker loads itself, from a folder or from the hub.
    LOCAL = (Backend.TRANSFORMERS_LOCAL, Backend.REWARD_LOCAL)

    name = models.CharField(max_length=200, unique=True)
    backend = models.CharField(max_length=20, choices=Backend)
    # Its name at the hub or at the endpoint, where that is another than `name`.
    name_there = models.CharField(max_length=300, blank=True, default="")
    # A folder under one of the allowed roots, "shipped:NAME" for what comes along with Plumbline, or the base address
    # of an endpoint. Empty: the hub.
    location = models.CharField(max_length=500, blank=True, default="")
    # The commit of a hub model; the digest of a folder, where it is to be checked.
    revision = models.CharField(max_length=100, blank=True, default="")
    # Of a hub model: the digest of its files as the first sound check found them. A folder's revision is such a digest.
    digest = models.CharField(max_length=100, blank=True, default="", db_default="")
    is_toy = models.BooleanField(default=False)
    registered_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    registered_at = models.DateTimeField(default=timezone.now)
    allowed_by = models.ForeignKey("annotation.User", on_delete=models.SET_NULL, null=True, related_name="+")
    allowed_at = models.DateTimeField(null=True, blank=True)
    # The last check by a worker: None while there was none.
    check_run = models.ForeignKey("annotation.Run", on_delete=models.SET_NULL, null=True, related_name="+")
    is_sound = models.BooleanField(null=True, default=None)
    checked_at = models.DateTimeField(null=True, blank=True)
    check_said = models.TextField(blank=True, default="", help_text="A sentence that can be shown.")

    objects: ClassVar[LanguageModelQuerySet] = LanguageModelQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        db_table = "language_model"
        ordering = ("name",)
        constraints = [
            models.UniqueConstraint(
                fields=["backend", "name_there", "location", "revision"],
                condition=~Q(location="") | ~Q(name_there=""),
                name="one_entry_per_model_and_revision",
            ),
            models.CheckConstraint(
                condition=~Q(backend="openai_compatible") | Q(location__regex=r"^https?://"),
                name="an_endpoint_has_an_address",
            ),
            models.CheckConstraint(
                condition=~Q(backend__in=["transformers_local", "reward_local"])
                | Q(location="")
                | Q(location__startswith="/")
                | Q(location__startswith="shipped:"),
                name="a_local_model_has_a_folder_or_the_hub",
            ),
            models.CheckConstraint(
                condition=~Q(backend__in=["transformers_local", "reward_local"], location="")
                | Q(revision__regex=r"^[0-9a-f]{40}$"),
                name="a_hub_model_is_pinned_to_a_commit",
            ),
            models.CheckConstraint(
                condition=Q(is_sound=None, checked_at=None, check_said="")
                | Q(is_sound__isnull=False, checked_at__isnull=False) & ~Q(check_said=""),
                name="a_check_says_what_it_found",
            ),
            # Candidates, judges, runs and releases show the name: so all of them say it.
            models.CheckConstraint(
                condition=Q(is_toy=False)
                | Q(name__icontains="toy") & (Q(name_there="") | Q(name_there__icontains="toy")),
                name="a_toy_is_called_so",
            ),
            models.CheckConstraint(
                condition=Q(allowed_at__isnull=False) | Q(allowed_by=None), name="who_allowed_says_when"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_usable(self) -> bool:
        return self.allowed_at is not None and self.is_sound is True

    @property
    def source(self) -> str:
        """Where it comes from, in words for a page."""
        if self.location.startswith("shipped:"):
            return "comes along with Plumbline"
        if self.location:
            return self.location
        return f"{self.name_there or self.name} on the hub"
