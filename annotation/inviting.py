"""Invitations -> memberships: who may join a project, in which role, and for how long they stay."""

from __future__ import annotations

import secrets
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from annotation import opening
from annotation.errors import Refused
from annotation.models import Annotator, Assignment, Invitation, Project, Role, User
from annotation.recording import record
from annotation.signing_in import digest_of
from annotation.wording import in_a_sentence

MOST_PLACES = 500
MOST_DAYS = 90

UNKNOWN = gettext_lazy("This invitation does not exist. Check that the whole link was copied, or ask for a new one.")
WITHDRAWN = gettext_lazy("This invitation was withdrawn. Ask the person who invited you for a new one.")
EXPIRED = gettext_lazy(
    "This invitation is too old: it ended on %(date)s. Ask the person who invited you for a new one."
)
FULL = gettext_lazy("Every place of this invitation is taken. Ask the person who invited you for a new one.")


@transaction.atomic
def invite(
    *,
    project: Project,
    role: str = Role.ANNOTATOR,
    email: str = "",
    places: int = 1,
    days: int = 14,
    actor: User | None = None,
    command: str = "",
) -> tuple[Invitation, str]:
    """Make an invitation. Returns it with the link's token, which is stored nowhere and can be shown this once.

    Raises:
        Refused: an unknown role, or places, days and e-mail address that do not fit together.
    """
    if role not in Role.values:
        raise Refused(f"There is no role {role!r}. Choose one of: {', '.join(Role.values)}.")
    if not 1 <= places <= MOST_PLACES:
        raise Refused(f"An invitation has 1 to {MOST_PLACES} places, not {places}.")
    if not 1 <= days <= MOST_DAYS:
        raise Refused(f"An invitation is open for 1 to {MOST_DAYS} days, not {days}.")
    if email and places != 1:
        raise Refused("An invitation for one e-mail address has one place. For more places, leave the address empty.")
    if role == Role.LEAD and places != 1:
        raise Refused("A lead is invited one at a time: give 1 place.")
    token = secrets.token_urlsafe(32)
    invitation = Invitation.objects.create(
        project=project,
        role=role,
        token_digest=digest_of(token),
        email=email.strip().lower(),
        places=places,
        created_by=actor,
        expires_at=timezone.now() + timedelta(days=days),
    )
    record(
        act="invitation.make",
        subject=f"invitation {invitation.pk}",
        actor=actor,
        command=command,
        project=project,
        after={"role": role, "email": invitation.email, "places": places, "days": days},
    )
    return invitation, token


@transaction.atomic
def withdraw(*, invitation: Invitation, actor: User) -> Invitation:
    """End an open invitation. Who has joined by it stays.

    Raises:
        Refused: it has ended already.
    """
    now = timezone.now()
    if not Invitation.objects.filter(pk=invitation.pk, withdrawn_at=None, expires_at__gt=now).update(withdrawn_at=now):
        raise Refused("This invitation has ended already.")
    invitation.withdrawn_at = now
    record(
        act="invitation.withdraw",
        subject=f"invitation {invitation.pk}",
        actor=actor,
        project=invitation.project,
        before={"taken": invitation.taken, "places": invitation.places},
    )
    return invitation


def find_invitation(*, token: str) -> Invitation:
    """The open invitation of a link.

    Raises:
        Refused: there is none, or it ended; the sentence says which.
    """
    invitation = Invitation.objects.select_related("project").filter(token_digest=digest_of(token)).first()
    if invitation is None:
        raise Refused(str(UNKNOWN))
    if not invitation.is_open:
        raise Refused(_why_closed(invitation))
    return invitation


def _why_closed(invitation: Invitation) -> str:
    if invitation.withdrawn_at is not None:
        return str(WITHDRAWN)
    if invitation.expires_at <= timezone.now():
        return str(EXPIRED % {"date": date_format(invitation.expires_at, "DATE_FORMAT")})
    return str(FULL)


@transaction.atomic
def accept(*, token: str, user: User) -> Annotator:
    """Take one place of the invitation for `user`. Two people at the last place in the same moment: one wins.

    Raises:
        Refused: the invitation has ended or is another's, or `user` belongs to the project already.
    """
    invitation = find_invitation(token=token)
    if invitation.email and invitation.email != user.email.lower():
        raise Refused(
            _("This invitation is for another address than yours (%(email)s). Sign in with the account it is for.")
            % {"email": user.email}
        )
    member = Annotator.objects.filter(project=invitation.project, user=user).first()
    if member is not None and member.is_active:
        raise Refused(
            _("You are in this project already, as %(role)s. A lead can change that.")
            % {"role": in_a_sentence(member.role)}
        )
    if member is not None:
        raise Refused(_("Your place in this project was closed. Ask a lead to open it again."))
    _take_a_place(invitation)
    try:
        with transaction.atomic():
            member = Annotator.objects.create(
                project=invitation.project, user=user, role=invitation.role, name=user.name or user.email.split("@")[0]
            )
    except IntegrityError as error:  # The same person clicked twice: `one_membership` kept one.
        raise Refused(_("You are in this project already.")) from error
    record(
        act="member.join",
        subject=f"annotator {member.pk}",
        actor=user,
        project=invitation.project,
        after={"role": member.role, "invitation": invitation.pk},
    )
    return member


