"""Signing in: who may have an account, how an account is found, one-time links, API tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.auth_backends import AuthenticationBackend
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import connection, transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from rest_framework.authtoken.models import Token

from annotation.errors import Refused
from annotation.models import SignInLink, User
from annotation.recording import record

COLUMNS = [field.attname for field in User._meta.concrete_fields]
ACCOUNT = f"SELECT {', '.join(COLUMNS)} FROM account WHERE id = %s::bigint AND is_active"


class AccountAdapter(DefaultAccountAdapter):
    """Sign-up is closed: accounts come from invitations and from the command line."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False


class Backend(AuthenticationBackend):
    """allauth's backend; the account of a session is loaded by one plain SELECT, which the hot path needs."""

    def get_user(self, user_id: int) -> User | None:
        # Without the ORM's query building: 0.16 ms instead of 0.5 ms per request. As text, so that it is prepared once.
        with connection.cursor() as cursor:
            cursor.execute(ACCOUNT, [str(user_id)])
            row = cursor.fetchone()
        return None if row is None else User.from_db(connection.alias, COLUMNS, row)


def account_named(request: HttpRequest, credentials: dict[str, Any] | None) -> str:
    """The account that a sign-in attempt is for, as the throttle counts it: without it all of an address are one.

    allauth hands over `email`, and the form's field is called `login`.
    """
    named = (credentials or {}).get("email") or (credentials or {}).get("username") or request.POST.get("login", "")
    return str(named).strip().lower()[:254]


def digest_of(token: str) -> str:
    """What is stored of a token: whoever reads the database cannot use it."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def make_sign_in_link(*, user: User, next_path: str = "/", minutes: int = 60, command: str = "sign_in_link") -> str:
    """Make a link's token that signs `user` in once, within `minutes`. Returns the token.

    Raises:
        Refused: the account is closed, or `next_path` is no path of this house.
    """
    if not user.is_active:
        raise Refused(f"The account {user.email} is closed. Open it again on the admin pages first.")
    if not next_path.startswith("/") or not url_has_allowed_host_and_scheme(next_path, allowed_hosts=None):
        raise Refused(
            f"{next_path!r} is not a path of this house. Give one with a single slash in front, as /projects."
        )
    token = secrets.token_urlsafe(32)
    SignInLink.objects.create(
        user=user,
        token_digest=digest_of(token),
        next_path=next_path,
        expires_at=timezone.now() + timedelta(minutes=minutes),
    )
    record(act="sign_in_link.make", subject=user.email, command=command, after={"minutes": minutes})
    return token


@transaction.atomic
def use_sign_in_link(*, token: str) -> SignInLink:
    """Take the link's one use. Two clicks at the same moment: one wins.

    Raises:
        Refused: unknown, used or expired.
    """
    now = timezone.now()
    link = SignInLink.objects.select_related("user").filter(token_digest=digest_of(token)).first()
    taken = link and SignInLink.objects.filter(pk=link.pk, used_at=None, expires_at__gt=now).update(used_at=now)
    if not link or not taken or not link.user.is_active:
        raise Refused(_("This link was used already or is too old. Ask for a new one, or sign in with your password."))
    link.used_at = now
    record(act="sign_in_link.use", subject=link.user.email, actor=link.user)
    return link


@transaction.atomic
def make_token(*, user: User) -> Token:
    """Make the account's API token; one that was there before stops working at once."""
    Token.objects.filter(user=user).delete()
    token: Token = Token.objects.create(user=user)
    record(act="token.create", subject=user.email, actor=user)
    return token


@transaction.atomic
def revoke_token(*, user: User) -> bool:
    """End the account's API token. False when there was none."""
    ended = Token.objects.filter(user=user).delete()[0] > 0
    if ended:
        record(act="token.revoke", subject=user.email, actor=user)
    return ended


@transaction.atomic
def change_account(*, user: User, name: str, is_active: bool, is_staff: bool, actor: User) -> User:
    """Change an account's name, close or open it, make or unmake a site admin. In force with the next request.

    Raises:
        Refused: the last site admin would be gone.
    """
    stored = User.objects.select_for_update().get(pk=user.pk)
    wanted = {"name": name, "is_active": is_active, "is_staff": is_staff, "is_superuser": is_staff}
    changed = {field: value for field, value in wanted.items() if getattr(stored, field) != value}
    if stored.is_staff and stored.is_active and not (is_staff and is_active):
        # Every admin's row, in one order: two admins who close each other at once come one after the other.
        admins = User.objects.select_for_update().filter(is_staff=True, is_active=True).order_by("pk")
        if {admin.pk for admin in admins} == {stored.pk}:
            raise Refused(
                "This is the only site admin. Make another one first: manage.py create_admin EMAIL --another."
            )
    if changed:
        before = {field: getattr(stored, field) for field in changed}
        User.objects.filter(pk=stored.pk).update(**changed)
        record(act="account.change", subject=stored.email, actor=actor, before=before, after=changed)
    stored.refresh_from_db()
    return stored


@transaction.atomic
def choose_language(*, user: User, language: str) -> User:
    """Keep the language in which `user` wants the pages; empty: the one that the browser asks for.

    Raises:
        Refused: there is no translation into it.
    """
    if language and language not in dict(settings.LANGUAGES):
        raise Refused(_("There is no translation into this language. Choose one of the list."))
    User.objects.filter(pk=user.pk).update(language=language)
    user.language = language
    return user


@transaction.atomic
def remove_second_factor(*, user: User, actor: User) -> bool:
    """For somebody whose phone is lost: the next sign-in asks for the password alone. False when there was none."""
    removed = bool(Authenticator.objects.filter(user=user).delete()[0])
    if removed:
        record(act="account.second_factor_removed", subject=user.email, actor=actor)
    return removed


@transaction.atomic
def create_admin(*, email: str, name: str = "", another: bool = False, command: str = "create_admin") -> User:
    """Make a site admin without a password; a sign-in link lets them in to set one.

    Raises:
        Refused: there is an admin already and `another` was not said, or the address has an account.
    """
    try:
        validate_email(email)
    except ValidationError as error:
        raise Refused(f"{email!r} is not an e-mail address.") from error
    if not another and User.objects.filter(is_staff=True).exists():
        raise Refused("There is a site admin already. Say --another to make one more.")
    if User.objects.filter(email__iexact=email).exists():
        raise Refused(f"{email} has an account already. A site admin can make it an admin's on the admin pages.")
    user = User.objects.create_superuser(email, name=name)
    record(act="account.create_admin", subject=user.email, command=command)
    return user
