"""Who works here: accounts, annotators, invitations, sign-in links."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **fields: object) -> User:
        """Create an account. Without a password it can be entered by a sign-in link only."""
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: object) -> User:
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def get_by_natural_key(self, username: str | None) -> User:
        return self.get(email__iexact=username)


class User(AbstractBaseUser, PermissionsMixin):
    """An account. `is_staff` makes a site admin; everything else is a role in a project."""

    email = models.EmailField(unique=True)
    name = models.CharField(max_length=120, blank=True)
    is_staff = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    date_joined = models.DateTimeField(default=timezone.now)
    # The language of the interface, one of LANGUAGES; empty: as the browser asks.
    language = models.CharField(max_length=12, blank=True, default="", db_default="")

    objects: ClassVar[UserManager] = UserManager()

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        db_table = "account"
        constraints = [models.UniqueConstraint(Lower("email"), name="one_account_per_email")]

    def __str__(self) -> str:
        return self.name or self.email

    def get_full_name(self) -> str:
        return self.name or self.email

    def get_short_name(self) -> str:
        return self.name.split(" ")[0] or self.email.split("@")[0]

    @property
    def initials(self) -> str:
        words = (self.name or self.email).split()
        return "".join(word[0] for word in words[:2]).upper()


class Role(models.TextChoices):
    """What a person may do in one project. Each role may do what the ones before it may."""

    ANNOTATOR = "annotator", _("Annotator")
    ADJUDICATOR = "adjudicator", _("Adjudicator")
    LEAD = "lead", _("Lead")


class AnnotatorQuerySet(models.QuerySet["Annotator"]):
    def people(self) -> AnnotatorQuerySet:
        return self.filter(kind=Annotator.Kind.PERSON)

    def judges(self) -> AnnotatorQuerySet:
        return self.filter(kind=Annotator.Kind.JUDGE)

    def active(self) -> AnnotatorQuerySet:
        return self.filter(is_active=True)


class Annotator(models.Model):
    """Somebody or something that judges in one project.

    A person's membership (with an account, or imported without one), or a judge: a model with a prompt version.
    Both write the same kind of judgement and are always told apart by `kind`.
    """

    class Kind(models.TextChoices):
        PERSON = "person", "Person"
        JUDGE = "judge", "Judge"

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="annotators")
    user = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, blank=True, related_name="annotators")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.PERSON)
    role = models.CharField(max_length=12, choices=Role, default=Role.ANNOTATOR)
    # How the lead's pages call this annotator; for imported ones the identifier of the file.
    name = models.CharField(max_length=200)
    # Set for annotators that came with a file; a file's annotator is found again by it.
    external_id = models.CharField(max_length=200, blank=True, default="")
    is_simulated = models.BooleanField(default=False)
    is_active = models.BooleanField(default=True)
    languages = models.JSONField(default=list, blank=True)
    # Judges only.
    model = models.CharField(max_length=300, blank=True, default="")
    revision = models.CharField(max_length=100, blank=True, default="")
    prompt_version = models.CharField(max_length=100, blank=True, default="")
    # Where this annotator stands in the queue: a hint that keeps claiming fast, never the truth. See assigning.py.
    cursor = models.BigIntegerField(default=-1)
    dry_until = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    objects = AnnotatorQuerySet.as_manager()

    class Meta:
        db_table = "annotator"
        constraints = [
            models.UniqueConstraint(fields=["user", "project"], name="one_membership"),
            models.UniqueConstraint(
                fields=["project", "external_id"],
                condition=~models.Q(external_id=""),
                name="one_annotator_per_external_id",
            ),
            models.CheckConstraint(
                condition=models.Q(kind="person") | models.Q(user=None, role="annotator"), name="a_judge_has_no_account"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def is_judge(self) -> bool:
        return self.kind == self.Kind.JUDGE

    @property
    def settles(self) -> bool:
        """True when this membership is active and its role settles pairs: the page of adjudication is theirs."""
        return self.may(Role.ADJUDICATOR)

    def may(self, role: str) -> bool:
        """True when this membership is active and includes `role`."""
        order = list(Role.values)
        return self.is_active and order.index(self.role) >= order.index(role)


class Invitation(models.Model):
    """A link by which people join a project. Only the token's digest is stored."""

    project = models.ForeignKey("annotation.Project", on_delete=models.CASCADE, related_name="invitations")
    role = models.CharField(max_length=12, choices=Role, default=Role.ANNOTATOR)
    token_digest = models.CharField(max_length=64, unique=True)
    # Empty: whoever holds the link may join.
    email = models.EmailField(blank=True, default="")
    places = models.PositiveSmallIntegerField(default=1)
    taken = models.PositiveSmallIntegerField(default=0)
    created_by = models.ForeignKey(User, on_delete=models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "invitation"
        constraints = [
            models.CheckConstraint(condition=models.Q(taken__lte=models.F("places")), name="invitation_not_overdrawn")
        ]

    def __str__(self) -> str:
        return f"Invitation of {self.project} as {self.role}"

    @property
    def is_open(self) -> bool:
        return self.withdrawn_at is None and self.taken < self.places and self.expires_at > timezone.now()


class SignInLink(models.Model):
    """A link that signs one account in, once. Made on the command line; only the token's digest is stored."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sign_in_links")
    token_digest = models.CharField(max_length=64, unique=True)
    next_path = models.CharField(max_length=300, default="/")
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "sign_in_link"

    def __str__(self) -> str:
        return f"Sign-in link of {self.user}"