def _take_a_place(invitation: Invitation) -> None:
    """Look for the place and count it in one statement; the constraint `invitation_not_overdrawn` stands behind."""
    free = Invitation.objects.filter(
        pk=invitation.pk, withdrawn_at=None, expires_at__gt=timezone.now(), taken__lt=F("places")
    )
    if not free.update(taken=F("taken") + 1):
        invitation.refresh_from_db()
        raise Refused(_why_closed(invitation))


@transaction.atomic
def accept_as_new(*, token: str, name: str, email: str, password: str) -> Annotator:
    """Create an account and take a place with it, both or neither.

    Raises:
        Refused: as `accept`, or the address has an account already.
    """
    invitation = find_invitation(token=token)
    # Somebody else's address is refused before anything is said about accounts.
    if invitation.email and invitation.email != email.strip().lower():
        raise Refused(_("This invitation is for another e-mail address. Give the address to which it was sent."))
    taken = _("There is an account with this e-mail address already. Sign in first, then open the link again.")
    if User.objects.filter(email__iexact=email.strip()).exists():
        raise Refused(taken)
    try:
        with transaction.atomic():
            user = User.objects.create_user(email.strip(), password, name=name.strip())
    except IntegrityError as error:
        raise Refused(taken) from error
    return accept(token=token, user=user)


@transaction.atomic
def change_role(*, annotator: Annotator, role: str, actor: User) -> Annotator:
    """Give a member another role, from the next request on.

    Raises:
        Refused: not a member with an account, an unknown role, or the project would be left without a lead.
    """
    if role not in Role.values:
        raise Refused(f"There is no role {role!r}. Choose one of: {', '.join(Role.values)}.")
    annotator = _locked(annotator)
    before = annotator.role
    if before == role:
        return annotator
    if before == Role.LEAD and annotator.is_active:
        _another_lead_remains(annotator)
    annotator.role = role
    annotator.save(update_fields=["role"])
    record(
        act="member.role",
        subject=f"annotator {annotator.pk}",
        actor=actor,
        project=annotator.project,
        before={"role": before},
        after={"role": role},
    )
    return annotator


@transaction.atomic
def deactivate(*, annotator: Annotator, actor: User) -> Annotator:
    """Close a member's place: their doors shut with the next request, their open pairs go back, their judgements stay.

    Raises:
        Refused: not a member with an account, or the project would be left without a lead.
    """
    annotator = _locked(annotator)
    if not annotator.is_active:
        return annotator
    if annotator.role == Role.LEAD:
        _another_lead_remains(annotator)
    annotator.is_active = False
    annotator.save(update_fields=["is_active"])
    # Expired now, so that the sweep, which knows where a returned slot belongs in the queue, hands them out again.
    leased = Assignment.objects.filter(annotator=annotator, lease_until__isnull=False)
    returned = leased.update(lease_until=timezone.now() - timedelta(seconds=1))
    if returned:
        opening.sweep(project=annotator.project)
    record(
        act="member.deactivate",
        subject=f"annotator {annotator.pk}",
        actor=actor,
        project=annotator.project,
        before={"role": annotator.role},
        after={"returned": returned},
    )
    return annotator


@transaction.atomic
def reactivate(*, annotator: Annotator, actor: User) -> Annotator:
    """Open a closed place again, in the role it had.

    Raises:
        Refused: not a member with an account.
    """
    annotator = _locked(annotator)
    if annotator.is_active:
        return annotator
    annotator.is_active = True
    annotator.save(update_fields=["is_active"])
    record(
        act="member.reactivate",
        subject=f"annotator {annotator.pk}",
        actor=actor,
        project=annotator.project,
        after={"role": annotator.role},
    )
    return annotator


def _locked(annotator: Annotator) -> Annotator:
    # The project's row is the lock: two leads who demote each other at once come one after the other.
    Project.objects.select_for_update(no_key=True).get(pk=annotator.project_id)
    annotator = Annotator.objects.select_related("project", "user").get(pk=annotator.pk)
    if annotator.user is None:
        raise Refused(f"{annotator} has no account here, so there is no role to change and no place to close.")
    return annotator


def _another_lead_remains(annotator: Annotator) -> None:
    others = Annotator.objects.active().filter(project=annotator.project_id, role=Role.LEAD, user__is_active=True)
    if not others.exclude(pk=annotator.pk).exists():
        raise Refused(f"{annotator} is the only lead of this project. Make somebody else a lead first.")
